//! `homing run cancel`, and Ctrl-C in a sync: who waits, and what goes on.

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::harness::{Home, Program, Stream, TestResult, skip};
use crate::socket::request;

/// A home whose next run waits two seconds for a file in the target that was only just written.
fn home_with_a_slow_run() -> anyhow::Result<(Home, crate::harness::Daemon)> {
    let home = Home::new()?;
    home.make_origin("team")?;
    home.configure(
        r#"
[sources.team]
kind = "dir"
root = "{origins}/team"
push = "direct"

[targets.agents]
path = "{home}/agents"
from = ["team"]
"#,
    )?;
    home.origin("team").write("a.md", "one\n")?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    Ok((home, daemon))
}

#[test]
fn a_run_is_cancelled_while_it_is_under_way_and_while_it_waits() -> TestResult {
    let (home, _daemon) = home_with_a_slow_run()?;
    let mut stream = Stream::open(&home, None)?;
    home.target("agents").write("a.md", "edited\n")?;
    home.ok(&["sync", "--no-wait"])?;
    let running = stream.until_phase("capture")?;
    // The run waits for two seconds, and a busy machine takes its time for every command.
    let body = r#"{"verb":"sync","force":true}"#;
    let answer = request(
        &home,
        &format!(
            "POST /v1/sources/team/runs HTTP/1.1\r\nHost: homing\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )?;
    ensure!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let queued = stream.until(|told| told.name == "run-queued")?;
    let queued = queued.data["run"]["id"].as_i64().context("a number")?;

    let said = home.ok(&["run", "cancel", &queued.to_string()])?;
    ensure!(said.starts_with(&format!("run {queued} is ")), "{said}");
    ensure!(stream.until_finished(queued)?["status"] == "cancelled");
    let get = format!("GET /v1/runs/{running} HTTP/1.1\r\nHost: homing\r\n\r\n");
    let answer = request(&home, &get)?;
    let (_, shown) = answer.split_once("\r\n\r\n").context("a body")?;
    let shown: Value = serde_json::from_str(shown)?;
    ensure!(
        shown["status"] == "running" && shown["progress"]["phase"] == "capture",
        "{shown:#}"
    );
    let (answer, code) = home.json(&["run", "cancel", &running.to_string()])?;
    ensure!(code == 0 && answer["id"] == running, "{answer:#}");
    ensure!(stream.until_finished(running)?["status"] == "cancelled");

    // What was edited is taken in by the next run.
    home.ok(&["sync"])?;
    home.origin("team").expect(&[("a.md", "edited\n")])
}

#[test]
fn what_cannot_be_cancelled_says_why() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let runs = home.json_ok(&["history", "team"])?;
    let ended = runs["runs"][0]["id"].to_string();
    home.homing(&["run", "cancel", &ended])?.expect(
        1,
        &["has ended already: success", "hint:", "homing run show"],
    )?;
    home.homing(&["run", "cancel", "77777"])?
        .expect(8, &["there is no run 77777"])?;
    home.homing(&["run", "cancel", "seven"])?.expect(2, &[])
}

#[test]
fn ctrl_c_ends_the_waiting_and_not_the_run() -> TestResult {
    let (home, _daemon) = home_with_a_slow_run()?;
    let mut stream = Stream::open(&home, None)?;
    home.target("agents").write("a.md", "edited\n")?;
    let mut sync = Program::spawn(home.homing_command(&["sync"]))?;
    let run = stream.until_phase("capture")?;
    sync.signal("INT")?;
    sync.wait_for(&format!("run {run} goes on in homingd"))?;
    sync.wait_for(&format!("homing run cancel {run}"))?;
    let code = sync.wait()?;
    ensure!(code == 130, "{code}: {}", sync.said());
    ensure!(stream.until_finished(run)?["status"] == "success");
    home.origin("team").expect(&[("a.md", "edited\n")])
}

#[test]
fn a_sync_shows_how_far_it_is_on_a_terminal_and_only_there() -> TestResult {
    let (home, _daemon) = home_with_a_slow_run()?;
    home.target("agents").write("a.md", "edited\n")?;
    let Some(command) = home.on_a_terminal(&["sync"]) else {
        return skip("there is no `script` to make a terminal with");
    };
    let mut sync = Program::spawn(command)?;
    sync.wait_for("team capture")?;
    sync.wait_for("1 source: ")?;
    let code = sync.wait()?;
    ensure!(code == 0, "{code}: {}", sync.said());

    home.target("agents").write("a.md", "edited again\n")?;
    let outcome = home.homing(&["sync"])?;
    outcome.expect(0, &[])?;
    ensure!(outcome.stderr.is_empty(), "{outcome}");
    ensure!(!outcome.stdout.contains("capture"), "{outcome}");
    Ok(())
}
