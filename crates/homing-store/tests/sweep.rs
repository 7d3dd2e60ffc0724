//! The sweep removes what nobody needs, and only that.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![allow(
    clippy::redundant_closure_for_method_calls,
    reason = "`Reader::sources` is a function for one lifetime of the connection, the closures must be for all"
)]
#![allow(
    clippy::wildcard_imports,
    reason = "the support module is small and made for this"
)]

mod support;

use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use homing_core::{ContentHash, Contents, RunId, Version};
use homing_store::{HoldRow, JournalState, Store, StoreError, SweepReport};
use jiff::{SignedDuration, Timestamp};
use support::*;

const RETENTION: Duration = Duration::from_hours(90 * 24);

fn sweep(store: &Store, now: Timestamp) -> SweepReport {
    store.sweep_blocking(RETENTION, now).unwrap()
}

fn after(days: i64) -> Timestamp {
    time() + SignedDuration::from_hours(24 * days)
}

fn kept(store: &Store, version: Version) -> bool {
    store
        .read_blocking(move |reader| reader.content_size(&version.hash))
        .unwrap()
        .is_some()
}

/// Keeps a content within a scope that ends, so that nothing but rows holds it.
fn keep_unpinned(store: &Store, bytes: &[u8]) -> Version {
    let _scope = store.contents().pin_scope();
    keep(store, bytes)
}

#[test]
fn what_no_row_names_goes_and_the_rest_stays() {
    let (home, store) = new_store();
    register(&store);
    let large = vec![7; 2 << 20];
    let [near, base, written, held, before, after_, conflict, lost] =
        [0, 1, 2, 3, 4, 5, 6, 7].map(|number| keep_unpinned(&store, &[number]));
    let lost_large = keep_unpinned(&store, &large);
    store
        .write_blocking(move |writer| {
            writer.put_head(&source(), &[head_row("a", Some(near), Some(base))])?;
            writer.put_ledger(&target(), &[ledger_row("a", None, Some(written))])?;
            writer.put_hold(HoldRow {
                source: source(),
                key: key("a"),
                held: Some(held),
                size: 1,
                refused: None,
                run: RunId(1),
                since: time(),
            })?;
            writer.begin_run(&run_row(1))?;
            writer.put_journal(&[journal_row(1, "a", Some(before), Some(after_))])?;
            writer.replace_conflicts(
                homing_store::ConflictScope {
                    hop: homing_store::Hop::Pull,
                    source: None,
                    target: None,
                },
                vec![homing_store::ConflictRow {
                    id: 0,
                    hop: homing_store::Hop::Pull,
                    source: source(),
                    target: None,
                    key: key("a"),
                    kind: homing_core::ConflictKind::Added,
                    base: None,
                    near: Some(conflict),
                    far: None,
                    detail: None,
                    since: time(),
                }],
            )
        })
        .unwrap();
    let report = sweep(&store, after(1));
    assert_eq!(report.contents, 2);
    assert_eq!(report.bytes, 1 + large.len() as u64);
    for version in [near, base, written, held, before, after_, conflict] {
        assert!(kept(&store, version));
    }
    assert!(!kept(&store, lost) && !kept(&store, lost_large));
    let left: Vec<_> = std::fs::read_dir(home.path().join("contents"))
        .unwrap()
        .flat_map(|entry| std::fs::read_dir(entry.unwrap().path()).unwrap())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(sweep(&store, after(1)), SweepReport::default());
}

