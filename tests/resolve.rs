//! `homing resolve`: ours, theirs, union, or a file.

use anyhow::ensure;

use crate::conflicts::{home_with_a_conflict, open};
use crate::harness::{Home, TestResult, write};

fn resolved(home: &Home, arguments: &[&str], expected: &str) -> TestResult {
    home.ok(arguments)?;
    home.target("agents").expect(&[("a.md", expected)])?;
    ensure!(open(home)?.is_empty(), "the conflict is still open");
    home.origin("team")
        .expect(&[("a.md", "first, theirs\nsecond\n")])?;
    // It stays as it was decided.
    home.ok(&["sync"])?;
    home.target("agents").expect(&[("a.md", expected)])
}

#[test]
fn ours_keeps_the_local_side() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    resolved(
        &home,
        &["resolve", "team", "a.md", "--ours"],
        "first, mine\nsecond\n",
    )
}

#[test]
fn theirs_takes_the_other_side_and_undo_brings_the_edit_back() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    resolved(
        &home,
        &["resolve", "team", "a.md", "--theirs"],
        "first, theirs\nsecond\n",
    )?;
    home.ok(&["undo"])?;
    home.target("agents")
        .expect(&[("a.md", "first, mine\nsecond\n")])
}

#[test]
fn union_keeps_the_lines_of_both() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    resolved(
        &home,
        &["resolve", "agents", "a.md", "--union"],
        "first, mine\nfirst, theirs\nsecond\n",
    )
}

#[test]
fn a_file_decides_with_its_bytes() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    let file = home.path("decided.md");
    write(&file, b"decided\n")?;
    resolved(
        &home,
        &["resolve", "team", "a.md", "--file", &file.to_string_lossy()],
        "decided\n",
    )
}

#[test]
fn what_is_in_no_conflict_is_told() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    home.homing(&["resolve", "team", "nothing.md", "--ours"])?
        .expect(8, &["nothing.md"])?;
    home.homing(&["resolve", "nobody", "a.md", "--ours"])?
        .expect(8, &["nobody"])?;
    home.homing(&["resolve", "team", "a.md"])?.expect(2, &[])?;
    home.target("agents")
        .expect(&[("a.md", "first, mine\nsecond\n")])
}
