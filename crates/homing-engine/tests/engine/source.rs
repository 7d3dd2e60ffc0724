//! Origins that are not what they were.

use std::fs;
use std::os::unix::fs::symlink;

use homing_engine::{EngineError, RunRequest, RunStatus, Trigger, Verb};

use crate::world::{World, source};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_origin_leaves_everything_published_and_says_so() {
    let mut world = World::new();
    world.write("up/a.md", "a\n");
    world.sync_well("up").await;
    fs::rename(world.path("up"), world.path("away")).unwrap();
    let run = world.sync("up").await;
    assert_eq!(run.status, RunStatus::Error);
    assert_eq!(run.error.unwrap().kind, "not-found");
    assert_eq!(world.read("here/a.md").unwrap(), "a\n");
    fs::rename(world.path("away"), world.path("up")).unwrap();
    world.sync_well("up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_directory_in_its_place_is_not_believed_until_a_person_says_so() {
    let mut world = World::new();
    world.write("up/a.md", "a\n");
    world.write("up/b.md", "b\n");
    world.sync_well("up").await;
    fs::rename(world.path("up"), world.path("away")).unwrap();
    world.write("up/a.md", "another\n");
    let run = world.sync("up").await;
    assert_eq!(run.error.unwrap().kind, "root-changed");
    assert_eq!(world.read("here/a.md").unwrap(), "a\n");
    let accept = RunRequest {
        accept_root: true,
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    };
    world.run("up", accept).await.unwrap();
    assert_eq!(world.read("here/a.md").unwrap(), "another\n");
    world.sync_well("up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_origin_deletes_nothing() {
    let mut world = World::new();
    world.write("up/a.md", "a\n");
    world.sync_well("up").await;
    world.remove("up/a.md");
    let run = world.sync("up").await;
    let failure = run.error.unwrap();
    assert_eq!(failure.kind, "root-empty");
    let hint = failure.hint.unwrap();
    assert!(
        hint.contains(" --accept-root`") && !hint.contains("sync --accept"),
        "{hint}"
    );
    assert_eq!(world.read("here/a.md").unwrap(), "a\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn guard_a_plan_that_deletes_a_lot_waits_and_exactly_this_plan_is_accepted() {
    let mut world = World::new();
    for number in 0..10 {
        world.write(&format!("up/{number}.md"), &format!("{number}\n"));
    }
    world.sync_well("up").await;
    for number in 0..5 {
        world.remove(&format!("up/{number}.md"));
    }
    let run = world.sync("up").await;
    assert_eq!(run.status, RunStatus::Blocked);
    assert_eq!(world.tree("here").len(), 10);
    // Another plan than the one that was seen is blocked again.
    world.remove("up/5.md");
    let accept = RunRequest {
        accept_deletions: true,
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    };
    let run = world.run("up", accept.clone()).await.unwrap();
    assert_eq!(run.status, RunStatus::Blocked);
    assert_eq!(world.tree("here").len(), 10);
    let run = world.run("up", accept).await.unwrap();
    assert_eq!(run.status, RunStatus::Success, "{run:#?}");
    assert_eq!(world.tree("here").len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn guard_force_does_not_pass_it() {
    let mut world = World::new();
    for number in 0..5 {
        world.write(&format!("up/{number}.md"), &format!("{number}\n"));
    }
    world.sync_well("up").await;
    for number in 0..4 {
        world.remove(&format!("up/{number}.md"));
    }
    let force = RunRequest {
        force: true,
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    };
    assert_eq!(
        world.run("up", force).await.unwrap().status,
        RunStatus::Blocked
    );
    assert_eq!(world.tree("here").len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn guard_a_move_is_no_deletion() {
    let mut world = World::new();
    for number in 0..5 {
        world.write(&format!("up/{number}.md"), &format!("{number}\n"));
    }
    world.sync_well("up").await;
    fs::create_dir(world.path("up/moved")).unwrap();
    for number in 0..5 {
        fs::rename(
            world.path(&format!("up/{number}.md")),
            world.path(&format!("up/moved/{number}.md")),
        )
        .unwrap();
    }
    world.sync_well("up").await;
    assert_eq!(world.tree("here"), world.tree("up"));
}

#[tokio::test(flavor = "multi_thread")]
async fn guard_one_source_that_deletes_a_lot_does_not_stop_the_others() {
    let mut world = World::empty();
    world.source("one", |_| {});
    world.source("two", |_| {});
    world.target("here", &["one", "two"], |_| {});
    for number in 0..8 {
        world.write(&format!("one/{number}.md"), &format!("{number}\n"));
    }
    world.write("two/t.md", "t\n");
    world.sync("one").await;
    world.sync("two").await;
    for number in 0..6 {
        world.remove(&format!("one/{number}.md"));
    }
    assert_eq!(world.sync("one").await.status, RunStatus::Blocked);
    world.write("two/t.md", "changed\n");
    world.sync_well("two").await;
    assert_eq!(world.read("here/t.md").unwrap(), "changed\n");
    assert_eq!(world.tree("here").len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_takes_a_files_place_upstream_is_unknown_and_deletes_nothing() {
    let mut world = World::new();
    world.write("up/a.md", "a\n");
    world.write("up/b.md", "b\n");
    world.sync_well("up").await;
    world.remove("up/a.md");
    symlink("/etc/passwd", world.path("up/a.md")).unwrap();
    let run = world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial);
    assert_eq!(world.read("here/a.md").unwrap(), "a\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_selection_takes_files_out_without_touching_the_origin() {
    let mut world = World::new();
    world.write("up/a.md", "a\n");
    world.write("up/b.txt", "b\n");
    world.sync_well("up").await;
    world.restart().await;
    let options = homing_side_dir::DirOptions {
        root: world.path("up"),
        include: vec!["*.md".into()],
        ..Default::default()
    };
    let side = std::sync::Arc::new(homing_side_dir::DirSide::new(options).unwrap());
    world.source("up", |spec| {
        spec.origin = side;
        spec.selection = "only md".into();
        spec.push = homing_engine::PushMode::Direct;
    });
    world.sync_well("up").await;
    assert_eq!(world.tree("here").into_keys().collect::<Vec<_>>(), ["a.md"]);
    assert_eq!(world.tree("up").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_keeps_a_run_to_some_items() {
    let mut world = World::new();
    world.write("up/a.md", "a\n");
    world.write("up/b.md", "b\n");
    let only = RunRequest {
        filter: vec!["a.md".into()],
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    };
    world.run("up", only).await.unwrap();
    assert_eq!(world.tree("here").into_keys().collect::<Vec<_>>(), ["a.md"]);
    let bad = RunRequest {
        filter: vec!["a{".into()],
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    };
    assert!(matches!(
        world.run("up", bad).await,
        Err(EngineError::Side(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_disabled_sources_are_refused() {
    let mut world = World::empty();
    world.source("off", |spec| spec.enabled = false);
    let engine = world.engine().await;
    let request = RunRequest::new(Verb::Sync, Trigger::Manual);
    assert!(matches!(
        engine.submit(&source("nobody"), request.clone()),
        Err(EngineError::UnknownSource(_))
    ));
    assert!(matches!(
        engine.submit(&source("off"), request),
        Err(EngineError::Disabled(_))
    ));
}
