//! What a server can make the process hold in memory. One test alone, for it looks at the whole process.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use homing_core::{Intake, ListRequest, Scope, Side};
use homing_remote::{Client, ClientOptions};
use homing_side_http::{HttpOptions, HttpSide, What};
use testkit::{MemoryContents, RawServer};
use url::Url;

/// Mebibytes that the process may come to hold beyond what it began with; each body below was four times that.
const MOST: u64 = 64;

/// Returns the most that the process has held so far, in mebibytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kibibytes.parse::<u64>().unwrap() / 1024
}

/// Returns an archive of many empty files with long names that cannot be keys.
fn long_names() -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for number in 0..4000 {
        let name = format!("{number:04}{}", "x".repeat(60_000));
        let mut long = tar::Header::new_gnu();
        long.set_entry_type(tar::EntryType::GNULongName);
        long.set_size(name.len() as u64);
        long.set_cksum();
        tar.append(&long, name.as_bytes()).unwrap();
        let mut file = tar::Header::new_gnu();
        file.set_size(0);
        file.set_mode(0o644);
        file.set_cksum();
        tar.append(&file, &[][..]).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn list_of(entry: &str) -> Vec<u8> {
    let mut text = String::from("[");
    for _ in 0..(4 << 20) / (entry.len() + 1) {
        write!(text, "{entry},").unwrap();
    }
    text.pop();
    text.push(']');
    text.into_bytes()
}

#[tokio::test]
async fn what_a_server_sends_is_not_multiplied_in_memory() {
    let mut nested = list_of("0");
    nested.insert(0, b'[');
    nested.push(b']');
    let skills = [b"{\"skills\": ", &list_of("0")[..], b"}"].concat();
    let skill = [
        b"{\"skills\": [{\"name\": \"a\", \"files\": ",
        &list_of("\"b\"")[..],
        b"}]}",
    ]
    .concat();
    let cases = [
        (What::Index("list".to_owned()), list_of("\"a\"")),
        (What::Index("list".to_owned()), list_of("0")),
        (What::Index("list".to_owned()), nested),
        (What::AgentSkills, skills),
        (What::AgentSkills, skill),
        (What::Archive, long_names()),
    ];
    for (what, body) in cases {
        let shown = format!("{what:?} {}", body.len());
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        answer.write_all(&body).unwrap();
        let server = RawServer::sending(answer).unwrap();
        let client = Client::new(ClientOptions {
            proxies: false,
            ..ClientOptions::default()
        });
        let mut options = HttpOptions::new(Url::parse(&server.url("")).unwrap(), what);
        options.limits.max_files = 2500;
        let side = HttpSide::new(client.unwrap(), options).unwrap();
        let before = peak();
        let request = ListRequest {
            intake: Intake::ungated(std::sync::Arc::new(MemoryContents::default())),
            ..ListRequest::new(Scope::Whole)
        };
        // What comes of it is another test's.
        let listed = side.list(request).await.is_ok();
        let grown = peak() - before;
        assert!(grown < MOST, "{shown} (listed: {listed}): {grown} MiB more");
    }
}
