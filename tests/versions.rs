//! A command line and a daemon of different ages. (The other direction is in `api.rs`.)

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use anyhow::{Context, ensure};

use crate::harness::{Home, TestResult};

/// Listens where homingd would, as one that speaks only newer versions of the interface.
fn newer_daemon(home: &Home) -> TestResult {
    let directory = home.socket().parent().context("a directory")?.to_owned();
    std::fs::DirBuilder::new().mode(0o700).create(directory)?;
    let listener = UnixListener::bind(home.socket())?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            if stream.map_err(Into::into).and_then(answer).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn answer(mut stream: UnixStream) -> TestResult {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let start = head.len();
        reader.read_line(&mut head)?;
        let line = head[start..].to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    let (status, kind, body) = if head.starts_with("GET /v1/status ") {
        (
            "200 OK",
            "application/json",
            r#"{"daemon":{"version":"9.0.0","pid":7,"started_at":"2026-01-02T03:04:05.678Z","config_path":"/c",
                "data_dir":"/d","recovered":true,"mood":"good"},"sources":[],"targets":[]}"#,
        )
    } else if head.starts_with("GET /v1/version ") {
        (
            "200 OK",
            "application/json",
            r#"{"version":"9.0.0","api":{"min":2,"max":3},"boot_id":"b","pid":7,"started_at":"2026-01-02T03:04:05.678Z"}"#,
        )
    } else {
        (
            "412 Precondition Failed",
            "application/problem+json",
            r#"{"type":"urn:homing:problem:version-skew","kind":"version-skew","title":"t","status":412,
                "detail":"homingd 9.0.0 speaks version 2-3 of the interface, and the client 1",
                "hint":"install one version"}"#,
        )
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nhoming-api: 2-3\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    Ok(stream.write_all(answer.as_bytes())?)
}

#[test]
fn a_newer_daemon_gives_status_and_version_with_one_warning() -> TestResult {
    let home = Home::new()?;
    newer_daemon(&home)?;
    let status = home.homing(&["status"])?;
    status.expect(0, &["speaks version 2-3", "restart homingd"])?;
    ensure!(
        status.stderr.matches("speaks version").count() == 1,
        "{status}"
    );
    let version = home.ok(&["version"])?;
    ensure!(
        version.contains("homingd 9.0.0 (interface 2 to 3)"),
        "{version}"
    );
    let document = home.json_ok(&["status"])?;
    ensure!(document["daemon"]["version"] == "9.0.0", "{document:#}");
    Ok(())
}

#[test]
fn a_newer_daemon_is_not_asked_for_what_may_mean_something_else_there() -> TestResult {
    let home = Home::new()?;
    newer_daemon(&home)?;
    for command in [&["sync"][..], &["undo"], &["conflicts"]] {
        home.homing(command)?
            .expect(1, &["speaks version 2-3", "hint: install one version"])?;
    }
    Ok(())
}
