//! What is recorded: bug 16 of the predecessors.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use serde_json::Value;
use testkit::agent_sync_db;

use super::{nodes, skills};
use crate::github::Upstream;
use crate::harness::{TestResult, Tree};

/// 16: times had several formats, so that their order as text was wrong, and history went with its source.
#[test]
fn times_have_one_format_and_history_outlives_its_source() -> TestResult {
    let upstream = Upstream::new(&nodes(&skills(3)))?;
    let _daemon = upstream.home.start()?;
    for _ in 0..3 {
        upstream.sync()?;
    }
    upstream.home.ok(&["source", "remove", "community"])?;
    let history = upstream.home.json_ok(&["history"])?;
    let runs = history["runs"].as_array().context("runs")?;
    let of_source: Vec<&Value> = runs
        .iter()
        .filter(|run| run["source"] == "community")
        .collect();
    ensure!(of_source.len() >= 3, "{history:#}");
    let times: Vec<&str> = runs
        .iter()
        .filter_map(|run| run["started_at"].as_str())
        .collect();
    let shapes: BTreeSet<String> = times
        .iter()
        .map(|time| time.replace(|letter: char| letter.is_ascii_digit(), "0"))
        .collect();
    ensure!(
        shapes == BTreeSet::from(["0000-00-00T00:00:00.000Z".to_owned()]),
        "{shapes:?}"
    );
    ensure!(
        times.is_sorted_by(|later, earlier| later >= earlier),
        "{times:?}"
    );
    Ok(())
}

/// 16: a script that broke off left a half-made schema, which was taken for a whole one.
#[test]
fn a_half_made_schema_is_put_aside_and_a_whole_one_made() -> TestResult {
    const HALF: &str = "CREATE TABLE schema_metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL);
        CREATE TABLE sources (id TEXT PRIMARY KEY, url TEXT NOT NULL);";

    for (file, version, is_kept) in [
        // Another start was making it: nothing was ever in it.
        ("state.db.new", "", false),
        ("state.db", "", true),
        ("state.db", "PRAGMA user_version = 1;", true),
        ("state.db", "PRAGMA user_version = 2;", true),
        ("state.db", "PRAGMA user_version = 3;", true),
    ] {
        let upstream = Upstream::new(&nodes(&skills(3)))?;
        let data_dir = upstream.home.data_dir();
        std::fs::create_dir_all(&data_dir)?;
        agent_sync_db::create(&data_dir.join(file), HALF, version)?;
        let daemon = upstream
            .home
            .start()
            .with_context(|| format!("{file} {version}"))?;
        let (document, _) = upstream.home.json(&["sync", "community"])?;
        ensure!(
            document["runs"][0]["synced"] == 3,
            "{file} {version}: {document:#}"
        );
        upstream.sync()?;
        ensure!(upstream.target().texts()?.len() == 3);
        let kept = Tree(data_dir).snapshot()?;
        let mut names = kept.keys().map(|path| path.to_string_lossy());
        ensure!(
            names.any(|name| name.starts_with("state.db.corrupt-")) == is_kept,
            "{file} {version}: {:?}",
            kept.keys()
        );
        daemon.stop()?;
        upstream.home.refused(&["--check-store"])?.expect(0, &[])?;
    }
    Ok(())
}
