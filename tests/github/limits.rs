//! Both limits of GitHub: what is at hand is published, and the rest comes when it may, without a command.
//!
//! Needs the feature `failpoints`, for half a minute between attempts is long for a test.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use testkit::Node;
use testkit::github::{Effect, Fault};

use super::{Upstream, count};
use crate::harness::{Daemon, PATIENCE, TestResult};
use crate::history::of_sources;

const FILES: usize = 20;

/// Far away turns: whatever comes sooner comes because of the limit.
const HOURLY: &str = "every = \"1h\"\nat_start = \"never\"";

fn upstream() -> Result<Upstream> {
    let files: Vec<(String, String)> = (0..FILES)
        .map(|n| (format!("{n:02}.md"), format!("content {n}\n")))
        .collect();
    let nodes: Vec<(&str, Node<'_>)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), Node::File(text.as_bytes())))
        .collect();
    Upstream::with_settings(HOURLY, "", &nodes)
}

fn start(upstream: &Upstream) -> Result<Daemon> {
    let soon = [("FAILPOINTS", "engine::first_backoff=return(100)")];
    upstream.home.start_with(&[], &soon)
}

fn next_due(upstream: &Upstream) -> Result<Timestamp> {
    let status = upstream.status()?;
    let next = status["next_due"].as_str().context("a next time")?;
    Ok(next.parse()?)
}

/// Waits until all files are published, and checks that each was fetched once, by turns of the schedule.
fn completes(upstream: &Upstream, fetched: &str) -> TestResult {
    upstream.target().wait_until(|found| found.len() == FILES)?;
    ensure!(count(&upstream.requests(), fetched) == FILES);
    let by_hand = of_sources(&upstream.home)?
        .iter()
        .filter(|run| run["trigger"] == "manual")
        .count();
    ensure!(by_hand == 1, "{by_hand} runs by hand");
    Ok(())
}

/// The next whole second after so many: a reset has no fractions.
fn in_seconds(seconds: u64) -> Result<SystemTime> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(UNIX_EPOCH + Duration::from_secs(since + seconds + 1))
}

#[test]
fn a_secondary_limit_keeps_what_came_and_the_rest_comes_after_the_pause() -> TestResult {
    const PAUSE: u64 = 3;

    for status in [403, 429] {
        let upstream = upstream()?;
        let limit = Effect::SecondaryLimit {
            status,
            retry_after: Some(PAUSE),
        };
        upstream
            .github
            .fail(Fault::on("/git/blobs/", limit).after(15));
        let _daemon = start(&upstream)?;
        let before = Timestamp::now();
        let (document, code) = upstream.home.json(&["sync", "community"])?;
        let after = Timestamp::now();
        upstream.github.mend();
        let run = &document["runs"][0];
        ensure!(
            code == 3 && run["status"] == "partial",
            "{code} {document:#}"
        );
        // Who hears of the limit first may give up before the last answers are there.
        let failed = usize::try_from(run["failed"].as_u64().context("a count")?)?;
        ensure!((5..20).contains(&failed), "{document:#}");
        ensure!(document.to_string().contains("secondary rate limit"));
        ensure!(upstream.target().texts()?.len() == 20 - failed);
        let due = next_due(&upstream)?;
        let pause = Duration::from_secs(PAUSE);
        ensure!(
            (before + pause..=after + pause).contains(&due),
            "{status}: {due} is not {PAUSE} s after {before} to {after}"
        );
        completes(&upstream, "200 /repos/octo/agents/git/blobs/")?;
        ensure!(Timestamp::now() >= due, "it came before it may");
        // The files are there before the run has ended.
        let since = Instant::now();
        while next_due(&upstream)? <= due {
            ensure!(since.elapsed() < PATIENCE, "the run does not end");
            std::thread::yield_now();
        }
        let hour = next_due(&upstream)?.duration_since(Timestamp::now());
        ensure!(hour.as_mins() >= 55, "{hour}");
    }
    Ok(())
}

#[test]
fn a_used_up_limit_keeps_what_came_and_the_rest_comes_after_the_reset() -> TestResult {
    let upstream = upstream()?;
    let reset = in_seconds(4)?;
    upstream.github.leave(None, 60, reset);
    upstream.github.fail(Fault::on("/git/blobs/", Effect::Hold));
    let mut daemon = start(&upstream)?;
    upstream.home.ok(&["sync", "community", "--no-wait"])?;
    // Those that are under way are answered still.
    let since = Instant::now();
    while !upstream
        .github
        .requests()
        .iter()
        .any(|request| request.path.contains("/git/blobs/"))
    {
        ensure!(since.elapsed() < PATIENCE, "no blob is asked for");
        std::thread::yield_now();
    }
    upstream.github.leave(None, 0, reset);
    upstream.github.mend();
    daemon.wait_for_line("run ended")?;
    let published = upstream.target().texts()?.len();
    ensure!((1..FILES).contains(&published), "{published}");
    let run = &of_sources(&upstream.home)?[0];
    ensure!(run["status"] == "partial", "{run:#}");
    let due = SystemTime::from(next_due(&upstream)?);
    ensure!(
        (reset..=reset + Duration::from_secs(2)).contains(&due),
        "{due:?} is not the reset, {reset:?}"
    );
    let status = upstream.home.ok(&["status", "--detailed"])?;
    ensure!(status.contains("rate limit"), "{status}");
    completes(&upstream, "200 /repos/octo/agents/git/blobs/")?;
    ensure!(SystemTime::now() >= due, "it came before it may");
    Ok(())
}

#[test]
fn a_limit_that_is_used_up_before_the_first_answer_is_waited_for_and_then_all_comes() -> TestResult
{
    let upstream = upstream()?;
    let reset = in_seconds(3)?;
    upstream.github.leave(None, 0, reset);
    let _daemon = start(&upstream)?;
    let limited = upstream.home.homing(&["sync", "community"])?;
    limited.expect(1, &["rate limit"])?;
    ensure!(!upstream.target().has(""), "something was made up");
    let due = SystemTime::from(next_due(&upstream)?);
    ensure!(
        (reset..=reset + Duration::from_secs(2)).contains(&due),
        "{due:?} is not the reset, {reset:?}"
    );
    completes(&upstream, "200 /repos/octo/agents/git/blobs/")
}
