//! Servers that break every rule, and what becomes of their answers.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use homing_core::{ContentHash, Contents, Progress, SideError};
use homing_remote::{
    Answer, Client, ClientOptions, Keeper, Kept, Login, Request, Session, Validators,
};
use secrecy::SecretString;
use testkit::{MemoryContents, Nginx, NginxOptions, RawServer};
use url::Url;

const PATIENCE: Duration = Duration::from_millis(200);
/// No hang: well over the patience above, well under a test's.
const SOON: Duration = Duration::from_secs(10);

fn client() -> Client {
    Client::new(ClientOptions {
        answer_timeout: PATIENCE,
        stall_timeout: PATIENCE,
        proxies: false,
        ..ClientOptions::default()
    })
    .unwrap()
}

async fn session(home: &str) -> Session {
    let home = Url::parse(home).unwrap();
    let login = Login::bearer(Arc::new(SecretString::from("s3cret")));
    client()
        .session(&home, Some(&login), &Progress::default())
        .await
        .unwrap()
}

async fn send(url: &str) -> Result<Answer, SideError> {
    let began = Instant::now();
    let answer = session(url)
        .await
        .send(Request::get(Url::parse(url).unwrap()))
        .await;
    assert!(began.elapsed() < SOON, "it hung for {:?}", began.elapsed());
    if let Err(error) = &answer {
        no_secret(error);
    }
    answer
}

/// Asks for a path and keeps its body.
async fn keep(server: &RawServer) -> (Result<Kept, SideError>, Arc<MemoryContents>) {
    let memory = Arc::new(MemoryContents::default());
    let contents: Arc<dyn Contents> = memory.clone();
    let answer = send(&server.url("a.md?token=s3cret")).await.unwrap();
    let began = Instant::now();
    let kept = Keeper::new(&contents, 1 << 20)
        .keep(answer.body, &mut ())
        .await;
    assert!(began.elapsed() < SOON, "it hung for {:?}", began.elapsed());
    if let Err(error) = &kept {
        no_secret(error);
    }
    (kept, memory)
}

fn no_secret(error: &SideError) {
    let text = format!("{error} {error:?}");
    assert!(!text.contains("s3cret"), "{text}");
}

