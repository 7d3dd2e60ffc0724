//! What goes wrong at an origin while edits go back to it.

use homing_engine::{RunStatus, State};
use testkit::Verb;

use crate::memory::{Memory, permanent, storage};

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_fails_leaves_the_edit_modified_and_the_next_run_pushes_it() {
    for (error, status) in [
        (permanent(), RunStatus::Partial),
        (storage(), RunStatus::Error),
    ] {
        let mut memory = Memory::two_way();
        memory.up.memory.put("a.md", b"a");
        memory.world.sync_well("up").await;
        memory.here.memory.put("a.md", b"mine");
        memory.up.memory.fail_next(Verb::Apply, Some("a.md"), error);
        let run = memory.world.sync("up").await;
        assert_eq!((run.status, run.synced), (status, 0), "nothing has arrived");
        assert_eq!(memory.up.memory.get("a.md").unwrap(), b"a");
        let engine = memory.world.engine().await;
        let states = engine.status().await.unwrap().sources.remove(0).states;
        assert!(states.contains(&State::Modified), "{states:?}");
        memory.world.sync_well("up").await;
        assert_eq!(memory.up.memory.get("a.md").unwrap(), b"mine");
        memory.no_violations();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_changes_during_the_push_is_not_overwritten_and_merged_next_time() {
    let mut memory = Memory::two_way();
    memory.up.memory.put("a.md", b"1\n2\n3\n");
    memory.world.sync_well("up").await;
    memory.here.memory.put("a.md", b"mine\n2\n3\n");
    memory.up.memory.before_next(Verb::Apply, |tree| {
        tree.put("a.md", b"1\n2\ntheirs\n", false);
    });
    let run = memory.world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial);
    assert_eq!(memory.up.memory.get("a.md").unwrap(), b"1\n2\ntheirs\n");
    memory.world.sync_well("up").await;
    assert_eq!(memory.up.memory.get("a.md").unwrap(), b"mine\n2\ntheirs\n");
    assert_eq!(memory.published("a.md").unwrap(), "mine\n2\ntheirs\n");
    memory.no_violations();
}
