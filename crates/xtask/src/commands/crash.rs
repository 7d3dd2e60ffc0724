//! `cargo xtask crash`: random histories with crashes, and the promises checked after each step.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use crash_checker::{FAIL_POINTS, Plan, Report, power_cuts_unavailable, run_plan};

use crate::shell::{build_binaries, say};

/// Arguments of `cargo xtask crash`.
#[derive(Debug, clap::Args)]
pub(crate) struct CrashArgs {
    /// How many histories
    #[arg(long, default_value_t = 2000)]
    histories: u64,
    /// The seed of the first history; the next has the next number [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Do not cut the power, which is done in histories with an odd seed where it can be (it mounts file systems)
    #[arg(long)]
    no_power_cut: bool,
    /// Histories at the same time
    #[arg(long, default_value_t = 3)]
    jobs: usize,
}

/// Builds the programs with their failpoints and runs the histories.
pub(crate) fn run(args: &CrashArgs) -> Result<()> {
    let binaries = build_binaries(false, true)?;
    let mut power_cuts = !args.no_power_cut;
    if let Some(reason) = power_cuts_unavailable().filter(|_| power_cuts) {
        say(format!("SKIPPED: power cuts ({reason})"));
        power_cuts = false;
    }
    let first_seed = match args.seed {
        Some(seed) => seed,
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
    };
    let plan = Plan {
        binaries: crash_checker::Binaries {
            homing: binaries.homing,
            homingd: binaries.homingd,
        },
        first_seed,
        histories: args.histories,
        power_cuts,
        workers: args.jobs,
        keep_worlds: true,
    };
    say(format!(
        "{} histories from seed {first_seed}, {} power cuts",
        plan.histories,
        if power_cuts { "with" } else { "without" }
    ));
    let begun = Instant::now();
    let report = run_plan(&plan, |ended, failure| {
        if let Some((seed, error)) = failure {
            say(format!("---- seed {seed}\n{error:#}"));
            let power = if plan.power_cuts {
                ""
            } else {
                " --no-power-cut"
            };
            say(format!(
                "replay with: cargo xtask crash --seed {seed} --histories 1{power}"
            ));
        }
        if ended.is_multiple_of(100) {
            say(format!(
                "{ended} histories, {:.0} s",
                begun.elapsed().as_secs_f64()
            ));
        }
    });
    conclude(&plan, &report, begun.elapsed().as_secs_f64())
}

fn conclude(plan: &Plan, report: &Report, seconds: f64) -> Result<()> {
    say("what happened:");
    for (word, count) in &report.tally.counts {
        say(format!("{count:>8}  {word}"));
    }
    let never: Vec<&str> = FAIL_POINTS
        .iter()
        .copied()
        .filter(|point| report.tally.of(&format!("died at {point}")) == 0)
        .collect();
    if !never.is_empty() {
        say(format!("never died at: {}", never.join(", ")));
    }
    say(format!(
        "{} histories kept every promise, {} did not, {seconds:.0} s",
        report.passed,
        report.failures.len()
    ));
    if !report.failures.is_empty() {
        let seeds: Vec<String> = report
            .failures
            .iter()
            .map(|(seed, _)| seed.to_string())
            .collect();
        bail!(
            "promises were broken in the histories of the seeds {}",
            seeds.join(", ")
        );
    }
    if plan.histories >= 500 && !never.is_empty() {
        bail!("a run of this length must die at every named point");
    }
    Ok(())
}
