//! What changes while it is listed is seen, looked at again, or unknown; it is never half seen.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod support;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fail::FailScenario;
use homing_core::{ItemState, ProblemKind, Scope, SideError, UnknownReason};
use support::{Bench, key, paths, problems, put};

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_read_again_and_then_unknown() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("a", b"one");
    let path = bench.path("a");
    let count = Arc::new(AtomicUsize::new(0));
    let edit = |times: usize| {
        let (path, count) = (path.clone(), count.clone());
        count.store(0, Ordering::Relaxed);
        fail::cfg_callback("dir::file_read", move || {
            let number = count.fetch_add(1, Ordering::Relaxed);
            if number < times {
                put(&path, format!("longer {}", "x".repeat(number)).as_bytes());
            }
        })
        .unwrap();
    };
    edit(1);
    let manifest = bench.whole().await;
    assert_eq!(
        manifest.items[&key("a")].hash,
        homing_core::ContentHash::of(b"longer ")
    );
    assert_eq!(
        manifest.items[&key("a")].identity,
        None,
        "a file that changed just now has no identity"
    );
    edit(100);
    let manifest = bench.whole().await;
    assert_eq!(
        manifest.state(&key("a")),
        ItemState::Unknown(UnknownReason::Changing)
    );
    assert_eq!(problems(&manifest), [(ProblemKind::Changing, "a")]);
    scenario.teardown();
}

#[tokio::test]
async fn a_file_that_vanishes_during_the_scan_is_absent_once_the_directory_is_read_again() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("d/a", b"text");
    bench.put("d/b", b"text");
    let path = bench.path("d/a");
    fail::cfg_callback("dir::names_read", move || {
        fs::remove_file(&path).ok();
    })
    .unwrap();
    let manifest = bench.whole().await;
    assert_eq!(paths(&manifest), ["d/b"]);
    assert!(
        manifest.unknown.is_empty() && manifest.problems.is_empty(),
        "{manifest:?}"
    );
    scenario.teardown();
}

#[tokio::test]
async fn a_file_that_moves_behind_the_scan_is_found() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("one/keep", b"text");
    bench.put("two/keep", b"text");
    let names: Vec<_> = fs::read_dir(bench.root())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    // The directory that was named last is read first: the file leaves the other one before that is read.
    let (unread, read) = (names[0].join("moves"), names[1].join("moves"));
    put(&unread, b"text");
    let count = AtomicUsize::new(0);
    fail::cfg_callback("dir::file_read", move || {
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            fs::rename(&unread, &read).unwrap();
        }
    })
    .unwrap();
    let manifest = bench.whole().await;
    assert_eq!(manifest.items.len(), 3, "{:?}", manifest.items.keys());
    scenario.teardown();
}

#[tokio::test]
async fn a_directory_that_never_rests_is_unknown() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("busy/a", b"text");
    bench.put("calm/a", b"text");
    let (path, count) = (bench.path("busy"), AtomicUsize::new(0));
    fail::cfg_callback("dir::names_read", move || {
        put(
            &path.join(format!("new-{}", count.fetch_add(1, Ordering::Relaxed))),
            b"text",
        );
    })
    .unwrap();
    let manifest = bench.whole().await;
    assert!(
        matches!(
            manifest.state(&key("busy/a")),
            ItemState::Unknown(UnknownReason::Changing)
        ),
        "{manifest:?}"
    );
    assert!(manifest.state(&key("calm/a")).item().is_some());
    assert_eq!(problems(&manifest), [(ProblemKind::Changing, "busy")]);
    scenario.teardown();
}

#[tokio::test]
async fn a_root_that_vanishes_during_the_scan_is_not_found() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("a", b"text");
    bench.put("d/a", b"text");
    let root = bench.root();
    fail::cfg_callback("dir::names_read", move || {
        fs::remove_dir_all(&root).ok();
    })
    .unwrap();
    let error = bench.list(Scope::Whole).await.unwrap_err();
    assert!(matches!(error, SideError::NotFound { .. }), "{error:?}");
    scenario.teardown();
}
