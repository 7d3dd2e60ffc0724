//! `homing man`: the manual pages, and what the real `man` says to them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::harness::{Home, TestResult, run, skip};

/// Returns what `man` makes of the pages; it must have nothing to complain about.
fn shown(home: &Home, pages: &[&str]) -> Result<Option<String>> {
    if !Path::new("/usr/bin/man").exists() || !Path::new("/usr/bin/groff").exists() {
        skip("there is no man")?;
        return Ok(None);
    }
    let mut command = Command::new("/usr/bin/man");
    command
        .env_clear()
        .env("HOME", home.path(""))
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env("MANWIDTH", "100")
        .current_dir(home.path("pages"))
        .args(["--warnings=w", "-l"])
        .args(pages)
        .stdin(std::process::Stdio::null());
    let outcome = run(command)?;
    outcome.expect(0, &[])?;
    ensure!(outcome.stderr.is_empty(), "{outcome}");
    // Lines are filled with spaces to the same length.
    let words: Vec<&str> = outcome.stdout.split_whitespace().collect();
    Ok(Some(words.join(" ")))
}

#[test]
fn every_command_has_a_page_that_man_shows() -> TestResult {
    let home = Home::new()?;
    let written = home.json_ok(&["man", "pages"])?;
    let pages = written["pages"].as_array().context("a list of pages")?;
    let pages: Vec<&str> = pages.iter().filter_map(|page| page.as_str()).collect();
    for page in [
        "homing.1",
        "homing-sync.1",
        "homing-run-show.1",
        "homingd.1",
    ] {
        ensure!(pages.contains(&page), "{pages:?}");
    }
    for page in &pages {
        ensure!(home.path("pages").join(page).exists(), "{page}");
    }
    let Some(text) = shown(&home, &pages)? else {
        return Ok(());
    };
    for expected in [
        "--accept-deletions",
        "Exit codes: 0 done",
        "homing-run-show(1)",
    ] {
        ensure!(text.contains(expected), "`{expected}` is in no page");
    }
    Ok(())
}

#[test]
fn the_daemons_page_has_every_flag_of_its_help() -> TestResult {
    let home = Home::new()?;
    home.ok(&["man", "pages"])?;
    let page = std::fs::read_to_string(home.path("pages/homingd.1"))?.replace("\\-", "-");
    for other in ["HOMING_LOG_FORMAT", "SIGHUP", "SIGTERM", "EXIT STATUS"] {
        ensure!(page.contains(other), "{other} is not in the page");
    }
    let help = run(home.homingd(&["--help"]))?.stdout;
    let flags: Vec<&str> = help
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| word.starts_with("--"))
        .collect();
    ensure!(flags.len() > 4, "{help}");
    for flag in flags {
        ensure!(page.contains(flag), "{flag} is not in homingd.1");
    }
    Ok(())
}

#[test]
fn a_directory_that_cannot_be_written_is_told() -> TestResult {
    let home = Home::new()?;
    crate::harness::write(&home.path("file"), b"in the way\n")?;
    let outcome = home.homing(&["man", "file/pages"])?;
    outcome.expect(
        1,
        &[
            "could not write pages to",
            "caused by:",
            "hint: name a directory",
        ],
    )?;
    home.homing(&["man", "file"])?.expect(1, &["hint:"])?;
    home.homing(&["man"])?.expect(2, &["<DIR>"])
}

#[test]
fn the_help_says_what_needs_no_daemon() -> TestResult {
    let home = Home::with_one_source()?;
    let help = home.ok(&["--help"])?;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (arguments, named) in [
        (&["config", "check"][..], "`config`"),
        (&["source", "list"], "`source`"),
        (&["target", "list"], "`target`"),
        (&["completions", "bash"], "`completions`"),
        (&["man", "pages"], "`man`"),
        (&["version"], "`version`"),
    ] {
        home.ok(arguments)?;
        ensure!(help.contains(named), "{named}: {help}");
    }
    ensure!(help.contains("`db restore` wants it stopped"), "{help}");
    home.homing(&["config", "reload"])?.expect(4, &[])?;
    home.homing(&["status"])?.expect(4, &[])
}
