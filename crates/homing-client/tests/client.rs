//! Speaks to a socket with prepared answers.
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;
use std::time::Duration;

use homing_api::{Exit, ManyRunsRequest, Problem, ProblemKind, RequestVerb, Selection};
use homing_client::{Client, ClientError};

fn uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").map_or_else(
        |_| fs::metadata(std::env::temp_dir()).unwrap().uid(),
        |found| found.uid(),
    )
}

struct Daemon {
    dir: tempfile::TempDir,
    thread: Option<JoinHandle<String>>,
}

impl Daemon {
    /// Answers one request with these bytes.
    fn new(answer: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let answer = answer.to_owned();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            let mut length = 0;
            loop {
                let start = request.len();
                reader.read_line(&mut request).unwrap();
                let line = request[start..].to_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            request + &String::from_utf8(body).unwrap()
        });
        Self {
            dir,
            thread: Some(thread),
        }
    }

    fn json(body: &str) -> Self {
        Self::new(&http("200 OK", "application/json", body))
    }

    fn client(&self) -> Client {
        Client::new(self.dir.path().join("s"), uid())
    }

    fn request(mut self) -> String {
        self.thread.take().unwrap().join().unwrap()
    }
}

fn http(status: &str, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

const VERSION: &str = r#"{"version":"9.9.9","api":{"min":1,"max":3},"capabilities":["x"],"boot_id":"b","pid":7,
    "started_at":"2026-01-02T03:04:05.678Z","news":true}"#;

/// A daemon that speaks these versions of the interface.
fn speaking(versions: &str) -> Daemon {
    let answer = http("200 OK", "application/json", VERSION);
    Daemon::new(&answer.replacen("\r\n", &format!("\r\nhoming-api: {versions}\r\n"), 1))
}

#[tokio::test]
async fn a_newer_daemon_that_still_speaks_our_version_is_understood() {
    let daemon = speaking("1-3");
    let client = daemon.client();
    client.version().await.unwrap();
    assert_eq!(client.skew(), None);
    let request = daemon.request().to_lowercase();
    assert!(
        request.starts_with("get /v1/version http/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nhost: homing\r\n"), "{request}");
    assert!(request.contains("\r\nhoming-api: 1\r\n"), "{request}");
}

#[tokio::test]
async fn a_daemon_of_another_age_is_warned_about() {
    let daemon = speaking("2-3");
    let client = daemon.client();
    assert_eq!(client.skew(), None, "nothing is known before an answer");
    client.version().await.unwrap();
    let warning = client.skew().unwrap();
    assert!(
        warning.starts_with("homingd speaks version 2-3 of the interface, and this program 1:"),
        "{warning}"
    );
}

#[tokio::test]
async fn a_daemon_that_does_not_say_its_version_is_not_warned_about() {
    for daemon in [Daemon::json(VERSION), speaking("latest")] {
        let client = daemon.client();
        client.version().await.unwrap();
        assert_eq!(client.skew(), None);
    }
}

#[tokio::test]
async fn an_early_answer_to_a_wait_is_no_reason_to_ask_at_once() {
    let run = r#"{"id":7,"source":"a","verb":"sync","trigger":"manual","status":"running",
        "started_at":"2026-01-02T03:04:05.678Z","duration_ms":5,"synced":0,"cached":0,"failed":0,"removed":0,"bytes":0}"#;
    let daemon = Daemon::json(run);
    let client = daemon.client();
    let began = std::time::Instant::now();
    let wait = Duration::from_millis(40);
    let told = client.wait_for_run(7, wait).await.unwrap();
    assert!(!told.status.has_ended());
    assert!(began.elapsed() >= wait);
}

