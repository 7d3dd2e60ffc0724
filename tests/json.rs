//! `--json`: every command prints one document with the fields of the interface.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::conflicts::home_with_a_conflict;
use crate::harness::{Home, TestResult};

fn has(document: &Value, fields: &[&str]) -> TestResult {
    let object = document
        .as_object()
        .with_context(|| format!("an object: {document:#}"))?;
    for field in fields {
        ensure!(
            object.contains_key(*field),
            "`{field}` is missing in {document:#}"
        );
    }
    Ok(())
}

fn first<'a>(document: &'a Value, list: &str) -> Result<&'a Value> {
    document[list]
        .get(0)
        .with_context(|| format!("`{list}` has something: {document:#}"))
}

const RUN: &[&str] = &[
    "id",
    "source",
    "verb",
    "trigger",
    "status",
    "started_at",
    "duration_ms",
    "synced",
    "cached",
    "failed",
    "removed",
    "bytes",
    "problems",
    "phases",
];

#[test]
fn every_command_prints_one_document() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    has(&home.json_ok(&["version"])?, &[])?;

    let status = home.json_ok(&["status"])?;
    has(&status, &["daemon", "sources", "targets"])?;
    has(
        &status["daemon"],
        &[
            "version",
            "pid",
            "started_at",
            "config_path",
            "data_dir",
            "recovered",
            "conditions",
        ],
    )?;
    has(
        first(&status, "sources")?,
        &[
            "id",
            "kind",
            "url",
            "enabled",
            "priority",
            "states",
            "conditions",
            "files",
            "conflicts",
            "last_success",
            "next_due",
        ],
    )?;
    has(
        first(&status, "targets")?,
        &["id", "path", "from", "states", "files", "conflicts"],
    )?;

    for verb in ["sync", "pull"] {
        let (document, code) = home.json(&[verb, "team"])?;
        ensure!(code == 7, "{verb} ended with {code}: {document:#}");
        has(first(&document, "runs")?, RUN)?;
    }
    let (diff, _) = home.json(&["diff", "team"])?;
    ensure!(diff.to_string().contains("\"items\""), "{diff:#}");

    let history = home.json_ok(&["history"])?;
    let run = first(&history, "runs")?;
    has(run, RUN)?;
    let started = run["started_at"].as_str().context("a time")?;
    ensure!(
        started.len() == 24 && started.ends_with('Z') && &started[10..11] == "T",
        "{started}"
    );
    let shown = home.json_ok(&["run", "show", &run["id"].to_string()])?;
    has(&shown, RUN)?;
    has(&shown, &["items"])?;

    let conflicts = home.json_ok(&["conflicts"])?;
    has(
        first(&conflicts, "conflicts")?,
        &["id", "hop", "source", "target", "path", "kind", "since"],
    )?;
    let why = home.json_ok(&["why", "agents/a.md"])?;
    has(&why, &["target", "path", "state", "candidates"])?;
    has(
        first(&why, "candidates")?,
        &["source", "key", "priority", "version", "reason"],
    )?;

    let (verified, _) = home.json(&["verify", "agents"])?;
    ensure!(verified.to_string().contains("\"checked\""), "{verified:#}");
    let resolved = home.json_ok(&["resolve", "team", "a.md", "--theirs"])?;
    ensure!(resolved.to_string().contains("\"resolve\""), "{resolved:#}");
    let undone = home.json_ok(&["undo"])?;
    ensure!(undone["verb"] == "undo", "{undone:#}");
    // What was decided and undone is a conflict again when it is released.
    let (released, code) = home.json(&["release", "team"])?;
    ensure!(
        code == 7 && released["verb"] == "release",
        "{code}: {released:#}"
    );
    let paused = home.json_ok(&["pause", "--for", "1h"])?;
    has(&paused, &["all", "sources"])?;
    has(&paused["all"], &["since", "until"])?;
    has(&home.json_ok(&["resume"])?, &["all", "sources"])?;
    Ok(())
}

#[test]
fn an_error_is_one_document_too() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    let outcome = home.homing(&["sync", "nobody", "--json"])?;
    ensure!(outcome.code == 8, "{outcome}");
    let text = if outcome.stdout.trim().is_empty() {
        &outcome.stderr
    } else {
        &outcome.stdout
    };
    let problem: Value = serde_json::from_str(text).with_context(|| format!("{outcome}"))?;
    ensure!(
        problem.to_string().contains("unknown-source"),
        "{problem:#}"
    );
    Ok(())
}

#[test]
fn what_was_typed_wrongly_is_one_document_too() -> TestResult {
    let home = Home::new()?;
    for line in [
        "--json",
        "sycn --json",
        "--json sync --timeout soon",
        "resolve team --json",
        "run show abc --json",
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let outcome = home.homing(&arguments)?;
        let problem: Value = serde_json::from_str(&outcome.stdout)
            .with_context(|| format!("`{line}` printed no JSON: {outcome}"))?;
        has(
            &problem,
            &["type", "kind", "title", "status", "detail", "hint"],
        )?;
        ensure!(
            outcome.code == 2 && problem["kind"] == "bad-request" && outcome.stderr.is_empty(),
            "{line}: {outcome}"
        );
    }
    // Without it, and after `--`, where it is a name, a person is told the same.
    for line in ["sycn", "resolve team -- --json"] {
        let arguments: Vec<&str> = line.split(' ').collect();
        home.homing(&arguments)?
            .expect(2, &["error: ", "hint: ", "--help`"])?;
    }
    Ok(())
}
