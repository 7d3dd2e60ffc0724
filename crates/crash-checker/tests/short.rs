//! A short run of the checker: fixed seeds, and some that are new every time.

#![allow(clippy::print_stderr, reason = "seeds are told")]

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
        eprintln!("replay with: cargo xtask crash --seed {seed} --histories 1\n{error:#}");
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
    let report = run(501, 5, true);
    assert!(
        report.tally.of("power cut") > 0,
        "the power was never cut: {:?}",
        report.tally
    );
}