#[test]
fn old_history_goes_with_its_contents_and_unfinished_runs_stay() {
    let (_home, store) = new_store();
    let [old, planned, running, young] =
        [0, 1, 2, 3].map(|number| keep_unpinned(&store, &[number]));
    store
        .write_blocking(move |writer| {
            for (id, content, state, status) in [
                (1, old, JournalState::Durable, "success"),
                (2, planned, JournalState::Planned, "interrupted"),
                (3, running, JournalState::Durable, "running"),
                (4, young, JournalState::Durable, "success"),
            ] {
                let mut run = run_row(id);
                run.status = status.to_owned();
                if id == 4 {
                    run.started_at = after(20);
                }
                writer.begin_run(&run)?;
                let mut row = journal_row(id, "a", None, Some(content));
                row.state = state;
                writer.put_journal(&[row])?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(sweep(&store, after(89)), SweepReport::default());
    let report = sweep(&store, after(91));
    assert_eq!(
        (report.runs, report.journal_rows, report.contents),
        (1, 1, 1)
    );
    let runs = store.read_blocking(|reader| {
        reader.runs(homing_store::RunFilter {
            limit: 9,
            ..Default::default()
        })
    });
    assert_eq!(
        runs.unwrap().iter().map(|run| run.id.0).collect::<Vec<_>>(),
        [4, 3, 2]
    );
    for version in [planned, running, young] {
        assert!(kept(&store, version));
    }
    // The number of a swept run is never used again.
    store
        .write_blocking(|writer| writer.remove_source(&source(), true))
        .unwrap();
    assert_eq!(
        store.read_blocking(|reader| reader.last_run_id()).unwrap(),
        RunId(4)
    );
}

#[test]
fn a_large_sweep_goes_in_batches() {
    let (_home, store) = new_store();
    {
        let contents = store.contents();
        let _scope = contents.pin_scope();
        for number in 0..1203_u32 {
            contents
                .keep(&mut Cursor::new(number.to_le_bytes()), 4)
                .unwrap();
        }
        contents.flush().unwrap();
    }
    store
        .write_blocking(|writer| (1..=403).try_for_each(|id| writer.begin_run(&run_row(id))))
        .unwrap();
    let report = sweep(&store, after(91));
    assert_eq!((report.contents, report.runs), (1203, 403));
}

#[test]
fn a_foreign_key_keeps_a_content_that_is_named() {
    let (home, store) = new_store();
    register(&store);
    let version = keep(&store, b"named");
    store
        .write_blocking(move |writer| {
            writer.put_head(&source(), &[head_row("a", None, Some(version))])
        })
        .unwrap();
    drop(store);
    let connection = rusqlite::Connection::open(home.path().join("state.db")).unwrap();
    connection
        .pragma_update(None, "foreign_keys", true)
        .unwrap();
    let deleted = connection.execute("DELETE FROM contents", []);
    let code = deleted.unwrap_err().sqlite_error().unwrap().extended_code;
    assert!(
        [
            rusqlite::ffi::SQLITE_CONSTRAINT_TRIGGER,
            rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY
        ]
        .contains(&code)
    );
}

#[test]
fn every_foreign_key_has_an_index() {
    let (home, store) = new_store();
    drop(store);
    let connection = rusqlite::Connection::open(home.path().join("state.db")).unwrap();
    let mut statement = connection
        .prepare(
            "SELECT t.name, f.\"from\" FROM sqlite_schema t, pragma_foreign_key_list(t.name) f WHERE f.\"table\" = 'contents'",
        )
        .unwrap();
    let columns: Vec<(String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(columns.len(), 14, "{columns:?}");
    for (table, column) in columns {
        let plan: String = connection
            .query_row(
                &format!("EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {column} = ?1"),
                [1],
                |row| row.get(3),
            )
            .unwrap();
        assert!(plan.starts_with("SEARCH"), "{table}.{column}: {plan}");
    }
}

#[test]
fn a_transfer_keeps_its_contents_until_its_rows_are_written() {
    let (_home, store) = new_store();
    register(&store);
    let contents = store.contents();
    // Garbage of an earlier run, which the transfer finds and does not fetch again.
    let found = keep_unpinned(&store, b"found");
    let scope = contents.pin_scope();
    store.contents().pin([&found.hash]);
    let hash = found.hash;
    assert!(
        store
            .read_blocking(move |reader| reader.missing_contents(&[hash]))
            .unwrap()
            .is_empty()
    );
    let small = keep(&store, b"fetched");
    let large = keep(&store, &vec![1; 2 << 20]);
    let (unflushed, _) = contents.keep(&mut Cursor::new(b"waits"), 5).unwrap();
    assert_eq!(sweep(&store, after(400)).contents, 0);
    contents.flush().unwrap();
    let rows: Vec<_> = [
        found,
        small,
        large,
        Version {
            hash: unflushed,
            executable: false,
        },
    ]
    .iter()
    .enumerate()
    .map(|(at, version)| head_row(&format!("f{at}"), Some(*version), None))
    .collect();
    store
        .write_blocking(move |writer| writer.put_head(&source(), &rows))
        .unwrap();
    drop(scope);
    assert_eq!(sweep(&store, after(400)).contents, 0);
    store
        .write_blocking(|writer| writer.delete_head(&source(), &["f0", "f1", "f2", "f3"].map(key)))
        .unwrap();
    assert_eq!(sweep(&store, after(400)).contents, 4);
}

#[test]
fn an_undo_keeps_what_it_read_from_a_journal_that_is_swept() {
    let (_home, store) = new_store();
    register(&store);
    let before = keep_unpinned(&store, b"before");
    store
        .write_blocking(move |writer| {
            writer.begin_run(&run_row(1))?;
            let mut row = journal_row(1, "a", Some(before), None);
            row.state = JournalState::Durable;
            writer.put_journal(&[row]).map(|_| ())
        })
        .unwrap();
    let contents = store.contents();
    let scope = contents.pin_scope();
    let journal = store
        .read_blocking(|reader| reader.journal(RunId(1)))
        .unwrap();
    let wanted: Vec<ContentHash> = journal
        .iter()
        .filter_map(|row| Some(row.before?.hash))
        .collect();
    contents.pin(&wanted);
    let asked = wanted.clone();
    assert!(
        store
            .read_blocking(move |reader| reader.missing_contents(&asked))
            .unwrap()
            .is_empty()
    );
    let report = sweep(&store, after(400));
    assert_eq!((report.runs, report.contents), (1, 0));
    let mut bytes = Vec::new();
    contents
        .open(&wanted[0])
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    assert_eq!(bytes, b"before");
    drop(scope);
    assert_eq!(sweep(&store, after(400)).contents, 1);
}

#[test]
fn keepers_and_a_sweep_that_never_rests_lose_nothing() {
    let (home, store) = new_store();
    register(&store);
    let done = AtomicBool::new(false);
    let swept = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let keepers: Vec<_> = (0..3_u32)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    for round in 0..20_u32 {
                        let contents = store.contents();
                        let pins = contents.pin_scope();
                        let mut rows = Vec::new();
                        for number in 0..8_u32 {
                            // The same few contents come and go in all threads: found, swept, kept again.
                            let mut bytes = vec![0; if number == 7 { (1 << 20) + 1 } else { 100 }];
                            bytes[..4].copy_from_slice(&(number + round % 3).to_le_bytes());
                            let (hash, _) = contents
                                .keep(&mut Cursor::new(&bytes), bytes.len() as u64)
                                .unwrap();
                            let path = format!("t{thread}/f{number}");
                            rows.push(head_row(
                                &path,
                                Some(Version {
                                    hash,
                                    executable: false,
                                }),
                                None,
                            ));
                        }
                        contents.flush().unwrap();
                        let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
                        let hashes: Vec<_> =
                            rows.iter().map(|row| row.head.unwrap().hash).collect();
                        store
                            .write_blocking(move |writer| writer.put_head(&source(), &rows))
                            .unwrap();
                        drop(pins);
                        for hash in hashes {
                            assert!(store.contents().verify_content(&hash).unwrap());
                        }
                        if round < 19 {
                            store
                                .write_blocking(move |writer| writer.delete_head(&source(), &keys))
                                .unwrap();
                        }
                    }
                })
            })
            .collect();
        let (store, done, swept) = (&store, &done, &swept);
        scope.spawn(move || {
            while !done.load(Ordering::Acquire) {
                swept.fetch_add(sweep(store, after(400)).contents, Ordering::Relaxed);
            }
        });
        // The sweep is told to end before a failure is shown, or the scope would wait for it for ever.
        let kept: Vec<_> = keepers
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        done.store(true, Ordering::Release);
        assert!(kept.iter().all(Result::is_ok));
    });
    assert!(
        swept.load(Ordering::Relaxed) > 0,
        "the sweep had something to do"
    );
    drop(store);
    let store = open(home.path());
    let report = store.check_blocking(true).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(
        store
            .read_blocking(|reader| reader.head(&source()))
            .unwrap()
            .len(),
        24
    );
}

