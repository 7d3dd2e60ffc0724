//! What goes wrong while an undo or a resolution is carried out.

use homing_engine::{ItemAction, State};
use testkit::Verb;

use crate::memory::{Memory, storage};

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_dies_half_way_is_finished_by_the_next_run() {
    let mut memory = Memory::after(&["one", "two"]).await;
    memory.here.panics_at(Verb::Apply);
    let undo = memory.world.engine().await.undo(None).await.unwrap();
    assert_eq!(undo.error.unwrap().kind, "internal");
    memory.here.undisturbed();
    memory.world.sync_well("up").await;
    assert_eq!(memory.published("a.md").unwrap(), "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_of_a_full_target_says_so_and_leaves_what_it_could_not_put_back() {
    let mut memory = Memory::after(&["one", "two"]).await;
    memory
        .here
        .memory
        .fail_next(Verb::Apply, Some("a.md"), storage());
    let engine = memory.world.engine().await;
    let undo = engine.undo(None).await.unwrap();
    assert_eq!(undo.error.unwrap().kind, "storage");
    assert_eq!(memory.published("a.md").unwrap(), "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_in_the_moment_of_an_undo_stays_and_is_reported() {
    let mut memory = Memory::after(&["one", "two"]).await;
    memory
        .here
        .memory
        .before_next(Verb::Apply, |tree| tree.put("a.md", b"mine", false));
    let engine = memory.world.engine().await;
    let undo = engine.undo(None).await.unwrap();
    assert_eq!(undo.failed, 1, "{undo:#?}");
    assert_eq!(memory.published("a.md").unwrap(), "mine");
    let items = engine.run(undo.id).await.unwrap().items;
    let actions: Vec<_> = items.iter().map(|item| item.action).collect();
    assert_eq!(actions, [ItemAction::Failed], "{items:#?}");
    // Nothing is held there, so that no later sync does what the undo has left.
    memory.world.sync("up").await;
    assert_eq!(memory.published("a.md").unwrap(), "mine");
    let status = engine.status().await.unwrap();
    assert!(!status.sources[0].states.contains(&State::Held));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_in_the_moment_of_a_resolution_is_never_overwritten() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"one");
    memory.here.memory.put("a.md", b"mine");
    memory.world.sync("up").await;
    let open = memory.world.conflicts().await;
    memory
        .here
        .memory
        .before_next(Verb::Apply, |tree| tree.put("a.md", b"newer", false));
    let engine = memory.world.engine().await;
    let run = engine
        .resolve(open[0].id, homing_engine::Resolution::Theirs)
        .await
        .unwrap();
    assert_eq!(run.error.unwrap().kind, "rejected");
    assert_eq!(memory.published("a.md").unwrap(), "newer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolution_that_does_not_fit_on_the_disk_says_so_and_the_conflict_stays() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"one");
    memory.here.memory.put("a.md", b"mine");
    memory.world.sync("up").await;
    let open = memory.world.conflicts().await;
    memory
        .here
        .memory
        .fail_next(Verb::Apply, Some("a.md"), storage());
    let engine = memory.world.engine().await;
    let run = engine
        .resolve(open[0].id, homing_engine::Resolution::Theirs)
        .await
        .unwrap();
    assert_eq!(run.error.unwrap().kind, "storage");
    assert_eq!(memory.published("a.md").unwrap(), "mine");
    memory.world.sync("up").await;
    assert_eq!(memory.world.conflicts().await.len(), 1);
}
