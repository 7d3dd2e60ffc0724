//! Pauses: nothing runs by itself, a person may, and a restart forgets nothing.

use std::time::Duration;

use homing_engine::{
    Cadence, Engine, EngineError, Freshness, PauseReport, RunRequest, Trigger, Verb,
};
use jiff::{SignedDuration, Timestamp};

use crate::world::{World, names, source};

fn in_minutes(number: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_mins(number)
}

/// Makes a world with two sources that were never synced.
fn two() -> World {
    let mut world = World::empty();
    for name in ["one", "two"] {
        world.source(name, |spec| {
            spec.cadence = Some(Cadence::Every(Duration::from_mins(15)));
        });
        world.write(&format!("{name}/a.md"), "a\n");
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_source_has_no_turn_and_the_others_have() {
    let mut world = two();
    let engine = world.engine().await;
    let report = engine.pause(Some(&source("one")), None).await.unwrap();
    assert_eq!(report.all, None);
    assert_eq!(report.sources[&source("one")].until, None);
    assert_eq!(names(engine.due(in_minutes(60))), [source("two")]);
    let status = engine.status().await.unwrap();
    let paused = |name: &str| {
        let status = status.sources.iter().find(|one| one.id == source(name));
        let conditions = &status.unwrap().conditions;
        conditions
            .iter()
            .any(|condition| condition.kind == "Paused")
    };
    assert!(paused("one") && !paused("two"));
    let turns = {
        let report = engine.resume(Some(&source("one"))).await.unwrap();
        assert_eq!(report, PauseReport::default());
        engine.due(in_minutes(60))
    };
    assert_eq!(turns.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_asks_for_is_done_in_a_pause() {
    let mut world = two();
    world.engine().await.pause(None, None).await.unwrap();
    world.sync_well("one").await;
    let request = RunRequest::new(Verb::Pull, Trigger::Manual);
    world.run("two", request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_by_itself_and_what_came_due_says_so() {
    let mut world = two();
    for name in ["one", "two"] {
        world.sync_well(name).await;
    }
    let engine = world.engine().await;
    engine
        .pause(None, Some(Duration::from_hours(1)))
        .await
        .unwrap();
    assert!(engine.due(in_minutes(59)).is_empty());
    let turns = engine.due(in_minutes(61));
    assert_eq!(turns.len(), 2);
    assert!(turns.iter().all(|turn| turn.trigger == Trigger::Resume));
    engine.resume(None).await.unwrap();
    let turns = engine.due(in_minutes(61));
    assert!(turns.iter().all(|turn| turn.trigger == Trigger::Schedule));
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_outlive_the_daemon_and_resuming_everything_ends_them_all() {
    let mut world = two();
    let engine = world.engine().await;
    engine
        .pause(None, Some(Duration::from_hours(2)))
        .await
        .unwrap();
    let before = engine.pause(Some(&source("one")), None).await.unwrap();
    assert_eq!(before.sources.len(), 1);
    drop(engine);
    world.restart().await;
    let engine = world.engine().await;
    assert_eq!(engine.pauses(), before);
    assert!(engine.due(in_minutes(90)).is_empty());
    assert_eq!(names(engine.due(in_minutes(121))), [source("two")]);
    // A source alone does not end the pause of everything.
    let left = engine.resume(Some(&source("one"))).await.unwrap();
    assert!(left.all.is_some() && left.sources.is_empty());
    engine.pause(Some(&source("two")), None).await.unwrap();
    assert_eq!(engine.resume(None).await.unwrap(), PauseReport::default());
    drop(engine);
    world.restart().await;
    let engine = world.engine().await;
    assert_eq!(engine.pauses(), PauseReport::default());
    assert_eq!(engine.due(Timestamp::now()).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_paused_is_refused() {
    let mut world = two();
    let engine = world.engine().await;
    let unknown = engine.pause(Some(&source("three")), None).await;
    assert!(matches!(unknown, Err(EngineError::UnknownSource(_))));
    let unknown = engine.resume(Some(&source("three"))).await;
    assert!(matches!(unknown, Err(EngineError::UnknownSource(_))));
    let endless = engine.pause(None, Some(Duration::MAX)).await;
    assert!(matches!(endless, Err(EngineError::Rejected { .. })));
    assert_eq!(engine.pauses(), PauseReport::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_says_why_it_comes_only_now() {
    let mut world = two();
    world.sync_well("one").await;
    let engine = world.engine().await;
    let turns = engine.due(Timestamp::now());
    assert_eq!(turns.len(), 1, "one was synced just now");
    assert_eq!(turns[0].trigger, Trigger::Startup);
    // Eight hours of sleep: both, the one that waited longest first.
    let morning = in_minutes(8 * 60);
    engine.woke(morning);
    let turns = engine.due(morning);
    assert!(turns.iter().all(|turn| turn.trigger == Trigger::Resume));
    assert_eq!(names(turns), [source("two"), source("one")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_turn_that_waits_is_kept_over_a_restart() {
    let mut world = World::empty();
    world.source("up", |spec| {
        spec.cadence = Some(Cadence::Every(Duration::from_mins(15)));
        spec.at_start = homing_engine::AtStart::Never;
    });
    let due = |status: homing_engine::EngineStatus| status.sources[0].next_due.unwrap();
    let first = due(world.engine().await.status().await.unwrap());
    assert!(first > Timestamp::now());
    world.restart().await;
    assert_eq!(due(world.engine().await.status().await.unwrap()), first);
}

/// Returns for how long a status holds that is told while nothing happens.
async fn settled(engine: &Engine) -> Freshness {
    loop {
        let (status, fresh) = engine.status_to_keep().await.unwrap();
        if let Some(fresh) = fresh.filter(|fresh| engine.still_holds(fresh)) {
            assert_eq!(engine.status().await.unwrap(), status);
            return fresh;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_holds_until_something_changes_or_ends() {
    let mut world = two();
    world.sync_well("one").await;
    let engine = world.engine().await;
    let before = settled(&engine).await;
    engine.pause(Some(&source("two")), None).await.unwrap();
    assert!(!engine.still_holds(&before), "a pause began");
    let before = settled(&engine).await;
    world.sync_well("one").await;
    assert!(!engine.still_holds(&before), "a run took place");
    engine.resume(None).await.unwrap();
    let length = Some(Duration::from_secs(2));
    engine.pause(None, length).await.unwrap();
    let (status, fresh) = engine.status_to_keep().await.unwrap();
    assert!(status.paused.is_some());
    while engine.pauses().all.is_some() {
        tokio::task::yield_now().await;
    }
    assert!(fresh.is_none_or(|fresh| !engine.still_holds(&fresh)));
}
