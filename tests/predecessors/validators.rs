//! What is known of an earlier answer and the content that belongs to it: bug 3 of the predecessors.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::{GitRepository, Nginx, NginxOptions, Node, RawServer};

use crate::harness::{Home, PATIENCE, TestResult, Tree};
use crate::http::configure;

/// What a server has, and whether it stops in the middle of `b.md`.
#[derive(Clone, Copy)]
struct Has {
    version: &'static str,
    holds: bool,
}

/// A server of two files, or of an index of them, whose validators are their versions.
fn versioned(has: &Arc<Mutex<Has>>, held: &Arc<Mutex<bool>>) -> Result<RawServer> {
    let (has, held) = (Arc::clone(has), Arc::clone(held));
    Ok(RawServer::start(move |lines, stream| {
        let Has { version, holds } = *has.lock().unwrap_or_else(PoisonError::into_inner);
        let tag = format!("\"{version}\"");
        let known = lines
            .iter()
            .find_map(|line| line.strip_prefix("if-none-match: "));
        if known.is_some_and(|known| known == tag || known == "*") {
            stream
                .write_all(b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n")
                .ok();
            return;
        }
        let body = if lines[0].contains("/index.json") {
            json!(["a.md", "b.md"]).to_string()
        } else {
            format!("{version} content\n")
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\netag: {tag}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        if holds && lines[0].contains("/b.md") {
            let half = &body[..body.len() / 2];
            stream.write_all(format!("{head}{half}").as_bytes()).ok();
            *held.lock().unwrap_or_else(PoisonError::into_inner) = true;
            // Until whoever asked has gone.
            std::io::Read::read_to_end(stream, &mut Vec::new()).ok();
            return;
        }
        stream.write_all(format!("{head}{body}").as_bytes()).ok();
    })?)
}

/// 3 over plain HTTP.
#[test]
fn what_was_killed_in_the_middle_of_a_body_is_asked_for_anew_by_the_next_run() -> TestResult {
    for what in ["files = [\"a.md\", \"b.md\"]", "index = \"index.json\""] {
        let has = Arc::new(Mutex::new(Has {
            version: "old",
            holds: false,
        }));
        let set = |version, holds| {
            *has.lock().unwrap_or_else(PoisonError::into_inner) = Has { version, holds };
        };
        let held = Arc::new(Mutex::new(false));
        let server = versioned(&has, &held)?;
        let home = Home::new()?;
        configure(&home, &server.url(""), what)?;
        let daemon = home.start()?;
        home.ok(&["sync"])?;
        let target = home.target("agents");
        let old = [("a.md", "old content\n"), ("b.md", "old content\n")];
        target.expect(&old)?;
        set("new", true);
        home.ok(&["sync", "--no-wait"])?;
        let since = Instant::now();
        while !*held.lock().unwrap_or_else(PoisonError::into_inner) {
            ensure!(since.elapsed() < PATIENCE, "{what}: nothing is held");
            std::thread::yield_now();
        }
        daemon.kill()?;
        target.expect(&old)?;
        set("new", false);
        let _daemon = home.start()?;
        home.ok(&["sync"])?;
        target.expect(&[("a.md", "new content\n"), ("b.md", "new content\n")])?;
    }
    Ok(())
}

/// Bytes that the store has in a file of their own.
fn large() -> Vec<u8> {
    b"0123456789abcdef".repeat(1 << 17)
}

/// Damages the one large content of the store: another byte in the middle, the same length.
fn damage(home: &Home) -> Result<PathBuf> {
    let contents = home.data_dir().join("contents");
    let found = Tree(contents.clone()).snapshot()?;
    let (path, (_, mut bytes)) = found
        .into_iter()
        .find(|(_, (_, bytes))| bytes.len() > 1 << 20)
        .context("a large content is in a file")?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let path = contents.join(path);
    crate::harness::write(&path, &bytes)?;
    Ok(path)
}

/// Damages what is stored of `large.bin`, and checks that one run with an unchanged far side makes it whole.
///
/// `asked` tells of each request since the last call whether it was for that file and was answered with its bytes.
fn is_healed(home: &Home, asked: impl Fn() -> Result<Vec<bool>>) -> TestResult {
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    let target = home.target("agents");
    ensure!(std::fs::read(target.path("large.bin"))? == large());
    home.ok(&["sync"])?;
    asked()?;
    home.ok(&["sync"])?;
    let requests = asked()?;
    ensure!(
        !requests.is_empty() && requests.iter().all(|is_download| !is_download),
        "an unchanged run downloads: {requests:?}"
    );
    for is_published in [true, false] {
        let stored = damage(home)?;
        if !is_published {
            target.remove("large.bin")?;
        }
        home.ok(&["sync"])?;
        ensure!(
            std::fs::read(target.path("large.bin"))? == large(),
            "damaged bytes were published"
        );
        let downloads = asked()?.into_iter().filter(|is_download| *is_download);
        ensure!(downloads.count() == 1, "it was not fetched once");
        ensure!(std::fs::read(stored)? == large(), "the store is not healed");
    }
    target.expect(&[
        ("large.bin", &String::from_utf8(large())?),
        ("small.md", "small\n"),
    ])?;
    daemon.stop()?;
    home.refused(&["--check-store"])?.expect(0, &[])
}

/// 3: what the far side calls unchanged was taken for current, whatever had become of it here.
#[test]
fn a_damaged_content_is_fetched_again_though_the_server_says_unchanged() -> TestResult {
    for what in [
        "files = [\"large.bin\", \"small.md\"]",
        "index = \"index.json\"",
    ] {
        let Some(nginx) = Nginx::start(&NginxOptions::default())? else {
            return Ok(());
        };
        nginx.put("large.bin", &large())?;
        nginx.put("small.md", b"small\n")?;
        nginx.put("index.json", b"[\"large.bin\", \"small.md\"]")?;
        let home = Home::new()?;
        configure(&home, &nginx.url(""), what)?;
        is_healed(&home, || {
            let requests = nginx.requests()?.into_iter();
            let is_download =
                requests.map(|request| request.path == "/large.bin" && request.status == 200);
            Ok(is_download.collect())
        })
        .context(what)?;
    }
    Ok(())
}

/// 3 at GitHub, where one answer says it of all files.
#[test]
fn a_damaged_content_is_fetched_again_though_the_repository_is_unchanged() -> TestResult {
    let repository = GitRepository::new()?;
    repository.commit(
        "main",
        &[
            ("large.bin", Node::File(&large())),
            ("small.md", Node::File(b"small\n")),
        ],
    )?;
    let (home, github) = crate::github::serve("", "", repository.path())?;
    let blob = repository.git(&["rev-parse", "main:large.bin"])?;
    is_healed(&home, || {
        let requests = github.take_requests().into_iter();
        let is_download =
            requests.map(|request| request.path.contains(&blob) && request.status == 200);
        Ok(is_download.collect())
    })
}
