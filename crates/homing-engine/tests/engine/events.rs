//! What is told of runs, states and conflicts while they come and go.

use std::time::Duration;

use homing_core::RunId;
use homing_engine::{
    Engine, Event, Listener, NoticeKind, RunRequest, RunStatus, State, Trigger, Verb as Do,
};
use testkit::Verb;

use crate::memory::Memory;
use crate::world::source;

fn sync() -> RunRequest {
    RunRequest::new(Do::Sync, Trigger::Manual)
}

/// Returns the next event that `wanted` makes something of, and makes sure that no number was left out on the way.
async fn next<T>(listener: &mut Listener, wanted: impl Fn(&Event) -> Option<T>) -> T {
    let look = async {
        loop {
            let before = listener.position();
            let told = listener.next().await.unwrap();
            assert_eq!(told.number, before + 1);
            if let Some(found) = wanted(&told.event) {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), look)
        .await
        .expect("it was not told")
}

/// Returns what is told of a run until it has ended: words in order.
async fn story(listener: &mut Listener, run: RunId) -> Vec<String> {
    let mut words = Vec::new();
    loop {
        let (word, ended) = next(listener, |event| match event {
            Event::RunQueued(report) if report.id == run => Some(("queued".to_owned(), false)),
            Event::RunStarted(report) if report.id == run => Some(("started".to_owned(), false)),
            Event::RunPhase(moved) if moved.run == run => {
                Some((moved.progress.phase.to_owned(), false))
            }
            Event::RunFinished(report) if report.id == run => {
                Some((report.status.to_string(), true))
            }
            _ => None,
        })
        .await;
        words.push(word);
        if ended {
            return words;
        }
    }
}

async fn begun(memory: &mut Memory) -> (Engine, Listener) {
    let engine = memory.ready().await;
    let listener = engine.events().listen();
    (engine, listener)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_told_from_its_request_to_its_end_phase_by_phase() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"a");
    let (engine, mut listener) = begun(&mut memory).await;
    let run = engine.submit(&source("up"), sync()).unwrap();
    assert_eq!(
        story(&mut listener, run).await,
        [
            "queued",
            "started",
            "survey",
            "plan",
            "transfer",
            "record",
            "survey-target",
            "plan",
            "publish",
            "success"
        ]
    );
    let run = engine.submit(&source("up"), sync()).unwrap();
    let unchanged = story(&mut listener, run).await;
    assert!(
        !unchanged.contains(&"transfer".to_owned()) && !unchanged.contains(&"publish".to_owned()),
        "{unchanged:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_listener_only_beginnings_and_ends_are_kept() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"a");
    let engine = memory.ready().await;
    let run = engine.submit(&source("up"), sync()).unwrap();
    engine.wait(run).await.unwrap();
    let words = story(&mut engine.events().listen_from_oldest(), run).await;
    assert_eq!(words, ["queued", "started", "success"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_run_is_is_told_with_items_and_bytes() {
    let mut memory = Memory::new();
    for number in 0..7 {
        let bytes = format!("contents {number}");
        memory
            .up
            .memory
            .put(&format!("{number}.md"), bytes.as_bytes());
    }
    let (engine, mut listener) = begun(&mut memory).await;
    memory.up.memory.hang_next(Verb::Fetch, 2);
    let run = engine.submit(&source("up"), sync()).unwrap();
    let phase = next(&mut listener, |event| match event {
        Event::RunPhase(moved) if moved.progress.phase == "transfer" => Some(moved.progress),
        _ => None,
    });
    let begins = phase.await;
    assert_eq!((begins.items, begins.items_total), (0, Some(7)));
    assert_eq!((begins.bytes, begins.bytes_total), (0, Some(70)));
    let moved = next(&mut listener, |event| match event {
        Event::RunProgress(moved) if moved.progress.items == 2 => Some(moved.progress),
        _ => None,
    });
    assert_eq!(moved.await.bytes, 20);
    engine.cancel(run).unwrap();
    assert_eq!(engine.wait(run).await.unwrap().status, RunStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_and_its_target_are_told_when_their_state_changes_and_only_then() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"a");
    let (engine, mut listener) = begun(&mut memory).await;
    let gate = memory.up.gate(Verb::List);
    let run = engine.submit(&source("up"), sync()).unwrap();
    gate.entered().await;
    let syncing = next(&mut listener, |event| match event {
        Event::Source(status) => Some(status.clone()),
        _ => None,
    })
    .await;
    assert!(syncing.conditions.iter().any(|c| c.kind == "Syncing"));
    gate.open();
    engine.wait(run).await.unwrap();
    let synced = next(&mut listener, |event| match event {
        Event::Source(status) if status.current_run.is_none() => Some(status.clone()),
        _ => None,
    })
    .await;
    assert_eq!((synced.states, synced.files), (vec![State::Synced], 1));
    let target = next(&mut listener, |event| match event {
        Event::Target(status) => Some(status.clone()),
        _ => None,
    })
    .await;
    assert_eq!((target.states, target.files), (vec![State::Synced], 1));

    engine.look_for_changes();
    engine.look_for_changes();
    engine
        .events()
        .notice(NoticeKind::Paused, None, "to end the look");
    engine.shutdown(Duration::from_secs(10)).await;
    let rest: Vec<_> =
        std::iter::from_fn(|| futures_util::FutureExt::now_or_never(listener.next()))
            .map(|told| told.unwrap().event.clone())
            .collect();
    assert!(
        matches!(&rest[..], [Event::Notice(_)]),
        "nothing had changed: {rest:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_are_told_when_they_open_and_when_they_close() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"upstream");
    memory.here.memory.put("a.md", b"my own");
    let (engine, mut listener) = begun(&mut memory).await;
    memory.world.sync("up").await;
    let changed = |event: &Event| match event {
        Event::Conflicts(changed) => Some(changed.clone()),
        _ => None,
    };
    let opened = next(&mut listener, changed).await;
    assert_eq!((opened.opened.len(), opened.closed.len()), (1, 0));
    assert_eq!(opened.opened[0].path.as_str(), "a.md");
    memory.up.memory.put("a.md", b"my own");
    memory.world.sync("up").await;
    let closed = next(&mut listener, changed).await;
    assert_eq!((closed.opened.len(), closed.closed), (0, opened.opened));
    drop(engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_publish_that_serves_several_sees_it_too() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"a");
    let (engine, mut listener) = begun(&mut memory).await;
    let gate = memory.here.gate(Verb::Apply);
    let run = engine.submit(&source("up"), sync()).unwrap();
    gate.entered().await;
    let report = engine.run(run).await.unwrap();
    assert_eq!(report.progress.unwrap().phase, "publish");
    assert_eq!(report.progress.unwrap().items_total, Some(1));
    gate.open();
    assert_eq!(engine.wait(run).await.unwrap().progress, None);
    assert!(
        story(&mut listener, run)
            .await
            .contains(&"publish".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_is_cancelled_at_once_and_the_one_before_it_goes_on() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"a");
    let (engine, _listener) = begun(&mut memory).await;
    let gate = memory.up.gate(Verb::List);
    let first = engine.submit(&source("up"), sync()).unwrap();
    gate.entered().await;
    let filtered = RunRequest {
        filter: vec!["a.md".to_owned()],
        ..sync()
    };
    let waiting = engine.submit(&source("up"), filtered).unwrap();
    engine.cancel(waiting).unwrap();
    let cancelled = engine.wait(waiting).await.unwrap();
    assert_eq!(cancelled.status, RunStatus::Cancelled);
    assert_eq!(
        engine.run(waiting).await.unwrap().status,
        RunStatus::Cancelled,
        "history has it"
    );
    let status = engine.status().await.unwrap().sources.remove(0);
    assert_eq!(status.current_run.unwrap().id, first);
    gate.open();
    assert_eq!(engine.wait(first).await.unwrap().status, RunStatus::Success);
}
