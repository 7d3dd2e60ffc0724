//! The measurements, one function for each group of rows.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::place::Place;
use super::service::{Pair, Service};
use super::table::{Peer, Table, Target, median};
use crate::shell::{Binaries, cargo};

/// What every group needs.
pub(crate) struct Bench<'a> {
    /// Where.
    pub(crate) place: &'a Place,
    /// What.
    pub(crate) binaries: &'a Binaries,
    /// How often.
    pub(crate) runs: usize,
}

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

/// A hundred sources of 20 files, nothing changed.
pub(crate) fn many_sources(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    for (name, what, most) in [
        (
            "each",
            "100 sources × 20 files unchanged, a target each",
            120.0,
        ),
        (
            "one",
            "100 sources × 20 files unchanged, all into one target",
            150.0,
        ),
    ] {
        let base = bench.place.fresh(&format!("many-{name}"))?;
        let mut pairs = Vec::new();
        for number in 0..100 {
            let source = bench.place.fresh(&format!("many-{name}/source-{number}"))?;
            make_files(&source, 20, 1_024, number)?;
            let target = if name == "each" {
                format!("target-{number}")
            } else {
                "target".to_owned()
            };
            pairs.push(pair(
                &source,
                &bench.place.fresh(&format!("many-{name}/{target}"))?,
            ));
        }
        let service = Service::start(bench.binaries, &base.join("home"), &pairs)?;
        service.time(&["sync", "--all"])?;
        let mut times = Vec::new();
        let mut peer = Peer {
            name: "100 × rsync -a",
            times: Vec::new(),
        };
        for _ in 0..bench.runs {
            bench.place.settle()?;
            times.push(service.time(&["sync", "--all"])?);
            let begun = Instant::now();
            for pair in &pairs {
                rsync(
                    &pair.source,
                    &base
                        .join("rsync")
                        .join(pair.source.file_name().unwrap_or_default()),
                )?;
            }
            peer.times.push(begun.elapsed());
        }
        table.add(what, &times, &[peer], &[Target::Millis(most)]);
    }
    Ok(())
}

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

/// Homing's times and those of both peers.
#[derive(Default)]
struct Three {
    homing: Vec<Duration>,
    rsync: Vec<Duration>,
    rclone: Vec<Duration>,
}

impl Three {
    fn peers(&mut self, bench: &Bench<'_>, source: &Path, base: &Path) -> Result<()> {
        bench.place.settle()?;
        self.rsync.push(rsync(source, &base.join("rsync"))?);
        bench.place.settle()?;
        self.rclone.push(rclone(source, &base.join("rclone"))?);
        Ok(())
    }

    fn row(self, table: &mut Table, what: &str, targets: &[Target]) {
        let rsync = Peer {
            name: "rsync -a",
            times: self.rsync,
        };
        let rclone = Peer {
            name: "rclone copy",
            times: self.rclone,
        };
        table.add(what, &self.homing, &[rsync, rclone], targets);
    }
}

fn rsync(source: &Path, target: &Path) -> Result<Duration> {
    fs::create_dir_all(target)?;
    let mut from = source.as_os_str().to_owned();
    from.push("/");
    time(Command::new("rsync").arg("-a").arg(from).arg(target))
}

fn rclone(source: &Path, target: &Path) -> Result<Duration> {
    time(
        Command::new("rclone")
            .args(["--config", "", "-q", "copy"])
            .arg(source)
            .arg(target),
    )
}

fn time(command: &mut Command) -> Result<Duration> {
    let begun = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    let took = begun.elapsed();
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(took)
}

fn pair(source: &Path, target: &Path) -> Pair {
    Pair {
        source: source.to_owned(),
        target: target.to_owned(),
    }
}

/// Writes files in directories of a hundred; another `version` makes other contents of the same size.
fn make_files(root: &Path, count: usize, bytes: usize, version: usize) -> Result<()> {
    for number in 0..count {
        let directory = root.join(format!("d{}", number / 100));
        if number.is_multiple_of(100) {
            fs::create_dir_all(&directory)?;
        }
        let mut content = format!("version {version} of file {number}\n").into_bytes();
        while content.len() < bytes {
            let line = format!(
                "line {} of file {number} in version {version}\n",
                content.len()
            );
            content.extend(line.bytes());
        }
        content.truncate(bytes);
        write(&directory.join(format!("file-{number}.md")), &content)?;
    }
    Ok(())
}

fn write(path: &PathBuf, bytes: &[u8]) -> Result<()> {
    Ok(File::create(path)?.write_all(bytes)?)
}

fn count_files(root: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        count += if entry.file_type()?.is_dir() {
            count_files(&entry.path())?
        } else {
            1
        };
    }
    Ok(count)
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
