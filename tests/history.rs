//! `homing history` and `homing run`.

use std::time::Instant;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::harness::{Home, PATIENCE, TestResult};

/// Asks for the history until it is as `enough` wants it. Every question takes a moment, so nothing sleeps.
pub(crate) fn wait_for(home: &Home, enough: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let document = home.json_ok(&["history"])?;
        let runs = document["runs"].as_array().cloned().unwrap_or_default();
        if enough(&runs) {
            return Ok(runs);
        }
        if Instant::now() > deadline {
            bail!("the history did not become as expected: {document:#}");
        }
    }
}

/// Returns the runs of sources; at a start each target has a run of its own for a moment.
pub(crate) fn of_sources(home: &Home) -> Result<Vec<Value>> {
    let document = home.json_ok(&["history", "-n", "100"])?;
    let runs = document["runs"].as_array().cloned().unwrap_or_default();
    Ok(runs
        .into_iter()
        .filter(|run| !run["source"].is_null())
        .collect())
}

#[test]
fn history_tells_runs_newest_first_and_a_run_tells_its_items() -> TestResult {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    origin.write("a.md", "one\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    origin.write("a.md", "two\n")?;
    origin.write("b.md", "three\n")?;
    home.ok(&["pull"])?;

    let document = home.json_ok(&["history", "team", "-n", "5"])?;
    let runs = document["runs"].as_array().cloned().unwrap_or_default();
    let ids: Vec<i64> = runs.iter().filter_map(|run| run["id"].as_i64()).collect();
    ensure!(ids.len() >= 2 && ids.is_sorted_by(|a, b| a > b), "{ids:?}");
    ensure!(
        runs[0]["verb"] == "pull" && runs[0]["trigger"] == "manual",
        "{:#}",
        runs[0]
    );

    let run = home.json_ok(&["run", "show", &ids[0].to_string()])?;
    let items = run["items"].as_array().cloned().unwrap_or_default();
    let of = |path: &str, action: &str| {
        items
            .iter()
            .any(|item| item["path"] == path && item["action"] == action)
    };
    ensure!(of("a.md", "updated") && of("b.md", "created"), "{run:#}");
    ensure!(
        run["phases"]
            .as_array()
            .is_some_and(|phases| !phases.is_empty()),
        "{run:#}"
    );
    let text = home.ok(&["run", "show", &ids[0].to_string()])?;
    ensure!(text.contains("a.md") && text.contains("b.md"), "{text}");

    let limited = home.json_ok(&["history", "-n", "1"])?;
    ensure!(
        limited["runs"]
            .as_array()
            .is_some_and(|runs| runs.len() == 1),
        "{limited:#}"
    );
    Ok(())
}

#[test]
fn a_run_that_is_not_known_is_told() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    home.homing(&["run", "show", "999999"])?
        .expect(8, &["999999", "hint:"])?;
    home.homing(&["history", "nobody"])?.expect(8, &["nobody"])
}

#[test]
fn history_outlives_the_daemon() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    let before = of_sources(&home)?;
    daemon.stop()?;
    let _daemon = home.start()?;
    let after = of_sources(&home)?;
    ensure!(
        !before.is_empty() && before == after,
        "{before:#?} became {after:#?}"
    );
    Ok(())
}
