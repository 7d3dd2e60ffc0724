//! What is typed by mistake or looks like something else, and a reader that goes away.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::conflicts::home_with_a_conflict;
use crate::harness::{Home, TestResult, run};

#[test]
fn a_mistyped_name_is_told_what_was_meant() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    for (typed, hint) in [
        (&["sync", "taem"][..], "did you mean `team`?"),
        (&["sync", "team", "te"], "did you mean `team`?"),
        (&["diff", "teams"], "did you mean `team`?"),
        (&["release", "Team"], "did you mean `team`?"),
        (&["history", "tema"], "did you mean `team`?"),
        (&["status", "agent"], "did you mean `agents`?"),
        (&["conflicts", "agnets"], "did you mean `agents`?"),
        (&["resolve", "taem", "--ours"], "did you mean `team`?"),
        (
            &["resolve", "team", "b.md", "--ours"],
            "did you mean `a.md`?",
        ),
        (&["release", "team", "a.m"], "did you mean `a.md`?"),
        (&["files", "team", "a.m"], "did you mean `a.md`?"),
        (&["why", "agents/a.m"], "did you mean `agents/a.md`?"),
        (&["release", "team", "zzz"], "`homing files team` lists"),
        (&["verify", "agent"], "did you mean `agents`?"),
        (&["verify", "team"], "`team` is a source"),
        (
            &["sync", "agents"],
            "`agents` is a target; it follows `team`",
        ),
        (&["sync", "elsewhere"], "`homing status` lists the names"),
    ] {
        let outcome = home.homing(typed)?;
        outcome.expect(8, &["error: ", hint])?;
        let (document, code) = home.json(typed)?;
        ensure!(code == 8, "{typed:?}: {document:#}");
        let told = document["hint"].as_str().unwrap_or_default();
        ensure!(told.contains(hint), "{typed:?}: {document:#}");
    }
    for (typed, hint) in [
        (&["sycn"][..], "hint: did you mean `sync`?"),
        (&["run", "shwo", "1"], "hint: did you mean `show`?"),
        (&["sync", "--forse"], "hint: did you mean `--force`?"),
        (&["enumerate"], "hint: see `homing --help`"),
        (&["resolve", "team"], "hint: see `homing resolve --help`"),
    ] {
        let outcome = home.homing(typed)?;
        outcome.expect(2, &["error: ", hint])?;
        ensure!(!outcome.stderr.contains("history"), "{outcome}");
        let (document, code) = home.json(typed)?;
        let told = format!("hint: {}", document["hint"].as_str().unwrap_or_default());
        ensure!(code == 2 && told.starts_with(hint), "{document:#}");
    }
    Ok(())
}

#[test]
fn names_that_look_like_options_are_names() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    for (typed, text) in [
        (&["sync", "--", "--x"][..], "there is no source `--x`"),
        (&["pull", "--", "-f"], "there is no source `-f`"),
        (
            &["diff", "--", "--dry-run"],
            "there is no source `--dry-run`",
        ),
        (&["release", "--", "--all"], "there is no source `--all`"),
        (&["history", "--", "-n"], "there is no source `-n`"),
        (
            &["status", "--", "--json"],
            "there is no source or target `--json`",
        ),
        (
            &["verify", "--", "--repair"],
            "there is no target `--repair`",
        ),
        (&["conflicts", "--", "-x"], "`-x`"),
        (&["resolve", "--ours", "--", "-x"], "`-x`"),
        (&["why", "--", "-file"], "/-file`"),
        (&["undo", "--", "-1"], "-1"),
        (&["run", "show", "--", "-1"], "-1"),
    ] {
        let outcome = home.homing(typed)?;
        outcome.expect(8, &["error: ", text, "hint: "])?;
        ensure!(outcome.stdout.is_empty(), "{typed:?}: {outcome}");
    }
    // Without the two dashes it is an option, and no such one.
    home.homing(&["sync", "--x"])?.expect(2, &["--x"])?;
    home.homing(&["why", "-file"])?.expect(2, &["-f"])
}

/// Runs `homing` whose reader has gone before it says a word.
fn unheard(home: &Home, arguments: &[&str]) -> Result<crate::harness::Outcome> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let mut command = home.homing_command(arguments);
    command.stdout(Stdio::from(writer)).stderr(Stdio::piped());
    let output = command.output()?;
    Ok(crate::harness::Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::new(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[test]
fn a_reader_that_goes_away_changes_nothing() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    for (arguments, code) in [
        (&["history"][..], 0),
        (&["history", "--json"], 0),
        (&["status"], 0),
        (&["sync"], 7),
        (&["sync", "--json"], 7),
        (&["sync", "nobody", "--json"], 8),
        (&["completions", "bash"], 0),
        (&["--help"], 0),
    ] {
        let outcome = unheard(&home, arguments)?;
        outcome.expect(code, &[])?;
        ensure!(outcome.stderr.is_empty(), "{arguments:?}: {outcome}");
    }
    // But of a backup a part is worth nothing.
    let outcome = unheard(&home, &["db", "backup", "-"])?;
    outcome.expect(1, &["went away before it was whole", "hint: "])?;
    ensure!(!outcome.stderr.contains("space"), "{outcome}");
    let mut command = Command::new("/bin/sh");
    command
        .env_clear()
        .env("HOME", home.path(""))
        .env("XDG_RUNTIME_DIR", home.root().join("run"))
        .env("PATH", "/usr/bin:/bin")
        .env("HOMING", env!("CARGO_BIN_EXE_homing"))
        .args(["-c", "\"$HOMING\" history | head -1"]);
    let outcome = run(command)?;
    outcome.expect(0, &[])?;
    ensure!(
        outcome.stdout.contains("STARTED") && outcome.stderr.is_empty(),
        "{outcome}"
    );
    Ok(())
}
