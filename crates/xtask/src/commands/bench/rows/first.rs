//! First syncs, unchanged ones, and one changed file, against both peers.

use std::path::Path;

use anyhow::{Result, ensure};

use super::super::service::Service;
use super::super::table::{Table, Target};
use super::files::{count_files, make_files, write};
use super::peers::Three;
use super::{Bench, pair};

/// First sync, unchanged, and one changed file, of 5,000 and of 50,000 files.
pub(crate) fn first_and_unchanged(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let source = bench.place.fresh("first/source")?;
    make_files(&source, 5_000, 2_048, 0)?;
    let mut times = Three::default();
    let mut last = None;
    for number in 0..bench.runs {
        let base = bench.place.fresh(&format!("first/{number}"))?;
        let target = bench.place.fresh(&format!("first/{number}/homing"))?;
        let service = Service::start(
            bench.binaries,
            &base.join("home"),
            &[pair(&source, &target)],
        )?;
        bench.place.settle()?;
        times.homing.push(service.time(&["sync", "s0"])?);
        times.peers(bench, &source, &base)?;
        ensure!(
            count_files(&target)? == 5_000,
            "the first sync did not publish all files"
        );
        last = Some((service, base));
    }
    times.row(
        table,
        "first sync, 5,000 files of 2 KiB",
        &[
            Target::Ratio("rsync -a", 1.5),
            Target::Ratio("rclone copy", 1.0),
        ],
    );
    let (service, base) = last.expect("there is at least one run");
    let (now, peak) = service.memory()?;
    table.tell(
        "memory of homingd after that",
        &format!("{now:.1} MiB, at most {peak:.1}"),
        "",
    );

    let mut times = Three::default();
    for _ in 0..bench.runs {
        bench.place.settle()?;
        times.homing.push(service.time(&["sync", "s0"])?);
        times.peers(bench, &source, &base)?;
    }
    let targets = [
        Target::Ratio("rclone copy", 0.5),
        Target::Ratio("rsync -a", 1.0),
    ];
    times.row(table, "unchanged, 5,000 files", &targets);
    one_changed(
        bench,
        table,
        &service,
        &source,
        &base,
        "one changed of 5,000",
    )?;
    drop(service);

    let source = bench.place.fresh("fifty/source")?;
    let base = bench.place.fresh("fifty/base")?;
    make_files(&source, 50_000, 512, 0)?;
    let target = bench.place.fresh("fifty/base/homing")?;
    let service = Service::start(
        bench.binaries,
        &base.join("home"),
        &[pair(&source, &target)],
    )?;
    bench.place.settle()?;
    let mut times = Three::default();
    times.homing.push(service.time(&["sync", "s0"])?);
    times.peers(bench, &source, &base)?;
    times.row(
        table,
        "first sync, 50,000 files of 512 bytes (measured once)",
        &[Target::None],
    );
    one_changed(
        bench,
        table,
        &service,
        &source,
        &base,
        "one changed of 50,000",
    )
}

fn one_changed(
    bench: &Bench<'_>,
    table: &mut Table,
    service: &Service,
    source: &Path,
    base: &Path,
    what: &str,
) -> Result<()> {
    let mut times = Three::default();
    for number in 0..bench.runs {
        write(
            &source.join("d0/file-0.md"),
            format!("changed {number}, and longer than before\n").as_bytes(),
        )?;
        bench.place.settle()?;
        times.homing.push(service.time(&["sync", "s0"])?);
        times.peers(bench, source, base)?;
    }
    times.row(table, what, &[Target::None]);
    Ok(())
}
