//! Every row comes back as it went in.
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

use homing_core::{ConflictKind, ItemKey, RootIdentity, RunId, SourceId, Version};
use homing_store::{
    ConflictRow, ConflictScope, Facts, HeadRow, HoldRow, Hop, SourceUpdate, Store, StoreError,
    StoredRoot,
};
use support::*;

#[test]
fn a_source_keeps_what_an_update_does_not_give() {
    let (_home, store) = new_store();
    register(&store);
    let root = StoredRoot {
        identity: RootIdentity {
            device: u64::MAX,
            inode: 42,
        },
        boot_id: "b".to_owned(),
    };
    let update = SourceUpdate {
        revision: Some(Some("abc".to_owned())),
        about: Some(homing_core::About::new(time(), b"the first")),
        selection: Some("s1".to_owned()),
        last_sync_time: Some(time()),
        last_success_time: Some(time()),
        next_due: Some(Some(time())),
        etag: Some(Some("\"e\"".to_owned())),
        failures: Some(3),
        backoff_until: Some(Some(time())),
        stalled: Some(Some("no credentials".to_owned())),
        root: Some(root.clone()),
    };
    store
        .write_blocking(move |writer| writer.update_source(&source(), update))
        .unwrap();
    let clearing = SourceUpdate {
        next_due: Some(None),
        stalled: Some(None),
        failures: Some(0),
        ..SourceUpdate::default()
    };
    store
        .write_blocking(move |writer| writer.update_source(&source(), clearing))
        .unwrap();
    // Registering again changes kind and url alone.
    store
        .write_blocking(|writer| writer.register_source(&source(), "http", "https://example.org/"))
        .unwrap();

    let row = store
        .read_blocking(|reader| reader.source(&source()))
        .unwrap()
        .unwrap();
    assert_eq!(row.kind, "http");
    assert_eq!(row.url, "https://example.org/");
    assert_eq!(row.revision.as_deref(), Some("abc"));
    assert_eq!(row.about.as_ref().unwrap().subject, "the first");
    assert_eq!(row.selection.as_deref(), Some("s1"));
    assert_eq!(row.last_sync_time, Some(time()));
    assert_eq!(row.last_success_time, Some(time()));
    assert_eq!(row.next_due, None);
    assert_eq!(row.etag.as_deref(), Some("\"e\""));
    assert_eq!(row.failures, 0);
    assert_eq!(row.backoff_until, Some(time()));
    assert_eq!(row.stalled, None);
    assert_eq!(row.root, Some(root));
    assert!(row.enabled);
}

#[test]
fn a_disabled_source_stays_disabled_when_it_is_registered_again() {
    let (_home, store) = new_store();
    register(&store);
    store
        .write_blocking(|writer| writer.set_enabled(&source(), false))
        .unwrap();
    store
        .write_blocking(|writer| writer.register_source(&source(), "dir", "/elsewhere"))
        .unwrap();
    assert!(
        store
            .read_blocking(|reader| reader.sources(true))
            .unwrap()
            .is_empty()
    );
    let all = store.read_blocking(|reader| reader.sources(false)).unwrap();
    assert_eq!(all.len(), 1);
    assert!(!all[0].enabled);
}

#[test]
fn an_unknown_source_is_refused_everywhere() {
    let (_home, store) = new_store();
    let version = keep(&store, b"x");
    let refused = |result: Result<(), StoreError>| match result {
        Err(StoreError::UnknownSource(id)) => assert_eq!(id, source()),
        other => panic!("{other:?}"),
    };
    refused(store.write_blocking(|writer| writer.set_enabled(&source(), true)));
    refused(
        store.write_blocking(|writer| writer.update_source(&source(), SourceUpdate::default())),
    );
    refused(store.write_blocking(move |writer| {
        writer.put_head(&source(), &[head_row("a", Some(version), Some(version))])
    }));
    refused(store.write_blocking(|writer| writer.put_hold(hold("a", None, None))));
}

