//! What the tests of the store share.
#![allow(dead_code, reason = "no test binary uses all of it")]

use std::io::Cursor;
use std::path::Path;

use homing_core::{ContentHash, Contents, Identity, ItemKey, RunId, SourceId, TargetId, Version};
use homing_store::{
    HeadRow, Hop, JournalRow, JournalState, LedgerRow, RunRow, Store, StoreOptions,
};
use jiff::Timestamp;
use tempfile::TempDir;

pub(crate) const TIME: &str = "2026-01-02T03:04:05.678Z";

pub(crate) fn new_store() -> (TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    (home, store)
}

pub(crate) fn open(data_dir: &Path) -> Store {
    Store::open(StoreOptions {
        data_dir: data_dir.to_owned(),
    })
    .unwrap()
}

pub(crate) fn source() -> SourceId {
    "team".parse().unwrap()
}

pub(crate) fn target() -> TargetId {
    "claude".parse().unwrap()
}

pub(crate) fn key(path: &str) -> ItemKey {
    ItemKey::new(path).unwrap()
}

pub(crate) fn time() -> Timestamp {
    TIME.parse().unwrap()
}

/// Keeps a content durably and returns its version.
pub(crate) fn keep(store: &Store, bytes: &[u8]) -> Version {
    let contents = store.contents();
    let (hash, size) = contents
        .keep(&mut Cursor::new(bytes), bytes.len() as u64)
        .unwrap();
    assert_eq!((hash, size), (ContentHash::of(bytes), bytes.len() as u64));
    contents.flush().unwrap();
    Version {
        hash,
        executable: false,
    }
}

pub(crate) fn executable(version: Version) -> Version {
    Version {
        executable: true,
        ..version
    }
}

pub(crate) fn head_row(path: &str, head: Option<Version>, base: Option<Version>) -> HeadRow {
    HeadRow {
        key: key(path),
        head,
        base,
        size: 7,
        identity: Some(Identity::new("1:2:3")),
        facts: None,
    }
}

pub(crate) fn ledger_row(path: &str, base: Option<Version>, written: Option<Version>) -> LedgerRow {
    LedgerRow {
        source: source(),
        key: key(path),
        path: key(path),
        base,
        written,
        size: 7,
        identity: None,
        adopted: false,
        tombstone: false,
    }
}

pub(crate) fn run_row(id: i64) -> RunRow {
    RunRow {
        id: RunId(id),
        source: Some(source()),
        target: None,
        verb: "pull".to_owned(),
        trigger: "manual".to_owned(),
        status: "success".to_owned(),
        started_at: time(),
        synced: 1,
        cached: 2,
        failed: 3,
        removed: 4,
        bytes: 5,
        requests: 6,
        error_kind: None,
        error_message: None,
        duration_ms: 7,
        phases: vec![("survey".to_owned(), 3), ("publish".to_owned(), 4)],
        plan_digest: None,
        problems: vec!["{\"kind\":\"link\"}".to_owned()],
        revision: None,
        boot_id: "boot-1".to_owned(),
    }
}

pub(crate) fn journal_row(
    run: i64,
    path: &str,
    before: Option<Version>,
    after: Option<Version>,
) -> JournalRow {
    JournalRow {
        id: 0,
        run: RunId(run),
        hop: Hop::Publish,
        source: source(),
        target: Some(target()),
        key: key(path),
        path: key(path),
        before,
        after,
        base_before: before,
        base_after: after,
        temporary: Some(format!(".homing-{run}-1")),
        state: JournalState::Planned,
        reason: None,
    }
}

pub(crate) fn register(store: &Store) {
    store
        .write_blocking(|writer| writer.register_source(&source(), "dir", "/mnt/team"))
        .unwrap();
}