#[tokio::test]
async fn a_request_carries_its_body_and_how_long_to_wait() {
    let daemon = Daemon::json(r#"{"runs":[]}"#);
    let request = ManyRunsRequest {
        sources: Selection::Names(vec!["team".to_owned()]),
        verb: RequestVerb::Pull,
        if_older_than: None,
        force: true,
        filter: Vec::new(),
        accept_deletions: false,
        accept_root: false,
    };
    let started = daemon
        .client()
        .start_runs(&request, Duration::from_secs(3))
        .await
        .unwrap();
    assert!(started.runs.is_empty());
    let seen = daemon.request();
    assert!(
        seen.starts_with("POST /v1/runs?wait=3000ms HTTP/1.1\r\n"),
        "{seen}"
    );
    let body: ManyRunsRequest =
        serde_json::from_str(seen.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body, request);
}

#[tokio::test]
async fn an_error_answer_decides_the_exit_code() {
    let problem = Problem::new(ProblemKind::UnknownSource, "there is no source `x`")
        .with_hint("see `homing status`");
    let body = serde_json::to_string(&problem).unwrap();
    let daemon = Daemon::new(&http(
        "404 Not Found",
        "application/problem+json; charset=utf-8",
        &body,
    ));
    let error = daemon.client().source("x").await.unwrap_err();
    assert_eq!(
        (error.exit(), error.kind()),
        (Exit::Unknown, ProblemKind::UnknownSource)
    );
    assert_eq!(error.to_string(), "there is no source `x`");
    assert_eq!(error.hint().as_deref(), Some("see `homing status`"));
}

#[tokio::test]
async fn an_answer_that_is_cut_off_or_strange_is_an_error() {
    let whole = http("200 OK", "application/json", VERSION);
    let cut_off = (ProblemKind::CutOff, Exit::Unreachable);
    let strange = (ProblemKind::Protocol, Exit::Failed);
    for (answer, (kind, exit)) in [
        (&whole[..whole.len() - 5], cut_off.clone()),
        ("HTTP/1.1 200 OK\r\ncontent-le", cut_off.clone()),
        ("", cut_off),
        ("SSH-2.0-OpenSSH_9.9\r\n", strange.clone()),
        (&http("200 OK", "text/html", "<html>"), strange.clone()),
        (
            &http("500 Internal Server Error", "text/plain", "oops"),
            strange,
        ),
    ] {
        let error = Daemon::new(answer).client().version().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{answer:?}: {error:?}");
        assert_eq!(error.exit(), exit, "{answer:?}");
        assert!(!error.causes().is_empty());
    }
}

#[tokio::test]
async fn a_daemon_that_answers_in_another_place_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (old, note) = (dir.path().join("old"), dir.path().join("lock"));
    let hint = async |noted: &str| {
        std::fs::File::create(&note)
            .and_then(|mut file| std::io::Write::write_all(&mut file, noted.as_bytes()))
            .unwrap();
        let client = Client::new(dir.path().join("s"), uid()).with_note(note.clone());
        let error = client.version().await.unwrap_err();
        assert_eq!(error.exit(), Exit::Unreachable);
        error.hint().unwrap()
    };
    let noted = format!("12\n{}\n", old.display());
    let listening = UnixListener::bind(&old).unwrap();
    let there = hint(&noted).await;
    assert!(
        there.contains(&format!("--socket {}", old.display())),
        "{there}"
    );
    assert!(!hint("12\n").await.contains("--socket"));
    drop(listening);
    assert!(!hint(&noted).await.contains("--socket"), "nobody answers");
}

#[tokio::test]
async fn nobody_there_is_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let client = Client::new(path.clone(), uid());
    let missing = client.version().await.unwrap_err();
    drop(UnixListener::bind(&path).unwrap());
    let stale = client.version().await.unwrap_err();
    for error in [missing, stale] {
        assert!(matches!(error, ClientError::NotRunning { .. }), "{error:?}");
        assert_eq!(error.exit(), Exit::Unreachable);
        assert!(
            error
                .hint()
                .unwrap()
                .contains("systemctl --user start homingd")
        );
        assert!(error.causes()[0].contains(&path.display().to_string()));
    }
}

