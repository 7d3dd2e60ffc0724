//! The socket's rules: who may speak, and in which way.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::{Home, PATIENCE, TestResult, is_root, run, skip};

/// Sends a request as it is and returns the answer as it is.
pub(crate) fn request(home: &Home, text: &str) -> Result<String> {
    let mut stream = UnixStream::connect(home.socket())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(
        text.replacen("\r\n", "\r\nConnection: close\r\n", 1)
            .as_bytes(),
    )?;
    let mut answer = Vec::new();
    // The other end may close before it has read all that was sent.
    let read = stream.read_to_end(&mut answer);
    ensure!(!answer.is_empty(), "no answer: {read:?}");
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn problem(answer: &str) -> Result<Value> {
    ensure!(
        answer
            .to_ascii_lowercase()
            .contains("content-type: application/problem+json"),
        "{answer}"
    );
    let (_, body) = answer.split_once("\r\n\r\n").context("a head and a body")?;
    Ok(serde_json::from_str(body)?)
}

fn expect_problem(home: &Home, text: &str, status: u16, kind: &str) -> Result<Value> {
    let answer = request(home, text)?;
    ensure!(
        answer.starts_with(&format!("HTTP/1.1 {status}")),
        "expected {status}: {answer}"
    );
    let problem = problem(&answer)?;
    ensure!(
        problem["kind"] == kind && problem["status"] == status,
        "expected {kind}: {problem:#}"
    );
    ensure!(
        problem["title"].is_string() && problem["detail"].is_string(),
        "{problem:#}"
    );
    Ok(problem)
}

#[test]
fn what_a_browser_would_send_is_refused() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    let get = |rest: &str| format!("GET /v1/version HTTP/1.1\r\n{rest}\r\n\r\n");
    for host in ["homing", "localhost"] {
        let answer = request(&home, &get(&format!("Host: {host}")))?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    for head in [
        "Host: example.org",
        "Host: homing\r\nOrigin: http://localhost",
        "Host: homing\r\nReferer: http://localhost/page",
        "Host: localhost:7411",
        "Host: homing\r\nHost: localhost",
    ] {
        expect_problem(&home, &get(head), 403, "forbidden")?;
    }
    Ok(())
}

#[test]
fn every_error_is_a_problem() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    let post = |path: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: homing\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: homing\r\n\r\n");
    expect_problem(&home, &get("/v1/nothing"), 404, "unknown-route")?;
    expect_problem(&home, &get("/"), 404, "unknown-route")?;
    expect_problem(&home, &post("/v1/status", ""), 405, "method-not-allowed")?;
    expect_problem(&home, &get("/v1/sources/nobody"), 404, "unknown-source")?;
    expect_problem(
        &home,
        &get("/v1/sources/..%2F..%2Fetc"),
        404,
        "unknown-source",
    )?;
    expect_problem(&home, &get("/v1/sources/%FF"), 400, "bad-request")?;
    expect_problem(&home, &get("/v1/targets/nobody"), 404, "unknown-target")?;
    expect_problem(&home, &get("/v1/runs/77777"), 404, "unknown-run")?;
    expect_problem(&home, &get("/v1/runs/seven"), 404, "unknown-run")?;
    expect_problem(&home, &get("/v1/runs?limit=0"), 400, "bad-request")?;
    expect_problem(&home, &get("/v1/runs?limit=many"), 400, "bad-request")?;
    expect_problem(&home, &get("/v1/runs?status=odd"), 400, "bad-request")?;
    expect_problem(&home, &get("/v1/runs?colour=blue"), 400, "bad-request")?;
    expect_problem(&home, &get("/v1/why?path=relative"), 400, "bad-request")?;
    expect_problem(
        &home,
        &post("/v1/conflicts/9/resolve", r#"{"with":"ours"}"#),
        404,
        "unknown-conflict",
    )?;
    expect_problem(
        &home,
        &post("/v1/sources/team/runs?wait=soon", r#"{"verb":"sync"}"#),
        400,
        "bad-request",
    )?;
    expect_problem(
        &home,
        &post("/v1/sources/team/runs", r#"{"verb":"sync","hook":"x"}"#),
        400,
        "bad-request",
    )?;
    expect_problem(
        &home,
        &post("/v1/sources/team/runs", r#"{"verb":"publish"}"#),
        400,
        "bad-request",
    )?;
    let broken = expect_problem(
        &home,
        &post("/v1/sources/team/runs", "{\n\"verb\": }"),
        400,
        "bad-request",
    )?;
    ensure!(
        broken["detail"]
            .as_str()
            .is_some_and(|text| text.contains("line 2 column 9")),
        "{broken:#}"
    );
    let all = expect_problem(
        &home,
        &post("/v1/runs", r#"{"sources":["team","nobody"],"verb":"sync"}"#),
        404,
        "unknown-source",
    )?;
    ensure!(all["detail"].to_string().contains("nobody"), "{all:#}");
    let runs = home.json_ok(&["history"])?;
    ensure!(
        runs["runs"].as_array().is_some_and(Vec::is_empty),
        "a refused request started something: {runs:#}"
    );
    Ok(())
}

#[test]
fn a_body_over_the_limit_is_refused() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    let size = 1024 * 1024 + 1;
    let mut stream = UnixStream::connect(home.socket())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = format!(
        "POST /v1/sources/team/runs HTTP/1.1\r\nHost: homing\r\nContent-Length: {size}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = [0_u8; 12];
    stream.read_exact(&mut answer)?;
    ensure!(
        &answer == b"HTTP/1.1 413",
        "{}",
        String::from_utf8_lossy(&answer)
    );
    Ok(())
}

#[test]
fn a_run_is_waited_for_or_not() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let _daemon = home.start()?;
    let post = |query: &str| {
        let body = r#"{"verb":"sync"}"#;
        format!(
            "POST /v1/sources/team/runs{query} HTTP/1.1\r\nHost: homing\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let answer = request(&home, &post("?wait=30s"))?;
    ensure!(
        answer.starts_with("HTTP/1.1 200") && answer.contains(r#""status":"success""#),
        "{answer}"
    );
    let answer = request(&home, &post(""))?;
    ensure!(
        answer.starts_with("HTTP/1.1 202") || answer.starts_with("HTTP/1.1 200"),
        "{answer}"
    );
    Ok(())
}

/// Opens as many connections as homingd takes, sends `begun` on each and leaves them open.
fn take_all_places(home: &Home, begun: &str) -> Result<Vec<UnixStream>> {
    (0..64)
        .map(|_| {
            let mut stream = UnixStream::connect(home.socket())?;
            stream.write_all(begun.as_bytes())?;
            Ok(stream)
        })
        .collect()
}

#[test]
fn connections_that_are_idle_or_slow_make_room_for_others() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    let post = "POST /v1/sources/team/runs HTTP/1.1\r\nHost: homing\r\nContent-Length: 15\r\n\r\n";
    for begun in [
        "",
        "GET /v1/status HTTP/1.1\r\nHost: hom",
        &format!("{post}{{\"verb\":"),
        "GET /v1/version HTTP/1.1\r\nHost: homing\r\n\r\n",
    ] {
        let taken = take_all_places(&home, begun)?;
        for _ in 0..3 {
            home.ok(&["status"])?;
        }
        drop(taken);
    }
    // What was cut off halfway did not begin anything.
    let runs = home.json_ok(&["history"])?;
    ensure!(runs["runs"] == serde_json::json!([]), "{runs:#}");
    Ok(())
}

#[test]
fn a_crowd_of_half_requests_does_not_hold_up_a_whole_one() -> TestResult {
    const CROWD: usize = 900;
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut stream = UnixStream::connect(home.socket())?;
        // It may have had to give way already.
        stream
            .write_all(b"GET /v1/status HTTP/1.1\r\nHost: hom")
            .unwrap_or_default();
        crowd.push(stream);
    }
    let begun = Instant::now();
    let answer = request(&home, "GET /v1/version HTTP/1.1\r\nHost: homing\r\n\r\n")?;
    let took = begun.elapsed();
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Sixty-four places, each kept for half a second, would make it wait seven.
    ensure!(took < Duration::from_secs(3), "it took {took:?}");
    drop(crowd);
    Ok(())
}

#[test]
fn nonsense_on_the_socket_does_not_disturb_the_daemon() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    for nonsense in [&b"\x00\x01\x02\xff\r\n\r\n"[..], b"GET / HTTP/9.9\r\n\r\n"] {
        let mut stream = UnixStream::connect(home.socket())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(nonsense)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        // What is no HTTP is refused before anything of ours sees it: there is no problem in the body.
        ensure!(
            answer.starts_with("HTTP/1.1 400") && answer.ends_with("\r\n\r\n"),
            "{answer}"
        );
    }
    for begun in [&b"GET"[..], b"\r\n\r\n"] {
        let mut stream = UnixStream::connect(home.socket())?;
        stream.write_all(begun)?;
    }
    home.ok(&["status"])?;
    Ok(())
}

#[test]
fn a_directory_that_is_open_to_others_is_refused_with_the_remedy() -> TestResult {
    let home = Home::with_one_source()?;
    let directory = home.socket().parent().context("a directory")?.to_owned();
    fs::create_dir(&directory)?;
    fs::set_permissions(&directory, Permissions::from_mode(0o755))?;
    home.refused(&[])?
        .expect(6, &["0755", "hint:", "chmod 700"])?;
    ensure!(!home.socket().exists());
    fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
    home.start()?.stop()
}

#[test]
fn a_directory_of_another_user_is_refused() -> TestResult {
    if !is_root()? {
        return skip("only root can give a directory to another user");
    }
    let home = Home::with_one_source()?;
    let directory = home.socket().parent().context("a directory")?.to_owned();
    fs::create_dir(&directory)?;
    fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
    std::os::unix::fs::chown(&directory, Some(65534), Some(65534))?;
    home.refused(&[])?
        .expect(6, &["belongs to user 65534", "hint:"])
}

#[test]
fn a_path_that_is_too_long_is_told() -> TestResult {
    let home = Home::new()?;
    home.configure(&format!(
        "[daemon]\nsocket = \"{{home}}/{}/s.sock\"\n",
        "x".repeat(100)
    ))?;
    let checked = home.homing(&["config", "check"])?;
    ensure!(
        checked.code == 5 && checked.stdout.contains(":2:10: socket:"),
        "{checked}"
    );
    home.refused(&[])?.expect(5, &["107", "hint:"])
}

#[test]
fn a_client_of_another_user_is_refused() -> TestResult {
    if !is_root()? {
        return skip("only root can become another user");
    }
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    // The modes would keep another user out; opened wide, the daemon itself must.
    let directory = home.socket().parent().context("a directory")?.to_owned();
    for path in [home.root().to_owned(), home.root().join("run"), directory] {
        fs::set_permissions(path, Permissions::from_mode(0o755))?;
    }
    fs::set_permissions(home.socket(), Permissions::from_mode(0o666))?;
    let mut client = Command::new("/usr/bin/setpriv");
    client.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    client
        .args(["/usr/bin/curl", "--silent", "--include", "--unix-socket"])
        .arg(home.socket());
    client.arg("http://homing/v1/version");
    let outcome = match run(client) {
        Ok(outcome) if outcome.code == 127 => return skip("setpriv or curl is not here"),
        Ok(outcome) => outcome,
        Err(_) => return skip("setpriv or curl is not here"),
    };
    ensure!(outcome.stdout.starts_with("HTTP/1.1 403"), "{outcome}");
    ensure!(outcome.stdout.contains("\"forbidden\""), "{outcome}");
    Ok(())
}
