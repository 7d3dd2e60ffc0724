//! Runs and their journal as the store keeps them.
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

use homing_core::RunId;
use homing_store::{Hop, JournalState, RunFilter, Store};
use support::*;

#[test]
fn runs_come_back_newest_first_and_filtered() {
    let (_home, store) = new_store();
    assert_eq!(
        store.read_blocking(|reader| reader.last_run_id()).unwrap(),
        RunId(0)
    );
    for id in 1..=6 {
        store
            .write_blocking(move |writer| {
                let mut row = run_row(id);
                if id == 4 {
                    (row.source, row.target, row.verb) =
                        (None, Some(target()), "publish".to_owned());
                }
                if id % 2 == 0 {
                    row.status = "error".to_owned();
                    row.error_kind = Some("auth".to_owned());
                    row.error_message = Some("no".to_owned());
                    row.plan_digest = Some("d".to_owned());
                }
                writer.begin_run(&row)
            })
            .unwrap();
    }
    assert_eq!(
        store.read_blocking(|reader| reader.last_run_id()).unwrap(),
        RunId(6)
    );
    assert_eq!(
        store.read_blocking(|reader| reader.run(RunId(1))).unwrap(),
        Some(run_row(1))
    );
    assert_eq!(
        ids(
            &store,
            RunFilter {
                limit: 2,
                ..RunFilter::default()
            }
        ),
        [6, 5]
    );
    assert_eq!(
        ids(
            &store,
            RunFilter {
                limit: 9,
                before: Some(RunId(3)),
                ..RunFilter::default()
            }
        ),
        [2, 1]
    );
    let errors = RunFilter {
        status: Some("error".to_owned()),
        source: Some(source()),
        limit: 9,
        ..RunFilter::default()
    };
    assert_eq!(ids(&store, errors), [6, 2]);
    assert_eq!(
        ids(
            &store,
            RunFilter {
                target: Some(target()),
                limit: 9,
                ..RunFilter::default()
            }
        ),
        [4]
    );
}

#[test]
fn only_the_newest_finished_run_counts_as_blocked() {
    let (_home, store) = new_store();
    let put = |id: i64, status: &'static str| {
        store
            .write_blocking(move |writer| {
                let mut row = run_row(id);
                row.status = status.to_owned();
                writer.finish_run(&row)
            })
            .unwrap();
    };
    let blocked = || {
        store
            .read_blocking(|reader| reader.last_blocked(&source()))
            .unwrap()
            .map(|run| run.id.0)
    };
    assert_eq!(blocked(), None);
    put(1, "blocked");
    put(2, "running");
    assert_eq!(blocked(), Some(1));
    put(2, "success");
    assert_eq!(blocked(), None);
    put(3, "blocked");
    store
        .write_blocking(|writer| {
            let mut imported = run_row(4);
            imported.trigger = "import".to_owned();
            imported.status = "error".to_owned();
            writer.finish_run(&imported)
        })
        .unwrap();
    assert_eq!(blocked(), Some(3), "another program's sync ends no wait");
}

