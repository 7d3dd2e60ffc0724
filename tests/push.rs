//! `push = "direct"`: edits go back to the origin.

use std::fs::File;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};

use crate::harness::{Daemon, Home, TestResult, Tree};

const TWO_WAY: &str = r#"
[sources.team]
kind = "dir"
root = "{origins}/team"
push = "direct"
[targets.agents]
path = "{home}/agents"
from = ["team"]
new_files_to = "team"
[targets.other]
path = "{home}/other"
from = ["team"]
"#;

/// Makes a file look as if it was written a minute ago: what is younger than two seconds is not captured yet.
pub(crate) fn settle(tree: &Tree, path: &str) -> TestResult {
    let file = File::options().write(true).open(tree.path(path))?;
    file.set_modified(SystemTime::now() - Duration::from_mins(1))?;
    Ok(())
}

/// Makes a synced home whose source takes edits and new files back.
pub(crate) fn two_way() -> Result<(Home, Daemon)> {
    let home = Home::new()?;
    let origin = home.make_origin("team")?;
    home.configure(TWO_WAY)?;
    origin.write("a.md", "1\n2\n3\n4\n5\n6\n7\n")?;
    origin.write("b.md", "b\n")?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    Ok((home, daemon))
}

#[test]
fn an_edit_goes_to_the_origin_and_to_the_other_target() -> TestResult {
    let (home, _daemon) = two_way()?;
    let target = home.target("agents");
    target.write("a.md", "1, edited\n2\n3\n4\n5\n6\n7\n")?;
    settle(&target, "a.md")?;
    home.ok(&["sync"])?;
    let expected = "1, edited\n2\n3\n4\n5\n6\n7\n";
    ensure!(
        home.origin("team").read("a.md")? == expected,
        "origin: {}",
        home.origin("team").read("a.md")?
    );
    ensure!(
        home.target("other").read("a.md")? == expected,
        "other: {}",
        home.target("other").read("a.md")?
    );
    ensure!(target.read("a.md")? == expected);
    Ok(())
}

#[test]
fn edits_on_both_sides_are_merged_everywhere() -> TestResult {
    let (home, _daemon) = two_way()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    target.write("a.md", "1, edited\n2\n3\n4\n5\n6\n7\n")?;
    settle(&target, "a.md")?;
    origin.write("a.md", "1\n2\n3\n4\n5\n6\n7, changed\n")?;
    home.ok(&["sync"])?;
    let merged = "1, edited\n2\n3\n4\n5\n6\n7, changed\n";
    for tree in [&origin, &target, &home.target("other")] {
        ensure!(
            tree.read("a.md")? == merged,
            "{}: {}",
            tree.0.display(),
            tree.read("a.md")?
        );
    }
    Ok(())
}

#[test]
fn push_alone_takes_nothing_over() -> TestResult {
    let (home, _daemon) = two_way()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    target.write("a.md", "edited\n")?;
    settle(&target, "a.md")?;
    origin.write("b.md", "changed\n")?;
    home.ok(&["push", "team"])?;
    ensure!(origin.read("a.md")? == "edited\n");
    ensure!(target.read("b.md")? == "b\n", "push took something over");
    home.ok(&["pull", "team"])?;
    ensure!(target.read("b.md")? == "changed\n");
    Ok(())
}

#[test]
fn new_files_go_where_the_target_says_and_nowhere_else() -> TestResult {
    let (home, _daemon) = two_way()?;
    let (target, other) = (home.target("agents"), home.target("other"));
    target.write("new/c.md", "new\n")?;
    settle(&target, "new/c.md")?;
    other.write("mine.md", "my own\n")?;
    settle(&other, "mine.md")?;
    home.ok(&["sync"])?;
    ensure!(home.origin("team").read("new/c.md")? == "new\n");
    ensure!(other.read("new/c.md")? == "new\n");
    ensure!(
        !home.origin("team").has("mine.md"),
        "a file of the user's own was pushed"
    );
    ensure!(other.read("mine.md")? == "my own\n");
    Ok(())
}

#[test]
fn without_push_an_edit_stays_here_and_push_says_so() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    origin.write("a.md", "one\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    target.write("a.md", "edited\n")?;
    settle(&target, "a.md")?;
    let before = origin.snapshot()?;
    home.homing(&["push", "team"])?
        .expect(1, &["push", "hint:"])?;
    let (document, code) = home.json(&["push", "team"])?;
    ensure!(
        code == 1 && document.to_string().contains("rejected"),
        "{code}: {document:#}"
    );
    home.ok(&["sync"])?;
    ensure!(origin.snapshot()? == before, "the origin was written");
    Ok(())
}