fn is_transient(error: &SideError, word: &str) -> bool {
    matches!(error, SideError::Transient { message, .. } if message.contains(word))
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let server = RawServer::start(|_, _| std::thread::park_timeout(SOON * 2)).unwrap();
    let error = send(&server.url("a?token=s3cret")).await.unwrap_err();
    assert!(
        is_transient(&error, "did not answer within 0.2 s"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_that_trickles_its_headers_is_given_up() {
    let server = RawServer::start(|_, stream| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
        while stream.write_all(&bytes).is_ok() {
            bytes = b"y".to_vec();
            std::thread::park_timeout(PATIENCE / 10);
        }
    })
    .unwrap();
    let error = send(&server.url("a")).await.unwrap_err();
    assert!(is_transient(&error, "did not answer"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_trickles_or_stops_in_the_middle_of_a_body_is_given_up() {
    for trickles in [true, false] {
        let server = RawServer::start(move |_, stream| {
            let mut bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nbegin".to_vec();
            while stream.write_all(&bytes).is_ok() {
                bytes = if trickles { b"y".to_vec() } else { Vec::new() };
                std::thread::park_timeout(PATIENCE / 10);
                if !trickles {
                    std::thread::park_timeout(SOON);
                }
            }
        })
        .unwrap();
        let (kept, memory) = keep(&server).await;
        assert!(is_transient(&kept.unwrap_err(), "trickles"));
        assert!(memory.is_empty(), "a part was kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_cut_off_is_never_kept_small_or_large() {
    for size in [5_usize, 200_000] {
        let mut bytes = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", size + 1);
        bytes += &"y".repeat(size);
        let (kept, memory) = keep(&RawServer::sending(bytes).unwrap()).await;
        assert!(is_transient(&kept.unwrap_err(), "cut off"));
        assert!(memory.is_empty(), "a part was kept");
        let chunked = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n{}\r\n",
            "y".repeat(size)
        );
        let (kept, memory) = keep(&RawServer::sending(chunked).unwrap()).await;
        assert!(is_transient(&kept.unwrap_err(), "cut off"));
        assert!(memory.is_empty(), "a part was kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_longer_than_said_brings_what_was_said_and_one_over_the_limit_nothing() {
    let server = RawServer::sending("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcdef").unwrap();
    let (kept, memory) = keep(&server).await;
    let hash = ContentHash::of(b"abc");
    assert_eq!(kept.unwrap(), Kept::Whole { hash, size: 3 });
    assert!(memory.has(&hash));
    let said = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 2 << 20);
    let unsaid = format!("HTTP/1.1 200 OK\r\n\r\n{}", "y".repeat(2 << 20));
    for bytes in [said, unsaid] {
        let (kept, memory) = keep(&RawServer::sending(bytes).unwrap()).await;
        assert_eq!(kept.unwrap(), Kept::TooLong);
        assert!(memory.is_empty(), "a part was kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_arrives_whole() {
    let body = "0123456789abcdef".repeat(50_000);
    let bytes = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (kept, memory) = keep(&RawServer::sending(bytes).unwrap()).await;
    let hash = ContentHash::of(body.as_bytes());
    let size = body.len() as u64;
    assert_eq!(kept.unwrap(), Kept::Whole { hash, size });
    assert!(memory.has(&hash));
}

#[tokio::test]
async fn ten_thousand_header_lines_are_refused() {
    let mut bytes = "HTTP/1.1 200 OK\r\n".to_owned();
    for number in 0..10_000 {
        bytes += "x-";
        bytes += &number.to_string();
        bytes += ": y\r\n";
    }
    bytes += "content-length: 0\r\n\r\n";
    let error = send(&RawServer::sending(bytes).unwrap().url("a"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, SideError::Untrusted { message } if message.contains("header")),
        "{error:?}"
    );
}

#[tokio::test]
async fn headers_without_end_are_refused_before_they_fill_the_memory() {
    let server = RawServer::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").ok();
        while stream.write_all(&[b'y'; 8192]).is_ok() {}
    })
    .unwrap();
    let error = send(&server.url("a")).await.unwrap_err();
    assert!(
        matches!(&error, SideError::Untrusted { message } if message.contains("header")),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_and_too_long_headers_are_refused_over_http_2_as_well() {
    let of = |count: usize, length: usize| {
        let value = "y".repeat(length);
        let lines = (0..count).map(|number| format!("add_header x-{number} {value};\n"));
        lines.collect::<String>()
    };
    for (directives, is_taken) in [
        (of(20, 1000), true),
        (of(10_000, 1), false),
        (of(200, 1000), false),
    ] {
        let options = NginxOptions {
            tls: true,
            directives,
            ..NginxOptions::default()
        };
        let Some(nginx) = Nginx::start(&options).unwrap() else {
            return;
        };
        nginx.put("a", b"a").unwrap();
        let client = Client::new(ClientOptions {
            ca_file: Some(nginx.ca_file()),
            proxies: false,
            ..ClientOptions::default()
        });
        let url = Url::parse(&nginx.url("a")).unwrap();
        let session = client
            .unwrap()
            .session(&url, None, &Progress::default())
            .await;
        let answer = session.unwrap().send(Request::get(url)).await;
        match answer {
            Ok(answer) => assert!(is_taken, "{}", answer.headers.len()),
            Err(error) => {
                assert!(!is_taken, "{error:?}");
                assert!(
                    matches!(&error, SideError::Untrusted { message } if message.contains("header")),
                    "{error:?}"
                );
            }
        }
        let requests = nginx.requests().unwrap();
        assert!(
            requests.iter().all(|one| one.protocol == "HTTP/2.0"),
            "{requests:?}"
        );
    }
}

#[tokio::test]
async fn what_is_no_http_is_no_answer() {
    for nonsense in ["", "hello\r\n\r\n", "HTTP/1.1 999999 No\r\n\r\n", "\0\0\0"] {
        let server = RawServer::sending(nonsense).unwrap();
        let error = send(&server.url("a?token=s3cret")).await.unwrap_err();
        assert!(
            is_transient(&error, "gave no answer"),
            "{nonsense:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn where_nobody_listens_is_unreachable() {
    let free = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for url in [
        format!("http://{free}/a?token=s3cret"),
        "http://nobody.invalid/a?token=s3cret".to_owned(),
    ] {
        let error = send(&url).await.unwrap_err();
        assert!(
            matches!(error, SideError::Unreachable { source: None, .. }),
            "what the message says is no cause, too: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_or_does_not_speak_tls_is_there() {
    for answer in [
        &b""[..],
        b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/a", listener.local_addr().unwrap());
        drop(std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                stream.read_exact(&mut [0; 100]).ok();
                stream.write_all(answer).ok();
            }
        }));
        let error = send(&url).await.unwrap_err();
        // Which it is depends on which bytes come first.
        let is_there = matches!(
            error,
            SideError::Transient { .. } | SideError::Permanent { .. }
        );
        assert!(is_there, "{error:?}");
    }
}

fn redirecting(to: &str) -> RawServer {
    RawServer::sending(format!(
        "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"
    ))
    .unwrap()
}

#[tokio::test]
async fn a_redirect_to_a_file_or_without_end_is_refused() {
    for target in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/a",
        "data:text/plain,a",
    ] {
        let error = send(&redirecting(target).url("a")).await.unwrap_err();
        assert!(
            matches!(&error, SideError::Untrusted { message } if message.contains("only http")),
            "{error:?}"
        );
    }
    let server = redirecting("/again?token=s3cret");
    let error = send(&server.url("a")).await.unwrap_err();
    assert!(
        matches!(&error, SideError::Untrusted { message } if message.contains("5 redirects")),
        "{error:?}"
    );
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn credentials_go_to_their_own_server_alone() {
    let other = RawServer::sending("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    let home = redirecting(&other.url("b"));
    let answer = send(&home.url("a")).await.unwrap();
    assert_eq!(answer.url.as_str(), other.url("b"));
    let has_token = |server: &RawServer| {
        let lines = server.requests().concat();
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with("user-agent: homing/")),
            "{lines:?}"
        );
        lines
            .iter()
            .any(|line| line.eq_ignore_ascii_case("authorization: Bearer s3cret"))
    };
    assert!(has_token(&home));
    assert!(!has_token(&other), "another port got the token");
}

#[tokio::test]
async fn a_known_version_is_asked_for_on_condition() {
    let server = RawServer::start(|lines, stream| {
        let knows = lines.iter().any(|line| line == "if-none-match: W/\"1\"")
            && lines.iter().any(|line| line == "if-modified-since: yesterday");
        let answer = if knows {
            // A kept connection that the server ends at that moment would be one request more.
            "HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n"
        } else {
            "HTTP/1.1 200 OK\r\netag: W/\"1\"\r\nlast-modified: yesterday\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        };
        stream.write_all(answer.as_bytes()).ok();
    })
    .unwrap();
    let url = Url::parse(&server.url("a")).unwrap();
    let session = session(url.as_str()).await;
    let first = session
        .get(Request::get(url.clone()))
        .await
        .unwrap()
        .unwrap();
    let validators = Validators::of(&first.headers).unwrap();
    drop(first);
    let again = Request::get(url).unless(Some(&validators));
    assert!(session.get(again).await.unwrap().is_none());
    assert_eq!(session.progress().requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_requests_than_allowed_are_under_way_at_one_host() {
    let (under_way, most) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let counted = Arc::clone(&most);
    let server = RawServer::start(move |_, stream| {
        {
            let mut now = under_way.lock().unwrap();
            *now += 1;
            let mut most = counted.lock().unwrap();
            *most = (*most).max(*now);
        }
        std::thread::park_timeout(Duration::from_millis(5));
        *under_way.lock().unwrap() -= 1;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .ok();
    })
    .unwrap();
    let client = Client::new(ClientOptions {
        per_host: 3,
        proxies: false,
        ..ClientOptions::default()
    })
    .unwrap();
    let url = Url::parse(&server.url("a")).unwrap();
    let session = client
        .session(&url, None, &Progress::default())
        .await
        .unwrap();
    // An answer that is held has its turn still.
    let all = (0..40).map(|_| async {
        session
            .get(Request::get(url.clone()))
            .await
            .unwrap()
            .is_some()
    });
    assert_eq!(futures_util::future::join_all(all).await, [true; 40]);
    assert_eq!(server.requests().len(), 40);
    assert!((2..=3).contains(&*most.lock().unwrap()), "{most:?}");
}
