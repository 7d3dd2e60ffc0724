//! Databases that are newer, cut, damaged or old.
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

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use homing_core::{ContentHash, Contents, RunId};
use homing_store::{
    JournalState, Reader, RunFilter, RunRow, SourceUpdate, Store, StoreError, StoreOptions,
};
use support::*;

fn try_open(data_dir: &Path) -> Result<Store, StoreError> {
    Store::open(StoreOptions {
        data_dir: data_dir.to_owned(),
    })
}

/// Every file of a directory with its bytes.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_file());
    entries
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

fn overwrite(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn a_newer_schema_is_refused_and_nothing_is_touched() {
    let (home, store) = new_store();
    register(&store);
    drop(store);
    let connection = rusqlite::Connection::open(home.path().join("state.db")).unwrap();
    connection.pragma_update(None, "user_version", 4).unwrap();
    drop(connection);
    let before = files(home.path());
    assert_eq!(before.keys().collect::<Vec<_>>(), ["state.db"]);
    match try_open(home.path()).map(|_| ()) {
        Err(StoreError::NewerSchema { found: 4, known: 3 }) => {}
        other => panic!("{other:?}"),
    }
    assert!(files(home.path()) == before);
}

#[test]
fn a_newer_schema_that_is_still_in_the_log_is_refused_too() {
    let (home, store) = new_store();
    drop(store);
    let copy = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(home.path().join("state.db")).unwrap();
    connection.pragma_update(None, "user_version", 9).unwrap();
    for (name, bytes) in files(home.path()) {
        overwrite(&copy.path().join(name), &bytes);
    }
    let before = files(copy.path());
    assert!(before["state.db-wal"].len() > 32);
    match try_open(copy.path()).map(|_| ()) {
        Err(StoreError::NewerSchema { found: 9, known: 3 }) => {}
        other => panic!("{other:?}"),
    }
    let after = files(copy.path());
    assert!(
        after["state.db"] == before["state.db"] && after["state.db-wal"] == before["state.db-wal"]
    );
}

#[test]
fn a_damaged_database_is_moved_aside_until_the_rebuild_is_accepted() {
    let (home, store) = new_store();
    register(&store);
    assert_eq!(store.quarantined(), None);
    drop(store);
    let damaged = b"this is no database, and it is longer than the header of one would be: a hundred bytes at the least, and some.";
    overwrite(&home.path().join("state.db"), damaged);
    let store = open(home.path());
    let aside = store.quarantined().unwrap();
    assert_eq!(fs::read(&aside).unwrap(), damaged);
    assert!(
        store
            .read_blocking(|reader| reader.sources(false))
            .unwrap()
            .is_empty()
    );
    let pending = |store: &Store| {
        store
            .read_blocking(|reader| reader.metadata("rebuild_pending"))
            .unwrap()
    };
    assert_eq!(pending(&store).as_deref(), Some("1"));
    drop(store);
    let store = open(home.path());
    assert_eq!(
        store.quarantined().as_ref(),
        Some(&aside),
        "it is named until somebody accepts"
    );
    store
        .write_blocking(|writer| writer.accept_rebuild())
        .unwrap();
    assert_eq!(store.quarantined(), None);
    drop(store);
    assert_eq!(open(home.path()).quarantined(), None);
    assert!(aside.exists());
}

#[test]
fn a_rebuild_that_was_cut_short_is_still_a_rebuild() {
    let (home, store) = new_store();
    drop(store);
    // Moved aside, and then the power went.
    fs::rename(
        home.path().join("state.db"),
        home.path().join("state.db.corrupt-20260102T030405.678Z"),
    )
    .unwrap();
    overwrite(&home.path().join("state.db.new"), b"half made");
    let store = open(home.path());
    assert_eq!(
        store.quarantined(),
        Some(home.path().join("state.db.corrupt-20260102T030405.678Z"))
    );
    assert!(!home.path().join("state.db.new").exists());
}

#[test]
fn a_lost_database_whose_log_is_left_counts_as_damaged() {
    let (home, store) = new_store();
    drop(store);
    fs::remove_file(home.path().join("state.db")).unwrap();
    overwrite(
        &home.path().join("state.db-wal"),
        b"a log without its database",
    );
    let store = open(home.path());
    let aside = store.quarantined().unwrap();
    let log = aside.with_file_name(format!(
        "{}-wal",
        aside.file_name().unwrap().to_str().unwrap()
    ));
    assert_eq!(fs::read(log).unwrap(), b"a log without its database");
}

#[test]
fn a_cut_database_is_never_believed() {
    let (home, _) = filled();
    let whole = fs::read(home.path().join("state.db")).unwrap();
    let page = 16384;
    for length in [
        0,
        1,
        99,
        100,
        512,
        page,
        2 * page,
        whole.len() / 2,
        whole.len() - page,
        whole.len() - 1,
    ] {
        let copy = tempfile::tempdir().unwrap();
        overwrite(&copy.path().join("state.db"), &whole[..length]);
        let store = open(copy.path());
        assert!(
            store.quarantined().is_some(),
            "cut to {length} of {}",
            whole.len()
        );
    }
}

/// All that a store says, as text.
fn everything(store: &Store) -> Result<String, StoreError> {
    let (rows, contents) = store.read_blocking(|reader: &Reader<'_>| {
        let rows = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            reader.sources(false)?,
            reader.head(&source())?,
            reader.holds(&source())?,
            reader.ledger(&target())?,
            reader.target_root(&target())?,
            reader.conflicts(None, None)?,
            reader.runs(RunFilter {
                limit: 1000,
                ..RunFilter::default()
            })?,
            reader.journal(RunId(1))?,
            reader.unfinished_journal()?,
        );
        let mut contents: Vec<_> = reader
            .head(&source())?
            .values()
            .filter_map(|row| Some(row.head?.hash))
            .collect();
        contents.sort();
        Ok((rows, contents))
    })?;
    for hash in contents {
        let mut bytes = Vec::new();
        let read = store
            .contents()
            .open(&hash)
            .map(|mut reader| reader.read_to_end(&mut bytes));
        // Whoever reads a content compares it with its hash: damage there is noticed.
        if !matches!(read, Ok(Ok(_))) || ContentHash::of(&bytes) != hash {
            return Err(StoreError::MissingContent(hash));
        }
    }
    Ok(rows)
}

