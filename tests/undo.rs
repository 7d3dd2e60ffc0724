//! `homing undo`.

use anyhow::ensure;

use crate::harness::{Home, TestResult};

#[test]
fn undo_puts_back_what_the_last_run_changed_and_holds_it() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    for (name, text) in [
        ("a.md", "one\n"),
        ("b.md", "two\n"),
        ("c.md", "three\n"),
        ("d.md", "four\n"),
    ] {
        origin.write(name, text)?;
    }
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let before = target.snapshot()?;
    origin.write("a.md", "one, changed\n")?;
    origin.remove("b.md")?;
    origin.write("new.md", "new\n")?;
    home.ok(&["sync"])?;
    target.expect(&[
        ("a.md", "one, changed\n"),
        ("c.md", "three\n"),
        ("d.md", "four\n"),
        ("new.md", "new\n"),
    ])?;

    let runs = home.json_ok(&["history", "team", "-n", "1"])?;
    let undone = &runs["runs"][0]["id"];
    let said = home.ok(&["undo"])?;
    ensure!(target.snapshot()? == before, "{:#?}", target.texts()?);
    for line in [
        "put back: agents: a.md",
        "brought back: agents: b.md",
        "taken away: agents: new.md",
        &format!("run {undone}: 3 items put back and held"),
    ] {
        ensure!(said.contains(line), "`{line}` is missing in {said}");
    }
    let status = home.json_ok(&["status"])?;
    ensure!(status.to_string().contains("held"), "{status:#}");

    // It is held against the same content, a newer one ends the hold.
    home.ok(&["sync"])?;
    ensure!(
        target.snapshot()? == before,
        "the hold does not hold: {:#?}",
        target.texts()?
    );
    origin.write("a.md", "one, changed again\n")?;
    home.ok(&["sync"])?;
    ensure!(target.read("a.md")? == "one, changed again\n");
    ensure!(
        target.has("b.md") && !target.has("new.md"),
        "{:#?}",
        target.texts()?
    );
    Ok(())
}

#[test]
fn undo_of_a_named_run_leaves_later_edits_alone_and_tells_them() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    origin.write("a.md", "one\n")?;
    origin.write("b.md", "one\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    origin.write("a.md", "two\n")?;
    origin.write("b.md", "two\n")?;
    home.ok(&["sync"])?;
    let runs = home.json_ok(&["history", "team", "-n", "1"])?;
    let id = &runs["runs"][0]["id"];
    target.write("a.md", "two, edited\n")?;
    let (undo, code) = home.json(&["undo", &id.to_string()])?;
    ensure!(code == 3, "{undo:#}");
    target.expect(&[("a.md", "two, edited\n"), ("b.md", "one\n")])?;
    let shown = home.json_ok(&["run", "show", &undo["id"].to_string()])?;
    for run in [&undo, &shown] {
        ensure!(&run["undone"] == id, "{run:#}");
        let items: Vec<_> = run["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|item| (item["path"].as_str(), item["action"].as_str()))
            .collect();
        ensure!(items.contains(&(Some("b.md"), Some("updated"))), "{run:#}");
        ensure!(items.contains(&(Some("a.md"), Some("failed"))), "{run:#}");
    }
    let text = home.ok(&["run", "show", &undo["id"].to_string()])?;
    ensure!(text.contains(&format!("undo of run {id}")), "{text}");
    Ok(())
}

#[test]
fn with_nothing_to_undo_it_says_so() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    home.homing(&["undo"])?.expect(8, &["undo"])?;
    home.homing(&["undo", "424242"])?.expect(8, &["424242"])
}

#[test]
fn without_a_name_the_last_run_that_can_be_undone_is_taken() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    origin.write("a.md", "one\n")?;
    origin.write("b.md", "one\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    origin.write("a.md", "two\n")?;
    home.ok(&["sync"])?;
    origin.write("b.md", "two\n")?;
    home.ok(&["sync"])?;
    // Of the last run nothing is left to be put back, so it is the one before.
    target.write("b.md", "edited\n")?;
    home.ok(&["undo"])?;
    target.expect(&[("a.md", "one\n"), ("b.md", "edited\n")])?;
    target.write("a.md", "edited\n")?;
    home.homing(&["undo"])?
        .expect(8, &["there is nothing to undo: what run", "`homing undo "])?;
    target.expect(&[("a.md", "edited\n"), ("b.md", "edited\n")])
}
