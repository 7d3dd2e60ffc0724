//! A short run of the checker: fixed seeds, and some that are new every time.

#![allow(clippy::print_stderr, reason = "seeds are told")]

use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use crash_checker::{Plan, Report, power_cuts_unavailable, run_plan};

mod common;

fn run(first_seed: u64, histories: u64, power_cuts: bool) -> Report {
    eprintln!("seeds {first_seed} to {}", first_seed + histories - 1);
    let plan = Plan {
        binaries: common::binaries(),
        first_seed,
        histories,
        power_cuts,
        workers: 4,
        keep_worlds: true,
    };
    let report = run_plan(&plan, |_, _| ());
    for (seed, error) in &report.failures {
        let power = if power_cuts { "" } else { " --no-power-cut" };
        eprintln!("replay with: cargo xtask crash --seed {seed} --histories 1{power}\n{error:#}");
    }
    assert!(
        report.failures.is_empty(),
        "{} histories break a promise",
        report.failures.len()
    );
    assert_eq!(report.passed, histories);
    report
}

#[test]
fn fixed_histories_keep_every_promise_and_test_something() {
    let report = run(1000, 12, false);
    for word in [
        "kill",
        "restarts",
        "edits under a run",
        "conflicts open",
        "merges",
        "config changes",
        "put back into the configuration",
        "Missing",
        "Replaced",
    ] {
        assert!(
            report.tally.of(word) > 0,
            "no history had `{word}`: {:?}",
            report.tally
        );
    }
    assert!(
        report
            .tally
            .counts
            .keys()
            .any(|word| word.starts_with("died at ")),
        "no point was hit: {:?}",
        report.tally
    );
}

#[test]
fn new_histories_keep_every_promise() {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is right");
    run(now.as_secs().wrapping_mul(2), 6, false);
}

#[test]
fn power_cuts_keep_every_promise() {
    if let Some(reason) = power_cuts_unavailable() {
        common::skipped(&reason);
        return;
    }
    // The power is cut in histories with an odd seed; that of one in twenty of them has very many files.
    let reports: Vec<Report> = thread::scope(|scope| {
        let histories =
            [501, 503, 507, 521, 561].map(|seed| scope.spawn(move || run(seed, 1, true)));
        histories
            .into_iter()
            .map(|history| history.join().expect("a history that keeps every promise"))
            .collect()
    });
    let sum = |word: &str| -> u64 { reports.iter().map(|report| report.tally.of(word)).sum() };
    assert!(
        sum("power cut") >= 8,
        "the power was cut {} times",
        sum("power cut")
    );
    assert_eq!(sum("power cut under many files"), 6);
}
