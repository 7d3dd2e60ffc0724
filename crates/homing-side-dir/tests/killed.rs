//! A process that ends at any step of `apply` leaves what `recover` can repair.
//!
//! A panic at a fail point stands for the kill: nothing in `apply` cleans up while unwinding.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod support;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fail::FailScenario;
use homing_core::{ContentHash, ItemState, Operation};
use support::{Bench, put, save};

const POINTS: [&str; 7] = [
    "dir::temps_written",
    "dir::temps_synced",
    "dir::renamed_one",
    "dir::exchanged_unchecked",
    "dir::checked",
    "dir::renamed_all",
    "dir::synced",
];

/// What a user does at the moment of the kill.
#[derive(Debug, Clone, Copy)]
enum User {
    Nothing,
    /// Writes into the file that was opened before, wherever it is now.
    WritesOn,
    /// Saves under the path.
    Saves,
}

/// Carries out `operations` until the process "ends" at the `nth` passing of `point`.
fn kill(bench: &Bench, operations: &[Operation], point: &str, nth: usize) -> bool {
    fail::cfg(point, &format!("{nth}*off->1*panic->off")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(bench.apply(operations.to_vec()))
    }));
    fail::remove(point);
    ended.is_err()
}

fn recover(bench: &Bench, operations: &[Operation]) -> Vec<homing_core::Recovered> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(bench.recover(operations, false))
}

fn act(user: User, editor: &fs::File, path: &Path) {
    match user {
        User::Nothing => {}
        User::WritesOn => std::os::unix::fs::FileExt::write_all_at(editor, b"mine!", 0).unwrap(),
        User::Saves => save(path, b"mine!"),
    }
}

fn check(bench: &Bench, operations: &[Operation], what: &str, must_keep: Option<&[u8]>) {
    let recovered = recover(bench, operations);
    let files = bench.files();
    assert!(
        files.keys().all(|path| !path.contains(".homing-")),
        "{what}: {:?}",
        files.keys()
    );
    let allowed: [&[u8]; 4] = [b"old", b"new", b"run", b"mine!"];
    for (path, bytes) in &files {
        assert!(
            allowed.contains(&bytes.as_slice()),
            "{what}: `{path}` is half: {bytes:?}"
        );
    }
    assert!(
        files.contains_key("d/stay"),
        "{what}: a file that no operation names is gone"
    );
    for (operation, recovered) in operations.iter().zip(&recovered) {
        let path = operation.key.as_str();
        let found = files.get(path).map(|bytes| ContentHash::of(bytes));
        assert_eq!(
            recovered.state.item().map(|item| item.hash),
            found,
            "{what}: `{path}`"
        );
        assert!(
            !matches!(recovered.state, ItemState::Unknown(_)),
            "{what}: {recovered:?}"
        );
        assert!(
            recovered
                .rescued
                .iter()
                .all(|hash| bench.contents.has(hash)),
            "{what}: {recovered:?}"
        );
    }
    if let Some(bytes) = must_keep {
        let is_there = files.values().any(|found| found == bytes)
            || bench.contents.has(&ContentHash::of(bytes));
        assert!(is_there, "{what}: the edit is lost; {files:?}");
    }
    // A second repair finds nothing to do.
    recover(bench, operations);
    assert_eq!(
        bench.files(),
        files,
        "{what}: the second repair changed something"
    );
}

fn bench() -> (Bench, Vec<Operation>) {
    let bench = Bench::new();
    for path in ["d/update", "d/delete", "d/mode", "d/stay", "e/only"] {
        bench.put(path, b"old");
    }
    let mut mode = bench.write(3, "d/mode", b"old", Some(b"old"));
    if let homing_core::Change::Write { version, .. } = &mut mode.change {
        version.executable = true;
    }
    let operations = vec![
        bench.delete(0, "d/delete", b"old"),
        bench.delete(1, "e/only", b"old"),
        bench.write(2, "d/update", b"new", Some(b"old")),
        mode,
        bench.write(4, "d/create", b"new", None),
        bench.write(5, "f/g/create", b"new", None),
    ];
    (bench, operations)
}

fn every_kill(missing: &[&str], user: User, path: &str) {
    for point in POINTS {
        for nth in 0..10 {
            let scenario = FailScenario::setup();
            for point in missing {
                fail::cfg(*point, "return").unwrap();
            }
            let (bench, operations) = bench();
            let editor = fs::OpenOptions::new()
                .write(true)
                .open(bench.path(path))
                .unwrap();
            let was_killed = kill(&bench, &operations, point, nth);
            assert!(was_killed || nth > 0, "nothing passes {point}");
            act(user, &editor, &bench.path(path));
            let lets_go = matches!(user, User::WritesOn) && !is_linked(&editor);
            let edit: Option<&[u8]> = if matches!(user, User::Nothing) || lets_go {
                None
            } else {
                Some(b"mine!")
            };
            check(
                &bench,
                &operations,
                &format!("{user:?} at {point}, {nth}"),
                edit,
            );
            scenario.teardown();
            if !was_killed {
                break;
            }
        }
    }
}

