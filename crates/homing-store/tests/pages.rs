//! What is told page by page.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![allow(
    clippy::wildcard_imports,
    reason = "the support module is small and made for this"
)]

mod support;

use homing_core::RunId;
use homing_store::JournalState;
use support::*;

#[test]
fn files_come_by_key_or_by_age() {
    let (_home, store) = new_store();
    register(&store);
    let one = keep(&store, b"one");
    for keys in [["c", "a"], ["d", "b"]] {
        let rows = keys.map(|name| head_row(name, Some(one), Some(one)));
        store
            .write_blocking(move |writer| writer.put_head(&source(), &rows))
            .unwrap();
    }
    let gone = [head_row("gone", None, Some(one))];
    store
        .write_blocking(move |writer| writer.put_head(&source(), &gone))
        .unwrap();
    let after = |after: Option<&str>, limit| {
        let after = after.map(key);
        let files = store
            .read_blocking(|reader| reader.files_after(&source(), after.as_ref(), limit))
            .unwrap();
        files
            .iter()
            .map(|file| file.row.key.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(after(None, 3), ["a", "b", "c"]);
    assert_eq!(after(Some("c"), 3), ["d"]);
    assert!(after(Some("d"), 3).is_empty());
    let newest = store
        .read_blocking(|reader| reader.files_by_age(&source(), 10))
        .unwrap();
    assert_eq!(newest.len(), 4);
    assert!(
        newest
            .windows(2)
            .all(|pair| pair[0].synced_at >= pair[1].synced_at)
    );
}

#[test]
fn the_journal_of_a_run_comes_in_pages_and_failures_alone() {
    let (_home, store) = new_store();
    let one = keep(&store, b"one");
    let rows: Vec<_> = ["a", "b", "c", "d"]
        .map(|name| journal_row(1, name, None, Some(one)))
        .into();
    let numbers = store
        .write_blocking(move |writer| {
            writer.begin_run(&run_row(1))?;
            let numbers = writer.put_journal(&rows)?;
            writer.set_journal_state(&[
                (numbers[1], JournalState::Failed, Some("no".to_owned())),
                (numbers[2], JournalState::Durable, None),
                (numbers[3], JournalState::Failed, Some("no".to_owned())),
            ])?;
            Ok(numbers)
        })
        .unwrap();
    let page = |after, limit, failed_only| {
        let rows = store
            .read_blocking(|reader| reader.journal_page(RunId(1), after, limit, failed_only))
            .unwrap();
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 3, false), numbers[..3]);
    assert_eq!(page(numbers[2], 3, false), numbers[3..]);
    assert_eq!(page(0, 9, true), [numbers[1], numbers[3]]);
    assert_eq!(page(0, 1, true), [numbers[1]]);
    assert!(page(0, 0, false).is_empty());
}

#[test]
fn commits_are_counted_and_reads_are_not() {
    let (_home, store) = new_store();
    register(&store);
    let before = store.commits();
    store
        .read_blocking(|reader| reader.source(&source()))
        .unwrap();
    assert_eq!(store.commits(), before);
    store
        .write_blocking(|writer| writer.set_enabled(&source(), false))
        .unwrap();
    assert!(store.commits() > before);
}
