//! A hundred thousand files.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::service::Service;
use super::super::table::{Table, Target, median};
use super::files::make_files;
use super::{Bench, pair};

/// A hundred sources of 1,000 files: unchanged, and while triggers never end.
pub(crate) fn hundred_thousand_files(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let mut pairs = Vec::new();
    for number in 0..100 {
        let source = bench.place.fresh(&format!("large/source-{number}"))?;
        make_files(&source, 1_000, 200, number)?;
        pairs.push(pair(
            &source,
            &bench.place.fresh(&format!("large/target-{number}"))?,
        ));
    }
    let service = Service::start(bench.binaries, &bench.place.fresh("large/home")?, &pairs)?;
    bench.place.settle()?;
    let first = service.time(&["sync", "--all", "--timeout", "600s"])?;
    table.add(
        "100 sources × 1,000 files, first sync (measured once)",
        &[first],
        &[],
        &[Target::None],
    );
    let mut times = Vec::new();
    for _ in 0..bench.runs {
        bench.place.settle()?;
        times.push(service.time(&["sync", "--all"])?);
    }
    table.add(
        "100 sources × 1,000 files unchanged",
        &times,
        &[],
        &[Target::None],
    );
    let (begun, processor) = (Instant::now(), service.processor_seconds()?);
    let mut triggers = 0_u32;
    while begun.elapsed() < Duration::from_secs(10) {
        // A full queue answers "busy", which is as it should be here.
        service
            .begin(&["sync", &format!("s{}", triggers % 100), "--no-wait"])?
            .wait()?;
        triggers += 1;
    }
    let answered = Instant::now();
    service.ask(&["status"])?;
    let status = answered.elapsed();
    let busy = (service.processor_seconds()? - processor) / begun.elapsed().as_secs_f64() * 100.0;
    let (now, peak) = service.memory()?;
    let rate = f64::from(triggers) / 10.0;
    table.tell(
        "… under continuous triggers for 10 s",
        &format!(
            "{rate:.0} triggers a second, {busy:.0} % of a core, {now:.1} MiB (at most {peak:.1})"
        ),
        "",
    );
    table.tell(
        "… `homing status` meanwhile",
        &format!("{:.0} ms", median(&[status])),
        "",
    );
    Ok(())
}
