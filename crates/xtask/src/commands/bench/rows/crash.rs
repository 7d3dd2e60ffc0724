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
    service.time(&["sync", "s0"])?;
    make_files(&source, 10_000, 1_024, 1)?;
    bench.place.settle()?;
    // How long a run lasts that changes all of them.
    let whole = service.time(&["sync", "s0"])?;
    let (mut serving, mut repaired) = (Vec::new(), Vec::new());
    let mut kills = 0;
    while serving.len() < bench.runs {
        kills += 1;
        ensure!(kills <= 6 * bench.runs, "kills do not hit a run");
        make_files(&source, 10_000, 1_024, kills + 1)?;
        bench.place.settle()?;
        let mut command = service.begin(&["sync", "s0"])?;
        // Different moments: from a quarter to nearly all of it.
        let share = u32::try_from(kills % 7 + 2)?;
        std::thread::sleep(whole * share / 9);
        service.kill()?;
        command.wait()?;
        let begun = Instant::now();
        let served = service.launch()?;
        while service.ask(&["status"])?["daemon"]["recovered"] != true {
            ensure!(
                begun.elapsed() < Duration::from_mins(1),
                "the repairs do not end"
            );
        }
        let whole_again = begun.elapsed();
        let history = service.ask(&["history", "-n", "2"])?;
        let mut statuses = history["runs"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|run| &run["status"]);
        // A kill before the first row, or after the last one, left nothing to repair.
        if statuses.any(|status| status == "interrupted") {
            serving.push(served);
            repaired.push(whole_again);
        }
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
        "After a kill: {} of {kills} kills hit a run that had begun to write; the others are not counted.",
        bench.runs
    ));
    Ok(())
}
