//! Bodies that are compressed on the way: taken as what they are, and never as more than is taken.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use homing_core::{Contents, Progress, SideError};
use homing_remote::{Answer, Client, ClientOptions, Keeper, Kept, Request};
use testkit::{MemoryContents, RawServer};
use url::Url;

/// The most that is taken of a file.
const MOST: u64 = 1 << 20;
/// What a bomb unpacks to; packed it has less than is taken.
const BOMB: usize = 64 << 20;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// Serves a body under a content encoding and returns the answer.
async fn answer(encoding: &str, body: Vec<u8>) -> (RawServer, Answer) {
    let mut bytes = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend(body);
    let server = RawServer::sending(bytes).unwrap();
    let url = Url::parse(&server.url("a.md")).unwrap();
    let client = Client::new(ClientOptions {
        stall_timeout: Duration::from_secs(5),
        proxies: false,
        ..ClientOptions::default()
    });
    let progress = Progress::default();
    let session = client.unwrap().session(&url, None, &progress).await;
    let answer = session.unwrap().send(Request::get(url)).await.unwrap();
    (server, answer)
}

async fn keep(encoding: &str, body: Vec<u8>) -> (Result<Kept, SideError>, Arc<MemoryContents>) {
    let memory = Arc::new(MemoryContents::default());
    let contents: Arc<dyn Contents> = memory.clone();
    let (_server, answer) = answer(encoding, body).await;
    let kept = Keeper::new(&contents, MOST)
        .keep(answer.body, &mut ())
        .await;
    (kept, memory)
}

#[tokio::test(flavor = "multi_thread")]
async fn gzip_and_zstd_are_kept_as_what_they_hold() {
    let text = b"# an agent\n".repeat(1000);
    for (encoding, body) in [("gzip", gzip(&text)), ("zstd", zstd(&text))] {
        let (server, _) = answer(encoding, body.clone()).await;
        let request = server.requests()[0].join("\n").to_lowercase();
        let accepted = request.lines().find(|line| line.starts_with("accept-enc"));
        assert!(accepted.unwrap().contains(encoding), "{request}");
        let (kept, memory) = keep(encoding, body).await;
        let Kept::Whole { hash, size } = kept.unwrap() else {
            panic!("{encoding} is too long");
        };
        assert_eq!(size, text.len() as u64);
        assert_eq!(memory.get(&hash).unwrap(), text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_given_up_where_it_is_more_than_is_taken() {
    let zeros = vec![0; BOMB];
    for (encoding, body) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
        assert!((body.len() as u64) < MOST, "{encoding}: {}", body.len());
        let (kept, memory) = keep(encoding, body.clone()).await;
        assert!(matches!(kept, Ok(Kept::TooLong)), "{encoding}: {kept:?}");
        assert!(memory.is_empty(), "a part was kept");

        let (_server, answer) = answer(encoding, body).await;
        let progress = answer.body.collect(1 << 20).await.unwrap_err();
        assert!(
            matches!(&progress, SideError::Untrusted { message } if message.contains("1 MiB")),
            "{encoding}: {progress:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_within_is_never_kept() {
    let text = b"# an agent\n".repeat(1000);
    for (encoding, whole) in [("gzip", gzip(&text)), ("zstd", zstd(&text))] {
        let cut = whole[..whole.len() / 2].to_vec();
        for body in [cut, b"no such thing".to_vec()] {
            let (kept, memory) = keep(encoding, body).await;
            assert!(kept.is_err(), "{encoding}: {kept:?}");
            assert!(memory.is_empty(), "a part was kept");
        }
    }
    // A window of 2 GiB, which an unpacker would have to hold.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x09, 0x00, 0x00, 0x61];
    let (kept, memory) = keep("zstd", frame.to_vec()).await;
    assert!(kept.is_err() && memory.is_empty(), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_collected_up_to_its_limit_and_no_further() {
    let text = vec![b'x'; 3000];
    for encoding in ["identity", "gzip"] {
        let body = || match encoding {
            "gzip" => gzip(&text),
            _ => text.clone(),
        };
        let (_server, whole) = answer(encoding, body()).await;
        assert_eq!(whole.body.collect(3000).await.unwrap(), text);
        let (_server, longer) = answer(encoding, body()).await;
        let error = longer.body.collect(2999).await.unwrap_err();
        assert!(
            matches!(&error, SideError::Untrusted { message } if message.contains("longer than 2999 bytes")),
            "{error:?}"
        );
    }
}
