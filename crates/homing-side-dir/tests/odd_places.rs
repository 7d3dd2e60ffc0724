//! Directories, names and times that are seldom and must not be mistaken for something else.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod support;

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use homing_core::{
    Change, ContentHash, FetchRequest, ItemState, Operation, Outcome, ProblemKind, Progress, Scope,
    Side, SideError, UnknownReason,
};
use support::{Bench, Mount, key, paths, problems, put, skipped};

#[tokio::test]
async fn a_device_is_reported_and_never_opened() {
    let bench = Bench::new();
    bench.put("a", b"text");
    // The null device: a read of it would end at once, as if it were an empty file.
    let made = rustix::fs::mknodat(
        rustix::fs::CWD,
        bench.path("device"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::from_raw_mode(0o644),
        rustix::fs::makedev(1, 3),
    );
    if made.is_err() {
        skipped("making a device needs root");
        return;
    }
    let device = ItemState::Unknown(UnknownReason::NotAFile("a device"));
    for manifest in [bench.whole().await, bench.keys(&["a", "device"]).await] {
        assert_eq!(paths(&manifest), ["a"]);
        assert_eq!(problems(&manifest), [(ProblemKind::SpecialFile, "device")]);
        assert_eq!(manifest.state(&key("device")), device);
    }
    let outcome = bench
        .apply_one(bench.write(0, "device", b"new", None))
        .await;
    assert!(
        matches!(&outcome, Outcome::Failed(SideError::Conflict { message }) if message.contains("a device")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_file_from_before_1970_is_known_by_its_identity() {
    let bench = Bench::new();
    bench.put("a", b"text");
    let file = fs::File::options()
        .write(true)
        .open(bench.path("a"))
        .unwrap();
    file.set_modified(UNIX_EPOCH - Duration::from_hours(24))
        .unwrap();
    // Its change time is of now: it has an identity as soon as that has passed.
    let identity = loop {
        let manifest = bench.whole().await;
        if let Some(identity) = manifest.items[&key("a")].identity.clone() {
            break identity;
        }
    };
    let again = bench.whole().await;
    assert_eq!(again.items[&key("a")].identity, Some(identity));
    assert_eq!(again.items[&key("a")].hash, ContentHash::of(b"text"));
}

#[tokio::test]
async fn names_that_collide_in_a_directory_are_reported_with_its_path() {
    let bench = Bench::new();
    for path in ["d/Readme", "d/README", "d/other"] {
        bench.put(path, b"text");
    }
    let manifest = bench.whole().await;
    assert_eq!(problems(&manifest), [(ProblemKind::Collision, "d/Readme")]);
}

#[tokio::test]
async fn a_root_proves_nothing_about_case_by_a_neighbour_of_the_other_case() {
    // Nothing in the root has letters, and for the first two its own name decides.
    for (root, neighbour) in [("Root", Some("rOOT")), ("Root", None), ("2024", None)] {
        let directory = tempfile::tempdir().unwrap();
        put(&directory.path().join(root).join("1"), b"text");
        if let Some(neighbour) = neighbour {
            fs::create_dir(directory.path().join(neighbour)).unwrap();
        }
        let bench = Bench::with(|options| options.root = directory.path().join(root));
        let manifest = bench.whole().await;
        assert!(
            manifest.capabilities.case_sensitive,
            "{root}, {neighbour:?}"
        );
    }
}

#[tokio::test]
async fn of_a_root_that_is_gone_nothing_is_fetched() {
    let bench = Bench::new();
    for name in ["a", "b"] {
        bench.put(name, b"text");
    }
    let manifest = bench.whole().await;
    let requests: Vec<FetchRequest> = manifest
        .items
        .iter()
        .map(|(key, item)| FetchRequest::new(key, item))
        .collect();
    fs::remove_dir_all(bench.root()).unwrap();
    let fetched = bench
        .side
        .fetch(requests, bench.contents.clone(), Progress::default())
        .await;
    assert_eq!(fetched.len(), 2);
    for result in fetched {
        assert!(
            matches!(&result, Err(SideError::NotFound { message, .. }) if message.contains("does not exist")),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn where_two_cases_are_one_name_a_change_of_case_is_a_rename() {
    let directory = tempfile::tempdir().unwrap();
    let mounted = directory.path().join("mounted");
    let image = directory.path().join("image");
    let Some(_mount) = Mount::case_folding(&mounted, &image) else {
        return;
    };
    let bench = Bench::with(|options| options.root = mounted.join("folded"));
    bench.put("Name", b"text");
    bench.put("Sub/a", b"below");
    let manifest = bench.list(Scope::Whole).await.unwrap();
    assert!(!manifest.capabilities.case_sensitive);
    let rename = |number, from: &str, to: &str, bytes: &[u8]| Operation {
        change: Change::Rename { from: key(from) },
        ..bench.write(number, to, bytes, Some(bytes))
    };
    let outcomes = bench
        .apply(vec![
            rename(0, "Name", "name", b"text"),
            rename(1, "Sub/a", "sub/a", b"below"),
        ])
        .await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Done(Some(_)))),
        "{outcomes:?}"
    );
    let files = bench.files();
    assert_eq!(files.get("name").map(Vec::as_slice), Some(&b"text"[..]));
    assert_eq!(files.len(), 2, "{:?}", files.keys());
    assert_eq!(fs::read(bench.path("sub/a")).unwrap(), b"below");
}
