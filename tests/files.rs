//! `homing files`: what Homing holds of a source.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::{Home, TestResult, line_with};

fn paths(listed: &Value) -> Result<Vec<&str>> {
    let files = listed["files"].as_array().context("files")?;
    Ok(files
        .iter()
        .filter_map(|file| file["path"].as_str())
        .collect())
}

#[test]
fn files_are_listed_by_path_pattern_and_age() -> TestResult {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    for path in [
        "a.md",
        "agents/b.md",
        "agents/deep/c.txt",
        "agents2/d.md",
        "[1].md",
    ] {
        origin.write(path, "one\n")?;
    }
    let _daemon = home.start()?;
    ensure!(home.ok(&["files", "team"])?.contains("no files yet"));
    home.ok(&["sync"])?;

    let all = home.json_ok(&["files", "team"])?;
    ensure!(
        paths(&all)?
            == [
                "[1].md",
                "a.md",
                "agents/b.md",
                "agents/deep/c.txt",
                "agents2/d.md"
            ],
        "{all:#}"
    );
    for (path, found) in [
        ("agents", &["agents/b.md", "agents/deep/c.txt"][..]),
        ("agents/", &["agents/b.md", "agents/deep/c.txt"]),
        ("agents/b.md", &["agents/b.md"]),
        ("*.txt", &["agents/deep/c.txt"]),
        ("[1].md", &["[1].md"]),
    ] {
        let listed = home.json_ok(&["files", "team", path])?;
        ensure!(paths(&listed)? == found, "{path}: {listed:#}");
    }

    origin.write("agents/b.md", "two\n")?;
    home.ok(&["sync"])?;
    let newest = home.json_ok(&["files", "team", "--recent", "1"])?;
    ensure!(paths(&newest)? == ["agents/b.md"], "{newest:#}");
    let newest = home.json_ok(&["files", "team", "*.txt", "--recent", "3"])?;
    ensure!(paths(&newest)? == ["agents/deep/c.txt"], "{newest:#}");

    let text = home.ok(&["files", "team"])?;
    line_with(&text, &["4 B", "synced", "agents/b.md"])?;
    line_with(&text, &["5 files"])?;
    home.homing(&["files", "team", "nothing"])?
        .expect(8, &["nothing of `team` matches `nothing`", "hint:"])?;
    home.homing(&["files", "taem"])?
        .expect(8, &["did you mean `team`?"])
}

#[test]
fn what_an_undo_holds_is_named_one_by_one() -> TestResult {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    for path in ["a.md", "b.md", "c.md"] {
        origin.write(path, "one\n")?;
    }
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    origin.write("a.md", "two\n")?;
    origin.remove("b.md")?;
    home.ok(&["sync"])?;
    home.ok(&["undo"])?;
    // Upstream has `b.md` no more, and the undo keeps it.
    let listed = home.json_ok(&["files", "team"])?;
    ensure!(paths(&listed)? == ["a.md", "b.md", "c.md"], "{listed:#}");
    for (at, held) in [(0, true), (1, true), (2, false)] {
        ensure!(listed["files"][at]["held"] == held, "{listed:#}");
    }
    line_with(&home.ok(&["files", "team"])?, &["held", "b.md"])?;
    line_with(
        &home.ok(&["diff", "team"])?,
        &["team: 2 held items left out"],
    )?;
    home.ok(&["release", "team"])?;
    let listed = home.json_ok(&["files", "team"])?;
    ensure!(paths(&listed)? == ["a.md", "c.md"], "{listed:#}");
    Ok(())
}

#[test]
fn an_edit_that_was_not_pushed_is_told() -> TestResult {
    let home = Home::new()?;
    home.make_origin("team")?.write("a.md", "one\n")?;
    home.configure(
        "[sources.team]\nkind = \"dir\"\nroot = \"{origins}/team\"\npush = \"direct\"\n\
         [targets.agents]\npath = \"{home}/agents\"\nfrom = [\"team\"]\n",
    )?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    home.target("agents").write("a.md", "edited\n")?;
    // A pull captures the edit and does not push it.
    home.ok(&["pull"])?;
    let listed = home.json_ok(&["files", "team"])?;
    ensure!(listed["files"][0]["modified"] == true, "{listed:#}");
    line_with(&home.ok(&["files", "team"])?, &["modified", "a.md"])?;
    Ok(())
}
