//! `GET /v1/events` and `homing events`: what happens, told to whoever listens.

use std::fs::{self, DirBuilder};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

#[cfg(feature = "failpoints")]
use crate::harness::Gate;
use crate::harness::{Home, ONE_SOURCE, Program, Stream, TestResult, line_with};

#[test]
fn a_stream_begins_with_the_status_and_goes_on_without_a_gap() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let daemon = home.start()?;
    home.status_when_recovered()?;
    let mut stream = Stream::open(&home, None)?;
    let snapshot = stream.next()?.context("a snapshot")?;
    ensure!(snapshot.name == "snapshot", "{snapshot:?}");
    let status = home.json_ok(&["status"])?;
    ensure!(snapshot.data == status, "{snapshot:?} is not {status:#}");

    home.ok(&["sync"])?;
    let mut names = Vec::new();
    let mut number = snapshot.number()?;
    let run = loop {
        let told = stream.next()?.context("the run's end")?;
        number += 1;
        ensure!(told.number()? == number, "{told:?} is not number {number}");
        names.push(told.name.clone());
        if told.name == "run-finished" {
            break told;
        }
    };
    for name in ["run-queued", "run-started", "run-phase"] {
        ensure!(names.iter().any(|known| known == name), "{names:?}");
    }
    ensure!(
        run.data["run"]["status"] == "success" && run.data["run"]["synced"] == 1,
        "{run:?}"
    );
    let source = stream
        .until(|told| told.name == "source" && told.data["source"]["current_run"].is_null())?;
    ensure!(source.data["source"]["files"] == 1, "{source:?}");

    // Who comes back goes on where it was; another daemon begins anew.
    let mut resumed = Stream::open(&home, Some(&snapshot.id))?;
    let first = resumed.next()?.context("an event")?;
    ensure!(first.number()? == snapshot.number()? + 1, "{first:?}");
    daemon.stop()?;
    let _daemon = home.start()?;
    let mut anew = Stream::open(&home, Some(&source.id))?;
    let resync = anew.next()?.context("a resync")?;
    ensure!(
        resync.name == "resync" && resync.data["reason"] == "restarted",
        "{resync:?}"
    );
    ensure!(anew.next()?.context("a snapshot")?.name == "snapshot");
    Ok(())
}

#[test]
fn conflicts_are_told() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "upstream\n")?;
    home.target("agents").write("a.md", "my own\n")?;
    let _daemon = home.start()?;
    let mut stream = Stream::open(&home, None)?;
    home.homing(&["sync"])?.expect(7, &[])?;
    let opened = stream.until(|told| told.name == "conflicts")?;
    ensure!(opened.data["opened"][0]["path"] == "a.md", "{opened:?}");
    home.ok(&["resolve", "team", "a.md", "--theirs"])?;
    let closed = stream.until(|told| told.name == "conflicts")?;
    ensure!(closed.data["closed"] == opened.data["opened"], "{closed:?}");
    Ok(())
}

#[test]
fn open_streams_do_not_delay_the_end() -> TestResult {
    let home = Home::with_one_source()?;
    let mut daemon = home.start()?;
    let mut reading = Stream::open(&home, None)?;
    // These never read.
    let idle: Vec<Stream> = (0..20)
        .map(|_| Stream::open(&home, None))
        .collect::<Result<_>>()?;
    daemon.signal("TERM")?;
    reading.until(|told| told.name == "notice" && told.data["kind"] == "shutting-down")?;
    ensure!(reading.next()?.is_none(), "nothing comes after it");
    ensure!(daemon.wait()? == 0, "{}", daemon.log());
    ensure!(
        !daemon.log().contains("did not end in time"),
        "{}",
        daemon.log()
    );
    drop(idle);
    Ok(())
}

