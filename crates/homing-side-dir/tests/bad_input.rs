//! What a directory may hold that no side should: each is reported, and nothing looks deleted because of it.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use homing_core::{ItemState, Limits, ProblemKind, Scope, SideError, UnknownReason};
use homing_side_dir::{DirOptions, DirSide};
use support::{Bench, is_root, key, paths, problems, put, save, set_mode, skipped};

#[tokio::test]
async fn links_are_reported_and_never_followed() {
    let bench = Bench::new();
    put(&bench.directory.path().join("outside/secret"), b"secret");
    bench.put("real/file", b"text");
    symlink(
        bench.directory.path().join("outside"),
        bench.path("directory"),
    )
    .unwrap();
    symlink(bench.path("real/file"), bench.path("file")).unwrap();
    symlink("nowhere", bench.path("real/broken")).unwrap();
    let manifest = bench.whole().await;
    assert_eq!(paths(&manifest), ["real/file"]);
    assert_eq!(
        problems(&manifest),
        [
            (ProblemKind::Link, "directory"),
            (ProblemKind::Link, "file"),
            (ProblemKind::Link, "real/broken")
        ]
    );
    let link = ItemState::Unknown(UnknownReason::NotAFile("a symbolic link"));
    for path in ["directory/secret", "file", "real/broken"] {
        assert_eq!(manifest.state(&key(path)), link, "{path}");
    }
    let manifest = bench.keys(&["directory/secret", "file", "real/file"]).await;
    assert_eq!(paths(&manifest), ["real/file"]);
    assert_eq!(manifest.state(&key("directory/secret")), link);
    assert_eq!(manifest.state(&key("file")), link);
}

#[tokio::test]
async fn the_root_itself_may_be_a_link() {
    let bench = Bench::new();
    bench.put("a", b"text");
    let link = bench.directory.path().join("link");
    symlink(bench.root(), &link).unwrap();
    let side = DirSide::new(DirOptions {
        root: link,
        ..DirOptions::default()
    })
    .unwrap();
    let bench = Bench { side, ..bench };
    let manifest = bench.whole().await;
    assert_eq!(paths(&manifest), ["a"]);
    assert!(manifest.root.is_some());
}

#[tokio::test]
async fn special_files_are_reported_and_never_opened() {
    let bench = Bench::new();
    bench.put("a", b"text");
    // Opening a pipe to read would wait for a writer for ever.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        bench.path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    let _socket = UnixListener::bind(bench.path("socket")).unwrap();
    let manifest = bench.whole().await;
    assert_eq!(paths(&manifest), ["a"]);
    assert_eq!(
        problems(&manifest),
        [
            (ProblemKind::SpecialFile, "pipe"),
            (ProblemKind::SpecialFile, "socket")
        ]
    );
    let pipe = ItemState::Unknown(UnknownReason::NotAFile("a named pipe"));
    assert_eq!(manifest.state(&key("pipe")), pipe);
    assert_eq!(bench.keys(&["pipe"]).await.state(&key("pipe")), pipe);
}

#[tokio::test]
async fn names_that_cannot_be_keys_are_reported_with_what_a_terminal_obeys_escaped() {
    let bench = Bench::new();
    let long = "n".repeat(255);
    bench.put(&long, b"fits");
    bench.put("line\nbreak", b"x");
    bench.put("esc\u{1b}[31m/inner", b"x");
    bench.put(".homing-of-a-user", b"x");
    bench.put(".homing-1-2", b"x");
    put(&bench.root().join(OsStr::from_bytes(b"broken\xff")), b"x");
    let manifest = bench.whole().await;
    assert_eq!(paths(&manifest), [long.as_str()]);
    assert_eq!(
        problems(&manifest),
        [
            (ProblemKind::Name, ".homing-of-a-user"),
            (ProblemKind::Name, "broken\\xff"),
            (ProblemKind::Name, "esc\\u{1b}[31m"),
            (ProblemKind::Name, "line\\nbreak"),
        ]
    );
}

