//! `homing diff` and `--dry-run`: what a sync would do, without doing any of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::harness::{Home, TestResult, Tree};

type Everything = Vec<BTreeMap<PathBuf, (u32, Vec<u8>)>>;

/// Every byte that a question must not change: origin, target, database and contents.
fn everything(home: &Home) -> Result<Everything> {
    let mut trees = vec![
        home.origin("team").snapshot()?,
        home.target("agents").snapshot()?,
    ];
    let mut data = Tree(home.data_dir()).snapshot()?;
    // The readers of SQLite mark themselves in the shared-memory index; it holds no data and is made anew at a start.
    data.retain(|path, _| !path.to_string_lossy().ends_with("-shm"));
    trees.push(data);
    Ok(trees)
}

#[test]
fn diff_tells_what_would_be_done_and_writes_nothing() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    for name in ["a.md", "b.md", "c.md", "d.md", "e.md"] {
        origin.write(name, "one\n")?;
    }
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    origin.write("a.md", "changed\n")?;
    origin.remove("b.md")?;
    origin.write("new.md", "new\n")?;
    target.write("c.md", "edited\n")?;

    let before = everything(&home)?;
    let (document, _) = home.json(&["diff", "team"])?;
    let text = home.homing(&["diff", "team"])?.stdout;
    home.homing(&["diff"])?;
    home.homing(&["sync", "team", "--dry-run"])?;
    home.homing(&["pull", "team", "--dry-run", "--json"])?;
    home.ok(&["status"])?;
    home.ok(&["conflicts"])?;
    ensure!(everything(&home)? == before, "a question wrote something");

    let told = document.to_string();
    for path in ["a.md", "b.md", "new.md", "c.md"] {
        ensure!(told.contains(path), "`{path}` is not in {document:#}");
        ensure!(text.contains(path), "`{path}` is not in {text}");
    }
    ensure!(!told.contains("d.md"), "{document:#}");
    for action in ["updated", "removed", "created"] {
        ensure!(told.contains(action), "`{action}` is not in {document:#}");
    }
    Ok(())
}

#[test]
fn diff_before_the_first_sync_writes_nothing_either() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let _daemon = home.start()?;
    let before = everything(&home)?;
    let (document, _) = home.json(&["diff", "team"])?;
    ensure!(document.to_string().contains("a.md"), "{document:#}");
    ensure!(everything(&home)? == before, "a question wrote something");
    ensure!(
        !home.target("agents").0.exists(),
        "the target's directory was made"
    );
    Ok(())
}

#[test]
fn diff_of_an_unknown_source_is_an_error() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    home.homing(&["diff", "nobody"])?.expect(8, &["nobody"])
}
