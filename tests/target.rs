//! `homing target`: sections of the configuration, edited in place.

use std::fs;

use anyhow::ensure;

use crate::harness::{Home, TestResult, line_with};

#[test]
fn a_target_is_added_shown_and_removed() -> TestResult {
    let home = Home::with_one_source()?;
    let before = fs::read_to_string(home.config_path())?;
    let said = home.ok(&[
        "target", "add", "second", "--path", "second", "--from", "team", "--layout", "flat",
    ])?;
    ensure!(
        said.contains("added target `second`")
            && said.contains("next: when it runs: `homing sync team`"),
        "{said}"
    );
    let added = "\n[targets.second]\npath = \"~/second\"\nfrom = [\"team\"]\nlayout = \"flat\"\n";
    ensure!(fs::read_to_string(home.config_path())? == before.clone() + added);
    line_with(
        &home.ok(&["target", "list"])?,
        &["second", "team", "flat", "restore"],
    )?;
    let shown = home.json_ok(&["target", "show", "second"])?;
    ensure!(
        shown["layout"] == "flat" && shown["line"] == 10 && shown["status"].is_null(),
        "{shown:#}"
    );

    home.origin("team").write("deep/a.md", "one\n")?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    home.target("second").expect(&[("a.md", "one\n")])?;
    line_with(&home.ok(&["target", "show", "second"])?, &["files", "1"])?;
    let said = home.ok(&["target", "remove", "second"])?;
    ensure!(said.contains("files stay"), "{said}");
    ensure!(fs::read_to_string(home.config_path())? == before);
    home.target("second").expect(&[("a.md", "one\n")])?;
    daemon.stop()
}

#[test]
fn a_target_that_may_not_be_there_is_refused() -> TestResult {
    let home = Home::with_one_source()?;
    let before = fs::read_to_string(home.config_path())?;
    for (path, from, told) in [
        ("~/.ssh/agents", "team", ".ssh"),
        ("~/agents/deeper", "team", "lies in target `agents`"),
        ("~/other", "teem", "did you mean `team`?"),
    ] {
        home.homing(&["target", "add", "second", "--path", path, "--from", from])?
            .expect(5, &["nothing was written", told, "^"])?;
    }
    home.homing(&["target", "add", "--path", "x", "--from", "team", "--", "-t"])?
        .expect(2, &["as options do"])?;
    home.homing(&["target", "remove", "agent"])?
        .expect(8, &["did you mean `agents`?"])?;
    home.homing(&["target", "show", "agent"])?
        .expect(8, &["did you mean `agents`?"])?;
    ensure!(fs::read_to_string(home.config_path())? == before);
    Ok(())
}
