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
