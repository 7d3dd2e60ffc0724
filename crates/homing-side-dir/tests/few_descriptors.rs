//! A process that may open no more files, which stops root too: what cannot be looked at is unknown and never absent,
//! and what cannot be published is left as it was.
//!
//! The limit is the process's: this binary has one test.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod support;

use std::fs;
use std::os::unix::fs::FileExt;

use fail::FailScenario;
use homing_core::{
    Change, ContentHash, FetchRequest, Item, ItemState, Operation, Outcome, ProblemKind, Progress,
    Scope, Side, SideError,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Bench, key, save, version};

/// Every step of the work meets the limit once.
const MOST: u64 = 24;

/// Lets only `more` files be opened from now on.
fn leave_room_for(more: u64) {
    let is_open = |number: &u64| fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok();
    let first_free = (0..1 << 16).find(|number| !is_open(number)).unwrap();
    let limit = Rlimit {
        current: Some(first_free + more),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Runs `work` while only `more` files can be opened.
fn with_room_for<T>(more: u64, work: impl FnOnce() -> T) -> T {
    let before = getrlimit(Resource::Nofile);
    leave_room_for(more);
    let result = work();
    setrlimit(Resource::Nofile, before).unwrap();
    result
}

#[test]
fn what_cannot_be_opened_is_unknown_and_left_as_it_is() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for more in 0..MOST {
        listing(&runtime, more);
        fetching(&runtime, more);
        publishing(&runtime, more);
    }
    for point in ["dir::exchanged_unchecked", "dir::renamed_all"] {
        checking(&runtime, point);
    }
}

fn is_transient(error: &SideError) -> bool {
    matches!(error, SideError::Transient { .. })
}

fn listing(runtime: &tokio::runtime::Runtime, more: u64) {
    let bench = Bench::new();
    let paths = ["a", "d/b", "d/deep/c", "e/f"];
    for path in paths {
        bench.put(path, b"text");
    }
    // A file on the way, which is looked for and looked at.
    bench.put("file", b"text");
    let asked: Vec<_> = paths.into_iter().chain(["file/below"]).collect();
    let scope = || Scope::Keys(asked.iter().map(|path| key(path)).collect());
    let (whole, keys) = with_room_for(more, || {
        (
            runtime.block_on(bench.list(Scope::Whole)),
            runtime.block_on(bench.list(scope())),
        )
    });
    for (manifest, is_whole) in [(whole, true), (keys, false)] {
        let manifest = match manifest {
            Ok(manifest) => manifest,
            Err(error) => {
                assert!(is_transient(&error), "{more}: {error:?}");
                continue;
            }
        };
        for path in paths {
            let state = manifest.state(&key(path));
            assert!(
                !matches!(state, ItemState::Absent),
                "{more}: `{path}` looks deleted: {manifest:?}"
            );
        }
        assert!(
            manifest
                .problems
                .iter()
                .all(|problem| problem.kind == ProblemKind::Unreadable),
            "{more}: {manifest:?}"
        );
        assert_eq!(
            manifest.unknown.is_empty(),
            manifest.problems.is_empty(),
            "{more}, whole: {is_whole}: {manifest:?}"
        );
    }
    let manifest = runtime.block_on(bench.whole());
    assert_eq!(manifest.items.len(), 5);
}

fn fetching(runtime: &tokio::runtime::Runtime, more: u64) {
    let bench = Bench::new();
    let names = ["a", "d/b", "d/c", "e/f/g"];
    let requests = names.map(|name| {
        bench.put(name, name.as_bytes());
        let item = Item {
            hash: ContentHash::of(name.as_bytes()),
            size: name.len() as u64,
            executable: false,
            identity: None,
        };
        FetchRequest::new(&key(name), &item)
    });
    let results = with_room_for(more, || {
        let fetched = bench.side.fetch(
            requests.to_vec(),
            bench.contents.clone(),
            Progress::default(),
        );
        runtime.block_on(fetched)
    });
    for (name, result) in names.iter().zip(results) {
        let is_kept = bench.contents.has(&ContentHash::of(name.as_bytes()));
        match result {
            Ok(()) => assert!(is_kept, "{more}: `{name}`"),
            Err(error) => assert!(is_transient(&error), "{more}: `{name}`: {error:?}"),
        }
    }
}

fn publishing(runtime: &tokio::runtime::Runtime, more: u64) {
    let bench = Bench::new();
    for path in ["d/delete", "d/update", "d/mode", "Name", "e/only"] {
        bench.put(path, b"old");
    }
    let mut mode = bench.write(3, "d/mode", b"old", Some(b"old"));
    if let Change::Write { version, .. } = &mut mode.change {
        version.executable = true;
    }
    let rename = Operation {
        change: Change::Rename { from: key("Name") },
        ..bench.write(6, "name", b"old", Some(b"old"))
    };
    let operations = vec![
        bench.delete(0, "d/delete", b"old"),
        bench.delete(1, "e/only", b"old"),
        bench.write(2, "d/update", b"new", Some(b"old")),
        mode,
        bench.write(4, "d/create", b"new", None),
        bench.write(5, "f/g/create", b"new", None),
        rename,
    ];
    let outcomes = with_room_for(more, || runtime.block_on(bench.apply(operations.clone())));
    let files = bench.files();
    for (operation, outcome) in operations.iter().zip(&outcomes) {
        let path = operation.key.as_str();
        let what = format!("{more}: `{path}`: {outcome:?}; {:?}", files.keys());
        let (source, after) = match &operation.change {
            Change::Rename { from } => (from.as_str(), Some(version(b"old"))),
            Change::Write { version, .. } => (path, Some(*version)),
            Change::Delete => (path, None),
        };
        let (expected, at) = match outcome {
            Outcome::Done(_) | Outcome::Placed(_) => (after, path),
            Outcome::Failed(error) => {
                let storage = matches!(error, SideError::Storage { .. });
                assert!(is_transient(error) || storage, "{what}");
                (operation.expected, source)
            }
            Outcome::Changed => panic!("nobody changed it: {what}"),
        };
        let found = files.get(at).map(|bytes| ContentHash::of(bytes));
        assert_eq!(found, expected.map(|version| version.hash), "{what}");
    }
    assert!(
        files.keys().all(|path| !path.contains(".homing-")),
        "{more}: {:?}",
        files.keys()
    );
}

/// The limit is met between the exchange and a look at what it displaced: an edit.
fn checking(runtime: &tokio::runtime::Runtime, point: &str) {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("a", b"old");
    let path = bench.path("a");
    let editor = fs::OpenOptions::new().write(true).open(&path).unwrap();
    if point == "dir::exchanged_unchecked" {
        fail::cfg_callback("dir::temps_synced", move || save(&path, b"mine!")).unwrap();
        fail::cfg_callback(point, || leave_room_for(0)).unwrap();
    } else {
        // It was checked, and then somebody who had it open wrote into it.
        fail::cfg_callback(point, move || {
            editor.write_all_at(b"mine!", 0).unwrap();
            leave_room_for(0);
        })
        .unwrap();
    }
    let operation = bench.write(0, "a", b"new", Some(b"old"));
    let before = getrlimit(Resource::Nofile);
    let outcome = runtime.block_on(bench.apply_one(operation));
    setrlimit(Resource::Nofile, before).unwrap();
    match outcome {
        Outcome::Failed(SideError::Transient { .. }) => bench.expect(&[("a", b"mine!")]),
        // Not even the directory could be opened any more.
        Outcome::Failed(SideError::Storage { message, .. }) => {
            assert!(message.contains("in `.homing-1-0` beside it"), "{message}");
            bench.expect(&[(".homing-1-0", b"mine!"), ("a", b"new")]);
        }
        other => panic!("{point}: {other:?}"),
    }
    scenario.teardown();
}