fn filled() -> (tempfile::TempDir, String) {
    let (home, store) = new_store();
    register(&store);
    let versions: Vec<_> = (0..120_u32)
        .map(|number| keep(&store, &number.to_le_bytes().repeat(200)))
        .collect();
    store
        .write_blocking(move |writer| {
            let path = |at: usize| format!("plugins/area-{}/agent-{at}.md", at % 7);
            let heads: Vec<_> = versions
                .iter()
                .enumerate()
                .map(|(at, v)| head_row(&path(at), Some(*v), Some(versions[at / 2])))
                .collect();
            writer.put_head(&source(), &heads)?;
            let ledger: Vec<_> = versions
                .iter()
                .enumerate()
                .map(|(at, v)| ledger_row(&path(at), Some(*v), Some(*v)))
                .collect();
            writer.put_ledger(&target(), &ledger)?;
            for id in 1..40 {
                writer.begin_run(&run_row(id))?;
            }
            let journal: Vec<_> = versions
                .iter()
                .enumerate()
                .map(|(at, v)| journal_row(1, &path(at), None, Some(*v)))
                .collect();
            let ids = writer.put_journal(&journal)?;
            let done: Vec<_> = ids
                .iter()
                .take(100)
                .map(|id| (*id, JournalState::Durable, None))
                .collect();
            writer.set_journal_state(&done)
        })
        .unwrap();
    let said = everything(&store).unwrap();
    store.close_blocking();
    (home, said)
}