#[test]
fn clients_that_go_away_do_no_harm() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let _daemon = home.start()?;
    let mut stream = Stream::open(&home, None)?;
    let body = r#"{"sources":"all","verb":"sync"}"#;
    let whole = format!(
        "POST /v1/runs?wait=30s HTTP/1.1\r\nHost: homing\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let events = "GET /v1/events HTTP/1.1\r\nHost: homing\r\n\r\n";
    for text in [
        "",
        "POST /v1/runs HT",
        &whole[..whole.len() - 3],
        events,
        "GET /v1/status HTTP/1.1\r\nHost: homing\r\n\r\n",
        &whole,
    ] {
        for _ in 0..70 {
            let mut client = UnixStream::connect(home.socket())?;
            // It may be gone already, or be too many.
            client.write_all(text.as_bytes()).unwrap_or_default();
        }
    }
    // What was asked for is done all the same.
    let run = stream.until(|told| told.name == "run-finished")?;
    ensure!(run.data["run"]["status"] == "success", "{run:?}");
    home.target("agents").expect(&[("a.md", "one\n")])?;
    home.ok(&["status"])?;
    Ok(())
}

#[cfg(feature = "failpoints")]
#[test]
fn a_client_that_goes_away_in_any_phase_does_no_harm() -> TestResult {
    for point in [
        "run::surveyed",
        "run::planned",
        "run::transferred",
        "run::journalled",
        "run::applied",
        "run::recorded",
    ] {
        let home = Home::with_one_source()?;
        home.origin("team").write("a.md", "one\n")?;
        let gate = Gate::at(&home, point)?;
        let daemon = home.start_with(&[], &[("FAILPOINTS", &gate.configuration()?)])?;
        home.status_when_recovered()?;
        let mut stream = Stream::open(&home, None)?;
        let body = r#"{"verb":"sync"}"#;
        let mut client = UnixStream::connect(home.socket())?;
        write!(
            client,
            "POST /v1/sources/team/runs?wait=30s HTTP/1.1\r\nHost: homing\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let started = stream.until(|told| told.name == "run-started")?;
        drop(client);
        gate.open()?;
        let run = started.data["run"]["id"].as_i64().context("a number")?;
        let run = stream.until_finished(run)?;
        ensure!(run["status"] == "success", "{point}: {run:#}");
        home.target("agents").expect(&[("a.md", "one\n")])?;
        daemon.stop()?;
    }
    Ok(())
}

#[test]
fn the_command_tells_the_past_and_ends() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let text = home.ok(&["events"])?;
    line_with(&text, &["homingd", "1 source, 1 target, 0 conflicts"])?;
    line_with(&text, &["sync of source team: began"])?;
    line_with(&text, &["sync of source team: success, 1 synced"])?;
    ensure!(home.ok(&["events", "--quiet"])?.is_empty());

    let lines = home.ok(&["events", "--json"])?;
    let documents: Vec<Value> = lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    ensure!(documents[0]["event"] == "snapshot", "{lines}");
    ensure!(
        documents[0]["data"]["sources"][0]["id"] == "team",
        "{lines}"
    );
    for (number, document) in documents.iter().enumerate() {
        let id = document["id"].as_str().context("an id")?;
        ensure!(id.ends_with(&format!(":{number}")), "{document:#}");
    }
    home.homing(&["events", "--json", "--nonsense"])?
        .expect(2, &[])
}

