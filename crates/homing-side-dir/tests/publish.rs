//! Publishing where somebody else writes, or where the file system cannot do what is asked.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use fail::FailScenario;
use homing_core::{Change, ContentHash, Operation, Outcome, SideError, Version};
use support::{Bench, Mount, key, mode, once_at, put, save, set_mode, skipped, version};

fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Done(_))
}

fn is_conflict(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(SideError::Conflict { .. }))
}

/// Runs a check with every way in which a file system may do the renames.
async fn on_every_file_system(check: impl AsyncFn(&Bench)) {
    for missing in [
        &[][..],
        &["dir::no_exchange"],
        &["dir::no_exchange", "dir::no_noreplace"],
        &["dir::no_exchange", "dir::no_noreplace", "dir::no_link"],
    ] {
        let scenario = FailScenario::setup();
        for point in missing {
            fail::cfg(*point, "return").unwrap();
        }
        check(&Bench::new()).await;
        scenario.teardown();
    }
}

#[tokio::test]
async fn all_changes_work_on_every_file_system() {
    on_every_file_system(async |bench| {
        bench.put("d/update", b"old");
        bench.put("d/delete", b"old");
        let outcomes = bench
            .apply(vec![
                bench.delete(0, "d/delete", b"old"),
                bench.write(1, "d/update", b"new", Some(b"old")),
                bench.write(2, "d/create", b"new", None),
                bench.write(3, "d/taken", b"new", Some(b"old")),
            ])
            .await;
        assert!(outcomes[..3].iter().all(is_done), "{outcomes:?}");
        assert!(matches!(outcomes[3], Outcome::Changed), "{outcomes:?}");
        bench.expect(&[("d/create", b"new"), ("d/update", b"new")]);
    })
    .await;
}

#[tokio::test]
async fn an_editor_that_saves_between_the_exchange_and_the_check_wins() {
    on_every_file_system(async |bench| {
        // The editor has the old file open and writes into it: it now has the temporary name, or the one beside it.
        bench.put("a", b"old");
        let editor = fs::OpenOptions::new()
            .write(true)
            .open(bench.path("a"))
            .unwrap();
        once_at("dir::exchanged_unchecked", move || {
            std::os::unix::fs::FileExt::write_all_at(&editor, b"mine!", 0).unwrap();
        });
        let outcome = bench
            .apply_one(bench.write(0, "a", b"new", Some(b"old")))
            .await;
        if fail::list().iter().any(|(name, _)| name == "dir::no_link") {
            // Without a second name for one file an open descriptor cannot be followed; the old bytes are in the contents.
            assert_eq!(bench.files().len(), 1);
            return;
        }
        assert!(matches!(outcome, Outcome::Changed), "{outcome:?}");
        bench.expect(&[("a", b"mine!")]);
        assert!(bench.contents.has(&ContentHash::of(b"mine!")));
    })
    .await;
}

#[tokio::test]
async fn an_editor_that_still_writes_at_the_end_of_the_batch_wins() {
    for delete in [false, true] {
        let scenario = FailScenario::setup();
        let bench = Bench::new();
        bench.put("a", b"old");
        let editor = fs::OpenOptions::new()
            .write(true)
            .open(bench.path("a"))
            .unwrap();
        // After the check, before the displaced file is let go.
        let point = if delete {
            "dir::checked"
        } else {
            "dir::renamed_all"
        };
        once_at(point, move || {
            std::os::unix::fs::FileExt::write_all_at(&editor, b"mine!", 0).unwrap();
        });
        let operation = if delete {
            bench.delete(0, "a", b"old")
        } else {
            bench.write(0, "a", b"new", Some(b"old"))
        };
        let outcome = bench.apply_one(operation).await;
        assert!(matches!(outcome, Outcome::Changed), "{outcome:?}");
        bench.expect(&[("a", b"mine!")]);
        scenario.teardown();
    }
}

