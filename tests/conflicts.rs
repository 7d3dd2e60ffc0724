//! `homing conflicts`: what both sides changed is listed and left alone.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::{Home, TestResult, Tree};

/// Makes a home in which `a.md` was changed on both sides, in the same line, and synced.
pub(crate) fn home_with_a_conflict() -> Result<(Home, crate::harness::Daemon)> {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    origin.write("a.md", "first\nsecond\n")?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    target.write("a.md", "first, mine\nsecond\n")?;
    origin.write("a.md", "first, theirs\nsecond\n")?;
    home.homing(&["sync"])?.expect(7, &[])?;
    Ok((home, daemon))
}

/// Returns the open conflicts.
pub(crate) fn open(home: &Home) -> Result<Vec<Value>> {
    let document = home.json_ok(&["conflicts"])?;
    document["conflicts"]
        .as_array()
        .cloned()
        .context("a list of conflicts")
}

#[test]
fn a_conflict_is_listed_and_neither_side_is_touched() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    home.target("agents")
        .expect(&[("a.md", "first, mine\nsecond\n")])?;
    home.origin("team")
        .expect(&[("a.md", "first, theirs\nsecond\n")])?;
    let conflicts = open(&home)?;
    let conflict = conflicts.first().context("one conflict")?;
    ensure!(conflicts.len() == 1, "{conflicts:#?}");
    ensure!(
        conflict["source"] == "team" && conflict["target"] == "agents",
        "{conflict:#}"
    );
    ensure!(
        conflict["path"] == "a.md" && conflict["kind"] == "content",
        "{conflict:#}"
    );
    let text = home.ok(&["conflicts"])?;
    ensure!(
        text.contains("a.md") && text.contains("homing resolve"),
        "{text}"
    );
    let status = home.json_ok(&["status"])?;
    ensure!(status["sources"][0]["conflicts"] == 1, "{status:#}");
    Ok(())
}

#[test]
fn a_conflict_keeps_its_number_and_closes_by_itself() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    let first = open(&home)?;
    home.homing(&["sync"])?.expect(7, &[])?;
    ensure!(open(&home)? == first, "the conflict is another one");
    home.target("agents")
        .write("a.md", "first, theirs\nsecond\n")?;
    home.ok(&["sync"])?;
    ensure!(open(&home)?.is_empty());
    Ok(())
}

#[test]
fn an_edit_of_what_was_deleted_upstream_is_a_conflict_and_stays() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    origin.write("a.md", "one\n")?;
    origin.write("b.md", "two\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    target.write("a.md", "one, mine\n")?;
    origin.remove("a.md")?;
    home.homing(&["sync"])?.expect(7, &[])?;
    ensure!(target.read("a.md")? == "one, mine\n");
    let conflicts = open(&home)?;
    ensure!(
        conflicts.len() == 1 && conflicts[0]["kind"] == "delete",
        "{conflicts:#?}"
    );
    Ok(())
}

#[test]
fn a_binary_file_is_never_merged() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target): (Tree, Tree) = (home.origin("team"), home.target("agents"));
    origin.write("a.bin", b"\x00\x01base\n\x00line\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    target.write("a.bin", b"\x00\x01mine\n\x00line\n")?;
    origin.write("a.bin", b"\x00\x01base\n\x00theirs\n")?;
    home.homing(&["sync"])?.expect(7, &[])?;
    ensure!(std::fs::read(target.path("a.bin"))? == b"\x00\x01mine\n\x00line\n");
    Ok(())
}

#[test]
fn conflicts_of_an_unknown_source_are_an_error() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    home.homing(&["conflicts", "nobody"])?
        .expect(8, &["nobody"])
}