/// Tells whether the open file still has a name: what is written into one without is beyond anybody's reach.
fn is_linked(file: &fs::File) -> bool {
    std::os::unix::fs::MetadataExt::nlink(&file.metadata().unwrap()) > 0
}

#[test]
fn a_kill_at_every_step_leaves_old_or_new() {
    every_kill(&[], User::Nothing, "d/update");
}

#[test]
fn a_kill_at_every_step_leaves_old_or_new_without_exchange() {
    every_kill(
        &["dir::no_exchange", "dir::no_noreplace"],
        User::Nothing,
        "d/update",
    );
}

#[test]
fn a_kill_at_every_step_loses_no_edit() {
    for user in [User::WritesOn, User::Saves] {
        every_kill(&[], user, "d/update");
        every_kill(&[], user, "d/delete");
    }
}

#[test]
fn a_kill_at_every_step_loses_no_edit_without_exchange() {
    for user in [User::WritesOn, User::Saves] {
        every_kill(&["dir::no_exchange", "dir::no_noreplace"], user, "d/update");
        every_kill(&["dir::no_exchange", "dir::no_noreplace"], user, "d/delete");
    }
}

#[test]
fn an_edit_that_a_kill_left_aside_is_back_at_its_path() {
    let scenario = FailScenario::setup();
    for (path, number) in [("d/update", 2), ("d/delete", 0)] {
        let (bench, operations) = bench();
        let operations = vec![operations[number].clone()];
        let editor = fs::OpenOptions::new()
            .write(true)
            .open(bench.path(path))
            .unwrap();
        assert!(kill(&bench, &operations, "dir::exchanged_unchecked", 0));
        act(User::WritesOn, &editor, &bench.path(path));
        check(&bench, &operations, path, Some(b"mine!"));
        assert_eq!(bench.files()[path], b"mine!");
    }
    scenario.teardown();
}

#[test]
fn after_a_power_cut_damage_does_not_come_back_to_the_path() {
    let bench = Bench::new();
    let operation = bench.write(0, "a", b"new", Some(b"old"));
    bench.put("a", b"new");
    bench.put(".homing-1-0", b"\0\0\0");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let recovered = runtime.block_on(bench.recover(&[operation], true));
    assert_eq!(recovered[0].rescued, [ContentHash::of(b"\0\0\0")]);
    bench.expect(&[("a", b"new")]);
}

#[test]
fn old_bytes_that_nobody_else_has_are_kept() {
    let bench = Bench::new();
    let operation = bench.write(0, "a", b"new", Some(b"old"));
    bench.put("a", b"new");
    bench.put(".homing-1-0", b"old");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let recovered = runtime.block_on(bench.recover(&[operation], false));
    assert_eq!(recovered[0].rescued, [ContentHash::of(b"old")]);
    bench.expect(&[("a", b"new")]);
}

#[test]
fn a_missing_root_is_no_answer() {
    let bench = Bench::new();
    let operation = bench.write(0, "a", b"new", None);
    fs::remove_dir(bench.root()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let interrupted = vec![homing_core::Interrupted {
        operation,
        power_lost: false,
    }];
    let answer = runtime.block_on(homing_core::Side::recover(
        &bench.side,
        interrupted,
        bench.contents.clone(),
    ));
    assert!(
        matches!(answer, Err(homing_core::SideError::NotFound { .. })),
        "{answer:?}"
    );
}

#[test]
fn what_blocks_the_way_to_an_interrupted_file_is_told() {
    let bench = Bench::new();
    let operations: Vec<Operation> = ["link/a", "file/a", "gone/a"]
        .iter()
        .enumerate()
        .map(|(number, path)| bench.write(number, path, b"new", None))
        .collect();
    std::os::unix::fs::symlink("/", bench.path("link")).unwrap();
    put(&bench.path("file"), b"mine");
    let recovered = recover(&bench, &operations);
    assert!(
        matches!(recovered[0].state, ItemState::Unknown(_)),
        "{recovered:?}"
    );
    assert!(
        matches!(recovered[1].state, ItemState::Absent),
        "{recovered:?}"
    );
    assert!(
        matches!(recovered[2].state, ItemState::Absent),
        "{recovered:?}"
    );
}
