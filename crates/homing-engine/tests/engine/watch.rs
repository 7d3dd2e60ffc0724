//! Watched sides: what gives a source its turn, what does not, and what is told when nobody can watch.

use std::time::{Duration, Instant};

use homing_core::Notice;
use homing_engine::{Cadence, Condition, Engine, PushMode, Trigger};
use jiff::Timestamp;
use testkit::Verb;

use crate::memory::{Memory, permanent};
use crate::world::source;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something is so.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come");
        tokio::task::yield_now().await;
    }
}

/// Makes a world whose watched source was synced.
async fn watched() -> (Memory, Engine) {
    let mut memory = Memory::with(|spec| spec.watch = true);
    memory.up.memory.put("a.md", b"a");
    let engine = memory.ready().await;
    until("a watch", async || memory.up.watches() == 1).await;
    memory.world.sync_well("up").await;
    (memory, engine)
}

fn turn(engine: &Engine) -> Option<Trigger> {
    engine
        .due(Timestamp::now())
        .into_iter()
        .find(|turn| turn.source == source("up"))
        .map(|turn| turn.trigger)
}

async fn unwatched(engine: &Engine) -> Option<Condition> {
    let status = engine.status().await.unwrap();
    let conditions = status.sources.into_iter().flat_map(|one| one.conditions);
    conditions
        .into_iter()
        .find(|condition| condition.kind == "Unwatched")
}

#[tokio::test(flavor = "multi_thread")]
async fn news_give_a_turn_that_a_run_takes() {
    let (mut memory, engine) = watched().await;
    assert_eq!(turn(&engine), None);
    memory.up.memory.put("b.md", b"b");
    memory.up.tell(Notice::Changed);
    until("a turn", async || turn(&engine) == Some(Trigger::Watch)).await;
    memory.world.sync_well("up").await;
    assert_eq!(turn(&engine), None, "the run has seen it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_without_news_is_looked_at_and_starts_nothing() {
    let (memory, engine) = watched().await;
    let before = memory.up.memory.calls(Verb::List);
    memory.up.tell(Notice::Changed);
    until("a look", async || {
        memory.up.memory.calls(Verb::List) > before
    })
    .await;
    // The keeper takes one notice after the other: when this one has been acted on, so has that.
    memory.up.memory.put("b.md", b"b");
    let looks = memory.up.memory.calls(Verb::List);
    assert_eq!(turn(&engine), None);
    memory.up.tell(Notice::Changed);
    until("a turn", async || turn(&engine).is_some()).await;
    assert!(memory.up.memory.calls(Verb::List) > looks);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_a_turn_whatever_there_is_to_see() {
    let (memory, engine) = watched().await;
    memory.up.tell(Notice::Missed);
    until("a turn", async || turn(&engine) == Some(Trigger::Watch)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_keeps_a_change_for_its_end() {
    let (memory, engine) = watched().await;
    engine.pause(None, None).await.unwrap();
    memory.up.memory.put("b.md", b"b");
    let before = memory.up.memory.calls(Verb::List);
    memory.up.tell(Notice::Changed);
    until("a look", async || {
        memory.up.memory.calls(Verb::List) > before
    })
    .await;
    assert_eq!(turn(&engine), None);
    engine.resume(None).await.unwrap();
    until("a turn", async || turn(&engine).is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_lost_is_told_begun_again_and_what_it_missed_is_found() {
    let (memory, engine) = watched().await;
    memory.up.lose(permanent());
    until("a condition", async || unwatched(&engine).await.is_some()).await;
    let told = unwatched(&engine).await.unwrap();
    assert!(told.message.contains("every few minutes"), "{told:?}");
    memory.up.memory.put("b.md", b"b");
    until("another watch", async || unwatched(&engine).await.is_none()).await;
    until("a turn", async || turn(&engine) == Some(Trigger::Watch)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_place_where_the_watched_one_was_is_watched_after_the_next_run() {
    let (mut memory, _engine) = watched().await;
    memory.up.replace();
    memory.world.sync_well("up").await;
    until("another watch", async || memory.up.watches() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_in_a_target_is_a_turn_of_a_source_that_pushes_by_itself() {
    let hour = Some(Cadence::Every(Duration::from_hours(1)));
    for (push, cadence, expected) in [
        (PushMode::Direct, hour.clone(), 1),
        (PushMode::Direct, None, 0),
        (PushMode::Never, hour, 0),
    ] {
        let mut memory = Memory::with(|spec| {
            spec.push = push;
            spec.cadence = cadence;
        });
        memory.up.memory.put("a.md", b"a");
        let engine = memory.ready().await;
        memory.world.sync_well("up").await;
        if expected == 0 {
            assert_eq!(memory.here.watches(), 0, "{push:?}");
            continue;
        }
        until("a watch", async || memory.here.watches() == 1).await;
        memory.here.memory.put("a.md", b"edited");
        memory.here.tell(Notice::Changed);
        until("a turn", async || turn(&engine) == Some(Trigger::Watch)).await;
        let run = memory.world.sync_well("up").await;
        assert_eq!(memory.up.memory.get("a.md").unwrap(), b"edited", "{run:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_a_person_was_told_of_is_no_news() {
    let mut memory = Memory::with(|spec| {
        spec.push = PushMode::Direct;
        spec.watch = true;
    });
    memory.up.memory.put("a.md", b"a");
    let engine = memory.ready().await;
    until("a watch", async || memory.up.watches() == 1).await;
    memory.world.sync_well("up").await;
    memory.here.memory.put("a.md", b"mine");
    memory.up.memory.put("a.md", b"theirs");
    memory.world.sync("up").await;
    assert_eq!(memory.world.conflicts().await.len(), 1);
    // The keeper takes one notice after the other: when the second is looked at, the first has been acted on.
    for _ in 0..2 {
        let before = memory.up.memory.calls(Verb::List);
        memory.up.tell(Notice::Changed);
        until("a look", async || {
            memory.up.memory.calls(Verb::List) > before
        })
        .await;
    }
    assert_eq!(turn(&engine), None);
    memory.up.memory.put("a.md", b"theirs again");
    memory.up.tell(Notice::Changed);
    until("a turn", async || turn(&engine) == Some(Trigger::Watch)).await;
}
