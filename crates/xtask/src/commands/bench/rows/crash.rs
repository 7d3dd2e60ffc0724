//! What a kill costs.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::super::service::Service;
use super::super::table::{Table, Target};
use super::files::{count_files, make_files};
use super::{Bench, pair};

/// Killed in the midst of 10,000 items: until it serves, and until all is repaired.
pub(crate) fn after_a_kill(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let source = bench.place.fresh("kill/source")?;
    let target = bench.place.fresh("kill/target")?;
    make_files(&source, 10_000, 1_024, 0)?;
    let mut service = Service::start(
        bench.binaries,
        &bench.place.fresh("kill/home")?,
        &[pair(&source, &target)],
    )?;
    let whole = service.time(&["sync", "s0"])?;
    let (mut serving, mut repaired) = (Vec::new(), Vec::new());
    let mut interrupted = 0;
    for number in 1..=bench.runs {
        make_files(&source, 10_000, 1_024, number)?;
        bench.place.settle()?;
        let mut command = service.begin(&["sync", "s0"])?;
        // Different moments: from a third to nearly all of what a whole sync takes.
        let share = u32::try_from(number + 1)?;
        std::thread::sleep(whole * share / (u32::try_from(bench.runs)? + 2));
        service.kill()?;
        command.wait()?;
        let begun = Instant::now();
        serving.push(service.launch()?);
        while service.ask(&["status"])?["daemon"]["recovered"] != true {
            ensure!(
                begun.elapsed() < Duration::from_mins(1),
                "the repairs do not end"
            );
        }
        repaired.push(begun.elapsed());
        let history = service.ask(&["history", "-n", "2"])?;
        let mut statuses = history["runs"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|run| &run["status"]);
        interrupted += u32::from(statuses.any(|status| status == "interrupted"));
        service.time(&["sync", "s0"])?;
        ensure!(
            count_files(&target)? == 10_000,
            "files are missing after the repair"
        );
    }
    table.add(
        "after kill -9 in a run of 10,000 items: until it serves",
        &serving,
        &[],
        &[Target::Millis(150.0)],
    );
    table.add(
        "… until all is verified and repaired",
        &repaired,
        &[],
        &[Target::Millis(1000.0)],
    );
    table.note(format!(
        "{interrupted} of {} kills hit a run that was under way.",
        bench.runs
    ));
    Ok(())
}
