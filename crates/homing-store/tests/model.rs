//! Any sequence of changes leaves what a plain map says.
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

use homing_core::{ItemKey, Version};
use homing_store::{HeadRow, JournalState, LedgerRow, StoreError};
use jiff::SignedDuration;
use proptest::prelude::*;
use support::*;

#[derive(Debug, Clone)]
enum Step {
    PutHead(u8, Option<u8>, Option<u8>),
    DeleteHead(u8),
    PutLedger(u8, Option<u8>, Option<u8>),
    DeleteLedger(u8),
    Journal(u8, u8),
    Fail(u8, u8),
    Sweep,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let path = 0..6_u8;
    let content = prop::option::of(0..5_u8);
    let step = prop_oneof![
        4 => (path.clone(), content.clone(), content.clone()).prop_map(|(p, a, b)| Step::PutHead(p, a, b)),
        1 => path.clone().prop_map(Step::DeleteHead),
        4 => (path.clone(), content.clone(), content).prop_map(|(p, a, b)| Step::PutLedger(p, a, b)),
        1 => path.clone().prop_map(Step::DeleteLedger),
        1 => (path.clone(), 0..5_u8).prop_map(|(p, c)| Step::Journal(p, c)),
        1 => (path, 0..5_u8).prop_map(|(p, c)| Step::Fail(p, c)),
        1 => Just(Step::Sweep),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_a_map(steps in steps()) {
        let (home, mut store) = new_store();
        register(&store);
        let mut head: BTreeMap<ItemKey, HeadRow> = BTreeMap::new();
        let mut ledger: BTreeMap<ItemKey, LedgerRow> = BTreeMap::new();
        let mut runs = 0;
        for step in steps {
            // Kept within a scope of its own, so that the sweep may take what no row names.
            let pins = store.contents().pin_scope();
            let version = |number: u8| {
                let kept = keep(&store, &[number; 40]);
                if number.is_multiple_of(2) { kept } else { executable(kept) }
            };
            match step {
                Step::PutHead(path, near, base) => {
                    let (near, base): (Option<Version>, _) = (near.map(version), base.map(version));
                    let row = head_row(&format!("d/{path}"), near, base);
                    head.insert(row.key.clone(), row.clone());
                    store.write_blocking(move |writer| writer.put_head(&source(), &[row])).unwrap();
                }
                Step::DeleteHead(path) => {
                    let key = key(&format!("d/{path}"));
                    head.remove(&key);
                    store.write_blocking(move |writer| writer.delete_head(&source(), &[key])).unwrap();
                }
                Step::PutLedger(path, base, written) => {
                    let mut row = ledger_row(&format!("{path}"), base.map(version), written.map(version));
                    row.tombstone = path.is_multiple_of(2);
                    ledger.insert(row.path.clone(), row.clone());
                    store.write_blocking(move |writer| writer.put_ledger(&target(), &[row])).unwrap();
                }
                Step::DeleteLedger(path) => {
                    let key = key(&format!("{path}"));
                    ledger.remove(&key);
                    store.write_blocking(move |writer| writer.delete_ledger(&target(), &[key])).unwrap();
                }
                Step::Journal(path, content) => {
                    runs += 1;
                    let mut row = journal_row(runs, &format!("{path}"), None, Some(version(content)));
                    row.state = JournalState::Durable;
                    store.write_blocking(move |writer| {
                        writer.begin_run(&run_row(runs))?;
                        writer.put_journal(&[row]).map(|_| ())
                    }).unwrap();
                }
                Step::Fail(path, content) => {
                    let row = head_row(&format!("d/{path}"), Some(version(content)), None);
                    let failed = store.write_blocking(move |writer| {
                        writer.put_head(&source(), &[row])?;
                        writer.delete_ledger(&target(), &[key("0"), key("1")])?;
                        Err::<(), _>(StoreError::Closed)
                    });
                    prop_assert!(failed.is_err());
                }
                Step::Sweep => {
                    drop(pins);
                    let now = time() + SignedDuration::from_hours(24 * 400);
                    store.sweep_blocking(std::time::Duration::from_mins(1), now).unwrap();
                    let named: std::collections::BTreeSet<_> = head
                        .values()
                        .flat_map(|row| [row.head, row.base])
                        .chain(ledger.values().flat_map(|row| [row.base, row.written]))
                        .flatten()
                        .map(|version| version.hash)
                        .collect();
                    let kept = store.read_blocking(|reader| reader.all_contents()).unwrap();
                    prop_assert_eq!(kept.iter().map(|row| row.hash).collect::<std::collections::BTreeSet<_>>(), named);
                }
                Step::Reopen => {
                    drop(pins);
                    store.close_blocking();
                    store = open(home.path());
                }
            }
            prop_assert_eq!(&store.read_blocking(|reader| reader.head(&source())).unwrap(), &head);
            prop_assert_eq!(&store.read_blocking(|reader| reader.ledger(&target())).unwrap(), &ledger);
        }
        prop_assert!(store.check_blocking(true).unwrap().is_sound());
    }
}