#[test]
fn files_without_a_row_go_after_an_hour_unless_a_rebuild_waits() {
    let (home, store) = new_store();
    let orphan = ContentHash::of(b"orphan").to_string();
    let directory = home.path().join("contents").join(&orphan[..2]);
    std::fs::create_dir_all(&directory).unwrap();
    let files = [
        directory.join(&orphan),
        home.path().join("contents/tmp-1"),
        directory.join("not a hash"),
    ];
    for file in &files {
        std::fs::File::create(file).unwrap();
    }
    let now = Timestamp::now();
    let hours = |hours| now + SignedDuration::from_hours(hours);
    assert_eq!(sweep(&store, now).orphan_files, 0);
    store
        .write_blocking(|writer| writer.set_metadata("rebuild_pending", "1"))
        .unwrap();
    assert_eq!(sweep(&store, hours(2)).orphan_files, 0);
    store
        .write_blocking(|writer| writer.accept_rebuild())
        .unwrap();
    assert_eq!(sweep(&store, hours(2)).orphan_files, 2);
    assert_eq!(files.map(|file| file.exists()), [false, false, true]);
}

#[tokio::test]
async fn sweep_and_check_run_off_the_async_workers_too() {
    let (_home, store) = new_store();
    assert_eq!(
        store.sweep(RETENTION, after(1)).await.unwrap(),
        SweepReport::default()
    );
    assert!(store.check(true).await.unwrap().is_sound());
}

#[test]
fn a_content_that_was_swept_cannot_be_named_from_memory() {
    let (_home, store) = new_store();
    register(&store);
    let version = keep_unpinned(&store, b"named, swept, named again");
    let row = head_row("a", Some(version), Some(version));
    let again = row.clone();
    store
        .write_blocking(move |writer| {
            writer.put_head(&source(), &[row])?;
            writer.delete_head(&source(), &[key("a")])
        })
        .unwrap();
    let report = sweep(&store, time());
    assert_eq!(report.contents, 1);
    let named = store.write_blocking(move |writer| writer.put_head(&source(), &[again]));
    assert!(
        matches!(named, Err(StoreError::MissingContent(hash)) if hash == version.hash),
        "{named:?}"
    );
}