#[test]
fn heads_come_back_by_key() {
    let (_home, store) = new_store();
    register(&store);
    let (one, two) = (keep(&store, b"one"), executable(keep(&store, b"two")));
    let rows = [
        head_row("b/same", Some(one), Some(one)),
        head_row("b/bit", Some(one), Some(executable(one))),
        head_row("a", Some(two), Some(one)),
        head_row("deleted", None, Some(two)),
        head_row("new", Some(two), None),
    ];
    let put = rows.clone();
    store
        .write_blocking(move |writer| writer.put_head(&source(), &put))
        .unwrap();
    let head = store
        .read_blocking(|reader| reader.head(&source()))
        .unwrap();
    assert_eq!(head.len(), rows.len());
    for row in &rows {
        assert_eq!(head.get(&row.key), Some(row));
        let key = row.key.clone();
        assert_eq!(
            store
                .read_blocking(|reader| reader.head_row(&source(), &key))
                .unwrap()
                .as_ref(),
            Some(row)
        );
    }
    // Another version of one row, and two that go.
    let newer = head_row("a", Some(one), Some(one));
    let put = newer.clone();
    store
        .write_blocking(move |writer| {
            writer.put_head(&source(), &[put])?;
            writer.delete_head(&source(), &[key("new"), key("deleted"), key("never there")])
        })
        .unwrap();
    let head = store
        .read_blocking(|reader| reader.head(&source()))
        .unwrap();
    assert_eq!(
        head.keys().map(ItemKey::as_str).collect::<Vec<_>>(),
        ["a", "b/bit", "b/same"]
    );
    assert_eq!(head[&newer.key], newer);
}

#[test]
fn a_row_cannot_name_a_content_that_is_not_kept() {
    let (_home, store) = new_store();
    register(&store);
    let never = homing_core::Version {
        hash: homing_core::ContentHash::of(b"never"),
        executable: false,
    };
    let missing = |result: Result<(), StoreError>| {
        assert!(
            matches!(result, Err(StoreError::MissingContent(hash)) if hash == never.hash),
            "{result:?}"
        );
    };
    missing(
        store.write_blocking(move |w| w.put_head(&source(), &[head_row("a", Some(never), None)])),
    );
    missing(
        store.write_blocking(move |w| w.put_head(&source(), &[head_row("a", None, Some(never))])),
    );
    missing(
        store.write_blocking(move |w| {
            w.put_ledger(&target(), &[ledger_row("a", Some(never), None)])
        }),
    );
    missing(store.write_blocking(move |w| w.put_hold(hold("a", Some(never), None))));
    missing(
        store.write_blocking(move |w| {
            w.replace_conflicts(scope(), vec![conflict("a", Some(never))])
        }),
    );
    missing(store.write_blocking(move |w| {
        w.begin_run(&run_row(1))?;
        w.put_journal(&[journal_row(1, "a", None, Some(never))])
            .map(|_| ())
    }));
    assert!(
        store
            .read_blocking(|reader| reader.run(RunId(1)))
            .unwrap()
            .is_none(),
        "the run was undone with it"
    );
}

