//! What a killed process or a power cut left under way.

use std::time::Duration;

use homing_core::{RunId, SideError};
use homing_engine::{ItemAction, RunReport, RunRequest, RunStatus, Trigger, Verb as Do};
use testkit::Verb;

use crate::memory::{Memory, not_found};
use crate::world::{key, source};

fn accept_root() -> RunRequest {
    RunRequest {
        accept_root: true,
        ..RunRequest::new(Do::Sync, Trigger::Manual)
    }
}

/// Publishes `files` and stops for good after the first `done` of them, as a killed process does.
async fn cut_off(memory: &mut Memory, done: usize) -> RunReport {
    memory.world.restart().await;
    let before = memory.world.specs.settings.stall_timeout;
    memory.world.specs.settings.stall_timeout = Duration::from_millis(20);
    memory.ready().await;
    memory.here.memory.hang_next(Verb::Apply, done);
    let run = memory.world.sync("up").await;
    assert_eq!(run.error.as_ref().unwrap().kind, "stalled");
    memory.world.restart().await;
    memory.world.specs.settings.stall_timeout = before;
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_was_cut_off_is_finished_at_the_next_start() {
    let mut memory = Memory::new();
    for name in ["a.md", "b.md", "c.md"] {
        memory.up.memory.put(name, name.as_bytes());
    }
    let run = cut_off(&mut memory, 2).await;
    assert_eq!(memory.here.memory.files().len(), 2);
    let engine = memory.ready().await;
    assert_eq!(memory.here.memory.files(), memory.up.memory.files());
    let items = engine.run(run.id).await.unwrap().items;
    let ended = |path: &str| {
        items
            .iter()
            .find(|item| item.path == key(path))
            .unwrap()
            .action
    };
    assert_eq!(
        ended("a.md"),
        ItemAction::Created,
        "it was done, and the journal says so"
    );
    assert_eq!(
        ended("c.md"),
        ItemAction::Failed,
        "it was not done by that run"
    );
    memory.world.sync_well("up").await;
    memory.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_and_an_update_that_were_cut_off_are_taken_as_done_when_they_were() {
    let mut memory = Memory::new();
    for name in ["a.md", "b.md"] {
        memory.up.memory.put(name, b"old");
    }
    memory.world.sync_well("up").await;
    memory.up.memory.remove("a.md");
    memory.up.memory.put("b.md", b"new");
    cut_off(&mut memory, 1).await;
    memory.ready().await;
    assert_eq!(memory.here.memory.files(), memory.up.memory.files());
    memory.world.sync_well("up").await;
    memory.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_made_while_nothing_ran_is_not_taken_for_half_done_work() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"old");
    memory.world.sync_well("up").await;
    memory.up.memory.put("a.md", b"new");
    cut_off(&mut memory, 0).await;
    memory.here.memory.put("a.md", b"mine");
    memory.ready().await;
    assert_eq!(memory.published("a.md").unwrap(), "mine");
    assert_eq!(memory.world.conflicts().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_made_in_what_a_killed_undo_had_placed_is_an_edit_of_that() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"one\n");
    memory.up.memory.put("b.md", b"one\n");
    memory.world.sync_well("up").await;
    memory.up.memory.put("a.md", b"two\n");
    memory.up.memory.put("b.md", b"two\n");
    memory.world.sync_well("up").await;
    let before = memory.world.specs.settings.stall_timeout;
    memory.world.restart().await;
    memory.world.specs.settings.stall_timeout = Duration::from_millis(20);
    let engine = memory.ready().await;
    memory.here.memory.hang_next(Verb::Apply, 1);
    let undo = engine.undo(None).await.unwrap();
    assert_eq!(undo.error.unwrap().kind, "stalled");
    memory.world.restart().await;
    memory.world.specs.settings.stall_timeout = before;
    assert_eq!(memory.published("a.md").unwrap(), "one\n");
    // What gave way is beside it still, and the user writes before the next start.
    memory
        .here
        .memory
        .put(&format!(".homing-{}-0", undo.id), b"two\n");
    memory.here.memory.put("a.md", b"one and mine\n");
    let engine = memory.ready().await;
    engine
        .release(&source("up"), vec![key("a.md")])
        .await
        .unwrap();
    memory.world.sync("up").await;
    assert_eq!(memory.published("a.md").unwrap(), "one and mine\n");
    let open = memory.world.conflicts().await;
    assert_eq!(
        open.len(),
        1,
        "upstream's `two` was never declined: {open:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_nobody_had_a_copy_of_come_back_and_are_named_in_the_history() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"old");
    memory.world.sync_well("up").await;
    memory.up.memory.put("a.md", b"new");
    memory.up.memory.put("b.md", b"b");
    let run = cut_off(&mut memory, 1).await;
    // The user saved in the instant of the exchange: his bytes are what the temporary file holds.
    memory
        .here
        .memory
        .put(&format!(".homing-{}-0", run.id), b"mine");
    let engine = memory.ready().await;
    assert_eq!(memory.published("a.md").unwrap(), "mine");
    let items = engine.run(run.id).await.unwrap().items;
    let rescued = items
        .iter()
        .find(|item| {
            item.reason
                .as_deref()
                .is_some_and(|reason| reason.contains("nobody had a copy"))
        })
        .unwrap();
    let bytes = engine.content(&rescued.before.unwrap().hash).await.unwrap();
    assert_eq!(bytes, b"mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_placed_but_not_synced_counts_as_kept_while_the_machine_stays_up() {
    let mut memory = Memory::new();
    memory.here.memory.set_unsynced(true);
    memory.up.memory.put("a.md", b"a");
    memory.world.sync_well("up").await;
    memory.world.restart().await;
    memory.ready().await;
    memory.world.sync_well("up").await;
    assert_eq!(memory.here.memory.calls(Verb::Recover), 0);
    // It is settled for good: a power cut from now on asks for nothing either.
    memory.lose_power().await;
    memory.ready().await;
    assert_eq!(memory.here.memory.calls(Verb::Recover), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_a_power_cut_damaged_is_kept_and_replaced_and_never_taken_for_an_edit() {
    for damage in [Some("\0\0\0"), None] {
        let mut memory = Memory::two_way();
        memory.here.memory.set_unsynced(true);
        memory.up.memory.put("a.md", b"old");
        memory.world.sync_well("up").await;
        memory.world.restart().await;
        memory.ready().await;
        memory.up.memory.put("a.md", b"new");
        let run = memory.world.sync_well("up").await;
        memory.lose_power().await;
        match damage {
            Some(bytes) => memory.here.memory.put("a.md", bytes.as_bytes()),
            None => memory.here.memory.remove("a.md"),
        }
        let engine = memory.ready().await;
        assert_eq!(memory.published("a.md").unwrap(), "new", "{damage:?}");
        memory.world.sync_well("up").await;
        assert_eq!(
            memory.up.memory.get("a.md").unwrap(),
            b"new",
            "damage is not pushed"
        );
        let items = engine.run(run.id).await.unwrap().items;
        let named = items.iter().any(|item| item.action == ItemAction::Failed);
        assert_eq!(named, damage.is_some(), "{items:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_that_cannot_be_replaced_at_the_start_is_replaced_by_the_next_run() {
    let mut memory = Memory::new();
    memory.here.memory.set_unsynced(true);
    memory.up.memory.put("a.md", b"a");
    memory.world.sync_well("up").await;
    memory.lose_power().await;
    memory.here.memory.put("a.md", b"\0");
    memory
        .here
        .memory
        .fail_next(Verb::Apply, Some("a.md"), crate::memory::permanent());
    memory.ready().await;
    assert_eq!(
        memory.published("a.md").unwrap(),
        "\0",
        "it could not be replaced"
    );
    memory.world.sync_well("up").await;
    assert_eq!(memory.published("a.md").unwrap(), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_fails_stops_the_target_and_is_tried_again() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"a");
    cut_off(&mut memory, 0).await;
    let later = || SideError::Transient {
        message: "not now".to_owned(),
        retry_after: None,
        source: None,
    };
    memory.here.memory.fail_next(Verb::Recover, None, later());
    memory.here.memory.fail_next(Verb::Recover, None, later());
    memory.ready().await;
    assert_eq!(
        memory.world.sync("up").await.error.unwrap().kind,
        "transient"
    );
    assert_eq!(
        memory.published("a.md"),
        None,
        "nothing is done to a target before it is repaired"
    );
    memory.world.sync_well("up").await;
    assert_eq!(memory.published("a.md").unwrap(), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_in_a_replaced_target_is_given_up_when_a_person_says_so() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"a");
    let run = cut_off(&mut memory, 0).await;
    memory
        .here
        .memory
        .fail_next(Verb::Recover, None, not_found());
    memory
        .here
        .memory
        .fail_next(Verb::Recover, None, not_found());
    memory
        .here
        .memory
        .fail_next(Verb::Recover, None, not_found());
    let engine = memory.ready().await;
    assert_eq!(
        memory.world.sync("up").await.error.unwrap().kind,
        "not-found"
    );
    let accepted = memory.world.run("up", accept_root()).await.unwrap();
    assert_eq!(accepted.status, RunStatus::Success, "{accepted:#?}");
    assert_eq!(memory.published("a.md").unwrap(), "a");
    let items = engine.run(run.id).await.unwrap().items;
    assert!(
        items[0].reason.as_deref().unwrap().contains("replaced"),
        "{items:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_is_repaired_at_the_start_so_that_a_later_edit_is_no_damage() {
    let mut memory = Memory::two_way();
    memory.up.memory.put("a.md", b"old");
    memory.up.memory.put("b.md", b"b");
    memory.world.sync_well("up").await;
    memory.here.memory.put("a.md", b"mine");
    memory.up.memory.set_unsynced(true);
    memory.world.sync_well("up").await;
    memory.lose_power().await;
    memory.up.memory.put("a.md", b"\0\0\0");
    let engine = memory.ready().await;
    while !engine.status().await.unwrap().recovered {
        tokio::task::yield_now().await;
    }
    assert_eq!(memory.up.memory.get("a.md").unwrap(), b"mine");
    memory.up.memory.put("a.md", b"later");
    memory.world.sync_well("up").await;
    assert_eq!(memory.up.memory.get("a.md").unwrap(), b"later");
    assert_eq!(memory.published("a.md").unwrap(), "later");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_in_a_root_that_was_just_accepted_is_repaired_in_that_root() {
    let mut memory = Memory::new();
    memory.world.specs.settings.stall_timeout = Duration::from_millis(20);
    for name in ["a.md", "b.md"] {
        memory.up.memory.put(name, name.as_bytes());
    }
    memory.world.sync_well("up").await;
    memory.here.memory.set_root(Some(homing_core::RootIdentity {
        device: 7,
        inode: 7,
    }));
    for name in ["a.md", "b.md"] {
        memory.here.memory.remove(name);
    }
    memory.here.memory.hang_next(Verb::Apply, 1);
    let run = memory.world.run("up", accept_root()).await.unwrap();
    assert_eq!(run.error.unwrap().kind, "stalled");
    memory.world.restart().await;
    // Nobody has to accept it again, and nothing is left lying there.
    memory.world.sync_well("up").await;
    assert_eq!(memory.here.memory.calls(Verb::Recover), 1);
    assert_eq!(memory.here.memory.files(), memory.up.memory.files());
    memory.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_was_cut_off_is_finished_by_the_next_run() {
    for done in [0, 1] {
        let mut memory = Memory::two_way();
        memory.world.specs.settings.stall_timeout = Duration::from_millis(20);
        memory.up.memory.put("a.md", b"old");
        memory.up.memory.put("b.md", b"old");
        memory.world.sync_well("up").await;
        memory.here.memory.put("a.md", b"mine");
        memory.here.memory.put("b.md", b"mine too");
        memory.up.memory.hang_next(Verb::Apply, done);
        let run = memory.world.sync("up").await;
        assert_eq!(run.error.unwrap().kind, "stalled");
        memory.world.restart().await;
        memory.world.sync_well("up").await;
        assert_eq!(memory.up.memory.calls(Verb::Recover), 1);
        assert_eq!(memory.up.memory.get("a.md").unwrap(), b"mine");
        assert_eq!(memory.up.memory.get("b.md").unwrap(), b"mine too");
        memory.no_violations();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_after_the_restart_does_not_pass_for_damage_when_the_power_goes_next() {
    let mut memory = Memory::two_way();
    memory.world.specs.settings.stall_timeout = Duration::from_millis(20);
    for name in ["a.md", "b.md"] {
        memory.up.memory.put(name, b"old");
    }
    memory.world.sync_well("up").await;
    for name in ["a.md", "b.md"] {
        memory.here.memory.put(name, b"mine");
    }
    memory.up.memory.hang_next(Verb::Apply, 1);
    let run = memory.world.sync("up").await;
    assert_eq!(run.error.unwrap().kind, "stalled");
    memory.world.restart().await;
    // No run of the source comes before somebody edits the file there.
    let engine = memory.ready().await;
    while !engine.status().await.unwrap().recovered {
        tokio::task::yield_now().await;
    }
    memory.up.memory.put("a.md", b"theirs");
    memory.lose_power().await;
    memory.world.sync_well("up").await;
    assert_eq!(memory.up.memory.get("a.md").unwrap(), b"theirs");
    assert_eq!(memory.published("a.md").unwrap(), "theirs");
    memory.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_in_a_replaced_origin_is_given_up_when_a_person_says_so() {
    let mut memory = Memory::two_way();
    memory.world.specs.settings.stall_timeout = Duration::from_millis(20);
    memory.up.memory.put("a.md", b"old");
    memory.world.sync_well("up").await;
    memory.here.memory.put("a.md", b"mine");
    memory.up.memory.hang_next(Verb::Apply, 0);
    memory.world.sync("up").await;
    memory.up.memory.fail_next(Verb::Recover, None, not_found());
    assert_eq!(
        memory.world.sync("up").await.error.unwrap().kind,
        "not-found"
    );
    memory.up.memory.fail_next(Verb::Recover, None, not_found());
    let accepted = memory.world.run("up", accept_root()).await.unwrap();
    assert_eq!(accepted.status, RunStatus::Success, "{accepted:#?}");
    assert_eq!(memory.up.memory.get("a.md").unwrap(), b"mine");
    memory.world.sync_well("up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_under_way_when_the_daemon_died_is_called_interrupted() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"a");
    let run = cut_off(&mut memory, 0).await;
    let store = homing_store::Store::open(homing_store::StoreOptions {
        data_dir: memory.world.path("data"),
    })
    .unwrap();
    store
        .write_blocking(move |writer| {
            let mut row = writer.run(run.id)?.unwrap();
            row.status = "running".to_owned();
            row.error_kind = None;
            row.error_message = None;
            writer.finish_run(&row)
        })
        .unwrap();
    store.close_blocking();
    let engine = memory.ready().await;
    assert_eq!(
        engine.run(run.id).await.unwrap().status,
        RunStatus::Interrupted
    );
    assert!(engine.run(RunId(i64::MAX)).await.is_err());
}
