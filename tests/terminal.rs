//! A real terminal of some width: no line of ours is longer.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use unicode_width::UnicodeWidthStr;

use crate::harness::{Home, TestResult, run, skip};

const LONG_NAMES: &str = r#"
[sources.team]
kind = "dir"
root = "{origins}/team"

[sources.the-whole-community]
kind = "dir"
root = "{origins}/community"

[targets.agents]
path = "{home}/a directory with a rather long name/agents"
from = ["team", "the-whole-community"]
"#;

/// Runs `homing` on a terminal that is `columns` wide, and returns what it printed there, without styles.
///
/// Standard error is none: bars come and go there.
fn on_terminal(home: &Home, columns: u16, arguments: &str) -> Result<Option<String>> {
    if !Path::new("/usr/bin/script").exists() {
        skip("there is no script")?;
        return Ok(None);
    }
    let mut command = Command::new("/usr/bin/script");
    command
        .env_clear()
        .env("HOME", home.path(""))
        .env("XDG_RUNTIME_DIR", home.root().join("run"))
        .env("PATH", "/usr/bin:/bin")
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm")
        .env("HOMING", env!("CARGO_BIN_EXE_homing"))
        .current_dir(home.path(""))
        .args([
            "-qec",
            &format!("stty rows 24 cols {columns}; exec \"$HOMING\" {arguments} 2>/dev/null"),
        ])
        .arg("/dev/null")
        .stdin(std::process::Stdio::null());
    let printed = run(command)?.stdout.replace('\r', "");
    let mut plain = String::new();
    let mut parts = printed.split("\u{1b}[");
    plain.extend(parts.next());
    plain.extend(parts.map(|part| part.split_once('m').map_or("", |(_, text)| text)));
    Ok(Some(plain))
}

fn home_with_a_history() -> Result<(Home, crate::harness::Daemon)> {
    let home = Home::new()?;
    let (team, community) = (home.make_origin("team")?, home.make_origin("community")?);
    home.configure(LONG_NAMES)?;
    let target = home.target("a directory with a rather long name/agents");
    team.write("both.md", "first\n")?;
    community.write("skills/エージェントの作業手順書/説明と例👩‍💻.md", "x\n")?;
    community.write(&format!("{}.md", "a-long-name-".repeat(10)), "y\n")?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    target.write("both.md", "mine\n")?;
    team.write("both.md", "theirs\n")?;
    community.write("skills/エージェントの作業手順書/説明と例👩‍💻.md", "z\n")?;
    home.homing(&["sync", "team"])?.expect(7, &[])?;
    Ok((home, daemon))
}

#[test]
fn no_line_is_longer_than_the_terminal() -> TestResult {
    let (home, _daemon) = home_with_a_history()?;
    let runs = home.json_ok(&["history"])?;
    let show: Vec<String> = runs["runs"]
        .as_array()
        .context("a list of runs")?
        .iter()
        .map(|run| format!("run show {}", run["id"]))
        .collect();
    for columns in [40, 60, 80, 120] {
        for arguments in [
            "status",
            "history",
            "diff",
            "conflicts",
            "verify",
            "sync",
            "sync --dry-run",
            "status --detailed",
            "events",
            "pause --for 2h",
            "resume",
            "files team",
            "source list",
            "source check",
            "source show the-whole-community",
            "target show agents",
            "config check",
            "config show",
            "config path",
            "db size",
            "version",
        ]
        .into_iter()
        .chain(show.iter().map(String::as_str))
        {
            expect_fit(&home, columns, arguments)?;
        }
    }
    // A second one would have nothing left to do.
    expect_fit(&home, 40, "undo")
}

/// Runs a command and looks at every line of what it prints.
fn expect_fit(home: &Home, columns: u16, arguments: &str) -> TestResult {
    let Some(text) = on_terminal(home, columns, arguments)? else {
        return Ok(());
    };
    ensure!(!text.trim().is_empty(), "`{arguments}` printed nothing");
    for line in text.lines() {
        ensure!(
            line.width() <= usize::from(columns) || is_one_word(line),
            "`homing {arguments}` in {columns} columns: {line:?} takes {}:\n{text}",
            line.width()
        );
    }
    Ok(())
}

/// Tells whether a line has nowhere to break: a path stays whole, so that it can be copied.
fn is_one_word(line: &str) -> bool {
    !line.trim().contains(' ') && (line.contains('/') || line.contains(".md"))
}

#[test]
fn a_narrow_terminal_keeps_names_and_numbers_and_a_pipe_gets_all() -> TestResult {
    let (home, _daemon) = home_with_a_history()?;
    let Some(narrow) = on_terminal(&home, 40, "status")? else {
        return Ok(());
    };
    ensure!(
        narrow.contains("the-whole-community") && narrow.contains("FILES") && narrow.contains('…'),
        "{narrow}"
    );
    let whole = home.ok(&["status"])?;
    ensure!(
        whole.contains("a directory with a rather long name/agents") && !whole.contains('…'),
        "{whole}"
    );
    Ok(())
}
