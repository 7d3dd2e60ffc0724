//! What a repository can make the process hold in memory. One test alone, for it looks at the whole process.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use homing_core::{Intake, Limits, ListRequest, Scope, Side, SideError};
use homing_remote::{Client, ClientOptions};
use homing_side_git::{Address, GitOptions, GitSide, Mirrors, SshConnections};
use testkit::{GitRepository, MemoryContents, RawServer};

/// Mebibytes that the process may come to hold beyond what it began with; what is told below is four times that.
const MOST: u64 = 64;

/// Tells whether an error is the one that is due.
type Expected = fn(&SideError) -> bool;

/// Returns the most that the process has held so far, in mebibytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kibibytes.parse::<u64>().unwrap() / 1024
}

/// Returns a repository of some kilobytes with 28,561 files, whose paths have this many bytes each.
fn nested(length: usize) -> GitRepository {
    let repository = GitRepository::new().unwrap();
    let mut id = repository.blob(b"x").unwrap();
    let names: Vec<Vec<u8>> = (0..13)
        .map(|number| format!("{number:02}{}", "n".repeat(length / 4 - 3)).into_bytes())
        .collect();
    for mode in ["100644", "40000", "40000", "40000"] {
        let lines = names.iter().map(|name| (mode, &name[..], &id[..]));
        id = repository.literal_tree(&lines.collect::<Vec<_>>()).unwrap();
    }
    repository.commit_tree("main", &id).unwrap();
    repository
}

/// Returns a repository with 200,000 files.
fn many() -> GitRepository {
    let repository = GitRepository::new().unwrap();
    let id = repository.blob(b"x").unwrap();
    let names: Vec<String> = (0..200_000)
        .map(|number| format!("{number:06}.md"))
        .collect();
    let lines = names
        .iter()
        .map(|name| ("100644", name.as_bytes(), &id[..]));
    let tree = repository.literal_tree(&lines.collect::<Vec<_>>()).unwrap();
    repository.commit_tree("main", &tree).unwrap();
    repository
}

/// Returns a repository with one file of 256 MiB of nothing.
fn large() -> GitRepository {
    let repository = GitRepository::new().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(256 << 20).unwrap();
    let path = file.path().to_str().unwrap();
    let hash = [
        "-c",
        "core.compression=0",
        "hash-object",
        "-w",
        "--no-filters",
        path,
    ];
    let id = repository.git(&hash).unwrap();
    let tree = repository
        .literal_tree(&[("100644", b"a.md", &id)])
        .unwrap();
    repository.commit_tree("main", &tree).unwrap();
    repository
}

/// Sends a length of the chunked coding with what it is of.
fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    write!(stream, "{:x}\r\n", bytes.len())?;
    stream.write_all(bytes)?;
    stream.write_all(b"\r\n")
}

/// Returns a server that tells of half a million refs, whatever it is asked.
fn talkative() -> RawServer {
    RawServer::start(|_, stream| {
        let mut tell = || {
            stream.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/x-git-upload-pack-result\r\ntransfer-encoding: chunked\r\n\
                  connection: close\r\n\r\n",
            )?;
            for block in 0..500 {
                let mut lines = String::new();
                for number in 0..1000 {
                    let line = format!(
                        "{} refs/heads/{}-{block}-{number}\n",
                        "a".repeat(40),
                        "x".repeat(50)
                    );
                    lines.extend([format!("{:04x}", line.len() + 4), line]);
                }
                chunk(stream, lines.as_bytes())?;
            }
            chunk(stream, b"0000")?;
            chunk(stream, b"")
        };
        // Whoever has heard enough goes away.
        tell().ok();
    })
    .unwrap()
}

fn side(url: &str, home: &Path) -> GitSide {
    let client = ClientOptions {
        proxies: false,
        ..ClientOptions::default()
    };
    let path = std::env::var_os("PATH").unwrap();
    let options = GitOptions {
        address: Address::parse(url).unwrap(),
        reference: Some("main".to_owned()),
        path: None,
        include: Vec::new(),
        exclude: Vec::new(),
        limits: Limits::default(),
        submodules: false,
        login: None,
        ca_file: None,
        trust: None,
        environment: vec![("PATH".into(), path), ("HOME".into(), home.into())],
        connections: SshConnections::default(),
    };
    let mirrors = Mirrors::new(home.join("mirrors"));
    GitSide::new(Client::new(client).unwrap(), mirrors, options).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_repository_tells_is_not_held_in_memory() {
    let home = tempfile::tempdir().unwrap();
    let (long, longer, many) = (nested(3000), nested(10_000), many());
    let server = talkative();
    let cases: [(String, Expected); 3] = [
        (format!("file://{}", many.path().display()), |error| {
            matches!(error, SideError::Untrusted { .. }) && error.to_string().contains("max_files")
        }),
        // More than is kept of paths.
        (format!("file://{}", long.path().display()), |error| {
            matches!(error, SideError::Untrusted { .. })
        }),
        (server.url("agents.git"), |error| {
            matches!(error, SideError::NotFound { .. })
        }),
    ];
    for (url, is_expected) in &cases {
        let before = peak();
        let error = list(&side(url, home.path())).await.unwrap_err();
        let grown = peak() - before;
        assert!(is_expected(&error), "{error:?}");
        assert!(grown < MOST, "{url}: {grown} MiB more");
    }
    // Paths that no file system has are left out, and told.
    let before = peak();
    let url = format!("file://{}", longer.path().display());
    let side = side(&url, home.path());
    let listed = list(&side).await.unwrap();
    assert_eq!(listed.manifest.items.len(), 0);
    let problems = &listed.manifest.problems;
    assert!(
        problems
            .iter()
            .any(|one| one.message.contains("a path of 9999 bytes")),
        "{:?}",
        problems.last()
    );
    side.examine().await.unwrap();
    // So is a file that is larger than one may be.
    let large = large();
    let url = format!("file://{}", large.path().display());
    let listed = list(&self::side(&url, home.path())).await.unwrap();
    assert_eq!(listed.manifest.items.len(), 0);
    let problems = &listed.manifest.problems;
    assert!(
        problems[0].message.contains("max_file_size"),
        "{problems:?}"
    );
    let grown = peak() - before;
    assert!(grown < MOST, "{url}: {grown} MiB more");
}

async fn list(side: &GitSide) -> Result<homing_core::Listed, SideError> {
    let request = ListRequest {
        intake: Intake::ungated(Arc::new(MemoryContents::default())),
        ..ListRequest::new(Scope::Whole)
    };
    side.list(request).await?.whole()
}