#[test]
fn ledgers_come_back_by_path() {
    let (_home, store) = new_store();
    let (one, two) = (keep(&store, b"one"), keep(&store, b"two"));
    let mut flat = ledger_row("x.md", Some(one), Some(executable(two)));
    flat.key = key("deep/x.md");
    flat.adopted = true;
    flat.identity = Some(homing_core::Identity::new("9"));
    let mut gone = ledger_row("gone", Some(one), None);
    gone.tombstone = true;
    let rows = [flat, gone, ledger_row("same", Some(two), Some(two))];
    let put = rows.clone();
    assert!(
        store
            .read_blocking(|reader| reader.ledger_targets())
            .unwrap()
            .is_empty()
    );
    let root = StoredRoot {
        identity: RootIdentity {
            device: 1,
            inode: u64::MAX,
        },
        boot_id: "b".to_owned(),
    };
    let given = root.clone();
    store
        .write_blocking(move |writer| {
            writer.set_target_root(&target(), given)?;
            writer.put_ledger(&target(), &put)
        })
        .unwrap();
    let ledger = store
        .read_blocking(|reader| reader.ledger(&target()))
        .unwrap();
    assert_eq!(ledger.into_values().collect::<Vec<_>>().len(), 3);
    let ledger = store
        .read_blocking(|reader| reader.ledger(&target()))
        .unwrap();
    for row in &rows {
        assert_eq!(ledger.get(&row.path), Some(row));
    }
    assert_eq!(
        store
            .read_blocking(|reader| reader.target_root(&target()))
            .unwrap(),
        Some(root)
    );
    assert_eq!(
        store
            .read_blocking(|reader| reader.ledger_targets())
            .unwrap(),
        [target()]
    );
    store
        .write_blocking(|writer| {
            writer.delete_ledger(&target(), &[key("x.md"), key("gone"), key("same")])
        })
        .unwrap();
    assert!(
        store
            .read_blocking(|reader| reader.ledger(&target()))
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .read_blocking(|reader| reader.ledger_targets())
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .read_blocking(|reader| reader.target_root(&"other".parse().unwrap()))
            .unwrap()
            .is_none()
    );
}

#[test]
fn holds_come_and_go() {
    let (_home, store) = new_store();
    register(&store);
    let one = keep(&store, b"one");
    let rows = [
        hold("a", Some(executable(one)), Some(one)),
        hold("b", None, Some(one)),
        hold("c", Some(one), None),
    ];
    for row in rows.clone() {
        store
            .write_blocking(move |writer| writer.put_hold(row))
            .unwrap();
    }
    let holds = store
        .read_blocking(|reader| reader.holds(&source()))
        .unwrap();
    assert_eq!(holds.into_values().collect::<Vec<_>>(), rows);
    store
        .write_blocking(|writer| writer.delete_holds(&source(), &[key("a"), key("c")]))
        .unwrap();
    let holds = store
        .read_blocking(|reader| reader.holds(&source()))
        .unwrap();
    assert_eq!(holds.into_values().collect::<Vec<_>>(), rows[1..2]);
}

#[test]
fn a_conflict_keeps_its_number_and_time_while_it_stays_open() {
    let (_home, store) = new_store();
    register(&store);
    let (one, two) = (keep(&store, b"one"), executable(keep(&store, b"two")));
    let mut first = conflict("a", Some(one));
    first.far = Some(two);
    first.detail = Some("a directory".to_owned());
    replace(&store, scope(), vec![first.clone(), conflict("b", None)]);
    let open = store
        .read_blocking(|reader| reader.conflicts(None, None))
        .unwrap();
    assert_eq!(open.len(), 2);
    let id = open[0].id;
    assert!(id > 0);
    assert_eq!(open[0], ConflictRow { id, ..first });

    let later = "2027-01-01T00:00:00.000Z".parse().unwrap();
    let changed = ConflictRow {
        kind: ConflictKind::Delete,
        since: later,
        ..conflict("a", Some(two))
    };
    replace(&store, scope(), vec![changed.clone(), conflict("c", None)]);
    let open = store
        .read_blocking(|reader| reader.conflicts(Some(&source()), None))
        .unwrap();
    assert_eq!(
        open.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
        ["a", "c"]
    );
    assert_eq!(
        open[0],
        ConflictRow {
            id,
            since: time(),
            ..changed
        }
    );
    assert_eq!(
        store
            .read_blocking(|reader| reader.conflict(id))
            .unwrap()
            .as_ref(),
        Some(&open[0])
    );
}

