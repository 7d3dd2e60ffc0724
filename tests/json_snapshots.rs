//! `--json` of every command, as it is: a field that comes, goes or changes shows here.
//!
//! What differs from run to run has a word in brackets instead.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::conflicts::home_with_a_conflict;
use crate::harness::{Home, TestResult};

/// Fields whose numbers differ from run to run.
const NUMBERS: &[&str] = &[
    "id",
    "run",
    "undone",
    "pid",
    "duration_ms",
    "database",
    "total",
    "free",
    "log",
    "before",
    "after",
];
/// Fields whose texts differ from run to run, save for names.
const TEXTS: &[&str] = &["boot_id", "version"];

fn stable(field: &str, value: &mut Value, home: &Home) {
    match value {
        Value::Object(fields) => fields
            .iter_mut()
            .for_each(|(field, value)| stable(field, value, home)),
        // One for every command: it would change with each.
        Value::Array(_) if field == "pages" => *value = "[pages]".into(),
        Value::Array(items) => items.iter_mut().for_each(|item| stable(field, item, home)),
        Value::Number(_) if NUMBERS.contains(&field) || field.ends_with("bytes") => {
            *value = format!("[{field}]").into();
        }
        Value::String(text) if is_time(text) => *value = "[time]".into(),
        Value::String(text) if is_hash(text) => *value = "[hash]".into(),
        Value::String(text) if TEXTS.contains(&field) && !text.is_empty() => {
            *value = format!("[{field}]").into();
        }
        Value::String(text) => {
            let root = home.root().display().to_string();
            let text = text.replace(&root, "[root]");
            let text = match text.rsplit_once(".replaced-") {
                Some((before, _)) => format!("{before}.replaced-[time]"),
                None => text,
            };
            *value = text
                .replace(env!("CARGO_BIN_EXE_homing"), "[homing]")
                .into();
        }
        _ => {}
    }
}

fn is_time(text: &str) -> bool {
    text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T'
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Holds the document of a command that must end with `code`, and returns it as it came.
fn hold(home: &Home, name: &str, arguments: &[&str], code: i32) -> Result<Value> {
    let (came, ended) = home.json(arguments)?;
    ensure!(ended == code, "{arguments:?} ended with {ended}: {came:#}");
    let mut document = came.clone();
    stable("", &mut document, home);
    insta::assert_snapshot!(name, format!("{document:#}"));
    Ok(came)
}

#[test]
fn of_everyday_commands() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    home.status_when_recovered()?;
    hold(&home, "version", &["version"], 0)?;
    hold(&home, "status", &["status"], 0)?;
    hold(&home, "conflicts", &["conflicts"], 0)?;
    hold(&home, "diff", &["diff"], 0)?;
    hold(&home, "sync_dry_run", &["sync", "--dry-run"], 7)?;
    hold(&home, "sync", &["sync", "team"], 7)?;
    hold(&home, "pull", &["pull", "team"], 7)?;
    hold(&home, "why", &["why", "agents/a.md"], 0)?;
    hold(&home, "verify", &["verify"], 0)?;
    hold(&home, "list", &["list", "--kind", "file"], 0)?;
    hold(&home, "audit", &["audit"], 0)?;
    hold(&home, "history", &["history", "-n", "2"], 0)?;
    hold(
        &home,
        "resolve",
        &["resolve", "team", "a.md", "--theirs"],
        0,
    )?;
    let undone = hold(&home, "undo", &["undo"], 0)?;
    let undo = undone["id"].to_string();
    hold(&home, "run_show", &["run", "show", &undo], 0)?;
    hold(&home, "release", &["release", "team"], 7)?;
    home.origin("team").write("b.md", "new\n")?;
    hold(&home, "pause", &["pause", "team", "--for", "2h"], 0)?;
    hold(&home, "resume", &["resume", "team"], 0)?;
    hold(&home, "push", &["push", "team"], 1)?;
    hold(&home, "run_cancel", &["run", "cancel", "99"], 8)?;
    hold(
        &home,
        "history_prune",
        &["history", "prune", "--older-than", "30d"],
        0,
    )?;
    Ok(())
}

#[test]
fn of_the_store() -> TestResult {
    let (home, daemon) = home_with_a_conflict()?;
    hold(&home, "config_reload", &["config", "reload"], 0)?;
    hold(&home, "db_check", &["db", "check"], 0)?;
    hold(&home, "db_size", &["db", "size"], 0)?;
    hold(&home, "db_vacuum", &["db", "vacuum"], 0)?;
    hold(&home, "db_backup", &["db", "backup", "backup.tar"], 0)?;
    hold(&home, "db_accept_rebuild", &["db", "accept-rebuild"], 0)?;
    daemon.stop()?;
    hold(&home, "db_restore", &["db", "restore", "backup.tar"], 0)?;
    Ok(())
}

#[test]
fn of_commands_that_need_no_daemon() -> TestResult {
    let home = Home::with_one_source()?;
    hold(&home, "version_without_daemon", &["version"], 0)?;
    hold(&home, "config_check", &["config", "check"], 0)?;
    hold(&home, "config_path", &["config", "path"], 0)?;
    hold(&home, "config_show", &["config", "show"], 0)?;
    hold(&home, "source_list", &["source", "list"], 0)?;
    hold(&home, "source_show", &["source", "show", "team"], 0)?;
    hold(&home, "source_check", &["source", "check", "team"], 0)?;
    hold(&home, "source_disable", &["source", "disable", "team"], 0)?;
    hold(&home, "source_enable", &["source", "enable", "team"], 0)?;
    hold(&home, "target_list", &["target", "list"], 0)?;
    hold(&home, "target_show", &["target", "show", "agents"], 0)?;
    let add = [
        "target", "add", "other", "--path", "~/other", "--from", "team",
    ];
    hold(&home, "target_add", &add, 0)?;
    hold(&home, "target_remove", &["target", "remove", "other"], 0)?;
    home.make_origin("more")?.write("more.md", "x\n")?;
    let more = home.origin("more").path("").display().to_string();
    let add = ["source", "add", "more", "--root", &more];
    hold(&home, "source_add", &add, 0)?;
    hold(&home, "source_remove", &["source", "remove", "more"], 0)?;
    hold(&home, "completions", &["completions", "fish"], 0)?;
    hold(&home, "man", &["man", "pages"], 0)?;
    home.configure("[sources.team]\nkind = \"dri\"\n")?;
    hold(&home, "config_check_invalid", &["config", "check"], 5)?;
    Ok(())
}

#[test]
fn of_errors() -> TestResult {
    let home = Home::with_one_source()?;
    hold(&home, "error_not_running", &["status"], 4)?;
    hold(&home, "error_usage", &["sycn"], 2)?;
    let _daemon = home.start()?;
    hold(&home, "error_unknown_source", &["sync", "taem"], 8)?;
    hold(&home, "error_unknown_run", &["run", "show", "99"], 8)?;
    hold(&home, "error_nothing_to_undo", &["undo"], 8)?;
    Ok(())
}
