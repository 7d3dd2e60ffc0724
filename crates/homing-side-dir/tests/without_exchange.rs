//! File systems that cannot exchange two names, or give a file a second one, at a bad moment.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use fail::FailScenario;
use homing_core::{ContentHash, Outcome, SideError};
use support::{Bench, Mount, once_at, put, save};

/// What such file systems lack.
const LACKING: [&[&str]; 3] = [
    &[],
    &["dir::no_exchange"],
    &["dir::no_exchange", "dir::no_noreplace", "dir::no_link"],
];

fn lack(points: &[&str]) {
    for point in points {
        fail::cfg(*point, "return").unwrap();
    }
}

#[tokio::test]
async fn a_temporary_file_that_somebody_clears_away_leaves_the_old_file() {
    for lacking in LACKING {
        let scenario = FailScenario::setup();
        lack(lacking);
        let bench = Bench::new();
        bench.put("a", b"old");
        let temporary = bench.path(".homing-1-0");
        once_at("dir::temps_synced", move || {
            fs::remove_file(&temporary).unwrap();
        });
        let outcome = bench
            .apply_one(bench.write(0, "a", b"new", Some(b"old")))
            .await;
        assert!(matches!(outcome, Outcome::Changed), "{outcome:?}");
        bench.expect(&[("a", b"old")]);
        scenario.teardown();
    }
}

#[tokio::test]
async fn a_file_that_is_deleted_or_turned_into_a_link_in_between_is_not_replaced() {
    for lacking in LACKING {
        let scenario = FailScenario::setup();
        lack(lacking);
        let bench = Bench::new();
        bench.put("gone", b"old");
        bench.put("link", b"old");
        bench.put("stays", b"mine");
        let (gone, link) = (bench.path("gone"), bench.path("link"));
        once_at("dir::temps_synced", move || {
            fs::remove_file(&gone).unwrap();
            fs::remove_file(&link).unwrap();
            symlink("stays", &link).unwrap();
        });
        let outcomes = bench
            .apply(vec![
                bench.write(0, "gone", b"new", Some(b"old")),
                bench.write(1, "link", b"new", Some(b"old")),
            ])
            .await;
        let [gone, link] = &outcomes[..] else {
            panic!("{outcomes:?}");
        };
        assert!(matches!(gone, Outcome::Changed), "{lacking:?}: {gone:?}");
        assert!(
            matches!(
                link,
                Outcome::Changed | Outcome::Failed(SideError::Conflict { .. })
            ),
            "{lacking:?}: {link:?}"
        );
        bench.expect(&[("stays", b"mine")]);
        assert_eq!(
            fs::read_link(bench.path("link")).unwrap(),
            std::path::Path::new("stays")
        );
        scenario.teardown();
    }
}

#[tokio::test]
async fn a_disk_that_has_no_room_for_the_copy_leaves_the_old_file() {
    let scenario = FailScenario::setup();
    lack(LACKING[2]);
    for size in ["size=64k", "size=1m,nr_inodes=4"] {
        let bench = Bench::with(|options| options.root = options.root.join("full"));
        let Some(_mount) = Mount::tmpfs(&bench.root(), size) else {
            break;
        };
        let old = vec![7_u8; 40 << 10];
        bench.put("a", &old);
        if size.contains("inodes") {
            bench.put("b", b"the last but one");
        }
        let outcome = bench
            .apply_one(bench.write(0, "a", b"new", Some(&old)))
            .await;
        assert!(
            matches!(&outcome, Outcome::Failed(SideError::Storage { message, .. })
                if message.contains("could not copy `a`") && message.contains("free some space")),
            "{size}: {outcome:?}"
        );
        let files = bench.files();
        assert_eq!(files["a"], old);
        assert!(
            files.keys().all(|path| !path.starts_with(".homing-")),
            "{:?}",
            files.keys()
        );
    }
    scenario.teardown();
}

#[tokio::test]
async fn what_was_displaced_and_cannot_be_kept_for_it_is_no_file_is_named() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("a", b"old");
    let path = bench.path("a");
    let replaced = path.clone();
    once_at("dir::temps_synced", move || {
        fs::remove_file(&replaced).unwrap();
        symlink("elsewhere", &replaced).unwrap();
    });
    // The link is displaced, and then somebody saves under the path.
    once_at("dir::exchanged_unchecked", move || save(&path, b"second"));
    let outcome = bench
        .apply_one(bench.write(0, "a", b"new", Some(b"old")))
        .await;
    assert!(
        matches!(&outcome, Outcome::Failed(SideError::Storage { message, .. })
            if message.contains("in `.homing-1-0` beside it")),
        "{outcome:?}"
    );
    bench.expect(&[("a", b"second")]);
    assert!(fs::read_link(bench.path(".homing-1-0")).is_ok());
    scenario.teardown();
}

#[tokio::test]
async fn a_file_that_somebody_never_stops_writing_is_not_replaced() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("a", b"old");
    let path = bench.path("a");
    fail::cfg_callback("dir::file_read", move || {
        let mut longer = fs::read(&path).unwrap();
        longer.push(b'!');
        put(&path, &longer);
    })
    .unwrap();
    let operations = vec![bench.write(0, "a", b"new", Some(b"old"))];
    let outcomes = bench.apply(operations).await;
    fail::remove("dir::file_read");
    assert!(matches!(outcomes[..], [Outcome::Changed]), "{outcomes:?}");
    let left = &bench.files()["a"];
    assert!(left.starts_with(b"old!"), "{left:?}");
    assert!(!bench.contents.has(&ContentHash::of(left)));
    scenario.teardown();
}

#[tokio::test]
async fn a_file_that_is_as_it_should_be_is_left_alone() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("a", b"same");
    let modified = |bench: &Bench| fs::metadata(bench.path("a")).unwrap().modified().unwrap();
    let before = modified(&bench);
    let outcomes = bench
        .apply(vec![
            bench.write(0, "a", b"same", Some(b"same")),
            homing_core::Operation {
                expected: None,
                ..bench.delete(1, "gone", b"old")
            },
            homing_core::Operation {
                expected: None,
                ..bench.delete(2, "gone/deeper", b"old")
            },
        ])
        .await;
    assert!(
        matches!(
            outcomes[..],
            [
                Outcome::Done(Some(_)),
                Outcome::Done(None),
                Outcome::Done(None)
            ]
        ),
        "{outcomes:?}"
    );
    assert_eq!(modified(&bench), before);
    bench.expect(&[("a", b"same")]);
    scenario.teardown();
}