#[tokio::test]
async fn paths_that_grow_too_long_are_reported() {
    let bench = Bench::new();
    bench.put("a", b"text");
    // Deeper than a key may be: made one directory at a time, for no single call takes such a path.
    let name = "d".repeat(250);
    let mut directory = rustix::fs::open(
        bench.root(),
        rustix::fs::OFlags::DIRECTORY,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    for _ in 0..17 {
        rustix::fs::mkdirat(
            &directory,
            name.as_str(),
            rustix::fs::Mode::from_raw_mode(0o755),
        )
        .unwrap();
        directory = rustix::fs::openat(
            &directory,
            name.as_str(),
            rustix::fs::OFlags::DIRECTORY,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
    }
    let manifest = bench.whole().await;
    assert_eq!(paths(&manifest), ["a"]);
    assert_eq!(manifest.problems.len(), 1, "{:?}", manifest.problems);
    assert_eq!(manifest.problems[0].kind, ProblemKind::Name);
}

#[tokio::test]
async fn names_that_collide_elsewhere_are_listed_and_reported() {
    let bench = Bench::new();
    for path in [
        "Readme",
        "README",
        "caf\u{e9}",
        "cafe\u{301}",
        "d/plain",
        "d/other",
    ] {
        bench.put(path, path.as_bytes());
    }
    let manifest = bench.whole().await;
    assert_eq!(manifest.items.len(), 6);
    assert_eq!(
        problems(&manifest),
        [
            (ProblemKind::Collision, "Readme"),
            (ProblemKind::Collision, "caf\u{e9}")
        ]
    );
    assert!(
        manifest.problems[0].message.contains("`README`"),
        "{:?}",
        manifest.problems
    );
    assert!(manifest.unknown.is_empty());
}

#[tokio::test]
async fn a_root_that_is_missing_or_no_directory_is_not_found() {
    let bench = Bench::new();
    put(&bench.directory.path().join("file"), b"text");
    for (root, path, says) in [
        ("missing", None, "does not exist"),
        ("file", None, "is not a directory"),
        ("root", Some("missing".to_owned()), "does not exist"),
    ] {
        let options = DirOptions {
            root: bench.directory.path().join(root),
            path,
            ..DirOptions::default()
        };
        let side = DirSide::new(options).unwrap();
        let bench = Bench {
            side,
            directory: tempfile::tempdir().unwrap(),
            contents: Arc::default(),
        };
        let error = bench.list(Scope::Whole).await.unwrap_err();
        assert!(
            matches!(&error, SideError::NotFound { message, .. } if message.contains(says)),
            "{error:?}"
        );
        let outcome = bench.apply_one(bench.write(0, "a", b"text", None)).await;
        assert!(
            matches!(
                outcome,
                homing_core::Outcome::Failed(SideError::NotFound { .. })
            ),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_link_on_the_way_to_the_subdirectory_is_a_conflict() {
    let bench = Bench::with(|options| options.path = Some("link/sub".to_owned()));
    let root = bench.directory.path().join("root");
    put(&root.join("real/sub/a"), b"text");
    symlink("real", root.join("link")).unwrap();
    let error = bench.list(Scope::Whole).await.unwrap_err();
    assert!(
        matches!(&error, SideError::Conflict { message } if message.contains("link")),
        "{error:?}"
    );
}

#[test]
fn malformed_options_are_refused() {
    for path in ["", "..", "/etc", "a/../b", "a//b"] {
        let error = DirSide::new(DirOptions {
            path: Some(path.to_owned()),
            ..DirOptions::default()
        })
        .unwrap_err();
        assert!(matches!(error, SideError::Config { .. }), "{path}");
    }
    let error = DirSide::new(DirOptions {
        exclude: vec!["a[".to_owned()],
        ..DirOptions::default()
    })
    .unwrap_err();
    assert!(
        matches!(&error, SideError::Config { message } if message.contains("exclude")),
        "{error:?}"
    );
}

#[tokio::test]
async fn limits_are_named_with_the_key_that_raises_them() {
    let limits = |limits: Limits| {
        let bench = Bench::with(|options| options.limits = limits);
        for (path, bytes) in [("a", "12345"), ("b", "123"), ("c", "123")] {
            bench.put(path, bytes.as_bytes());
        }
        bench
    };
    let manifest = limits(Limits {
        max_file_size: 4,
        ..Limits::default()
    })
    .whole()
    .await;
    assert_eq!(paths(&manifest), ["b", "c"]);
    assert_eq!(problems(&manifest), [(ProblemKind::Limit, "a")]);
    assert!(
        matches!(manifest.state(&key("a")), ItemState::Unknown(UnknownReason::OverLimit(reason)) if reason.contains("max_file_size"))
    );
    assert_eq!(
        limits(Limits {
            max_total_size: 11,
            max_files: 3,
            max_file_size: 5
        })
        .whole()
        .await
        .items
        .len(),
        3
    );
    for (limits_set, says) in [
        (
            Limits {
                max_files: 2,
                ..Limits::default()
            },
            "max_files",
        ),
        (
            Limits {
                max_total_size: 10,
                ..Limits::default()
            },
            "max_total_size",
        ),
    ] {
        let error = limits(limits_set).list(Scope::Whole).await.unwrap_err();
        assert!(
            matches!(&error, SideError::Untrusted { message } if message.contains(says)),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_unknown() {
    if is_root() {
        skipped("root reads everything");
        return;
    }
    let bench = Bench::new();
    bench.put("closed/a", b"text");
    bench.put("file", b"text");
    bench.put("open", b"text");
    set_mode(&bench.path("closed"), 0);
    set_mode(&bench.path("file"), 0);
    for manifest in [
        bench.whole().await,
        bench.keys(&["closed/a", "file", "open"]).await,
    ] {
        assert_eq!(paths(&manifest), ["open"]);
        for path in ["closed/a", "file"] {
            assert!(
                matches!(
                    manifest.state(&key(path)),
                    ItemState::Unknown(UnknownReason::Unreadable(_))
                ),
                "{path}"
            );
        }
        assert!(
            manifest
                .problems
                .iter()
                .all(|problem| problem.kind == ProblemKind::Unreadable)
        );
    }
    set_mode(&bench.root(), 0);
    assert!(matches!(
        bench.list(Scope::Whole).await,
        Err(SideError::Auth { .. })
    ));
    set_mode(&bench.root(), 0o755);
    set_mode(&bench.path("closed"), 0o755);
}

#[tokio::test]
async fn only_what_is_selected_is_listed_and_reported() {
    let bench = Bench::with(|options| {
        options.include = vec!["*.md".to_owned()];
        options.exclude = vec!["skip/".to_owned()];
    });
    for path in [
        "a.md",
        "b.txt",
        "d/c.md",
        "skip/d.md",
        ".git/config.md",
        "d/.git",
    ] {
        bench.put(path, b"text");
    }
    symlink("a.md", bench.path("l.md")).unwrap();
    symlink("a.md", bench.path("l.txt")).unwrap();
    symlink("a.md", bench.path("skip/l.md")).unwrap();
    bench.put("line\nbreak", b"x");
    let manifest = bench.whole().await;
    assert_eq!(paths(&manifest), ["a.md", "d/c.md"]);
    assert_eq!(problems(&manifest), [(ProblemKind::Link, "l.md")]);
    // A link may stand where a directory with items was.
    assert!(matches!(
        manifest.state(&key("l.txt/was.md")),
        ItemState::Unknown(_)
    ));
}

#[tokio::test]
async fn nothing_that_matches_is_a_problem() {
    let bench = Bench::with(|options| options.include = vec!["*.md".to_owned()]);
    bench.put("a.txt", b"text");
    let manifest = bench.whole().await;
    assert!(manifest.items.is_empty());
    assert_eq!(problems(&manifest), [(ProblemKind::Empty, "")]);
}

#[tokio::test]
async fn an_edit_that_keeps_size_and_time_of_writing_is_seen_by_the_inode() {
    let bench = Bench::new();
    bench.put("a", b"one");
    let time = fs::metadata(bench.path("a")).unwrap().modified().unwrap();
    let before = loop {
        let manifest = bench.whole().await;
        if let Some(identity) = manifest.items[&key("a")].identity.clone() {
            break identity;
        }
    };
    save(&bench.path("a"), b"two");
    fs::File::open(bench.path("a"))
        .unwrap()
        .set_modified(time)
        .unwrap();
    let item = homing_core::Item {
        hash: homing_core::ContentHash::of(b"one"),
        size: 3,
        executable: false,
        identity: Some(before),
    };
    let request = homing_core::ListRequest {
        known: Arc::new(std::collections::BTreeMap::from([(key("a"), item)])),
        ..homing_core::ListRequest::new(Scope::Whole)
    };
    let listing = homing_core::Side::list(&bench.side, request).await.unwrap();
    let manifest = listing.whole().unwrap().manifest;
    assert_eq!(
        manifest.items[&key("a")].hash,
        homing_core::ContentHash::of(b"two")
    );
}
