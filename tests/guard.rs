//! The guard: a plan that deletes a lot waits for a person.

use anyhow::ensure;

use crate::harness::{Home, TestResult};

#[test]
fn many_deletions_wait_for_a_word() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    for number in 0..10 {
        origin.write(&format!("{number}.md"), format!("{number}\n"))?;
    }
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let before = target.snapshot()?;
    for number in 0..5 {
        origin.remove(&format!("{number}.md"))?;
    }
    home.homing(&["sync"])?.expect(7, &["--accept-deletions"])?;
    home.homing(&["sync", "--force"])?.expect(7, &[])?;
    ensure!(
        target.snapshot()? == before,
        "the guard let something through"
    );
    let runs = home.json_ok(&["history", "-n", "1"])?;
    ensure!(runs["runs"][0]["status"] == "blocked", "{runs:#}");

    // It is this plan that is accepted, not another one.
    origin.remove("5.md")?;
    home.homing(&["sync", "--accept-deletions"])?
        .expect(7, &[])?;
    ensure!(
        target.snapshot()? == before,
        "another plan than the blocked one was carried out"
    );
    home.ok(&["sync", "--accept-deletions"])?;
    target.expect(&[
        ("6.md", "6\n"),
        ("7.md", "7\n"),
        ("8.md", "8\n"),
        ("9.md", "9\n"),
    ])
}

#[test]
fn few_deletions_pass() -> TestResult {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    for number in 0..4 {
        origin.write(&format!("{number}.md"), format!("{number}\n"))?;
    }
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    for number in 0..3 {
        origin.remove(&format!("{number}.md"))?;
    }
    home.ok(&["sync"])?;
    home.target("agents").expect(&[("3.md", "3\n")])
}

#[test]
fn a_move_is_no_deletion() -> TestResult {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    for number in 0..6 {
        origin.write(&format!("{number}.md"), format!("{number}\n"))?;
    }
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    for number in 0..6 {
        origin.remove(&format!("{number}.md"))?;
        origin.write(&format!("moved/{number}.md"), format!("{number}\n"))?;
    }
    home.ok(&["sync"])?;
    ensure!(
        home.target("agents")
            .texts()?
            .keys()
            .all(|path| path.starts_with("moved/"))
    );
    Ok(())
}