#[tokio::test]
async fn an_editor_that_saves_before_the_exchange_wins() {
    on_every_file_system(async |bench| {
        bench.put("a", b"old");
        bench.put("b", b"old");
        let (a, c) = (bench.path("a"), bench.path("c"));
        once_at("dir::temps_synced", move || {
            save(&a, b"mine");
            put(&c, b"mine too");
        });
        let outcomes = bench
            .apply(vec![
                bench.write(0, "a", b"new", Some(b"old")),
                bench.write(1, "b", b"new", Some(b"old")),
                bench.write(2, "c", b"new", None),
            ])
            .await;
        assert!(
            matches!(
                outcomes[..],
                [Outcome::Changed, Outcome::Done(_), Outcome::Changed]
            ),
            "{outcomes:?}"
        );
        bench.expect(&[("a", b"mine"), ("b", b"new"), ("c", b"mine too")]);
    })
    .await;
}

#[tokio::test]
async fn of_two_saves_during_publish_the_later_stays_and_both_are_kept() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("a", b"old");
    let path = bench.path("a");
    let temporary = bench.path(".homing-1-0");
    once_at("dir::exchanged_unchecked", move || {
        // One save met the displaced file, the next one the new path.
        put(&temporary, b"first");
        save(&path, b"second");
    });
    let outcome = bench
        .apply_one(bench.write(0, "a", b"new", Some(b"old")))
        .await;
    assert!(matches!(outcome, Outcome::Changed), "{outcome:?}");
    bench.expect(&[("a", b"second")]);
    assert!(bench.contents.has(&ContentHash::of(b"first")));
    scenario.teardown();
}

#[tokio::test]
async fn an_edit_meets_a_deletion() {
    on_every_file_system(async |bench| {
        bench.put("d/a", b"old");
        let editor = fs::OpenOptions::new()
            .write(true)
            .open(bench.path("d/a"))
            .unwrap();
        once_at("dir::exchanged_unchecked", move || {
            std::os::unix::fs::FileExt::write_all_at(&editor, b"mine!", 0).unwrap();
        });
        let outcome = bench.apply_one(bench.delete(0, "d/a", b"old")).await;
        assert!(matches!(outcome, Outcome::Changed), "{outcome:?}");
        bench.expect(&[("d/a", b"mine!")]);
    })
    .await;
}

#[tokio::test]
async fn a_file_that_comes_back_during_its_deletion_stays_beside_the_edit() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("a", b"old");
    let (path, temporary) = (bench.path("a"), bench.path(".homing-1-0"));
    once_at("dir::exchanged_unchecked", move || {
        put(&temporary, b"first");
        put(&path, b"second");
    });
    let outcome = bench.apply_one(bench.delete(0, "a", b"old")).await;
    assert!(matches!(outcome, Outcome::Changed), "{outcome:?}");
    bench.expect(&[("a", b"second")]);
    assert!(bench.contents.has(&ContentHash::of(b"first")));
    scenario.teardown();
}

#[tokio::test]
async fn when_an_edit_cannot_be_kept_it_stays_and_is_named() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("a", b"old");
    let (path, temporary) = (bench.path("a"), bench.path(".homing-1-0"));
    once_at("dir::exchanged_unchecked", move || {
        put(&temporary, b"first");
        save(&path, b"second");
    });
    let operation = bench.write(0, "a", b"new", Some(b"old"));
    bench.contents.set_full(true);
    let outcome = bench.apply_one(operation).await;
    assert!(
        matches!(&outcome, Outcome::Failed(SideError::Storage { message, .. }) if message.contains(".homing-1-0")),
        "{outcome:?}"
    );
    bench.expect(&[(".homing-1-0", b"first"), ("a", b"second")]);
    scenario.teardown();
}

#[tokio::test]
async fn a_directory_or_link_that_comes_in_between_goes_back_to_its_place() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("a", b"old");
    bench.put("b", b"old");
    let (a, b, c) = (bench.path("a"), bench.path("b"), bench.path("c"));
    once_at("dir::temps_synced", move || {
        fs::remove_file(&a).unwrap();
        put(&a.join("inner"), b"mine");
        fs::remove_file(&b).unwrap();
        symlink("a/inner", &b).unwrap();
        fs::create_dir(&c).unwrap();
    });
    let outcomes = bench
        .apply(vec![
            bench.write(0, "a", b"new", Some(b"old")),
            bench.write(1, "b", b"new", Some(b"old")),
            bench.write(2, "c", b"new", None),
        ])
        .await;
    assert!(outcomes.iter().all(is_conflict), "{outcomes:?}");
    bench.expect(&[("a/inner", b"mine")]);
    assert!(fs::read_link(bench.path("b")).is_ok() && bench.path("c").is_dir());
    scenario.teardown();
}