#[test]
fn interrupting_touches_running_runs_only() {
    let (_home, store) = new_store();
    store
        .write_blocking(|writer| {
            for (id, status) in [(1, "success"), (2, "running"), (3, "running")] {
                let mut row = run_row(id);
                row.status = status.to_owned();
                writer.begin_run(&row)?;
            }
            Ok(())
        })
        .unwrap();
    let now = "2026-01-02T03:04:06.678Z".parse().unwrap();
    let interrupted = store
        .write_blocking(move |writer| writer.interrupt_running(now))
        .unwrap();
    assert_eq!(interrupted, [RunId(2), RunId(3)]);
    let run = store
        .read_blocking(|reader| reader.run(RunId(2)))
        .unwrap()
        .unwrap();
    assert_eq!(
        (run.status.as_str(), run.duration_ms),
        ("interrupted", 1000)
    );
    assert!(
        store
            .write_blocking(move |writer| writer.interrupt_running(now))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn the_journal_tells_what_is_unfinished() {
    let (_home, store) = new_store();
    let (one, two) = (keep(&store, b"one"), keep(&store, b"two"));
    let mut rows = vec![
        journal_row(1, "a", None, Some(one)),
        journal_row(1, "b", Some(one), Some(executable(two))),
        journal_row(1, "c", Some(two), None),
        journal_row(2, "d", Some(two), Some(one)),
    ];
    rows[1].path = key("flat-b");
    rows[2].base_before = None;
    rows[2].hop = Hop::Pull;
    rows[2].target = None;
    rows[2].temporary = None;
    let put = rows.clone();
    let numbers = store
        .write_blocking(move |writer| {
            writer.begin_run(&run_row(1))?;
            writer.begin_run(&run_row(2))?;
            writer.put_journal(&put)
        })
        .unwrap();
    for (row, id) in rows.iter_mut().zip(&numbers) {
        row.id = *id;
    }
    assert_eq!(
        store
            .read_blocking(|reader| reader.journal(RunId(1)))
            .unwrap(),
        rows[..3]
    );
    let states = vec![
        (numbers[0], JournalState::Durable, None),
        (numbers[1], JournalState::Placed, None),
        (numbers[2], JournalState::Placed, None),
        (
            numbers[3],
            JournalState::Failed,
            Some("read-only".to_owned()),
        ),
    ];
    store
        .write_blocking(move |writer| writer.set_journal_state(&states))
        .unwrap();
    let unfinished = store
        .read_blocking(|reader| reader.unfinished_journal())
        .unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!(unfinished[0].0, run_row(1));
    let states: Vec<_> = unfinished[0]
        .1
        .iter()
        .map(|row| (row.key.as_str(), row.state))
        .collect();
    assert_eq!(
        states,
        [("b", JournalState::Placed), ("c", JournalState::Placed)]
    );
    let failed = store
        .read_blocking(|reader| reader.journal(RunId(2)))
        .unwrap();
    assert_eq!(
        (failed[0].state, failed[0].reason.as_deref()),
        (JournalState::Failed, Some("read-only"))
    );
}

#[test]
fn undo_finds_the_newest_run_that_published() {
    let (_home, store) = new_store();
    let one = keep(&store, b"one");
    let put = |id: i64, verb: &'static str, hop: Hop, state: JournalState| {
        store
            .write_blocking(move |writer| {
                let mut run = run_row(id);
                run.verb = verb.to_owned();
                writer.begin_run(&run)?;
                let mut row = journal_row(id, "a", None, Some(one));
                (row.hop, row.state) = (hop, state);
                writer.put_journal(&[row]).map(|_| ())
            })
            .unwrap();
    };
    let last = || {
        store
            .read_blocking(|reader| reader.undoable_runs(1))
            .unwrap()
            .first()
            .map(|run| run.0)
    };
    assert_eq!(last(), None);
    put(1, "publish", Hop::Publish, JournalState::Durable);
    put(2, "sync", Hop::Publish, JournalState::Placed);
    put(3, "pull", Hop::Pull, JournalState::Durable);
    put(4, "publish", Hop::Publish, JournalState::Failed);
    put(5, "publish", Hop::Publish, JournalState::Planned);
    assert_eq!(last(), Some(2));
    put(6, "undo", Hop::Publish, JournalState::Durable);
    store
        .write_blocking(|writer| writer.mark_undone(RunId(2), RunId(6)))
        .unwrap();
    // What a run writes at its end does not make it undoable again.
    store
        .write_blocking(|writer| {
            let mut run = run_row(2);
            run.verb = "sync".to_owned();
            writer.finish_run(&run)
        })
        .unwrap();
    assert_eq!(last(), Some(1));
    let undone_by = |id: i64| {
        store
            .read_blocking(move |reader| reader.undone_by(RunId(id)))
            .unwrap()
    };
    assert_eq!(undone_by(6), Some(RunId(2)));
    assert_eq!(undone_by(2), None);
}

fn ids(store: &Store, filter: RunFilter) -> Vec<i64> {
    store
        .read_blocking(move |reader| reader.runs(filter))
        .unwrap()
        .iter()
        .map(|run| run.id.0)
        .collect()
}

#[test]
fn what_a_hook_is_to_be_told_is_kept_once_and_goes_with_its_run() {
    let (_home, store) = new_store();
    register(&store);
    let (here, there) = (target(), "there".parse().unwrap());
    let [first, second] = [7, 9].map(|id| {
        store
            .write_blocking(move |writer| writer.begin_run(&run_row(id)))
            .unwrap();
        RunId(id)
    });
    let (to_here, to_there) = (here.clone(), here.clone());
    store
        .write_blocking(move |writer| {
            writer.put_pending_hook(&to_here, second, time())?;
            writer.put_pending_hook(&to_here, first, time())?;
            writer.put_pending_hook(&to_here, first, time())?;
            writer.put_pending_hook(&there, first, time())
        })
        .unwrap();
    let runs = |target: Option<&homing_core::TargetId>| -> Vec<RunId> {
        let target = target.cloned();
        let pending = store
            .read_blocking(move |reader| reader.pending_hooks(target.as_ref()))
            .unwrap();
        assert!(pending.iter().all(|pending| pending.since == time()));
        pending.iter().map(|pending| pending.run).collect()
    };
    assert_eq!(runs(Some(&here)), [first, second]);
    assert_eq!(runs(None).len(), 3);
    store
        .write_blocking(move |writer| writer.delete_pending_hooks(&to_there, &[first]))
        .unwrap();
    assert_eq!(runs(Some(&here)), [second]);
    assert_eq!(runs(None).len(), 2);
    let of_no_run =
        store.write_blocking(move |writer| writer.put_pending_hook(&here, RunId(1000), time()));
    assert!(of_no_run.is_err());
}
