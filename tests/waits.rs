//! Clients that wait for what does not end. Needs the feature `failpoints`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread;

use anyhow::{Result, ensure};

use crate::harness::{Home, PATIENCE, TestResult};

/// Answers that homingd holds back at the same time.
const HELD: usize = 32;

/// Sends one more wait than there is room for and returns the first answer.
fn one_too_many(home: &Home, run: &str) -> Result<(String, Vec<UnixStream>)> {
    let (sender, answers) = channel();
    let mut streams = Vec::new();
    for _ in 0..=HELD {
        let mut stream = UnixStream::connect(home.socket())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET /v1/runs/{run}?wait=10m HTTP/1.1\r\nHost: homing\r\nConnection: close\r\n\r\n"
        )?;
        streams.push(stream.try_clone()?);
        let sender = sender.clone();
        thread::spawn(move || {
            let mut answer = String::new();
            if stream.read_to_string(&mut answer).is_ok() && !answer.is_empty() {
                sender.send(answer).unwrap_or_default();
            }
        });
    }
    Ok((answers.recv_timeout(PATIENCE)?, streams))
}

#[test]
fn waits_leave_room_for_others_and_go_with_their_clients() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let _daemon = home.start_with(&[], &[("FAILPOINTS", "dir::names_read=pause")])?;
    let started = home.json_ok(&["sync", "--no-wait"])?;
    let run = started["runs"][0]["id"].to_string();
    for _ in 0..2 {
        let (early, streams) = one_too_many(&home, &run)?;
        ensure!(
            early.starts_with("HTTP/1.1 200") && early.contains(r#""status":"running""#),
            "{early}"
        );
        home.ok(&["status"])?;
        // They go away in the middle of it: the next ones have the same room.
        for stream in streams {
            stream.shutdown(std::net::Shutdown::Both)?;
        }
        home.ok(&["status"])?;
    }
    Ok(())
}
