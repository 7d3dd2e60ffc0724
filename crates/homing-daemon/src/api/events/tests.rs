use axum::Router;
use axum::http::{Request, StatusCode};
use homing_engine::Events;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;
use crate::api::{Held, Identity, Shared, router};
use crate::connections::Connections;
use crate::figures::Figures;
use crate::server::connection;

/// A daemon without a configuration: it has nothing to sync and tells what the test says.
struct Told {
    events: Events,
    stopping: CancellationToken,
    router: Router,
}

fn daemon() -> Told {
    let (events, stopping) = (Events::default(), CancellationToken::new());
    let problem = Problem::new(ProblemKind::ConfigInvalid, "no configuration");
    let router = router(Live::new(Shared {
        conditions: vec![crate::condition::config_invalid(
            &problem,
            "2026-01-02T03:04:05.678Z",
        )],
        reload: tokio::sync::mpsc::channel(1).0,
        engine: Err(Box::new(problem)),
        identity: Identity {
            boot_id: "b-1".to_owned(),
            started_at: "2026-01-02T03:04:05.678Z".to_owned(),
            config_path: "/c/config.toml".into(),
            data_dir: "/d".into(),
        },
        status: std::sync::Arc::default(),
        figures: Figures::install().unwrap(),
        held: Held::default(),
        events: events.clone(),
        end: CancellationToken::new(),
        stopping: stopping.clone(),
    }));
    Told {
        events,
        stopping,
        router,
    }
}

impl Told {
    fn tell(&self, count: usize) {
        for number in 0..count {
            let message = format!("{number}: {}", "x".repeat(150));
            self.events.notice(NoticeKind::Paused, None, message);
        }
    }

