//! `homing release`: what an undo holds back, or a deletion keeps away, follows upstream again.

use anyhow::{Result, ensure};

use crate::harness::{Daemon, Home, TestResult};

/// Makes a home in which the change of `a.md` and `b.md` from "one" to "two" was undone.
fn with_holds() -> Result<(Home, Daemon)> {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    origin.write("a.md", "one\n")?;
    origin.write("b.md", "one\n")?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    origin.write("a.md", "two\n")?;
    origin.write("b.md", "two\n")?;
    home.ok(&["sync"])?;
    home.ok(&["undo"])?;
    home.target("agents")
        .expect(&[("a.md", "one\n"), ("b.md", "one\n")])?;
    Ok((home, daemon))
}

#[test]
fn release_lets_held_items_follow_again() -> TestResult {
    let (home, _daemon) = with_holds()?;
    let target = home.target("agents");
    let (document, code) = home.json(&["release", "team", "a.md"])?;
    ensure!(
        code == 0 && document["verb"] == "release" && document["status"] == "success",
        "{code}: {document:#}"
    );
    let shown = home.json_ok(&["run", "show", &document["id"].to_string()])?;
    let items = shown["items"].as_array().map(Vec::as_slice);
    ensure!(
        matches!(items, Some([item]) if item["path"] == "a.md" && item["action"] == "updated"),
        "{shown:#}"
    );
    target.expect(&[("a.md", "two\n"), ("b.md", "one\n")])?;
    home.ok(&["sync"])?;
    target.expect(&[("a.md", "two\n"), ("b.md", "one\n")])?;

    let said = home.ok(&["release", "team"])?;
    ensure!(said.contains("1 item brought up to date"), "{said}");
    target.expect(&[("a.md", "two\n"), ("b.md", "two\n")])?;
    // What is released is not held again.
    home.ok(&["sync"])?;
    target.expect(&[("a.md", "two\n"), ("b.md", "two\n")])?;
    let status = home.json_ok(&["status"])?;
    ensure!(
        !status["sources"][0]["states"].to_string().contains("held"),
        "{status:#}"
    );
    Ok(())
}

#[test]
fn release_never_overwrites_an_edit_of_what_was_held() -> TestResult {
    let (home, _daemon) = with_holds()?;
    let target = home.target("agents");
    target.write("a.md", "one, edited\n")?;
    let told = home.homing(&["release", "team"])?;
    told.expect(7, &[])?;
    for text in [
        "1 item could not follow upstream",
        "conflict: agents: a.md",
        "homing resolve agents a.md --ours|--theirs",
    ] {
        ensure!(
            told.stdout.contains(text),
            "expected `{text}` in {}",
            told.stdout
        );
    }
    target.expect(&[("a.md", "one, edited\n"), ("b.md", "two\n")])
}

#[test]
fn release_brings_back_what_was_deleted_for_good() -> TestResult {
    let home = Home::with_settings("", r#"deletions = "keep""#)?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    for name in ["a.md", "b.md"] {
        origin.write(name, "one\n")?;
    }
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    target.remove("a.md")?;
    home.ok(&["sync"])?;
    target.expect(&[("b.md", "one\n")])?;
    home.ok(&["release", "team", "a.md"])?;
    target.expect(&[("a.md", "one\n"), ("b.md", "one\n")])
}

#[test]
fn release_says_what_it_cannot_do() -> TestResult {
    let (home, daemon) = with_holds()?;
    home.homing(&["release", "nobody"])?
        .expect(8, &["nobody", "hint:"])?;
    home.homing(&["release", "team", "no-such.md"])?
        .expect(8, &["no-such.md"])?;
    // It is there, but nothing holds it back.
    home.ok(&["release", "team", "a.md"])?;
    home.homing(&["release", "team", "a.md"])?
        .expect(1, &["neither held nor deleted", "hint:"])?;
    home.homing(&["release"])?.expect(2, &[])?;
    home.target("agents")
        .expect(&[("a.md", "two\n"), ("b.md", "one\n")])?;
    daemon.stop()?;
    home.homing(&["release", "team"])?.expect(4, &["hint:"])
}
