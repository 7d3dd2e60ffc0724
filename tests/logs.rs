//! The log: text or JSON, with the run that a line belongs to, and never a secret.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::{Home, ONE_SOURCE, TestResult};

const SECRET: &str = "s3cr3t-t0ken-of-the-test";

fn documents(log: &str) -> Result<Vec<Value>> {
    let document =
        |line: &str| serde_json::from_str(line).with_context(|| format!("no document: {line}"));
    log.lines().map(document).collect()
}

#[test]
fn every_line_is_a_document_and_those_of_a_run_say_which_and_in_which_phase() -> TestResult {
    let home = Home::with_one_source()?;
    home.configure(&format!(
        "[daemon]\nlog = \"debug\"\nlog_format = \"json\"\n{ONE_SOURCE}after = [\"/bin/sh\", \"-c\", \"echo told\"]\n"
    ))?;
    home.origin("team").write("a.md", "one\n")?;
    let daemon = home.start()?;
    let synced = home.json_ok(&["sync"])?;
    let log = daemon.log();
    let documents = documents(&log)?;
    let of_run: Vec<&Value> = documents
        .iter()
        .filter(|line| line["run"] == synced["runs"][0]["id"])
        .collect();
    for message in ["the hook ended", "run ended"] {
        let line = of_run.iter().find(|line| line["message"] == message);
        let line = line.with_context(|| format!("no `{message}` in {log}"))?;
        ensure!(
            line["source"] == "team" && line["phase"] == "notify",
            "{line:#}"
        );
    }
    ensure!(of_run.iter().all(|line| line["timestamp"].is_string()));
    daemon.stop()
}

#[test]
fn the_format_is_that_of_the_flag_the_environment_or_the_configuration() -> TestResult {
    let home = Home::with_one_source()?;
    for (arguments, variables, configured, json) in [
        (&[][..], &[][..], "text", false),
        (&[], &[], "json", true),
        (&[], &[("HOMING_LOG_FORMAT", "json")], "text", true),
        (
            &["--log-format", "text"],
            &[("HOMING_LOG_FORMAT", "json")],
            "json",
            false,
        ),
        (&["--log-format=json"], &[], "text", true),
    ] {
        home.configure(&format!(
            "[daemon]\nlog_format = \"{configured}\"\n{ONE_SOURCE}"
        ))?;
        let daemon = home.start_with(arguments, variables)?;
        let log = daemon.log();
        ensure!(
            documents(&log).is_ok() == json,
            "{arguments:?} {variables:?} {configured}: {log}"
        );
        daemon.stop()?;
    }
    home.refused(&["--log-format", "xml"])?
        .expect(2, &["--log-format", "`text` or `json`"])?;
    Ok(())
}

#[test]
fn a_reload_changes_the_format() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let mut daemon = home.start()?;
    home.configure(&format!("[daemon]\nlog_format = \"json\"\n{ONE_SOURCE}"))?;
    daemon.wait_for_line("\"message\":\"configuration reloaded\"")?;
    home.ok(&["sync"])?;
    daemon.wait_for_line("\"message\":\"run ended\"")?;
    daemon.stop()
}

#[test]
fn what_is_in_the_environment_is_in_no_log_and_no_database() -> TestResult {
    let home = Home::with_one_source()?;
    home.configure(&format!(
        "[daemon]\nlog = \"trace\"\n{ONE_SOURCE}after = [\"/usr/bin/env\"]\n"
    ))?;
    home.origin("team").write("a.md", "one\n")?;
    let daemon = home.start_with(&[], &[("GITHUB_TOKEN", SECRET)])?;
    home.ok(&["sync"])?;
    home.ok(&["config", "reload"])?;
    let commands = std::fs::read(format!("/proc/{}/cmdline", daemon.pid()))?;
    ensure!(!String::from_utf8_lossy(&commands).contains(SECRET));
    let status = home.ok(&["status", "--json"])?;
    ensure!(!status.contains(SECRET));
    let log = daemon.log();
    ensure!(
        log.contains("HOMING_TARGET=agents"),
        "the hook's output is logged: {log}"
    );
    ensure!(!log.contains(SECRET), "{log}");
    daemon.stop()?;
    for (path, (_, bytes)) in crate::harness::Tree(home.data_dir()).snapshot()? {
        let found = bytes
            .windows(SECRET.len())
            .any(|window| window == SECRET.as_bytes());
        ensure!(!found, "{}", path.display());
    }
    Ok(())
}