#[tokio::test]
async fn a_link_on_the_way_is_a_conflict_and_nothing_is_written_through_it() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    let outside = bench.directory.path().join("outside");
    put(&outside.join("a"), b"old");
    symlink(&outside, bench.path("link")).unwrap();
    symlink(outside.join("a"), bench.path("file")).unwrap();
    let outcomes = bench
        .apply(vec![
            bench.delete(0, "link/a", b"old"),
            bench.write(1, "link/a", b"new", Some(b"old")),
            bench.write(2, "link/b", b"new", None),
            bench.write(3, "link/deep/c", b"new", None),
            bench.write(4, "file", b"new", Some(b"old")),
        ])
        .await;
    assert!(outcomes.iter().all(is_conflict), "{outcomes:?}");
    assert_eq!(fs::read(outside.join("a")).unwrap(), b"old");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    scenario.teardown();
}

#[tokio::test]
async fn a_temporary_file_that_was_left_over_is_not_overwritten() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put(".homing-1-0", b"left");
    bench.put(".homing-1-1", b"left");
    bench.put("b", b"old");
    let outcomes = bench
        .apply(vec![
            bench.write(0, "a", b"new", None),
            bench.delete(1, "b", b"old"),
        ])
        .await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Failed(SideError::Transient { .. }))),
        "{outcomes:?}"
    );
    bench.expect(&[
        (".homing-1-0", b"left"),
        (".homing-1-1", b"left"),
        ("b", b"old"),
    ]);
    scenario.teardown();
}

#[tokio::test]
async fn a_file_system_that_cannot_be_synced_leaves_it_placed() {
    let scenario = FailScenario::setup();
    for count in [1, 100] {
        let bench = Bench::new();
        once_at("dir::temps_synced", || {
            fail::cfg("dir::sync_fails", "return").unwrap();
        });
        let operations = (0..count)
            .map(|number| bench.write(number, &format!("f{number}"), b"new", None))
            .collect();
        let outcomes = bench.apply(operations).await;
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, Outcome::Placed(Some(_)))),
            "{outcomes:?}"
        );
        assert_eq!(bench.files().len(), count);
        // Where the temporary files cannot be made durable, nothing is published at all.
        fail::remove("dir::temps_synced");
        if count > 1 {
            let operations = (0..count)
                .map(|number| bench.write(1000 + number, &format!("g{number}"), b"new", None))
                .collect();
            let outcomes = bench.apply(operations).await;
            assert!(
                outcomes
                    .iter()
                    .all(|outcome| matches!(outcome, Outcome::Failed(SideError::Storage { .. }))),
                "{outcomes:?}"
            );
            assert_eq!(bench.files().len(), count);
        }
        fail::remove("dir::sync_fails");
    }
    scenario.teardown();
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_half() {
    let scenario = FailScenario::setup();
    let bench = Bench::with(|options| options.root = options.root.join("full"));
    let Some(mount) = Mount::tmpfs(&bench.root(), "size=64k") else {
        return;
    };
    bench.put("a", b"old");
    let large = vec![7_u8; 40 << 10];
    let other = vec![8_u8; 40 << 10];
    let outcomes = bench
        .apply(vec![
            bench.write(0, "new/deep/large", &large, None),
            bench.write(1, "other", &other, None),
            bench.write(2, "a", b"new", Some(b"old")),
        ])
        .await;
    for outcome in &outcomes {
        assert!(
            matches!(outcome, Outcome::Failed(SideError::Storage { message, .. }) if message.contains("free some space")),
            "{outcomes:?}"
        );
    }
    bench.expect(&[("a", b"old")]);
    assert!(
        !bench.path("new").exists(),
        "directories made for nothing are gone"
    );
    // Deletions make room, and need none.
    put(&bench.path("fill"), &vec![9_u8; 48 << 10]);
    let outcomes = bench
        .apply(vec![
            bench.delete(3, "fill", &vec![9_u8; 48 << 10]),
            bench.write(4, "other", &other, None),
        ])
        .await;
    assert!(outcomes.iter().all(is_done), "{outcomes:?}");
    drop(mount);
    scenario.teardown();
}

