//! `homing why`: who put a file where it is, and who lost.

use anyhow::ensure;

use crate::harness::{Home, TestResult};

const TWO_SOURCES: &str = r#"
[sources.team]
kind = "dir"
root = "{origins}/team"
priority = 10
[sources.community]
kind = "dir"
root = "{origins}/community"
[targets.agents]
path = "{home}/agents"
from = ["community", "team"]
"#;

#[test]
fn the_winner_and_the_loser_are_told_with_their_priorities() -> TestResult {
    let home = Home::new()?;
    home.make_origin("team")?.write("a.md", "of the team\n")?;
    home.make_origin("community")?
        .write("a.md", "of the community\n")?;
    home.configure(TWO_SOURCES)?;
    let _daemon = home.start()?;
    home.homing(&["sync", "--all"])?;
    home.target("agents").expect(&[("a.md", "of the team\n")])?;
    let path = home.target("agents").path("a.md");
    let why = home.json_ok(&["why", &path.to_string_lossy()])?;
    ensure!(
        why["target"] == "agents" && why["path"] == "a.md" && why["state"] == "published",
        "{why:#}"
    );
    let candidates: Vec<_> = why["candidates"].as_array().into_iter().flatten().collect();
    ensure!(candidates.len() == 2, "{why:#}");
    ensure!(
        candidates[0]["source"] == "team" && candidates[0]["priority"] == 10,
        "{why:#}"
    );
    ensure!(
        candidates[1]["source"] == "community" && candidates[1]["priority"] == 100,
        "{why:#}"
    );
    let text = home.ok(&["why", &path.to_string_lossy()])?;
    ensure!(
        text.contains("team") && text.contains("community"),
        "{text}"
    );
    Ok(())
}

#[test]
fn a_relative_path_and_an_edit_are_understood() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("dir/a.md", "one\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    home.target("agents").write("dir/a.md", "edited\n")?;
    // The command line runs in the home directory.
    let why = home.json_ok(&["why", "agents/dir/a.md"])?;
    ensure!(why["state"] == "edited", "{why:#}");
    Ok(())
}

#[test]
fn a_path_that_no_target_holds_is_told() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    home.homing(&["why", "/nowhere/at/all.md"])?
        .expect(8, &["/nowhere/at/all.md"])
}