#[test]
fn every_line_that_is_followed_is_a_document_to_the_last() -> TestResult {
    let home = Home::with_one_source()?;
    let daemon = home.start()?;
    let mut follow = Program::spawn(home.homing_command(&["events", "--follow", "--json"]))?;
    follow.wait_for("snapshot")?;
    daemon.stop()?;
    let code = follow.wait()?;
    let lines: Vec<Value> = follow
        .said()
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let last = lines.last().context("a line")?;
    ensure!(
        code == 4 && last["kind"] == "shutting-down",
        "{code}: {lines:#?}"
    );
    Ok(())
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_keeps_nobody_waiting() -> TestResult {
    let home = Home::with_one_source()?;
    home.configure(&format!(
        "[daemon]\nlog = \"homing_daemon=debug\"\n{ONE_SOURCE}"
    ))?;
    let daemon = home.start()?;
    let mut unread = Stream::open(&home, None)?;
    let mut client = BufReader::new(UnixStream::connect(home.socket())?);
    let body = r#"{"verb":"sync"}"#;
    let request = format!(
        "POST /v1/sources/team/runs?wait=30s HTTP/1.1\r\nHost: homing\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for _ in 0..3000 {
        if daemon.log().contains("did not read was cut off") {
            // What it had not read is bounded by what the socket holds, and then comes the end.
            while unread.next().is_ok_and(|told| told.is_some()) {}
            home.ok(&["status"])?;
            return Ok(());
        }
        client.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            ensure!(client.read_line(&mut line)? > 0, "{}", daemon.log());
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        client.read_exact(&mut vec![0; length])?;
    }
    bail!("it was not cut off after 3000 runs")
}

#[test]
fn the_command_follows_until_the_daemon_goes() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let mut daemon = home.start()?;
    let mut follow = Program::spawn(home.homing_command(&["events", "--follow"]))?;
    follow.wait_for("1 source, 1 target")?;
    home.ok(&["sync"])?;
    follow.wait_for("sync of source team: began")?;
    follow.wait_for("sync of source team: success, 1 synced")?;
    daemon.signal("TERM")?;
    follow.wait_for("shutting-down: homingd is shutting down")?;
    let code = follow.wait()?;
    ensure!(code == 4, "{code}: {}", follow.said());
    ensure!(daemon.wait()? == 0, "{}", daemon.log());
    home.homing(&["events", "--follow"])?
        .expect(4, &["homingd is not running", "hint:"])
}

/// Answers requests one after the other, and returns their heads.
fn answering(
    listener: UnixListener,
    answers: Vec<String>,
) -> thread::JoinHandle<Result<Vec<String>>> {
    thread::spawn(move || {
        let mut heads = Vec::new();
        for answer in answers {
            let (stream, _) = listener.accept()?;
            let mut reader = BufReader::new(&stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                ensure!(reader.read_line(&mut head)? > 0, "no whole head: {head}");
            }
            heads.push(head.to_lowercase());
            (&stream).write_all(answer.as_bytes())?;
        }
        Ok(heads)
    })
}

#[test]
fn a_follower_that_was_cut_off_goes_on_where_it_was() -> TestResult {
    let home = Home::with_one_source()?;
    let directory = home.socket().parent().context("a directory")?.to_owned();
    DirBuilder::new().mode(0o700).create(&directory)?;
    let notice = |number: u32, kind: &str| {
        format!(
            "id: b:{number}\nevent: notice\ndata: {{\"at\":\"2026-01-02T03:04:05.678Z\",\"kind\":\"{kind}\",\"message\":\"number {number}\"}}\n\n"
        )
    };
    let events = |body: &str| {
        // More is promised than comes: it is cut off.
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n{body}"
        )
    };
    let daemon = answering(
        UnixListener::bind(home.socket())?,
        vec![
            events(&(notice(7, "paused") + "id: b:8\nevent: noti")),
            events(&(notice(8, "resumed") + &notice(9, "shutting-down"))),
        ],
    );
    let outcome = home.homing(&["events", "--follow"])?;
    outcome.expect(4, &["homingd is shutting down", "hint:"])?;
    for text in ["paused: number 7", "resumed: number 8"] {
        line_with(&outcome.stdout, &[text])?;
    }
    let heads = daemon.join().ok().context("the thread ends")??;
    ensure!(!heads[0].contains("last-event-id"), "{heads:?}");
    ensure!(heads[1].contains("last-event-id: b:7\r\n"), "{heads:?}");
    fs::remove_file(home.socket())?;
    Ok(())
}
