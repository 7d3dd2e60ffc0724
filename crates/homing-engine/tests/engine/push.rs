//! Edits that go back to where things come from.

use homing_engine::{EngineError, PushMode, RunRequest, RunStatus, Trigger, Verb};

use crate::world::{World, source, target};

fn two_way() -> World {
    let mut world = World::empty();
    world.source("up", |spec| spec.push = PushMode::Direct);
    world.target("here", &["up"], |_| {});
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_an_edit_in_the_target_is_pushed() {
    let mut world = two_way();
    world.write("up/a.md", "one\n");
    world.sync_well("up").await;
    world.write("here/a.md", "edited\n");
    world.sync_well("up").await;
    assert_eq!(world.read("up/a.md").unwrap(), "edited\n");
    assert!(world.sync_well("up").await.items.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_edits_on_both_ends_are_merged_on_both_ends() {
    let mut world = two_way();
    world.write("up/a.md", "1\n2\n3\n4\n5\n");
    world.sync_well("up").await;
    world.write("here/a.md", "mine\n2\n3\n4\n5\n");
    world.write("up/a.md", "1\n2\n3\n4\ntheirs\n");
    world.sync_well("up").await;
    let merged = "mine\n2\n3\n4\ntheirs\n";
    assert_eq!(world.read("up/a.md").unwrap(), merged);
    assert_eq!(world.read("here/a.md").unwrap(), merged);
    assert!(world.sync_well("up").await.items.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_two_targets_are_merged_into_one_head() {
    let mut world = two_way();
    world.target("there", &["up"], |_| {});
    world.write("up/a.md", "1\n2\n3\n4\n5\n");
    world.sync_well("up").await;
    world.write("here/a.md", "here\n2\n3\n4\n5\n");
    world.write("there/a.md", "1\n2\n3\n4\nthere\n");
    world.sync_well("up").await;
    let merged = "here\n2\n3\n4\nthere\n";
    for place in ["up", "here", "there"] {
        assert_eq!(
            world.read(&format!("{place}/a.md")).unwrap(),
            merged,
            "{place}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_of_edits_that_overlap_takes_the_one_of_the_first_target_by_name() {
    let mut world = two_way();
    world.target("there", &["up"], |_| {});
    world.write("up/a.md", "1\n2\n");
    world.sync_well("up").await;
    // Written in the other order: what counts is the name.
    world.write("there/a.md", "there\n2\n");
    world.write("here/a.md", "here\n2\n");
    let run = world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial, "{run:#?}");
    assert_eq!(world.read("up/a.md").unwrap(), "here\n2\n");
    assert_eq!(world.read("here/a.md").unwrap(), "here\n2\n");
    assert_eq!(world.read("there/a.md").unwrap(), "there\n2\n");
    let conflicts = world.conflicts().await;
    assert_eq!(conflicts.len(), 1, "{conflicts:#?}");
    assert_eq!(conflicts[0].target, Some(target("there")), "{conflicts:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_waits_for_a_file_that_was_only_just_written() {
    let mut world = two_way();
    world.write("up/a.md", "one\n");
    world.sync_well("up").await;
    world.write_now("here/a.md", "fresh\n");
    world.sync_well("up").await;
    assert_eq!(world.read("up/a.md").unwrap(), "fresh\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlap_with_the_origin_is_a_conflict_and_nothing_is_pushed() {
    let mut world = two_way();
    world.write("up/a.md", "base\n");
    world.sync_well("up").await;
    world.write("here/a.md", "mine\n");
    world.write("up/a.md", "theirs\n");
    let run = world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial);
    assert_eq!(world.read("up/a.md").unwrap(), "theirs\n");
    assert_eq!(world.read("here/a.md").unwrap(), "mine\n");
    let conflicts = world.conflicts().await;
    assert_eq!(conflicts.len(), 1, "{conflicts:#?}");
    let engine = world.engine().await;
    engine
        .resolve(conflicts[0].id, homing_engine::Resolution::Ours)
        .await
        .unwrap();
    assert_eq!(world.read("up/a.md").unwrap(), "mine\n");
    assert_eq!(world.read("here/a.md").unwrap(), "mine\n");
    assert!(world.conflicts().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_alone_takes_nothing_over() {
    let mut world = two_way();
    world.write("up/a.md", "a\n");
    world.write("up/b.md", "b\n");
    world.sync_well("up").await;
    world.write("here/a.md", "edited\n");
    world.write("up/b.md", "changed upstream\n");
    let run = world
        .run("up", RunRequest::new(Verb::Push, Trigger::Manual))
        .await
        .unwrap();
    assert_eq!(run.status, RunStatus::Success, "{run:#?}");
    assert_eq!(world.read("up/a.md").unwrap(), "edited\n");
    assert_eq!(world.read("here/b.md").unwrap(), "b\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_does_not_push_says_so_and_is_never_written() {
    let mut world = World::new();
    world.write("up/a.md", "a\n");
    world.sync_well("up").await;
    world.write("here/a.md", "edited\n");
    world.sync_well("up").await;
    assert_eq!(world.read("up/a.md").unwrap(), "a\n");
    let engine = world.engine().await;
    let refused = engine.submit(&source("up"), RunRequest::new(Verb::Push, Trigger::Manual));
    assert!(matches!(refused, Err(EngineError::Rejected { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_go_to_the_source_that_takes_them() {
    let mut world = World::empty();
    world.source("up", |spec| spec.push = PushMode::Direct);
    world.target("here", &["up"], |spec| {
        spec.new_files_to = Some(source("up"));
    });
    world.write("up/a.md", "a\n");
    world.sync_well("up").await;
    world.write("here/new.md", "new\n");
    world.sync_well("up").await;
    assert_eq!(world.read("up/new.md").unwrap(), "new\n");
    // It was the user's before it was anybody else's: upstream does not delete it here.
    world.remove("up/new.md");
    for _ in 0..2 {
        world.sync("up").await;
        assert_eq!(world.read("here/new.md").unwrap(), "new\n");
        assert_eq!(
            world.read("up/new.md"),
            None,
            "the deletion upstream sticks"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_own_files_and_files_over_the_limit_are_not_taken_for_new_ones() {
    let mut world = World::empty();
    world.source("up", |spec| {
        spec.push = PushMode::Direct;
        spec.max_file_size = 10;
    });
    world.target("here", &["up"], |spec| {
        spec.new_files_to = Some(source("up"));
    });
    world.write("up/a.md", "a\n");
    world.sync_well("up").await;
    world.write("here/.credentials.json", "secret\n");
    world.write("here/.cache/x", "x\n");
    world.write("here/large.md", "more than ten bytes\n");
    world.write("here/new.md", "new\n");
    let engine = world.engine().await;
    let told = engine.diff(&source("up"), Verb::Sync).await.unwrap();
    let pushed = told
        .items
        .iter()
        .filter(|item| item.action == homing_engine::ItemAction::Pushed);
    let paths: Vec<_> = pushed.map(|item| item.path.as_str()).collect();
    assert_eq!(paths, ["new.md"], "a dry run tells of new files too");
    world.sync_well("up").await;
    let up: Vec<_> = world.tree("up").into_keys().collect();
    assert_eq!(up, ["a.md", "new.md"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_was_undone_is_not_pushed() {
    let mut world = two_way();
    world.write("up/a.md", "one\n");
    world.sync_well("up").await;
    world.write("up/a.md", "two\n");
    world.sync_well("up").await;
    world.engine().await.undo(None).await.unwrap();
    assert_eq!(world.read("here/a.md").unwrap(), "one\n");
    world.sync_well("up").await;
    assert_eq!(
        world.read("up/a.md").unwrap(),
        "two\n",
        "a held item is not pushed"
    );
    assert_eq!(world.read("here/a.md").unwrap(), "one\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_wait_for_an_explicit_push_when_the_source_was_pointed_elsewhere() {
    let mut world = two_way();
    world.write("up/a.md", "a\n");
    world.write("elsewhere/a.md", "a\n");
    world.sync_well("up").await;
    world.write("here/a.md", "edited\n");
    world
        .run("up", RunRequest::new(Verb::Pull, Trigger::Manual))
        .await
        .unwrap();
    world.restart().await;
    let other = world.path("elsewhere");
    let options = homing_side_dir::DirOptions {
        root: other.clone(),
        ..Default::default()
    };
    let side = std::sync::Arc::new(homing_side_dir::DirSide::new(options).unwrap());
    world.source("up", |spec| {
        spec.push = PushMode::Direct;
        spec.url = other.display().to_string();
        spec.origin = side;
        spec.selection = "elsewhere".into();
    });
    world
        .run("up", RunRequest::new(Verb::Sync, Trigger::Schedule))
        .await
        .unwrap();
    assert_eq!(
        world.read("elsewhere/a.md").unwrap(),
        "a\n",
        "nobody said that the new place gets the edit"
    );
    world
        .run("up", RunRequest::new(Verb::Push, Trigger::Manual))
        .await
        .unwrap();
    assert_eq!(world.read("elsewhere/a.md").unwrap(), "edited\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explicit_push_under_another_selection_is_not_asked_for_again() {
    let mut world = two_way();
    world.write("up/a.md", "one\n");
    world.sync_well("up").await;
    world.restart().await;
    world.source("up", |spec| {
        spec.push = PushMode::Direct;
        spec.selection = "another".to_owned();
    });
    let push = RunRequest::new(Verb::Push, Trigger::Manual);
    world.run("up", push).await.unwrap();
    world.write("here/a.md", "mine\n");
    world.sync_well("up").await;
    assert_eq!(world.read("up/a.md").unwrap(), "mine\n");
}