#[test]
fn random_damage_is_noticed_or_harmless() {
    let (home, said) = filled();
    let whole = fs::read(home.path().join("state.db")).unwrap();
    let (mut harmless, mut at_open, mut while_reading, mut later) = (0, 0, 0, 0);
    for seed in 0..90_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        let mut bytes = whole.clone();
        match seed % 3 {
            0 => {
                let at = random(bytes.len());
                bytes[at] ^= 1 << random(8);
            }
            1 => {
                for _ in 0..=random(20) {
                    let at = random(bytes.len());
                    bytes[at] = u8::try_from(random(256)).unwrap();
                }
            }
            _ => {
                let page = random(bytes.len() / 16384) * 16384;
                for byte in &mut bytes[page..page + 16384] {
                    *byte = u8::try_from(random(256)).unwrap();
                }
            }
        }
        let copy = tempfile::tempdir().unwrap();
        overwrite(&copy.path().join("state.db"), &bytes);
        let store = match try_open(copy.path()) {
            Ok(store) => store,
            Err(StoreError::NewerSchema { .. }) => {
                assert!(bytes[60..64] != whole[60..64], "seed {seed}");
                at_open += 1;
                continue;
            }
            Err(error) => panic!("seed {seed}: {error:?}"),
        };
        if store.quarantined().is_some() {
            at_open += 1;
            continue;
        }
        match everything(&store) {
            Ok(now) => {
                assert!(now == said, "seed {seed}: wrong values were believed");
                harmless += 1;
            }
            Err(StoreError::MissingContent(_)) => while_reading += 1,
            Err(StoreError::Corrupt { .. } | StoreError::Invalid { .. }) => {
                while_reading += 1;
                drop(store);
                // The next start looks at everything.
                assert!(open(copy.path()).quarantined().is_some(), "seed {seed}");
                later += 1;
            }
            Err(other) => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(
        harmless > 0 && at_open > 0 && while_reading > 0 && later > 0,
        "harmless {harmless}, at the start {at_open}, while reading {while_reading}, at the next start {later}"
    );
}

#[test]
fn a_strange_row_names_its_table_and_column() {
    let cases = [
        ("UPDATE sources SET id = 'No Name'", "sources", "id"),
        ("UPDATE sources SET failures = -1", "sources", "failures"),
        (
            "UPDATE sources SET last_sync_time = 'soon'",
            "sources",
            "last_sync_time",
        ),
        (
            "UPDATE sources SET root_inode = NULL, root_device = 1",
            "sources",
            "root_device",
        ),
        (
            "UPDATE agent_files SET file_path = '../up'",
            "agent_files",
            "file_path",
        ),
        (
            "UPDATE agent_files SET file_size = -1",
            "agent_files",
            "file_size",
        ),
        (
            "UPDATE target_files SET source_id = ''",
            "target_files",
            "source_id",
        ),
        (
            "UPDATE sources SET revision_time = '2026-11-20T10:00:00Z', revision_subject = NULL",
            "sources",
            "revision_subject",
        ),
        (
            "UPDATE sync_history SET phases = '{'",
            "sync_history",
            "phases",
        ),
        (
            "UPDATE agent_files SET item_kind = 256",
            "agent_files",
            "item_kind",
        ),
        ("UPDATE journal SET hop = 9", "journal", "hop"),
        ("UPDATE journal SET state = 0", "journal", "state"),
    ];
    for (change, table, column) in cases {
        let (home, _) = filled();
        let connection = rusqlite::Connection::open(home.path().join("state.db")).unwrap();
        connection
            .pragma_update(None, "foreign_keys", false)
            .unwrap();
        let changed = connection.execute(
            &format!("{change} WHERE rowid IN (SELECT rowid FROM {table} LIMIT 1)"),
            [],
        );
        if changed.is_err() {
            // A table without rowid.
            let key = if table == "sources" {
                "id = 'team'"
            } else {
                "mode >= 0 AND written = 1"
            };
            let key = if table == "agent_files" {
                "content = 1"
            } else {
                key
            };
            assert_eq!(
                connection
                    .execute(&format!("{change} WHERE {key}"), [])
                    .unwrap(),
                1,
                "{change}"
            );
        }
        drop(connection);
        let store = open(home.path());
        match everything(&store) {
            Err(StoreError::Invalid {
                table: found,
                column: at,
                ..
            }) => assert_eq!((found, at), (table, column)),
            other => panic!("{change}: {other:?}"),
        }
        let report = store.check_blocking(false).unwrap();
        assert!(!report.is_sound(), "{change}");
    }
}

#[test]
fn a_database_of_schema_1_is_still_understood() {
    let home = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(home.path().join("state.db")).unwrap();
    connection
        .execute_batch(include_str!("fixtures/v1.sql"))
        .unwrap();
    drop(connection);
    let store = open(home.path());
    assert_eq!(store.quarantined(), None);
    assert!(store.check_blocking(true).unwrap().is_sound());
    store
        .read_blocking(|reader| {
            let source = reader.source(&source())?.unwrap();
            assert_eq!(
                (source.kind.as_str(), source.enabled, source.failures),
                ("dir", false, 2)
            );
            let head = reader.head(&source.id)?;
            assert_eq!(head.len(), 3);
            assert_eq!(head[&key("new.md")].base, None);
            assert!(head[&key("run.sh")].head.unwrap().executable);
            // Nobody has looked at them yet.
            assert!(head.values().all(|row| row.facts.is_none()));
            let ledger = reader.ledger(&target())?;
            assert_eq!(ledger[&key("flat.md")].key, key("deep/flat.md"));
            assert!(ledger[&key("flat.md")].adopted);
            assert_eq!(reader.holds(&source.id)?.len(), 1);
            assert_eq!(reader.conflicts(None, None)?.len(), 1);
            assert_eq!(reader.last_run_id()?, RunId(12));
            assert_eq!(reader.unfinished_journal()?.len(), 1);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_database_of_schema_2_keeps_its_rows_and_takes_revisions() {
    let home = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(home.path().join("state.db")).unwrap();
    connection
        .execute_batch(include_str!("fixtures/v1.sql"))
        .unwrap();
    connection
        .execute_batch(include_str!("../src/schema/v2.sql"))
        .unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    drop(connection);
    let store = open(home.path());
    assert_eq!(store.quarantined(), None);
    assert!(store.check_blocking(true).unwrap().is_sound());
    let about = homing_core::About {
        time: "2026-11-20T10:00:00Z".parse().unwrap(),
        subject: "agents: one more".to_owned(),
    };
    store
        .read_blocking(|reader| {
            let row = reader.source(&source())?.unwrap();
            assert_eq!(row.about, None);
            let runs = reader.runs(RunFilter {
                limit: 100,
                ..RunFilter::default()
            })?;
            assert!(!runs.is_empty() && runs.iter().all(|run| run.revision.is_none()));
            Ok(())
        })
        .unwrap();
    let said = about.clone();
    store
        .write_blocking(move |writer| {
            let update = SourceUpdate {
                revision: Some(Some("c0ffee".to_owned())),
                about: Some(said),
                ..SourceUpdate::default()
            };
            writer.update_source(&source(), update)?;
            writer.finish_run(&RunRow {
                revision: Some("c0ffee".to_owned()),
                ..run_row(99)
            })
        })
        .unwrap();
    drop(store);
    let store = open(home.path());
    store
        .read_blocking(|reader| {
            assert_eq!(reader.source(&source())?.unwrap().about, Some(about));
            let run = reader.run(RunId(99))?.unwrap();
            assert_eq!(run.revision.as_deref(), Some("c0ffee"));
            Ok(())
        })
        .unwrap();
    // Another revision of which nothing is known has not the words of the last.
    store
        .write_blocking(|writer| {
            let update = SourceUpdate {
                revision: Some(Some("decade".to_owned())),
                ..SourceUpdate::default()
            };
            writer.update_source(&source(), update)?;
            assert_eq!(writer.source(&source())?.unwrap().about, None);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let home = tempfile::tempdir().unwrap();
    overwrite(&home.path().join("file"), b"");
    let error = try_open(&home.path().join("file/data"))
        .map(|_| ())
        .unwrap_err();
    assert!(
        matches!(&error, StoreError::Io { path, .. } if path.ends_with("file/data")),
        "{error:?}"
    );
    // The kernel lets nobody, not even root, make a directory there.
    let error = try_open(Path::new("/sys/homing-store-test"))
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(&error, StoreError::ReadOnly { .. }), "{error:?}");
    assert!(
        error.to_string().contains("/sys/homing-store-test"),
        "{error}"
    );
}

#[test]
fn nobody_else_may_read_the_store() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let data_dir = home.path().join("deep/data");
    let store = open(&data_dir);
    keep(&store, &vec![1; 2 << 20]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data_dir), 0o700);
    assert_eq!(mode(&data_dir.join("contents")), 0o700);
    assert_eq!(mode(&data_dir.join("state.db")), 0o600);
    assert_eq!(mode(&data_dir.join("state.db-wal")), 0o600);
}