#[test]
fn conflicts_outside_the_scope_stay_open() {
    let (_home, store) = new_store();
    register(&store);
    let publish = ConflictScope {
        hop: Hop::Publish,
        source: None,
        target: Some(target()),
    };
    let placed = ConflictRow {
        hop: Hop::Publish,
        target: Some(target()),
        ..conflict("a", None)
    };
    replace(&store, publish.clone(), vec![placed]);
    replace(&store, scope(), vec![conflict("a", None)]);
    replace(&store, scope(), Vec::new());
    let open = store
        .read_blocking(|reader| reader.conflicts(None, None))
        .unwrap();
    assert_eq!(
        open.iter().map(|row| row.hop).collect::<Vec<_>>(),
        [Hop::Publish]
    );
    assert_eq!(
        store
            .read_blocking(|reader| reader.conflicts(None, Some(&target())))
            .unwrap()
            .len(),
        1
    );
    let other = ConflictScope {
        source: Some("other".parse().unwrap()),
        ..publish.clone()
    };
    replace(&store, other, Vec::new());
    assert_eq!(
        store
            .read_blocking(|reader| reader.conflicts(None, None))
            .unwrap()
            .len(),
        1
    );
    replace(&store, publish, Vec::new());
    assert!(
        store
            .read_blocking(|reader| reader.conflicts(None, None))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_removed_source_leaves_its_history_unless_it_is_purged() {
    let (_home, store) = new_store();
    let one = keep(&store, b"one");
    for purge in [false, true] {
        register(&store);
        store
            .write_blocking(move |writer| {
                writer.put_head(&source(), &[head_row("a", Some(one), Some(one))])?;
                writer.put_hold(hold("a", Some(one), None))?;
                writer.replace_conflicts(scope(), vec![conflict("a", Some(one))])?;
                writer.put_ledger(&target(), &[ledger_row("a", Some(one), Some(one))])?;
                writer.begin_run(&run_row(1))?;
                writer.put_journal(&[journal_row(1, "a", None, Some(one))])?;
                for about in ["unfetched", "examined_by"] {
                    writer.set_metadata(&format!("{about}:{}", source()), "1")?;
                    writer.set_metadata(&format!("{about}:{}x", source()), "1")?;
                }
                writer.remove_source(&source(), purge)
            })
            .unwrap();
        store
            .read_blocking(|reader| {
                assert!(reader.source(&source())?.is_none());
                assert!(reader.head(&source())?.is_empty());
                assert!(reader.holds(&source())?.is_empty());
                assert!(reader.conflicts(None, None)?.is_empty());
                assert_eq!(
                    reader.ledger(&target())?.len(),
                    1,
                    "its files are still there"
                );
                for about in ["unfetched", "examined_by"] {
                    let known = |name: &str| reader.metadata(&format!("{about}:{name}"));
                    assert_eq!(known(source().as_str())?, None, "{about}");
                    assert!(known(&format!("{}x", source()))?.is_some(), "{about}");
                }
                assert_eq!(reader.run(RunId(1))?.is_none(), purge);
                assert_eq!(reader.journal(RunId(1))?.is_empty(), purge);
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn metadata_is_set_and_read() {
    let (_home, store) = new_store();
    store
        .write_blocking(|writer| writer.set_metadata("boot_id", "one"))
        .unwrap();
    store
        .write_blocking(|writer| writer.set_metadata("boot_id", "two"))
        .unwrap();
    let read = |key: &'static str| {
        store
            .read_blocking(move |reader| reader.metadata(key))
            .unwrap()
    };
    assert_eq!(read("boot_id").as_deref(), Some("two"));
    assert_eq!(read("version").as_deref(), Some("3"));
    assert!(
        read("created_at")
            .unwrap()
            .parse::<jiff::Timestamp>()
            .is_ok()
    );
    assert_eq!(read("nothing"), None);
}

fn hold(
    path: &str,
    held: Option<homing_core::Version>,
    refused: Option<homing_core::Version>,
) -> HoldRow {
    HoldRow {
        source: source(),
        key: key(path),
        held,
        size: 3,
        refused,
        run: RunId(9),
        since: time(),
    }
}

fn scope() -> ConflictScope {
    ConflictScope {
        hop: Hop::Pull,
        source: Some(source()),
        target: None,
    }
}

fn conflict(path: &str, base: Option<homing_core::Version>) -> ConflictRow {
    ConflictRow {
        id: 0,
        hop: Hop::Pull,
        source: source(),
        target: None,
        key: key(path),
        kind: ConflictKind::Content,
        base,
        near: None,
        far: base,
        detail: None,
        since: time(),
    }
}

fn replace(store: &Store, scope: ConflictScope, rows: Vec<ConflictRow>) {
    store
        .write_blocking(move |writer| writer.replace_conflicts(scope, rows))
        .unwrap();
}

#[test]
fn two_sources_do_not_mix() {
    let (_home, store) = new_store();
    register(&store);
    let one = keep(&store, b"one");
    let other: SourceId = "other".parse().unwrap();
    let given = other.clone();
    store
        .write_blocking(move |writer| {
            writer.register_source(&given, "dir", "/other")?;
            writer.put_head(&given, &[head_row("a", Some(one), None)])?;
            writer.put_head(&source(), &[head_row("b", Some(one), None)])
        })
        .unwrap();
    let head = store
        .read_blocking(move |reader| reader.head(&other))
        .unwrap();
    assert_eq!(head.keys().map(ItemKey::as_str).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn facts_stay_with_their_content() {
    let (_home, store) = new_store();
    register(&store);
    let (one, two) = (keep(&store, b"one"), keep(&store, b"two"));
    let put = |row: &HeadRow| {
        let rows = [row.clone()];
        store
            .write_blocking(move |writer| writer.put_head(&source(), &rows))
            .unwrap();
        let row = store.read_blocking(|reader| reader.head_row(&source(), &key("a")));
        row.unwrap().unwrap()
    };
    let facts = Facts {
        kind: 2,
        name: Some("a".to_owned()),
        version: Some("1.0".to_owned()),
        findings: Some("[]".to_owned()),
    };
    let bare = Facts {
        kind: 0,
        ..Facts::default()
    };
    let known = |head, base, facts: Option<&Facts>| HeadRow {
        facts: facts.cloned(),
        ..head_row("a", Some(head), Some(base))
    };
    let row = known(one, one, Some(&facts));
    assert_eq!(put(&row), row);
    // Whoever puts a row without them knows nothing of them.
    assert_eq!(put(&known(one, two, None)), known(one, two, Some(&facts)));
    let set = executable(one);
    assert_eq!(put(&known(set, two, None)), known(set, two, Some(&facts)));
    assert_eq!(
        put(&known(one, one, Some(&bare))),
        known(one, one, Some(&bare))
    );
    // Another content is another item.
    assert_eq!(put(&known(two, one, None)), known(two, one, None));
    assert!(store.check_blocking(true).unwrap().is_sound());
}

#[test]
fn a_head_is_counted_as_it_would_be_read() {
    let (_home, store) = new_store();
    register(&store);
    let [one, two] = [0, 1].map(|number| keep(&store, &[number]));
    let executable = |hash| Version {
        hash,
        executable: true,
    };
    let pairs = [
        (None, Some(one)),
        (Some(one), None),
        (Some(one), Some(one)),
        (Some(one), Some(two)),
        (Some(executable(one.hash)), Some(one)),
        (Some(executable(one.hash)), Some(executable(one.hash))),
        (Some(executable(one.hash)), Some(executable(two.hash))),
        (Some(one), Some(executable(two.hash))),
    ];
    let rows: Vec<_> = pairs
        .iter()
        .enumerate()
        .map(|(at, (head, base))| head_row(&at.to_string(), *head, *base))
        .collect();
    store
        .write_blocking(move |writer| writer.put_head(&source(), &rows))
        .unwrap();
    let (counts, read) = store
        .read_blocking(|reader| Ok((reader.head_counts(&source())?, reader.head(&source())?)))
        .unwrap();
    let present = read.values().filter(|row| row.head.is_some()).count();
    let unpushed = read.values().filter(|row| row.head != row.base).count();
    assert_eq!(read.len(), pairs.len());
    assert_eq!(counts, (present, unpushed));
    assert_eq!(counts, (7, 6));
}
