//! What others do while a run is under way. Needs the feature `failpoints`, which holds the run at a gate.

use std::fs;
use std::thread;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::conflicts::open;
use crate::harness::{Gate, Home, TestResult};

const BEFORE: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
const CHANGED: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9, theirs\n";

/// Syncs with a daemon that is held at a point, does something meanwhile, and returns what the sync printed.
fn while_held(
    home: &Home,
    gate: &Gate,
    meanwhile: impl FnOnce() -> TestResult,
) -> Result<(Value, i32)> {
    let mut daemon = home.start_with(&[], &[("FAILPOINTS", &gate.configuration()?)])?;
    home.status_when_recovered()?;
    let answer = thread::scope(|scope| {
        let syncing = scope.spawn(|| home.json(&["sync"]));
        gate.wait(&mut daemon)?;
        meanwhile()?;
        gate.open()?;
        syncing.join().ok().context("the sync was told")?
    })?;
    daemon.stop()?;
    Ok(answer)
}

fn synced() -> Result<Home> {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", BEFORE)?;
    for name in ["b.md", "dir/c.md", "dir/d.md", "dir/e.md"] {
        home.origin("team").write(name, format!("{name}\n"))?;
    }
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    daemon.stop()?;
    Ok(home)
}

#[test]
fn a_source_that_vanishes_during_the_scan_deletes_nothing() -> TestResult {
    let home = synced()?;
    let before = home.target("agents").snapshot()?;
    let (origin, away) = (home.origin("team").0, home.root().join("away"));
    let (document, code) = while_held(&home, &Gate::at(&home, "dir::names_read")?, || {
        Ok(fs::rename(&origin, &away)?)
    })?;
    ensure!(
        code == 1 && document["runs"][0]["error"]["kind"] == "not-found",
        "{code}: {document:#}"
    );
    ensure!(home.target("agents").snapshot()? == before);
    fs::rename(&away, &origin)?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    ensure!(home.target("agents").snapshot()? == before);
    daemon.stop()
}

#[test]
fn a_file_that_moves_during_the_scan_is_never_only_gone() -> TestResult {
    let home = synced()?;
    let origin = home.origin("team");
    // The second directory that is read: its names are known, its files are not.
    let gate = Gate::after(1, &home, "dir::names_read")?;
    let (document, code) = while_held(&home, &gate, || {
        Ok(fs::rename(
            origin.path("dir/d.md"),
            origin.path("dir/z.md"),
        )?)
    })?;
    ensure!(code == 0, "{code}: {document:#}");
    let found = home.target("agents").texts()?;
    let left: Vec<&str> = found.keys().map(String::as_str).collect();
    ensure!(
        left == ["a.md", "b.md", "dir/c.md", "dir/e.md", "dir/z.md"],
        "{left:?}: {document:#}"
    );
    Ok(())
}

#[test]
fn an_editor_that_saves_during_a_publish_is_merged_with_it() -> TestResult {
    let home = synced()?;
    home.origin("team").write("a.md", CHANGED)?;
    let target = home.target("agents");
    let (document, code) = while_held(&home, &Gate::at(&home, "dir::temps_synced")?, || {
        target.write("a.md", BEFORE.replacen('1', "1, mine", 1))
    })?;
    ensure!(
        code == 0 && document["runs"][0]["status"] == "success",
        "{code}: {document:#}"
    );
    let found = target.read("a.md")?;
    ensure!(found == CHANGED.replacen('1', "1, mine", 1), "{found}");
    Ok(())
}

#[test]
fn an_editor_that_saves_the_same_line_during_a_publish_keeps_it() -> TestResult {
    let home = synced()?;
    home.origin("team").write("a.md", CHANGED)?;
    let target = home.target("agents");
    let mine = BEFORE.replace("9\n", "9, mine\n");
    let (document, code) = while_held(&home, &Gate::at(&home, "dir::temps_synced")?, || {
        target.write("a.md", &mine)
    })?;
    ensure!(code == 7, "{code}: {document:#}");
    ensure!(target.read("a.md")? == mine, "an edit was overwritten");
    let daemon = home.start()?;
    let conflicts = open(&home)?;
    ensure!(
        conflicts.len() == 1 && conflicts[0]["kind"] == "content",
        "{conflicts:#?}"
    );
    daemon.stop()
}
