//! Undo and the holds that it leaves.

use homing_engine::{EngineError, RunStatus, State};

use crate::world::{World, key, source, target};

#[tokio::test(flavor = "multi_thread")]
async fn hold_undo_puts_back_and_stays_until_upstream_moves_on() {
    let mut world = World::new();
    world.write("up/a.md", "one\n");
    world.sync_well("up").await;
    world.write("up/a.md", "two\n");
    world.sync_well("up").await;
    let engine = world.engine().await;
    let undo = engine.undo(None).await.unwrap();
    assert!(undo.error.is_none(), "{undo:#?}");
    assert_eq!(world.read("here/a.md").unwrap(), "one\n");
    world.sync_well("up").await;
    assert_eq!(world.read("here/a.md").unwrap(), "one\n", "the hold lasts");
    assert!(
        engine.status().await.unwrap().sources[0]
            .states
            .contains(&State::Held)
    );
    world.write("up/a.md", "three\n");
    world.sync_well("up").await;
    assert_eq!(
        world.read("here/a.md").unwrap(),
        "three\n",
        "upstream moved on from what was refused"
    );
    assert!(
        !engine.status().await.unwrap().sources[0]
            .states
            .contains(&State::Held)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_item_follows_upstream_again() {
    let mut world = World::new();
    world.write("up/a.md", "one\n");
    world.sync_well("up").await;
    world.write("up/a.md", "two\n");
    world.sync_well("up").await;
    let engine = world.engine().await;
    engine.undo(None).await.unwrap();
    engine
        .release(&source("up"), vec![key("a.md")])
        .await
        .unwrap();
    assert_eq!(world.read("here/a.md").unwrap(), "two\n");
    let error = engine
        .release(&source("up"), vec![key("a.md")])
        .await
        .unwrap_err();
    assert!(matches!(error, EngineError::Rejected { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_takes_back_creations_and_deletions() {
    let mut world = World::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        world.write(&format!("up/{name}.md"), name);
    }
    world.sync_well("up").await;
    let before = world.tree("here");
    world.remove("up/a.md");
    world.write("up/new.md", "new\n");
    world.sync_well("up").await;
    world.engine().await.undo(None).await.unwrap();
    assert_eq!(world.tree("here"), before);
    world.sync_well("up").await;
    assert_eq!(world.tree("here"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_leaves_what_was_edited_since_and_says_so() {
    let mut world = World::new();
    world.write("up/a.md", "one\n");
    world.write("up/b.md", "one\n");
    world.sync_well("up").await;
    world.write("up/a.md", "two\n");
    world.write("up/b.md", "two\n");
    world.sync_well("up").await;
    world.write("here/a.md", "edited\n");
    let engine = world.engine().await;
    let undo = engine.undo(None).await.unwrap();
    assert_eq!(world.read("here/a.md").unwrap(), "edited\n");
    assert_eq!(world.read("here/b.md").unwrap(), "one\n");
    let undo = engine.run(undo.id).await.unwrap();
    let left: Vec<_> = undo
        .items
        .iter()
        .filter(|item| item.reason.is_some())
        .map(|item| item.path.as_str())
        .collect();
    assert_eq!(left, ["a.md"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_of_a_merge_gives_the_edit_back() {
    let mut world = World::new();
    world.write("up/a.md", "1\n2\n3\n4\n5\n");
    world.sync_well("up").await;
    world.write("here/a.md", "mine\n2\n3\n4\n5\n");
    world.write("up/a.md", "1\n2\n3\n4\ntheirs\n");
    world.sync_well("up").await;
    assert_eq!(world.read("here/a.md").unwrap(), "mine\n2\n3\n4\ntheirs\n");
    world.engine().await.undo(None).await.unwrap();
    assert_eq!(world.read("here/a.md").unwrap(), "mine\n2\n3\n4\n5\n");
    world.sync_well("up").await;
    assert_eq!(world.read("here/a.md").unwrap(), "mine\n2\n3\n4\n5\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_goes_further_back_each_time_and_ends() {
    let mut world = World::new();
    world.write("up/a.md", "one\n");
    world.sync_well("up").await;
    world.write("up/a.md", "two\n");
    world.sync_well("up").await;
    let engine = world.engine().await;
    engine.undo(None).await.unwrap();
    engine.undo(None).await.unwrap();
    assert_eq!(world.read("here/a.md"), None);
    assert!(matches!(
        engine.undo(None).await,
        Err(EngineError::NothingToUndo)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_of_a_first_publish_takes_nothing_from_another_target() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.write(&format!("up/{name}.md"), name);
    }
    world.sync_well("up").await;
    world.restart().await;
    world.target("there", &["up"], |_| {});
    world.sync_well("up").await;
    let engine = world.engine().await;
    let undo = engine.undo(None).await.unwrap();
    assert!(undo.error.is_none(), "{undo:#?}");
    assert!(world.tree("there").is_empty());
    world.sync_well("up").await;
    assert_eq!(world.tree("here").len(), 3);
    assert!(world.tree("there").is_empty(), "it stays as it was undone");
    engine.release(&source("up"), Vec::new()).await.unwrap();
    assert_eq!(world.tree("there").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_release_releases_nothing() {
    let mut world = World::new();
    world.write("up/a.md", "one\n");
    world.write("up/b.md", "b\n");
    world.sync_well("up").await;
    world.write("up/a.md", "two\n");
    world.sync_well("up").await;
    let engine = world.engine().await;
    engine.undo(None).await.unwrap();
    let paths = vec![key("a.md"), key("b.md")];
    engine.release(&source("up"), paths).await.unwrap_err();
    world.sync_well("up").await;
    assert_eq!(world.read("here/a.md").unwrap(), "one\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_of_one_file_does_not_take_a_target_that_keeps_deletions_for_emptied() {
    let mut world = World::empty();
    world.source("up", |_| {});
    world.target("here", &["up"], |spec| {
        spec.deletions = homing_engine::Deletions::Keep;
    });
    for name in ["a", "b", "c", "d", "e"] {
        world.write(&format!("up/{name}.md"), name);
    }
    world.sync_well("up").await;
    world.write("up/new.md", "new\n");
    let run = world.sync_well("up").await;
    world.remove("here/new.md");
    // Named: of this run nothing can be put back, so that an undo of the last would take the one before.
    let undo = world.engine().await.undo(Some(run.id)).await.unwrap();
    assert!(undo.error.is_none(), "{undo:#?}");
    assert_eq!(world.tree("here").len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_never_takes_an_edit_from_the_file_that_it_was_made_in() {
    let mut world = World::empty();
    world.source("up", |spec| spec.push = homing_engine::PushMode::Direct);
    world.target("here", &["up"], |_| {});
    world.target("there", &["up"], |_| {});
    world.write("up/a.md", "base\n");
    world.sync_well("up").await;
    world.write("here/a.md", "edited\n");
    let run = world.sync_well("up").await;
    assert_eq!(world.read("there/a.md").unwrap(), "edited\n");
    let engine = world.engine().await;
    let undo = engine.undo(Some(run.id)).await.unwrap();
    let left = engine.run(undo.id).await.unwrap().items;
    assert!(
        left[0]
            .reason
            .as_ref()
            .unwrap()
            .contains("take that edit back"),
        "{left:#?}"
    );
    world.sync_well("up").await;
    assert_eq!(world.read("here/a.md").unwrap(), "edited\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_leaves_a_target_that_is_not_configured_any_more_and_says_so() {
    let mut world = World::new();
    world.target("there", &["up"], |_| {});
    world.write("up/a.md", "a\n");
    let run = world.sync_well("up").await;
    world.restart().await;
    world.specs.targets.remove(&target("there"));
    let engine = world.engine().await;
    let undone = engine.undo(Some(run.id)).await.unwrap();
    assert_eq!(undone.status, RunStatus::Partial, "{undone:#?}");
    assert_eq!(undone.error, None);
    assert!(world.tree("here").is_empty());
    assert_eq!(world.read("there/a.md").unwrap(), "a\n");
    let items = engine.run(undone.id).await.unwrap().items;
    let left = items
        .iter()
        .find(|item| item.target == Some(target("there")));
    let reason = left.unwrap().reason.as_deref().unwrap();
    assert!(reason.contains("not in the configuration"), "{reason}");
    world.sync("up").await;
    assert!(world.tree("here").is_empty(), "it is held");
}
