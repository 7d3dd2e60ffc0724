//! What the selection or a filter leaves out.

use std::sync::Arc;

use homing_core::Policy;
use homing_engine::{PushMode, RunRequest, RunStatus, Trigger, Verb};
use homing_side_dir::{DirOptions, DirSide};

use crate::world::{World, source};

/// Lets `up` cover Markdown only from now on.
async fn only_markdown(world: &mut World, change: impl FnOnce(&mut homing_engine::SourceSpec)) {
    world.restart().await;
    let options = DirOptions {
        root: world.path("up"),
        include: vec!["*.md".into()],
        ..DirOptions::default()
    };
    let side = Arc::new(DirSide::new(options).unwrap());
    let spec = world.specs.sources.get_mut(&source("up")).unwrap();
    spec.origin = side;
    spec.selection = "all/only Markdown".into();
    change(spec);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpushed_edit_outside_of_the_selection_is_kept_in_every_run() {
    for policy in [Policy::Ask, Policy::Ours, Policy::Theirs] {
        let mut world = World::empty();
        world.source("up", |spec| spec.push = PushMode::Direct);
        world.target("here", &["up"], |_| {});
        world.write("up/a.md", "a\n");
        world.write("up/b.txt", "b\n");
        world.sync_well("up").await;
        world.write("here/b.txt", "edited\n");
        world
            .run("up", RunRequest::new(Verb::Pull, Trigger::Manual))
            .await
            .unwrap();
        only_markdown(&mut world, |spec| spec.on_conflict = policy).await;
        for _ in 0..3 {
            let run = world.sync("up").await;
            assert!(run.error.is_none(), "{run:#?}");
            assert_eq!(world.read("here/b.txt").unwrap(), "edited\n", "{policy:?}");
            assert_eq!(world.read("up/b.txt").unwrap(), "b\n", "{policy:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_run_does_not_take_the_new_selection_for_carried_out() {
    let mut world = World::new();
    for number in 0..9 {
        world.write(&format!("up/{number}.txt"), &number.to_string());
    }
    world.write("up/a.md", "a\n");
    world.sync_well("up").await;
    only_markdown(&mut world, |_| {}).await;
    let only = RunRequest {
        filter: vec!["a.md".into()],
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    };
    world.run("up", only).await.unwrap();
    assert_eq!(world.tree("here").len(), 10);
    // The head follows without a question; what goes from the target is asked for.
    assert_eq!(world.sync("up").await.status, RunStatus::Blocked);
    let accept = RunRequest {
        accept_deletions: true,
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    };
    world.run("up", accept).await.unwrap();
    assert_eq!(world.tree("here").into_keys().collect::<Vec<_>>(), ["a.md"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_run_leaves_open_what_it_did_not_look_at() {
    let mut world = World::empty();
    world.source("up", |spec| spec.push = PushMode::Direct);
    world.target("here", &["up"], |_| {});
    world.write("up/a.md", "base\n");
    world.write("up/b.md", "b\n");
    world.sync_well("up").await;
    world.write("here/a.md", "mine\n");
    world.write("up/a.md", "theirs\n");
    world.sync("up").await;
    let open = world.conflicts().await;
    assert_eq!(open.len(), 1);
    let only = RunRequest {
        filter: vec!["b.md".into()],
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    };
    world.run("up", only).await.unwrap();
    assert_eq!(world.conflicts().await, open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_matches_nothing_is_not_a_success() {
    let mut world = World::new();
    world.write("up/a.md", "a\n");
    world.sync_well("up").await;
    let only = RunRequest {
        filter: vec!["zzz*".into()],
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    };
    let run = world.run("up", only).await.unwrap();
    assert_eq!(run.status, RunStatus::Partial, "{run:#?}");
}
