//! What goes wrong at a side: the run says so, the rest is done, and the next run makes good.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use homing_core::{ConflictKind, SideError, UnknownReason};
use homing_engine::{
    Cadence, Deletions, EngineError, ItemAction, RunRequest, RunStatus, State, Trigger, Verb as Do,
};
use jiff::{SignedDuration, Timestamp};
use testkit::Verb;

use crate::memory::{Memory, not_found, permanent, storage};
use crate::world::{key, names, source};

const SHORT: Duration = Duration::from_millis(20);

fn later(minutes: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_mins(minutes)
}

/// A failure, its kind, whether it waits for a person, and between which seconds it is tried again.
type Case = (SideError, &'static str, bool, Option<(i64, i64)>);

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_failure_is_told_by_its_name_and_tried_again_when_it_makes_sense() {
    let hour = Duration::from_hours(1);
    let text = || "no".to_owned();
    // What fails, its kind, whether a hint helps, and after how many minutes it is not yet and then is tried again.
    let cases: Vec<Case> = vec![
        (
            SideError::Transient {
                message: text(),
                retry_after: None,
                source: Some("why".into()),
            },
            "transient",
            true,
            Some((0, 1)),
        ),
        (
            SideError::Transient {
                message: text(),
                retry_after: Some(hour),
                source: None,
            },
            "transient",
            true,
            Some((59, 61)),
        ),
        (
            SideError::RateLimited {
                message: text(),
                wait: hour,
            },
            "rate-limited",
            true,
            Some((59, 61)),
        ),
        (
            SideError::Auth {
                message: text(),
                source: None,
            },
            "auth",
            true,
            None,
        ),
        (not_found(), "not-found", true, Some((0, 1))),
        (
            SideError::Conflict { message: text() },
            "conflict",
            true,
            Some((0, 1)),
        ),
        (
            SideError::Changed {
                key: "a.md".to_owned(),
            },
            "changed",
            true,
            Some((0, 1)),
        ),
        (
            SideError::Untrusted { message: text() },
            "untrusted",
            true,
            None,
        ),
        (storage(), "storage", true, Some((0, 1))),
        (SideError::Config { message: text() }, "config", true, None),
        (permanent(), "permanent", false, Some((0, 1))),
    ];
    for (error, kind, hinted, again) in cases {
        let mut memory =
            Memory::with(|spec| spec.cadence = Some(Cadence::Every(Duration::from_mins(15))));
        memory.up.memory.put("a.md", b"a");
        let engine = memory.ready().await;
        memory.up.memory.fail_next(Verb::List, None, error);
        let scheduled = RunRequest::new(Do::Sync, Trigger::Schedule);
        let run = memory.world.run("up", scheduled).await.unwrap();
        assert_eq!(run.status, RunStatus::Error, "{kind}");
        let failure = run.error.unwrap();
        assert_eq!(failure.kind, kind);
        assert_eq!(failure.hint.is_some(), hinted, "{kind}");
        // History tells the same as the run itself did.
        assert_eq!(engine.run(run.id).await.unwrap().error.unwrap(), failure);
        let status = engine.status().await.unwrap();
        let stalled = status.sources[0]
            .conditions
            .iter()
            .any(|condition| condition.kind == "Stalled");
        match again {
            Some((not_yet, then)) => {
                assert!(
                    engine.due(later(not_yet)).is_empty(),
                    "{kind} is tried too soon"
                );
                assert_eq!(names(engine.due(later(then))), [source("up")], "{kind}");
            }
            None => assert!(
                engine.due(later(10_000)).is_empty(),
                "{kind} waits for a person"
            ),
        }
        assert_eq!(stalled, again.is_none(), "{kind}");
        memory.world.sync_well("up").await;
        assert_eq!(
            names(engine.due(later(20))),
            [source("up")],
            "a person's run passes every pause"
        );
        assert_eq!(memory.published("a.md").unwrap(), "a");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_stands_still_ends_the_run_as_stalled_and_the_next_one_works() {
    let mut memory = Memory::new();
    memory.world.specs.settings.stall_timeout = SHORT;
    memory.up.memory.put("a.md", b"a");
    memory.up.memory.hang_next(Verb::List, 0);
    let run = memory.world.sync("up").await;
    assert_eq!(run.error.unwrap().kind, "stalled");
    memory.world.sync_well("up").await;
    assert_eq!(memory.published("a.md").unwrap(), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_too_long_is_ended_although_it_moves() {
    let mut memory = Memory::new();
    memory.world.specs.settings.run_timeout = SHORT;
    memory.up.memory.put("a.md", b"a");
    memory.up.memory.hang_next(Verb::Fetch, 0);
    let run = memory.world.sync("up").await;
    let failure = run.error.unwrap();
    assert_eq!(failure.kind, "timeout");
    assert!(failure.hint.unwrap().contains("run_timeout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_cannot_be_fetched_fails_alone_and_comes_with_the_next_run() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"a");
    memory.up.memory.put("b.md", b"b");
    memory
        .up
        .memory
        .fail_next(Verb::Fetch, Some("b.md"), permanent());
    let run = memory.world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial);
    assert_eq!(run.failed, 1);
    let failed = run
        .items
        .iter()
        .find(|item| item.path == key("b.md"))
        .unwrap();
    assert_eq!(failed.action, ItemAction::Failed);
    let reason = failed.reason.as_deref().unwrap();
    assert!(reason.contains("it cannot be: and never will"), "{reason}");
    assert_eq!(memory.published("a.md").unwrap(), "a");
    assert_eq!(memory.published("b.md"), None);
    memory.world.sync_well("up").await;
    assert_eq!(memory.published("b.md").unwrap(), "b");
    memory.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_while_fetching_ends_the_run_with_the_old_files_in_place() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"old");
    memory.world.sync_well("up").await;
    memory.up.memory.put("a.md", b"new");
    memory.up.memory.put("b.md", b"b");
    memory
        .up
        .memory
        .fail_next(Verb::Fetch, Some("b.md"), storage());
    let run = memory.world.sync("up").await;
    assert_eq!(run.status, RunStatus::Error);
    assert_eq!(
        (run.synced, run.cached),
        (0, 0),
        "neither came, and both are to come"
    );
    assert_eq!(run.error.unwrap().kind, "storage");
    assert_eq!(memory.published("a.md").unwrap(), "old");
    memory.world.sync_well("up").await;
    assert_eq!(memory.published("a.md").unwrap(), "new");
    assert_eq!(memory.published("b.md").unwrap(), "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_fails_alone() {
    let mut memory = Memory::new();
    // The publish at the start would meet the fault, if it came late enough to find what the run has pulled.
    memory.ready().await;
    memory.up.memory.put("a.md", b"a");
    memory.up.memory.put("b.md", b"b");
    memory
        .here
        .memory
        .fail_next(Verb::Apply, Some("b.md"), permanent());
    let run = memory.world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial);
    assert_eq!(memory.published("a.md").unwrap(), "a");
    assert_eq!(memory.published("b.md"), None);
    memory.world.sync_well("up").await;
    assert_eq!(memory.published("b.md").unwrap(), "b");
    memory.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_target_ends_the_run_with_what_fitted_and_status_says_so_until_it_is_mended() {
    let mut memory = Memory::new();
    // The publish at the start would meet the fault, if it came late enough to find what the run has pulled.
    memory.ready().await;
    memory.up.memory.put("a.md", b"a");
    memory.up.memory.put("b.md", b"b");
    memory
        .here
        .memory
        .fail_next(Verb::Apply, Some("b.md"), storage());
    let run = memory.world.sync("up").await;
    assert_eq!(run.error.unwrap().kind, "storage");
    assert_eq!(memory.published("a.md").unwrap(), "a");
    let engine = memory.world.engine().await;
    let status = engine.status().await.unwrap();
    assert_eq!(status.targets[0].error.as_ref().unwrap().kind, "storage");
    assert!(status.targets[0].states.contains(&State::Outdated));
    memory.world.sync_well("up").await;
    let status = engine.status().await.unwrap();
    assert!(status.targets[0].error.is_none());
    assert_eq!(status.targets[0].states, [State::Synced]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gets_into_the_way_at_the_last_moment_is_a_conflict_until_it_is_gone() {
    let mut memory = Memory::new();
    // The publish at the start would meet the fault, if it came late enough to find what the run has pulled.
    memory.ready().await;
    memory.up.memory.put("a.md", b"a");
    let blocked = SideError::Conflict {
        message: "a directory stands there".to_owned(),
    };
    memory
        .here
        .memory
        .fail_next(Verb::Apply, Some("a.md"), blocked);
    let run = memory.world.sync("up").await;
    assert_eq!(run.items[0].action, ItemAction::Conflict);
    let open = memory.world.conflicts().await;
    assert_eq!(open[0].kind, ConflictKind::Structure);
    let engine = memory.world.engine().await;
    let refused = engine
        .resolve(open[0].id, homing_engine::Resolution::Theirs)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("a directory stands there"),
        "{refused}"
    );
    memory.world.sync_well("up").await;
    assert!(memory.world.conflicts().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_user_makes_during_the_publish_is_never_overwritten() {
    let mut memory = Memory::new();
    // The publish at the start would meet the fault, if it came late enough to find what the run has pulled.
    memory.ready().await;
    memory.up.memory.put("a.md", b"theirs");
    memory
        .here
        .memory
        .before_next(Verb::Apply, |tree| tree.put("a.md", b"mine", false));
    let run = memory.world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial, "{run:#?}");
    assert_eq!(memory.published("a.md").unwrap(), "mine");
    assert_eq!(memory.world.conflicts().await[0].kind, ConflictKind::Added);
    memory.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_under_every_attempt_is_left_to_the_next_run_and_loses_nothing() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"1\n2\n3\n4\n5\n");
    memory.world.sync_well("up").await;
    memory.up.memory.put("a.md", b"one\n2\n3\n4\n5\n");
    let saves = AtomicUsize::new(0);
    memory.here.before(move |verb, side| {
        if verb == Verb::Apply {
            let save = saves.fetch_add(1, Ordering::Relaxed);
            side.put("a.md", format!("1\n2\n3\n4\nsave {save}\n").as_bytes());
        }
        Box::pin(std::future::ready(()))
    });
    let run = memory.world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial);
    let [item] = &run.items[..] else {
        panic!("each attempt is told: {run:#?}")
    };
    let reason = item.reason.as_deref().unwrap_or_default();
    assert!(
        item.action == ItemAction::Failed && reason.contains("kept changing"),
        "{run:#?}"
    );
    let kept = memory.published("a.md").unwrap();
    assert!(kept.starts_with("1\n") && kept.contains("save"), "{kept}");
    memory.here.undisturbed();
    memory.world.sync_well("up").await;
    assert_eq!(
        memory.published("a.md").unwrap(),
        kept.replace("1\n", "one\n")
    );
    memory.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_that_panics_ends_the_run_and_not_its_source_or_target() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"a");
    memory.ready().await;
    for (side, verb) in [
        (&memory.up, Verb::List),
        (&memory.up, Verb::Fetch),
        (&memory.here, Verb::List),
        (&memory.here, Verb::Apply),
    ] {
        side.panics_at(verb);
        let run = memory.world.sync("up").await;
        assert_eq!(run.status, RunStatus::Error, "{verb:?}");
        let failure = run.error.unwrap();
        assert_eq!(failure.kind, "internal");
        assert!(failure.message.contains("this side panics"), "{failure:?}");
        side.undisturbed();
    }
    memory.world.sync_well("up").await;
    assert_eq!(memory.published("a.md").unwrap(), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_gone_is_named_and_never_taken_for_emptied() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"a");
    memory.world.sync_well("up").await;
    memory.here.memory.set_available(false);
    let run = memory.world.sync("up").await;
    let failure = run.error.unwrap();
    assert_eq!(failure.kind, "not-found");
    assert!(failure.hint.unwrap().contains("--accept-root"));
    memory.here.memory.set_available(true);
    memory.world.sync_well("up").await;
    memory.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_directory_in_a_targets_place_is_not_written_until_a_person_says_so() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"a");
    memory.world.sync_well("up").await;
    memory.here.memory.set_root(Some(homing_core::RootIdentity {
        device: 1,
        inode: 2,
    }));
    memory.here.memory.remove("a.md");
    let failure = memory.world.sync("up").await.error.unwrap();
    assert_eq!(failure.kind, "root-changed");
    let hint = failure.hint.unwrap();
    assert!(hint.contains("`homing sync up --accept-root`"), "{hint}");
    assert_eq!(memory.published("a.md"), None);
    let accept = RunRequest {
        accept_root: true,
        ..RunRequest::new(Do::Sync, Trigger::Manual)
    };
    assert_eq!(
        memory.world.run("up", accept).await.unwrap().status,
        RunStatus::Success
    );
    assert_eq!(memory.published("a.md").unwrap(), "a");
    memory.world.sync_well("up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_target_that_keeps_deletions_is_no_wish_to_delete_everything() {
    let mut memory = Memory::new();
    memory
        .world
        .specs
        .targets
        .values_mut()
        .for_each(|spec| spec.deletions = Deletions::Keep);
    let names = ["a.md", "b.md", "c.md", "d.md", "e.md"];
    for name in names {
        memory.up.memory.put(name, b"x");
    }
    memory.world.sync_well("up").await;
    for name in names {
        memory.here.memory.remove(name);
    }
    let run = memory.world.sync("up").await;
    assert_eq!(run.error.unwrap().kind, "root-empty");
    let engine = memory.world.engine().await;
    assert_eq!(engine.why("a.md".as_ref()).await.unwrap().state, "deleted");
    let accept = RunRequest {
        accept_root: true,
        ..RunRequest::new(Do::Sync, Trigger::Manual)
    };
    memory.world.run("up", accept).await.unwrap();
    assert!(
        memory.here.memory.files().is_empty(),
        "now it is what the user wants"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_on_either_side_is_left_as_it_is_and_told() {
    let mut memory = Memory::new();
    memory.up.memory.put("sub/a.md", b"a");
    memory.up.memory.put("b.md", b"b");
    memory.world.sync_well("up").await;
    let unreadable = || Some(UnknownReason::Unreadable("permission denied".to_owned()));
    memory.up.memory.set_unknown("sub", unreadable());
    let run = memory.world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial);
    assert!(
        run.items[0]
            .reason
            .as_deref()
            .unwrap()
            .contains("permission denied"),
        "{run:#?}"
    );
    assert_eq!(memory.published("sub/a.md").unwrap(), "a");
    memory.up.memory.set_unknown("sub", None);
    memory.here.memory.set_unknown("b.md", unreadable());
    memory.up.memory.put("b.md", b"new");
    let run = memory.world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial);
    memory.here.memory.set_unknown("b.md", None);
    memory.world.sync_well("up").await;
    assert_eq!(memory.published("b.md").unwrap(), "new");
    memory.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_cannot_be_read_is_not_captured_and_not_lost() {
    let mut memory = Memory::two_way();
    memory.up.memory.put("a.md", b"a");
    memory.world.sync_well("up").await;
    memory.here.memory.put("a.md", b"mine");
    memory.here.memory.fail_next(Verb::List, None, permanent());
    memory.world.sync("up").await;
    assert_eq!(memory.up.memory.get("a.md").unwrap(), b"a");
    assert_eq!(memory.published("a.md").unwrap(), "mine");
    memory.world.sync_well("up").await;
    assert_eq!(memory.up.memory.get("a.md").unwrap(), b"mine");
    memory.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_tells_missing_damaged_edited_and_unreadable_apart_and_never_touches_an_edit() {
    let mut memory = Memory::new();
    for name in ["edited.md", "gone.md", "locked.md", "stuck.md"] {
        memory.up.memory.put(name, b"x");
    }
    memory.world.sync_well("up").await;
    memory.here.memory.put("edited.md", b"mine");
    memory.here.memory.remove("gone.md");
    memory.here.memory.remove("stuck.md");
    let reason = UnknownReason::Unreadable("permission denied".to_owned());
    memory.here.memory.set_unknown("locked.md", Some(reason));
    memory
        .here
        .memory
        .fail_next(Verb::Apply, Some("stuck.md"), permanent());
    let engine = memory.world.engine().await;
    let here = crate::world::target("here");
    let report = engine.verify(&here, true).await.unwrap();
    assert_eq!(report.checked, 4);
    let drift: Vec<_> = report
        .drifted
        .iter()
        .map(|(path, drift, _)| (path.as_str(), drift.as_str()))
        .collect();
    let expected = [
        ("edited.md", "edited"),
        ("gone.md", "repaired"),
        ("locked.md", "unreadable"),
        ("stuck.md", "missing"),
    ];
    assert_eq!(drift, expected);
    assert_eq!(memory.published("edited.md").unwrap(), "mine");
    assert_eq!(memory.published("gone.md").unwrap(), "x");
    memory
        .here
        .memory
        .fail_next(Verb::Apply, Some("stuck.md"), storage());
    assert_eq!(
        engine.verify(&here, true).await.unwrap_err().kind(),
        "storage"
    );
    memory.here.memory.fail_next(Verb::List, None, permanent());
    assert!(matches!(
        engine.verify(&here, false).await,
        Err(EngineError::Side(_))
    ));
}
