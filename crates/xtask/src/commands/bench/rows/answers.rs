//! How fast homingd answers, and what it costs while it has nothing to do.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::super::kept::{Kept, percentile};
use super::super::service::{Pair, Service};
use super::super::table::{Table, Target, verdict};
use super::files::{make_files, write};
use super::{Bench, pair};

const STATUS: &str = "/v1/status";
const SYNC: &str = r#"{"verb":"sync"}"#;

/// Status and reload with a hundred sources, memory and processor time, many syncs in a row, the way out.
pub(crate) fn answers(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let mut service = hundred_sources(bench)?;
    fresh_process(&service, table)?;
    kept_connection(&service, table)?;
    reload(&service, bench.runs, table)?;
    idle(&service, table)?;
    way_out(&mut service, bench.runs, table)?;
    drop(service);
    beside_a_sync(bench, table)?;
    many_syncs(bench, table)
}

fn hundred_sources(bench: &Bench<'_>) -> Result<Service> {
    let base = bench.place.fresh("answers")?;
    let mut pairs = Vec::new();
    for number in 0..100 {
        let source = bench.place.fresh(&format!("answers/source-{number}"))?;
        make_files(&source, 20, 1_024, number)?;
        let target = bench.place.fresh(&format!("answers/target-{number}"))?;
        // As people have them: all by the clock, some watched.
        let schedule = if number % 10 == 0 {
            "every = \"15m\"\nwatch = true\n"
        } else {
            "every = \"15m\"\n"
        };
        pairs.push(Pair {
            schedule,
            ..pair(&source, &target)
        });
    }
    let service = Service::start(bench.binaries, &base.join("home"), &pairs)?;
    service.time(&["sync", "--all"])?;
    Ok(service)
}

fn fresh_process(service: &Service, table: &mut Table) -> Result<()> {
    let times = (0..500)
        .map(|_| service.time(&["status"]))
        .collect::<Result<Vec<_>>>()?;
    tell(
        table,
        "`homing status`, a fresh process, 100 sources",
        &times,
        Some(2.0),
        8.0,
    );
    Ok(())
}

fn kept_connection(service: &Service, table: &mut Table) -> Result<()> {
    let mut kept = Kept::open(&service.socket())?;
    let times = (0..5_000)
        .map(|_| kept.time("GET", STATUS, ""))
        .collect::<Result<Vec<_>>>()?;
    tell(
        table,
        "GET /v1/status on a kept connection, 100 sources",
        &times,
        Some(0.3),
        f64::INFINITY,
    );
    Ok(())
}

fn reload(service: &Service, runs: usize, table: &mut Table) -> Result<()> {
    let mut times = Vec::new();
    let intervals = ["\"15m\"", "\"20m\""];
    for run in 0..runs {
        let (from, to) = (intervals[run % 2], intervals[(run + 1) % 2]);
        let mut kept = Kept::open(&service.socket())?;
        service.reconfigure(|text| text.replace(from, to))?;
        times.push(kept.time("POST", "/v1/reload", "")?);
    }
    table.add(
        "reload, 100 sources that are all changed",
        &times,
        &[],
        &[Target::Millis(50.0)],
    );
    Ok(())
}

/// Measures a minute, after what the requests before needed was given back.
fn idle(service: &Service, table: &mut Table) -> Result<()> {
    thread::sleep(Duration::from_secs(15));
    let (before, begun) = (service.threads()?, Instant::now());
    thread::sleep(Duration::from_secs(45));
    let (after, took) = (service.threads()?, begun.elapsed());
    // Ended threads take their figures along; what they did last is not known.
    let gone = before.keys().filter(|id| !after.contains_key(*id)).count();
    let used: Duration = after
        .iter()
        .map(|(id, used)| used.saturating_sub(before.get(id).copied().unwrap_or_default()))
        .sum();
    let used = used.as_secs_f64() * 1000.0 * 60.0 / took.as_secs_f64();
    let (memory, _) = service.memory()?;
    if gone > 0 {
        table.note(format!(
            "{gone} threads ended in the idle minute, whose time is not in its figure"
        ));
    }
    table.tell(
        "memory with 100 sources that are idle",
        &format!("{memory:.1} MiB"),
        &verdict(memory, 14.0, "MiB"),
    );
    table.tell(
        "processor time of an idle minute, 100 sources",
        &format!("{used:.1} ms"),
        &verdict(used, 12.0, "ms"),
    );
    Ok(())
}

