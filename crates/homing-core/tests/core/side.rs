//! The small parts that every side is given.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::File;
use std::io::{Cursor, Read};

use homing_core::{Capabilities, ContentReader, ItemKey, Operation, Progress, RunId, SideError};

use crate::model::key;

#[test]
fn a_temporary_name_is_unique_and_never_a_key() {
    let names: BTreeSet<String> = [(1, 1), (1, 2), (1, 11), (11, 1), (2, 1)]
        .into_iter()
        .map(|(run, number)| Operation::temporary_name(RunId(run), number))
        .collect();
    assert_eq!(names.len(), 5);
    assert!(names.iter().all(|name| ItemKey::new(name).is_err()));
}

#[test]
fn progress_is_seen_by_whoever_holds_a_copy() {
    let progress = Progress::default();
    let watcher = progress.clone();
    progress.advance(10);
    progress.advance(0);
    assert_eq!(watcher.counts(), (2, 10));
}

#[test]
fn a_content_reads_the_same_from_memory_and_from_a_file() {
    let mut file = ContentReader::File(
        File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap(),
    );
    let mut from_file = Vec::new();
    file.read_to_end(&mut from_file).unwrap();
    let mut from_memory = Vec::new();
    ContentReader::Bytes(Cursor::new(from_file.clone()))
        .read_to_end(&mut from_memory)
        .unwrap();
    assert!(from_file.starts_with(b"[package]"));
    assert_eq!(from_memory, from_file);
}

#[test]
fn a_side_can_by_default_what_a_linux_file_system_can() {
    let default = Capabilities::default();
    assert!(default.case_sensitive && default.executable_bit && !default.normalises_unicode);
}

#[test]
fn an_error_says_its_own_layer_and_keeps_its_cause() {
    let cause = std::io::Error::other("no space left on device");
    let error = SideError::Storage {
        message: "could not write `a`".to_owned(),
        source: Some(cause.into()),
    };
    assert_eq!(error.to_string(), "could not write `a`");
    assert_eq!(
        error.source().unwrap().to_string(),
        "no space left on device"
    );
    let changed = SideError::Changed {
        key: key("a/b").to_string(),
    };
    assert_eq!(changed.to_string(), "`a/b` changed meanwhile");
    assert!(changed.source().is_none());
}
