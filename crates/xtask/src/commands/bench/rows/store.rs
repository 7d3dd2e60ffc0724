//! What the database takes.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

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
    for _ in 0..200 {
        service.time(&["sync", "s0"])?;
    }
    service.stop()?;
    let per_run = service.database_bytes()?.saturating_sub(first) / 200;
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
        let mut times = Vec::new();
        for number in 1..=bench.runs {
            make_files(&source, count, 2_048, number)?;
            bench.place.settle()?;
            let answer = service.ask(&["sync", "s0"])?;
            let id = answer["runs"][0]["id"].to_string();
            times.push(database_time(&service.ask(&["run", "show", &id])?));
        }
        table.add(what, &times, &[], &[most]);
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
    table.append(
        "The store alone",
        String::from_utf8_lossy(&output.stdout).into_owned(),
    );
    Ok(())
}

/// Returns the time of the phases in which a run waits for the database.
fn database_time(run: &Value) -> Duration {
    let phases = run["phases"].as_array().into_iter().flatten();
    let of_database = phases.filter(|phase| {
        phase["name"].as_str().is_some_and(|name| {
            ["record", "journal", "store"]
                .iter()
                .any(|word| name.contains(word))
        })
    });
    Duration::from_millis(
        of_database
            .filter_map(|phase| phase["duration_ms"].as_u64())
            .sum(),
    )
}