fn way_out(service: &mut Service, runs: usize, table: &mut Table) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let begun = Instant::now();
        service.stop()?;
        times.push(begun.elapsed());
        service.launch()?;
    }
    table.add(
        "SIGTERM to exit, nothing under way, 100 sources",
        &times,
        &[],
        &[Target::Millis(100.0)],
    );
    Ok(())
}

/// A thousand requests a second on four connections, from the moment when each was due, while files are synced.
fn beside_a_sync(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    const CONNECTIONS: u32 = 4;
    const EACH: u32 = 1_250;
    let base = bench.place.fresh("beside")?;
    let source = bench.place.fresh("beside/source")?;
    make_files(&source, 5_000, 2_048, 0)?;
    let target = bench.place.fresh("beside/target")?;
    let pairs = [pair(&source, &target)];
    let service = Service::start(bench.binaries, &base.join("home"), &pairs)?;
    let (socket, begun) = (service.socket(), Instant::now());
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let socket = socket.clone();
            thread::spawn(move || -> Result<Vec<Duration>> {
                let mut kept = Kept::open(&socket)?;
                let mut times = Vec::new();
                for request in 0..EACH {
                    let due = Duration::from_millis(u64::from(request * CONNECTIONS + number));
                    thread::sleep(due.saturating_sub(begun.elapsed()));
                    kept.time("GET", STATUS, "")?;
                    times.push(begun.elapsed().saturating_sub(due));
                }
                Ok(times)
            })
        })
        .collect();
    let mut syncs = 0;
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        service.time(&["sync", "s0"])?;
        syncs += 1;
        for file in 0..500 {
            let path = source.join(format!("d0/more-{file}.md"));
            write(&path, format!("{syncs} {file}\n").as_bytes())?;
        }
    }
    let mut times = Vec::new();
    for thread in threads {
        let measured = thread.join().ok().context("a thread panicked")?;
        times.extend(measured?);
    }
    let what = format!("1,000 requests a second beside {syncs} syncs");
    tell(table, &what, &times, None, 10.0);
    Ok(())
}

fn many_syncs(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let base = bench.place.fresh("row")?;
    let source = bench.place.fresh("row/source")?;
    make_files(&source, 20, 1_024, 0)?;
    let pairs = [pair(&source, &bench.place.fresh("row/target")?)];
    let service = Service::start(bench.binaries, &base.join("home"), &pairs)?;
    let mut kept = Kept::open(&service.socket())?;
    let mut sync = || kept.time("POST", "/v1/sources/s0/runs?wait=60s", SYNC);
    for _ in 0..100 {
        sync()?;
    }
    let (early, _) = service.memory()?;
    for _ in 100..10_000 {
        sync()?;
    }
    let (late, _) = service.memory()?;
    table.tell(
        "memory after 10,000 syncs in a row",
        &format!("{late:.1} MiB, {early:.1} after the first 100"),
        &verdict(late / early, 1.1, "×"),
    );
    Ok(())
}

fn tell(table: &mut Table, what: &str, times: &[Duration], half: Option<f64>, most: f64) {
    let (p50, p99) = (percentile(times, 50), percentile(times, 99));
    let mut verdicts = Vec::new();
    verdicts.extend(half.map(|half| format!("p50 {}", verdict(p50, half, "ms"))));
    if most.is_finite() {
        verdicts.push(format!("p99 {}", verdict(p99, most, "ms")));
    }
    let value = format!("p50 {p50:.2} ms, p99 {p99:.2} ms");
    table.tell(what, &value, &verdicts.join("; "));
}