    async fn ask(&self, path: &str, last: Option<&str>) -> Response {
        let mut request = Request::builder().uri(path).header(header::HOST, "homing");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Returns what is told to a client that does not follow: name, id, data.
    async fn past(&self, last: Option<&str>) -> Vec<(String, String, Value)> {
        let response = self.ask("/v1/events?follow=false", last).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "text/event-stream"
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        text.split_terminator("\n\n").map(parts).collect()
    }
}

fn parts(event: &str) -> (String, String, Value) {
    let field = |name: &str| {
        event
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_default()
    };
    let data = serde_json::from_str(field("data")).unwrap();
    (field("event").to_owned(), field("id").to_owned(), data)
}

const REQUEST: &[u8] = b"GET /v1/events HTTP/1.1\r\nHost: homing\r\n\r\n";

#[tokio::test]
async fn the_snapshot_is_first_and_the_numbers_have_no_gap() {
    let daemon = daemon();
    daemon.tell(3);
    let past = daemon.past(None).await;
    let ids: Vec<&str> = past.iter().map(|(_, id, _)| id.as_str()).collect();
    assert_eq!(ids, ["b-1:0", "b-1:1", "b-1:2", "b-1:3"]);
    assert_eq!(past[0].0, "snapshot");
    assert_eq!(
        past[0].2["daemon"]["conditions"][0]["type"],
        "ConfigInvalid"
    );
    assert!(past[1..].iter().all(|(name, ..)| name == "notice"));
    assert_eq!(past[1].2["kind"], "paused");
    assert_eq!(past[1].2["at"].as_str().unwrap().len(), 24);
}

#[tokio::test]
async fn who_comes_back_goes_on_or_begins_anew() {
    let daemon = daemon();
    daemon.tell(5);
    let names = |past: Vec<(String, String, Value)>| {
        past.into_iter().map(|(name, ..)| name).collect::<Vec<_>>()
    };
    let resumed = daemon.past(Some("b-1:3")).await;
    assert_eq!(resumed[0].1, "b-1:4");
    assert_eq!(names(resumed), ["notice", "notice"]);
    assert_eq!(daemon.past(Some("b-1:5")).await, []);

    let other = daemon.past(Some("b-0:5")).await;
    assert_eq!(other[0].2["reason"], "restarted");
    assert_eq!((other[0].1.as_str(), other[1].1.as_str()), ("", "b-1:0"));
    assert_eq!(names(other)[..2], ["resync", "snapshot"]);
    let early = daemon.past(Some("b-1:6")).await;
    assert_eq!(early[0].2["reason"], "gap");
    daemon.tell(2000);
    let late = daemon.past(Some("b-1:3")).await;
    assert_eq!(late[0].2["reason"], "gap");
    assert_eq!(late[1].0, "snapshot");

    for wrong in ["", "b-1", "b-1:x", "b-1:-1", "nonsense"] {
        let refused = daemon.ask("/v1/events", Some(wrong)).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{wrong}");
    }
    let refused = daemon.ask("/v1/events?colour=blue", None).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn after_a_reload_everything_is_told_anew() {
    let daemon = daemon();
    let kind = NoticeKind::ConfigReloaded;
    daemon.events.notice(kind, None, "the configuration");
    daemon.tell(1);
    let past = daemon.past(None).await;
    let names: Vec<&str> = past.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["snapshot", "snapshot", "notice", "notice"]);
    let ids: Vec<&str> = past.iter().map(|(_, id, _)| id.as_str()).collect();
    assert_eq!(
        ids,
        ["b-1:0", "", "b-1:1", "b-1:2"],
        "each number once, and the notice's only after what it brought"
    );

    // Whoever was cut off between the two hears both again.
    let resumed = daemon.past(Some("b-1:0")).await;
    let told: Vec<(&str, &str)> = resumed
        .iter()
        .map(|(name, id, _)| (name.as_str(), id.as_str()))
        .collect();
    let expected = [("snapshot", ""), ("notice", "b-1:1"), ("notice", "b-1:2")];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_crowd_of_streams_takes_no_room_from_work() {
    let daemon = daemon();
    let mut streams = Vec::new();
    loop {
        let response = daemon.ask("/v1/events", None).await;
        if response.status() != StatusCode::OK {
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let problem: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem["kind"], "busy");
            assert!(problem["detail"].to_string().contains("follow the events"));
            break;
        }
        streams.push(response);
        assert!(streams.len() < 64, "streams take every connection");
    }
    // It is let in, and there is no configuration here.
    let diff = daemon.ask("/v1/sources/team/diff", None).await;
    let body = diff.into_body().collect().await.unwrap().to_bytes();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["kind"], "config-invalid", "{problem:#}");
    drop(streams.pop());
    let again = daemon.ask("/v1/events", None).await;
    assert_eq!(again.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_leaves_ten_thousand_events_unread_is_cut_off() {
    let daemon = daemon();
    let (mut client, server) = UnixStream::pair().unwrap();
    let served = connection(
        server,
        daemon.router.clone(),
        Connections::default().enter().await,
        std::future::pending(),
    );
    client.write_all(REQUEST).await.unwrap();
    let telling = async {
        // It has begun to listen.
        let mut head = [0; 12];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        for _ in 0..100 {
            daemon.tell(100);
            tokio::task::yield_now().await;
        }
        client
    };
    // Both end: the connection although nobody reads from it.
    let (_, mut client) = tokio::join!(served, telling);
    assert!(!daemon.events.is_heard());
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert!(
        rest.len() < 1 << 20,
        "{} bytes were kept for a client that did not read",
        rest.len()
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_on_which_nothing_happens_shows_that_it_lives() {
    let daemon = daemon();
    let (client, server) = UnixStream::pair().unwrap();
    let stop = CancellationToken::new();
    let served = connection(
        server,
        daemon.router.clone(),
        Connections::default().enter().await,
        stop.cancelled(),
    );
    let reading = async {
        let mut client = BufReader::new(client);
        client.write_all(REQUEST).await.unwrap();
        let mut line = String::new();
        while line.trim_end() != ":" {
            line.clear();
            client.read_line(&mut line).await.unwrap();
        }
        daemon.stopping.cancel();
        stop.cancel();
        client.read_to_string(&mut line).await.unwrap();
    };
    let (served, ()) = tokio::join!(served, reading);
    served.unwrap();
}

#[tokio::test]
async fn the_end_of_the_daemon_is_the_last_word_of_a_stream() {
    let daemon = daemon();
    let (mut client, server) = UnixStream::pair().unwrap();
    let stop = daemon.stopping.clone();
    let served = connection(
        server,
        daemon.router.clone(),
        Connections::default().enter().await,
        stop.cancelled(),
    );
    client.write_all(REQUEST).await.unwrap();
    let reading = async {
        let mut head = [0; 12];
        client.read_exact(&mut head).await.unwrap();
        let kind = NoticeKind::ShuttingDown;
        daemon.events.notice(kind, None, "homingd is shutting down");
        daemon.stopping.cancel();
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        rest
    };
    let (served, rest) = tokio::join!(served, reading);
    served.unwrap();
    assert!(rest.contains("shutting-down"), "{rest}");
    assert!(rest.ends_with("0\r\n\r\n"), "the body is whole: {rest}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_does_not_hold_up_the_end() {
    let daemon = daemon();
    let (mut client, server) = UnixStream::pair().unwrap();
    let stop = daemon.stopping.clone();
    let served = connection(
        server,
        daemon.router.clone(),
        Connections::default().enter().await,
        stop.cancelled(),
    );
    client.write_all(REQUEST).await.unwrap();
    let stopping = async {
        let mut head = [0; 12];
        client.read_exact(&mut head).await.unwrap();
        // More than the socket takes, and less than it is cut off for.
        let message = "x".repeat(1 << 20);
        daemon.events.notice(NoticeKind::Paused, None, message);
        tokio::task::yield_now().await;
        daemon.stopping.cancel();
        tokio::time::Instant::now()
    };
    let (_, since) = tokio::join!(served, stopping);
    assert!(since.elapsed() <= Duration::from_millis(100));
}