#[tokio::test]
async fn a_read_only_file_system_says_so() {
    let scenario = FailScenario::setup();
    let bench = Bench::with(|options| options.root = options.root.join("mounted"));
    let Some(mount) = Mount::tmpfs(&bench.root(), "size=1m") else {
        return;
    };
    bench.put("a", b"old");
    bench.put("b", b"old");
    mount.remount("ro");
    let outcomes = bench
        .apply(vec![
            bench.delete(0, "b", b"old"),
            bench.write(1, "a", b"new", Some(b"old")),
            bench.write(2, "d/c", b"new", None),
        ])
        .await;
    for outcome in &outcomes {
        assert!(
            matches!(outcome, Outcome::Failed(SideError::Auth { message, .. }) if message.contains("read-only")),
            "{outcomes:?}"
        );
    }
    bench.expect(&[("a", b"old"), ("b", b"old")]);
    scenario.teardown();
}

#[tokio::test]
async fn a_directory_without_permission_asks_for_it() {
    let scenario = FailScenario::setup();
    if support::is_root() {
        skipped("root writes everywhere");
        return;
    }
    let bench = Bench::new();
    bench.put("d/a", b"old");
    set_mode(&bench.path("d"), 0o555);
    let outcomes = bench
        .apply(vec![
            bench.delete(0, "d/a", b"old"),
            bench.write(1, "d/b", b"new", None),
        ])
        .await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Failed(SideError::Auth { .. }))),
        "{outcomes:?}"
    );
    set_mode(&bench.path("d"), 0o755);
    bench.expect(&[("d/a", b"old")]);
    scenario.teardown();
}

#[tokio::test]
async fn another_file_system_below_the_root_is_fine() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    let Some(_mount) = Mount::tmpfs(&bench.path("mounted"), "size=1m") else {
        return;
    };
    bench.put("mounted/a", b"old");
    let mut operations = vec![bench.delete(0, "mounted/a", b"old")];
    operations.extend((1..100).map(|number| {
        let path = if number % 2 == 0 {
            format!("mounted/d/{number}")
        } else {
            format!("here/{number}")
        };
        bench.write(number, &path, b"new", None)
    }));
    let outcomes = bench.apply(operations).await;
    assert!(outcomes.iter().all(is_done), "{outcomes:?}");
    assert!(
        bench.path("mounted").is_dir(),
        "a mount point is not removed"
    );
    scenario.teardown();
}

#[tokio::test]
async fn modes_obey_the_umask_and_replaced_files_keep_theirs() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("private", b"old");
    set_mode(&bench.path("private"), 0o600);
    bench.put("shared", b"old");
    set_mode(&bench.path("shared"), 0o664);
    let as_tool = |operation: Operation, bytes: &[u8]| {
        let version = Version {
            executable: true,
            ..version(bytes)
        };
        Operation {
            change: Change::Write {
                version,
                size: bytes.len() as u64,
            },
            ..operation
        }
    };
    let outcomes = bench
        .apply(vec![
            bench.write(0, "plain", b"new", None),
            as_tool(bench.write(1, "tool", b"run", None), b"run"),
            bench.write(2, "private", b"new", Some(b"old")),
            as_tool(bench.write(3, "shared", b"run", Some(b"old")), b"run"),
        ])
        .await;
    assert!(outcomes.iter().all(is_done), "{outcomes:?}");
    let modes = ["plain", "tool", "private", "shared"].map(|path| mode(&bench.path(path)));
    assert_eq!(modes[2..], [0o600, 0o775]);
    assert_eq!(modes[0] & !0o022, 0o644 & !0o022);
    assert_eq!(modes[1] & 0o700, 0o700);
    scenario.teardown();
}

