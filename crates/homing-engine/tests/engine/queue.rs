//! Runs that wait, are cancelled, or are in the way of another.

use std::time::Duration;

use homing_core::RunId;
use homing_engine::{Cadence, EngineError, RunRequest, RunStatus, Trigger, Verb as Do};
use jiff::Timestamp;
use testkit::Verb;

use crate::memory::Memory;
use crate::world::source;

fn only(filter: &str) -> RunRequest {
    RunRequest {
        filter: vec![filter.to_owned()],
        ..RunRequest::new(Do::Sync, Trigger::Manual)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_requests_wait_for_a_source_and_the_ninth_is_refused() {
    let mut memory =
        Memory::with(|spec| spec.cadence = Some(Cadence::Every(Duration::from_mins(15))));
    memory.up.memory.put("a.md", b"a");
    let engine = memory.ready().await;
    let gate = memory.up.gate(Verb::List);
    let first = engine.submit(&source("up"), only("first")).unwrap();
    gate.entered().await;
    let status = engine.status().await.unwrap().sources.remove(0);
    assert_eq!(status.current_run.unwrap().id, first);
    assert!(
        status
            .conditions
            .iter()
            .any(|condition| condition.kind == "Syncing")
    );
    assert!(engine.due(Timestamp::now()).is_empty(), "it is under way");
    let waiting: Vec<RunId> = (0..8)
        .map(|number| {
            engine
                .submit(&source("up"), only(&number.to_string()))
                .unwrap()
        })
        .collect();
    let refused = engine.submit(&source("up"), only("ninth")).unwrap_err();
    assert!(matches!(refused, EngineError::Busy(_, 8)), "{refused}");
    assert!(
        engine.due(Timestamp::now()).is_empty(),
        "its turn waits already"
    );
    let joined = engine.submit(&source("up"), only("3")).unwrap();
    assert_eq!(
        joined, waiting[3],
        "an equal request joins the one that waits"
    );
    let queued = engine
        .history(Some(source("up")), Some(RunStatus::Queued), None, 100)
        .await
        .unwrap();
    assert_eq!(queued.len(), 8);
    gate.open();
    for run in waiting.into_iter().chain([first]) {
        engine.wait(run).await.unwrap();
    }
    memory.world.sync_well("up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_request_that_a_person_joins_becomes_a_persons_and_pull_with_push_a_sync() {
    let mut memory = Memory::two_way();
    memory.up.memory.put("a.md", b"a");
    let engine = memory.ready().await;
    let gate = memory.up.gate(Verb::List);
    engine.submit(&source("up"), only("first")).unwrap();
    gate.entered().await;
    let scheduled = RunRequest::new(Do::Pull, Trigger::Schedule);
    let waiting = engine.submit(&source("up"), scheduled).unwrap();
    let manual = RunRequest::new(Do::Push, Trigger::Manual);
    assert_eq!(engine.submit(&source("up"), manual).unwrap(), waiting);
    gate.open();
    let run = engine.wait(waiting).await.unwrap();
    assert_eq!((run.verb, run.trigger), (Do::Sync, Trigger::Manual));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_says_so_and_does_not_start_again_before_its_next_turn() {
    let mut memory =
        Memory::with(|spec| spec.cadence = Some(Cadence::Every(Duration::from_mins(15))));
    memory.up.memory.put("a.md", b"a");
    let engine = memory.ready().await;
    let gate = memory.up.gate(Verb::List);
    let scheduled = RunRequest::new(Do::Sync, Trigger::Schedule);
    let under_way = engine.submit(&source("up"), scheduled).unwrap();
    gate.entered().await;
    let waiting = engine.submit(&source("up"), only("b")).unwrap();
    engine.cancel(waiting).unwrap();
    engine.cancel(under_way).unwrap();
    for run in [under_way, waiting] {
        assert_eq!(engine.wait(run).await.unwrap().status, RunStatus::Cancelled);
        assert!(
            matches!(engine.cancel(run), Err(EngineError::UnknownRun(_))),
            "it has ended"
        );
    }
    assert!(engine.due(Timestamp::now()).is_empty());
    assert_eq!(
        memory.up.memory.calls(Verb::List),
        0,
        "neither got as far as the origin"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_cancels_what_does_not_end_within_its_grace() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"a");
    let engine = memory.ready().await;
    let gate = memory.up.gate(Verb::List);
    let request = RunRequest::new(Do::Sync, Trigger::Manual);
    let run = engine.submit(&source("up"), request).unwrap();
    gate.entered().await;
    engine.shutdown(Duration::ZERO).await;
    assert_eq!(engine.run(run).await.unwrap().status, RunStatus::Cancelled);
    assert!(matches!(
        engine.undo(None).await,
        Err(EngineError::ShuttingDown)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_finishes_the_files_that_it_has_begun() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"a");
    let engine = memory.ready().await;
    let gate = memory.here.gate(Verb::Apply);
    let request = RunRequest::new(Do::Sync, Trigger::Manual);
    let run = engine.submit(&source("up"), request).unwrap();
    gate.entered().await;
    let refused = engine.undo(Some(run)).await.unwrap_err();
    assert!(refused.to_string().contains("still under way"), "{refused}");
    engine.cancel(run).unwrap();
    gate.open();
    engine.wait(run).await.unwrap();
    assert_eq!(memory.published("a.md").unwrap(), "a");
    memory.here.undisturbed();
    memory.world.sync_well("up").await;
    assert_eq!(
        memory.here.memory.calls(Verb::Recover),
        0,
        "nothing was left half done"
    );
}