#[tokio::test]
async fn a_socket_that_others_could_have_put_there_is_not_spoken_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let _listener = UnixListener::bind(&path).unwrap();
    let forbidden = async |client: Client| match client.version().await {
        Err(error @ ClientError::Forbidden { .. }) => {
            assert_eq!(error.exit(), Exit::Permission);
            error.to_string() + " " + &error.hint().unwrap()
        }
        other => panic!("not refused: {other:?}"),
    };
    fs::set_permissions(dir.path(), Permissions::from_mode(0o770)).unwrap();
    assert!(
        forbidden(Client::new(path.clone(), uid()))
            .await
            .contains("chmod go-w")
    );
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    if uid() == 0 {
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        assert!(
            forbidden(Client::new(path.clone(), 0))
                .await
                .contains("uid 65534")
        );
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
        std::os::unix::fs::chown(dir.path(), Some(65_534), None).unwrap();
        assert!(
            forbidden(Client::new(path.clone(), 0))
                .await
                .contains("belongs to another user")
        );
        std::os::unix::fs::chown(dir.path(), Some(0), None).unwrap();
    } else {
        assert!(
            forbidden(Client::new(path.clone(), uid() + 1))
                .await
                .contains("another user")
        );
    }
    let file = dir.path().join("file");
    fs::File::create(&file).unwrap();
    assert!(
        forbidden(Client::new(file, uid()))
            .await
            .contains("is no socket")
    );
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_does_not_answer_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let _listener = UnixListener::bind(dir.path().join("s")).unwrap();
    let error = Client::new(dir.path().join("s"), uid())
        .version()
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error:?}");
    assert_eq!(error.exit(), Exit::Unreachable);
}

fn stream(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{body}")
}

#[tokio::test]
async fn events_are_read_one_after_the_other_to_the_end_of_the_stream() {
    let notice = r#"{"at":"2026-01-02T03:04:05.678Z","kind":"paused","message":"until noon"}"#;
    let body = format!(
        ":\n\nid: b:8\nevent: eclipse\ndata: 1\n\nid: b:9\nevent: notice\ndata: {notice}\n\nevent: resync\ndata: {{\"reason\":\"gap\"}}\n\nid: b:10\nevent: noti"
    );
    let daemon = Daemon::new(&stream(&body));
    let mut events = daemon.client().events(false, Some("b:7")).await.unwrap();
    let first = events.next().await.unwrap().unwrap();
    assert_eq!(
        (first.id.as_deref(), first.event.name()),
        (Some("b:9"), "notice"),
        "a name of a newer daemon is passed over"
    );
    let second = events.next().await.unwrap().unwrap();
    assert_eq!((second.id, second.event.name()), (None, "resync"));
    assert!(events.next().await.unwrap().is_none());
    let request = daemon.request().to_lowercase();
    assert!(
        request.starts_with("get /v1/events?follow=false http/1.1\r\n")
            && request.contains("\r\nlast-event-id: b:7\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn a_stream_that_is_refused_or_makes_no_sense_is_an_error() {
    let problem = Problem::new(ProblemKind::BadRequest, "none of ours");
    let body = serde_json::to_string(&problem).unwrap();
    let refused = http("400 Bad Request", "application/problem+json", &body);
    let Err(error) = Daemon::new(&refused).client().events(true, None).await else {
        panic!("it was refused")
    };
    assert_eq!(error.to_string(), "none of ours");
    for body in [
        "event: resync\ndata: {}\n\n",
        "data: \u{fffd}{\nevent: notice\n\n",
    ] {
        let daemon = Daemon::new(&stream(body));
        let mut events = daemon.client().events(true, None).await.unwrap();
        let error = events.next().await.unwrap_err();
        assert!(matches!(error, ClientError::Protocol { .. }), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_falls_silent_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let _listener = UnixListener::bind(dir.path().join("s")).unwrap();
    let client = Client::new(dir.path().join("s"), uid());
    let Err(error) = client.events(true, None).await else {
        panic!("nobody answered")
    };
    assert!(matches!(error, ClientError::Timeout { .. }), "{error:?}");
}
