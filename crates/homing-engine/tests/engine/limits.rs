//! History, restarts, and whose turn comes when.

use std::time::Duration;

use homing_engine::{Cadence, EngineError, RunRequest, RunStatus, Trigger, Verb};

use crate::world::{World, names, source};

#[tokio::test(flavor = "multi_thread")]
async fn history_tells_every_run_newest_first() {
    let mut world = World::new();
    world.write("up/a.md", "a\n");
    world.sync_well("up").await;
    world.sync_well("up").await;
    let engine = world.engine().await;
    let history = engine
        .history(Some(source("up")), None, None, 10)
        .await
        .unwrap();
    assert_eq!(history.len(), 2);
    assert!(history[0].id > history[1].id);
    assert_eq!(history[1].synced, 1);
    let older = engine
        .history(None, None, Some(history[0].id), 10)
        .await
        .unwrap();
    assert!(older.iter().all(|run| run.id < history[0].id));
    assert!(matches!(
        engine.run(homing_core::RunId(999)).await,
        Err(EngineError::UnknownRun(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_synced_before_a_restart_is_known_after_it() {
    let mut world = World::new();
    world.write("up/a.md", "a\n");
    let before = world.sync_well("up").await;
    world.restart().await;
    let engine = world.engine().await;
    let status = engine.status().await.unwrap();
    assert_eq!(status.sources[0].files, 1);
    assert_eq!(status.sources[0].last_run.as_ref().unwrap().id, before.id);
    assert!(status.sources[0].last_success.is_some());
    assert!(world.sync_well("up").await.id > before.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_stops_takes_no_more_work() {
    let mut world = World::new();
    world.write("up/a.md", "a\n");
    let engine = world.engine().await;
    engine.shutdown(Duration::from_secs(5)).await;
    let refused = engine.submit(&source("up"), RunRequest::new(Verb::Sync, Trigger::Manual));
    assert!(matches!(refused, Err(EngineError::ShuttingDown)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_never_synced_is_due_at_once_and_then_after_its_interval() {
    let mut world = World::empty();
    world.source("up", |spec| {
        spec.cadence = Some(Cadence::Every(Duration::from_mins(15)));
    });
    world.write("up/a.md", "a\n");
    let engine = world.engine().await;
    let now = jiff::Timestamp::now();
    assert_eq!(names(engine.due(now)), [source("up")]);
    let run = engine
        .submit(
            &source("up"),
            RunRequest::new(Verb::Sync, Trigger::Schedule),
        )
        .unwrap();
    assert_eq!(engine.wait(run).await.unwrap().status, RunStatus::Success);
    assert!(engine.due(jiff::Timestamp::now()).is_empty());
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(900 + 91);
    assert_eq!(names(engine.due(later)), [source("up")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_source_backs_off_and_comes_back() {
    let mut world = World::empty();
    world.source("up", |spec| {
        spec.cadence = Some(Cadence::Every(Duration::from_mins(15)));
    });
    std::fs::remove_dir(world.path("up")).unwrap();
    let run = world
        .run("up", RunRequest::new(Verb::Sync, Trigger::Schedule))
        .await
        .unwrap();
    assert_eq!(run.status, RunStatus::Error);
    let engine = world.engine().await;
    let now = jiff::Timestamp::now();
    assert!(engine.due(now).is_empty());
    assert_eq!(
        names(engine.due(now + jiff::SignedDuration::from_secs(31))),
        [source("up")],
        "sooner than its interval"
    );
}
