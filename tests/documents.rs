//! The documents: every command that they show exists, and the sessions of the guide go as they are shown.
//!
//! A block, a line or a flag that nobody here knows fails: what a document shows is run, or is on [`NOT_RUN`].

mod guide;
mod shown;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::harness::{Home, TestResult};
use shown::{code_spans, indented, sessions, words};

/// Where commands for users are shown.
const DOCUMENTS: [&str; 6] = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/guide.md",
    "docs/hooks.md",
    "docs/testing.md",
    "docs/troubleshooting.md",
];

/// What is not run here, and why.
const NOT_RUN: [(&str, &str); 5] = [
    ("cargo ", "builds for minutes, and is what runs these tests"),
    (
        "install ",
        "installs into a service manager that is not there",
    ),
    (
        "systemctl ",
        "there is no service manager in a throwaway home",
    ),
    (
        "echo 'source <(homing completions ",
        "tests/completions.rs runs them in the real shells",
    ),
    ("echo 'homing completions fish | source'", "the same"),
];

fn read(document: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(document);
    fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
}

#[test]
fn every_command_that_a_document_shows_exists_with_its_flags() -> TestResult {
    let home = Home::new()?;
    let mut known = 0;
    for document in DOCUMENTS {
        let text = read(document)?;
        let mut commands: Vec<String> = code_spans(&text);
        commands.extend(indented(&text));
        let sessions = sessions(&text);
        let typed = sessions.iter().flat_map(|session| &session.commands);
        commands.extend(typed.map(|command| command.typed.clone()));
        for command in commands {
            // A pipe has a command on each side; alternatives such as `--ours|--theirs` have no place around the bar.
            for part in command.split(" | ") {
                let Some(line) = part.trim().strip_prefix("homing ") else {
                    continue;
                };
                exists(&home, line).with_context(|| format!("{document} shows `{command}`"))?;
                known += 1;
            }
        }
    }
    ensure!(known > 100, "only {known} commands were found");
    Ok(())
}

/// Makes sure that the command line takes these words; `--help` at their end keeps them from being carried out.
fn exists(home: &Home, line: &str) -> TestResult {
    // Where a document has `N`, a number belongs.
    let number = |word: String| if word == "N" { "1".to_owned() } else { word };
    let given = words(line).into_iter().filter(|word| word != "…");
    let mut arguments: Vec<String> = given.map(number).collect();
    if arguments.first().is_some_and(|first| first == "help") {
        arguments.truncate(1);
    } else {
        arguments.push("--help".to_owned());
    }
    let outcome = home.homing(&arguments)?;
    ensure!(
        outcome.code == 0,
        "`homing {line}` is not understood: {outcome}"
    );
    Ok(())
}

#[test]
fn a_flag_or_command_that_does_not_exist_is_noticed() -> TestResult {
    let home = Home::new()?;
    for line in [
        "sync --accept-roots",
        "snyc",
        "config relaod",
        "db check --deeply",
        "undo 1 2 3",
    ] {
        ensure!(exists(&home, line).is_err(), "{line}");
    }
    exists(&home, "resolve WHERE PATH --ours|--theirs|--union|--file F")
}

#[test]
fn every_indented_command_is_run_somewhere_or_is_listed_with_its_reason() -> TestResult {
    for document in DOCUMENTS {
        for line in indented(&read(document)?) {
            let is_listed = NOT_RUN.iter().any(|(start, _)| line.starts_with(start));
            ensure!(
                is_listed || line.starts_with("homing "),
                "{document}: nobody knows what becomes of `{line}`"
            );
        }
    }
    // The one that README.md shows and that may be run anywhere.
    let home = Home::new()?;
    ensure!(read("README.md")?.contains("    homing man ~/.local/share/man/man1\n"));
    home.ok(&["man", &home.path(".local/share/man/man1").to_string_lossy()])?;
    ensure!(home.path(".local/share/man/man1/homing-sync.1").exists());
    Ok(())
}

#[test]
fn the_kinds_of_troubleshooting_are_told_as_it_shows() -> TestResult {
    let home = Home::new()?;
    home.make_origin("team")?;
    home.configure(
        "[sources.community]\nkind = \"dir\"\nroot = \"{origins}/team\"\nenabled = false\n",
    )?;
    let daemon = home.start()?;
    let text = read("docs/troubleshooting.md")?;
    let lines: Vec<&str> = text.lines().collect();
    for (typed, filter, pointer) in [
        ("homing sync nope --json", "jq -r .kind", "/kind"),
        (
            "homing sync community --json",
            "jq -r '.problems[].kind'",
            "/problems/0/kind",
        ),
    ] {
        let shown = format!("    $ {typed} | {filter}");
        let at = lines.iter().position(|line| *line == shown);
        let output = at.and_then(|at| lines.get(at + 1)).context(shown)?.trim();
        let arguments: Vec<&str> = typed.split(' ').skip(1).collect();
        let outcome = home.homing(&arguments)?;
        let document: serde_json::Value = serde_json::from_str(&outcome.stdout)?;
        let kind = document
            .pointer(pointer)
            .and_then(serde_json::Value::as_str);
        ensure!(kind == Some(output), "{typed}: {outcome}");
    }
    daemon.stop()
}

#[test]
fn the_sessions_of_the_guide_go_as_they_are_shown() -> TestResult {
    let text = read("docs/guide.md")?;
    let sessions = sessions(&text);
    let mut stage = guide::Stage::new()?;
    for session in &sessions {
        for command in &session.commands {
            let at = format!("docs/guide.md:{}: `{}`", session.line, command.typed);
            let Some(code) = stage.set(session, command).context(at.clone())? else {
                continue;
            };
            let outcome = stage.run(&command.typed).context(at.clone())?;
            ensure!(outcome.code == code, "{at}: {outcome}");
            let came = format!("{}{}", outcome.stdout, outcome.stderr);
            if !shown::fits(&command.output, &stage.as_ada(&came)) {
                bail!(
                    "{at} shows\n{}\nand now it is\n{}",
                    command.output,
                    stage.as_ada(&came)
                );
            }
        }
    }
    stage.end(&sessions)
}