#[tokio::test]
async fn a_missing_root_is_made_where_that_is_asked_for() {
    let scenario = FailScenario::setup();
    let bench = Bench::with(|options| {
        options.root = options.root.join("missing/root");
        options.path = Some("sub/directory".to_owned());
        options.create_root = true;
    });
    assert!(is_done(
        &bench.apply_one(bench.write(0, "d/a", b"new", None)).await
    ));
    bench.expect(&[("d/a", b"new")]);
    // It is not removed when the last file goes.
    assert!(is_done(
        &bench.apply_one(bench.delete(1, "d/a", b"new")).await
    ));
    assert!(bench.root().is_dir() && !bench.path("d").exists());
    scenario.teardown();
}

#[tokio::test]
async fn long_names_are_published() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    let name = "n".repeat(255);
    assert!(is_done(
        &bench.apply_one(bench.write(0, &name, b"new", None)).await
    ));
    assert!(is_done(
        &bench
            .apply_one(bench.write(1, &name, b"newer", Some(b"new")))
            .await
    ));
    assert!(is_done(
        &bench.apply_one(bench.delete(2, &name, b"newer")).await
    ));
    bench.expect(&[]);
    scenario.teardown();
}

#[tokio::test]
async fn a_rename_that_meets_another_file_leaves_both() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("a", b"text");
    bench.put("A", b"mine");
    let rename = |number: usize| Operation {
        change: Change::Rename { from: key("a") },
        ..bench.write(number, "A", b"text", Some(b"text"))
    };
    assert!(matches!(bench.apply_one(rename(0)).await, Outcome::Changed));
    bench.expect(&[("A", b"mine"), ("a", b"text")]);
    fs::remove_file(bench.path("A")).unwrap();
    // Two links of one file are two names, not one.
    fs::hard_link(bench.path("a"), bench.path("A")).unwrap();
    assert!(matches!(bench.apply_one(rename(1)).await, Outcome::Changed));
    bench.expect(&[("A", b"text"), ("a", b"text")]);
    scenario.teardown();
}

#[tokio::test]
async fn an_update_gives_one_reader_old_or_new_and_never_half() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    let contents = [vec![b'a'; 300_000], vec![b'b'; 300_000]];
    bench.put("a", &contents[0]);
    let path: PathBuf = bench.path("a");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let reader = {
        let (stop, contents) = (stop.clone(), contents.clone());
        std::thread::spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let read = fs::read(&path).unwrap();
                assert!(
                    contents.contains(&read),
                    "half a file of {} bytes",
                    read.len()
                );
            }
        })
    };
    for number in 0..20 {
        let (old, new) = (&contents[number % 2], &contents[(number + 1) % 2]);
        assert!(is_done(
            &bench
                .apply_one(bench.write(number, "a", new, Some(old)))
                .await
        ));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    reader.join().unwrap();
    scenario.teardown();
}

#[tokio::test]
async fn nobody_waits_any_more_and_no_temporary_file_is_left() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    let (started, ready) = std::sync::mpsc::channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    fail::cfg_callback("dir::temps_written", move || {
        started.send(()).unwrap();
        wait.lock().unwrap().recv().ok();
    })
    .unwrap();
    let ended = std::sync::Arc::new(tokio::sync::Notify::new());
    let notify = ended.clone();
    fail::cfg_callback("dir::synced", move || notify.notify_one()).unwrap();
    let operations = (0..8)
        .map(|number| bench.write(number, &format!("f{number}"), b"new", None))
        .collect();
    {
        let mut work = std::pin::pin!(bench.apply(operations));
        let waker = std::task::Waker::noop();
        assert!(
            work.as_mut()
                .poll(&mut std::task::Context::from_waker(waker))
                .is_pending()
        );
        tokio::task::spawn_blocking(move || ready.recv().unwrap())
            .await
            .unwrap();
    }
    // The future was dropped while all contents were staged and none was placed.
    drop(go_on);
    ended.notified().await;
    bench.expect(&[]);
    scenario.teardown();
}
