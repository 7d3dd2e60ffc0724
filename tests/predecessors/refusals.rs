//! What a server refuses: bugs 6 and 7 of the predecessors.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use testkit::Node;
use testkit::github::{Effect, Fault};

use super::{nodes, skills};
use crate::github::{NAME, Upstream, count};
use crate::harness::{TestResult, skip};

/// Has homingd try again soon what failed, where the tests can (feature `failpoints`).
const SOON: (&str, &str) = ("FAILPOINTS", "engine::first_backoff=return(100)");

/// How long after its last attempt a source is tried again.
fn pause(upstream: &Upstream) -> Result<i64> {
    let status = upstream.status()?;
    let time = |name: &str| -> Result<jiff::Timestamp> {
        Ok(status[name].as_str().context("a time")?.parse()?)
    };
    Ok(time("next_due")?
        .duration_since(time("last_attempt")?)
        .as_secs())
}

/// 6: a used-up limit fell back to a list of names that was built in, was reported as synced, and held for a day.
#[test]
fn a_used_up_limit_is_told_as_a_failure_and_does_not_outlast_its_reset() -> TestResult {
    let upstream = Upstream::with_settings(
        "every = \"6h\"\nat_start = \"never\"",
        "",
        &nodes(&skills(3)),
    )?;
    let daemon = upstream.home.start()?;
    let reset = SystemTime::now() + Duration::from_mins(30);
    upstream.github.leave(None, 0, reset);
    let limited = upstream.home.homing(&["sync", "community"])?;
    ensure!(
        limited.code == 1 && limited.stderr.contains("rate limit"),
        "{limited}"
    );
    ensure!(!upstream.target().has(""), "something was made up");
    let waits = pause(&upstream)?;
    ensure!((29 * 60..=30 * 60 + 1).contains(&waits), "{waits} s");
    daemon.stop()?;
    if !cfg!(feature = "failpoints") {
        return skip("what comes by itself after a backoff needs the feature failpoints");
    }
    // The reset that is near brings everything by itself.
    let _daemon = upstream.home.start_with(&[], &[SOON])?;
    upstream
        .github
        .leave(None, 0, SystemTime::now() + Duration::from_secs(2));
    upstream
        .home
        .homing(&["sync", "community"])?
        .expect(1, &["rate limit"])?;
    upstream.target().wait_until(|found| found.len() == 3)
}

/// 7: `truncated` was ignored, and no request to the API was conditional.
#[test]
fn a_tree_that_is_cut_off_is_read_whole_and_requests_are_conditional() -> TestResult {
    let upstream = Upstream::new(&nodes(&skills(30)))?;
    upstream.github.truncate_trees(NAME, Some(5));
    let _daemon = upstream.home.start()?;
    upstream.sync()?;
    ensure!(upstream.target().texts()?.len() == 30);
    upstream.github.take_requests();
    upstream.sync()?;
    let requests = upstream.github.take_requests();
    ensure!(
        requests.iter().all(|request| request.conditional),
        "{requests:?}"
    );
    Ok(())
}

/// 7: an error of the server was final. Here the run that meets one ends, and half a minute later comes the next.
#[test]
fn a_server_error_fails_the_run_and_the_next_one_comes_soon_by_itself() -> TestResult {
    for (part, status, code) in [
        ("/commits/", 500, 1),
        ("/git/trees/", 502, 1),
        ("/git/trees/", 504, 1),
        // One of two files.
        ("/git/blobs/", 503, 3),
    ] {
        let upstream = Upstream::with_settings(
            "every = \"6h\"\nat_start = \"never\"",
            "",
            &[("a.md", Node::File(b"a\n")), ("b.md", Node::File(b"b\n"))],
        )?;
        upstream
            .github
            .fail(Fault::on(part, Effect::Status(status)).times(1));
        let daemon = upstream.home.start()?;
        let failed = upstream.home.homing(&["sync", "community"])?;
        failed.expect(code, &[])?;
        ensure!(
            failed.to_string().contains(&status.to_string()),
            "{part} {status}: {failed}"
        );
        let requests = upstream.requests();
        ensure!(
            count(&requests, part) == if code == 3 { 2 } else { 1 },
            "the broken server was asked again at once: {requests:?}"
        );
        let waits = pause(&upstream)?;
        ensure!(waits == 30, "{part} {status}: {waits} s");
        daemon.stop()?;
    }
    if !cfg!(feature = "failpoints") {
        return skip("what comes by itself after a backoff needs the feature failpoints");
    }
    // A turn that is later than the test's patience, and a clock that ticks every second.
    let upstream = Upstream::with_settings(
        "every = \"29s\"\nat_start = \"always\"",
        "",
        &nodes(&skills(3)),
    )?;
    for part in ["/commits/", "/git/trees/", "/git/blobs/"] {
        upstream
            .github
            .fail(Fault::on(part, Effect::Status(502)).times(1));
    }
    let _daemon = upstream.home.start_with(&[], &[SOON])?;
    upstream.target().wait_until(|found| found.len() == 3)
}
