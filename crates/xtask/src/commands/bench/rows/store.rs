//! What the database takes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::super::kept::Kept;
use super::super::service::Service;
use super::super::table::{Table, Target};
use super::files::make_files;
use super::{Bench, pair};
use crate::shell::cargo;

/// What the database takes: time of a run, bytes of a file and of a run.
pub(crate) fn database(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let source = bench.place.fresh("store/source")?;
    let target = bench.place.fresh("store/target")?;
    make_files(&source, 5_000, 2_048, 0)?;
    let mut service = Service::start(
        bench.binaries,
        &bench.place.fresh("store/home")?,
        &[pair(&source, &target)],
    )?;
    service.time(&["sync", "s0"])?;
    service.stop()?;
    let contents = 5_000 * 2_048;
    let first = service.database_bytes()?;
    let per_file = first.saturating_sub(contents) / 5_000;
    table.tell(
        "database per file, contents apart",
        &format!("{per_file} bytes"),
        "≤ 200 promised by the user's document",
    );
    service.launch()?;
    // The second run notes the identities of files that were too young to have one.
    service.time(&["sync", "s0"])?;
    service.stop()?;
    let first = service.database_bytes()?;
    service.launch()?;
    // Many, for the database grows by whole pages.
    for _ in 0..1_000 {
        service.time(&["sync", "s0"])?;
    }
    service.stop()?;
    let per_run = service.database_bytes()?.saturating_sub(first) / 1_000;
    table.tell(
        "database per unchanged run",
        &format!("{per_run} bytes"),
        "≤ 300 promised by the user's document",
    );
    service.launch()?;
    for (count, what, most) in [
        (
            5_000,
            "database time of a run of 5,000 changed items",
            Target::Millis(60.0),
        ),
        (
            10,
            "database time of a run of 10 changed items",
            Target::Millis(100.0),
        ),
    ] {
        let (mut rows, mut contents) = (Vec::new(), Vec::new());
        let mut kept = Kept::open(&service.socket())?;
        for number in 1..=bench.runs {
            make_files(&source, count, 2_048, number)?;
            bench.place.settle()?;
            let before = busy(&mut kept)?;
            service.time(&["sync", "s0"])?;
            let after = busy(&mut kept)?;
            rows.push(after.rows.saturating_sub(before.rows));
            contents.push(after.contents.saturating_sub(before.contents));
        }
        table.add(what, &rows, &[], &[most]);
        table.add("… its contents, beside that", &contents, &[], &[]);
    }
    store_alone(bench, table)
}

/// The store without the rest: one row, ten files, thousands of contents.
fn store_alone(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let arguments = [
        "run",
        "--release",
        "--quiet",
        "--package",
        "homing-store",
        "--example",
        "measure",
    ];
    let output = cargo(arguments)
        .env("TMPDIR", bench.place.fresh("store/alone")?)
        .output()?;
    ensure!(
        output.status.success(),
        "the store's measurements failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for (line, what, most) in [
        ("one insert", "the store alone: a single insert", 5.0),
        ("one query", "the store alone: a single query", 2.0),
        (
            "ten files",
            "the store alone: ten files, with run, head, ledger and journal",
            50.0,
        ),
    ] {
        let time = millis_of(&text, line).with_context(|| format!("`{line}` was not measured"))?;
        table.add(what, &[time], &[], &[Target::Millis(most)]);
    }
    table.append("The store alone", text);
    Ok(())
}

/// Returns the time in the line that begins with `name`.
fn millis_of(text: &str, name: &str) -> Option<Duration> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let value: f64 = rest.trim().strip_suffix(" ms")?.parse().ok()?;
    Some(Duration::from_secs_f64(value / 1000.0))
}

/// Time that passed in the database's transactions: of rows, and of contents that were made durable.
struct Busy {
    rows: Duration,
    contents: Duration,
}

/// Reads what homingd has counted since its start.
fn busy(kept: &mut Kept) -> Result<Busy> {
    let transactions = kept.sum_of("homing_store_transaction_duration_seconds", "")?;
    let contents = kept.sum_of("homing_store_contents_duration_seconds", "")?;
    Ok(Busy {
        rows: Duration::from_secs_f64((transactions - contents).max(0.0)),
        contents: Duration::from_secs_f64(contents),
    })
}
