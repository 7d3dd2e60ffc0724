//! `homing pull`: takes over what is new upstream, and gives nothing back.

use anyhow::ensure;
use serde_json::Value;

use crate::harness::TestResult;
use crate::push::{settle, two_way};

/// Returns the verb and the status of a document's only run.
fn only_run(document: &Value) -> (Option<&str>, Option<&str>) {
    let run = &document["runs"][0];
    (run["verb"].as_str(), run["status"].as_str())
}

#[test]
fn pull_takes_over_what_is_new_upstream_and_pushes_nothing() -> TestResult {
    let (home, _daemon) = two_way()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    target.write("a.md", "edited\n")?;
    settle(&target, "a.md")?;
    target.write("new.md", "a new file\n")?;
    settle(&target, "new.md")?;
    origin.write("b.md", "changed\n")?;
    let before = origin.snapshot()?;

    let (document, code) = home.json(&["pull", "team"])?;
    ensure!(
        code == 0 && only_run(&document) == (Some("pull"), Some("success")),
        "{code}: {document:#}"
    );
    ensure!(origin.snapshot()? == before, "a pull wrote to the origin");
    target.expect(&[
        ("a.md", "edited\n"),
        ("b.md", "changed\n"),
        ("new.md", "a new file\n"),
    ])?;

    // The edit is not forgotten: the push takes it.
    home.ok(&["push", "team"])?;
    ensure!(origin.read("a.md")? == "edited\n" && origin.read("new.md")? == "a new file\n");
    ensure!(origin.read("b.md")? == "changed\n");
    Ok(())
}

#[test]
fn pull_merges_an_edit_with_what_is_new_and_leaves_the_origin_alone() -> TestResult {
    let (home, _daemon) = two_way()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    target.write("a.md", "1, edited\n2\n3\n4\n5\n6\n7\n")?;
    settle(&target, "a.md")?;
    let changed = "1\n2\n3\n4\n5\n6\n7, changed\n";
    origin.write("a.md", changed)?;
    home.ok(&["pull", "team"])?;
    ensure!(target.read("a.md")? == "1, edited\n2\n3\n4\n5\n6\n7, changed\n");
    ensure!(
        origin.read("a.md")? == changed,
        "a pull wrote to the origin"
    );
    Ok(())
}

#[test]
fn pull_of_an_overlap_waits_for_a_decision() -> TestResult {
    let (home, _daemon) = two_way()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    target.write("b.md", "mine\n")?;
    settle(&target, "b.md")?;
    origin.write("b.md", "theirs\n")?;
    home.homing(&["pull", "team"])?.expect(7, &[])?;
    ensure!(target.read("b.md")? == "mine\n" && origin.read("b.md")? == "theirs\n");
    Ok(())
}

#[test]
fn pull_says_what_it_cannot_do() -> TestResult {
    let (home, daemon) = two_way()?;
    home.homing(&["pull", "nobody"])?.expect(8, &["nobody"])?;
    home.homing(&["pull"])?.expect(0, &[])?;
    home.homing(&["pull", "--no-such-option"])?.expect(2, &[])?;
    daemon.stop()?;
    home.homing(&["pull", "team"])?.expect(4, &["hint:"])
}
