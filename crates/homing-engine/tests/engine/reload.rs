//! Other settings take over while the engine runs.

use std::time::Duration;

use homing_core::SourceId;
use homing_engine::{Cadence, Engine, RunRequest, RunStatus, Touched, Trigger, Verb};
use jiff::Timestamp;

use crate::world::{World, source, target};

fn touched(sources: &[&str], targets: &[&str]) -> Touched {
    Touched {
        sources: sources.iter().map(|name| source(name)).collect(),
        targets: targets.iter().map(|name| target(name)).collect(),
    }
}

fn sync() -> RunRequest {
    RunRequest::new(Verb::Sync, Trigger::Manual)
}

/// Waits until everything that the reload set going has ended.
async fn settled(engine: &Engine) {
    for run in engine.history(None, None, None, 1000).await.unwrap() {
        engine.wait(run.id).await.unwrap();
    }
}

fn due(engine: &Engine, now: Timestamp) -> Vec<SourceId> {
    let turns = engine.due(now).into_iter();
    turns.map(|turn| turn.source).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_added_is_due_and_one_that_did_not_change_keeps_its_turn() {
    let mut world = World::empty();
    let hourly = |spec: &mut homing_engine::SourceSpec| {
        spec.cadence = Some(Cadence::Every(Duration::from_hours(1)));
    };
    world.source("up", hourly);
    world.target("here", &["up"], |_| {});
    world.write("up/a.md", "one\n");
    world.sync_well("up").await;
    let engine = world.engine().await;
    let before = engine.status().await.unwrap().sources.remove(0);

    world.source("more", hourly);
    world.target("here", &["up", "more"], |_| {});
    let specs = world.specs.clone();
    let engine = engine
        .reload(specs, &touched(&["more"], &["here"]))
        .await
        .unwrap();
    let now = Timestamp::now();
    assert_eq!(due(&engine, now), [source("more")]);
    let status = engine.status().await.unwrap();
    let after = status.sources.iter().find(|s| s.id == source("up"));
    let after = after.unwrap();
    assert_eq!(
        (after.next_due, after.last_success, after.files),
        (before.next_due, before.last_success, before.files)
    );
    assert!(before.next_due.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_goes_takes_its_unedited_files_along_and_comes_back_with_its_history() {
    let mut world = World::empty();
    world.source("up", |_| {});
    world.source("more", |_| {});
    world.target("here", &["up", "more"], |_| {});
    world.write("up/a.md", "one\n");
    world.write("more/b.md", "two\n");
    world.write("more/c.md", "three\n");
    world.sync_well("up").await;
    world.sync_well("more").await;
    world.write("here/c.md", "edited\n");
    let engine = world.engine().await;
    let (all, mut fewer) = (world.specs.clone(), world.specs.clone());
    fewer.sources.remove(&source("more"));
    let here = fewer.targets.get_mut(&target("here")).unwrap();
    here.from.pop();

    let engine = engine
        .reload(fewer, &touched(&[], &["here"]))
        .await
        .unwrap();
    settled(&engine).await;
    let left: Vec<_> = world.tree("here").into_iter().collect();
    let expected = [("a.md", "one\n"), ("c.md", "edited\n")];
    assert_eq!(
        left,
        expected.map(|(path, text)| (path.to_owned(), text.to_owned()))
    );
    assert!(engine.submit(&source("more"), sync()).is_err());

    let engine = engine
        .reload(all, &touched(&["more"], &["here"]))
        .await
        .unwrap();
    settled(&engine).await;
    assert_eq!(world.read("here/b.md").as_deref(), Some("two\n"));
    let status = engine.status().await.unwrap();
    let back = status.sources.iter().find(|s| s.id == source("more"));
    assert!(back.unwrap().last_run.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_handle_starts_runs_with_the_settings_of_now() {
    let mut world = World::new();
    world.write("up/a.md", "old place\n");
    world.sync_well("up").await;
    let old = world.engine().await;

    world.source("elsewhere", |_| {});
    world.write("elsewhere/a.md", "new place\n");
    let mut specs = world.specs.clone();
    let mut moved = specs.sources.remove(&source("elsewhere")).unwrap();
    moved.selection = "another/all".into();
    specs.sources.insert(source("up"), moved);
    let engine = old
        .reload(specs.clone(), &touched(&["up"], &[]))
        .await
        .unwrap();
    let run = old
        .submit(
            &source("up"),
            RunRequest {
                accept_root: true,
                ..sync()
            },
        )
        .unwrap();
    let report = old.wait(run).await.unwrap();
    assert_eq!(report.status, RunStatus::Success, "{report:#?}");
    assert_eq!(world.read("here/a.md").as_deref(), Some("new place\n"));

    specs.sources.clear();
    specs.targets.clear();
    let _newest = engine.reload(specs, &Touched::default()).await.unwrap();
    let run = old.submit(&source("up"), sync()).unwrap();
    let report = old.wait(run).await;
    let failed = report.map(|report| report.error.map(|error| error.kind));
    assert!(
        matches!(
            failed,
            Ok(Some("unknown-source")) | Err(homing_engine::EngineError::UnknownRun(_))
        ),
        "{failed:?}"
    );
    assert_eq!(world.read("here/a.md").as_deref(), Some("new place\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_kept_a_source_from_working_are_tried_at_once_when_they_change() {
    let mut world = World::empty();
    let hourly = |spec: &mut homing_engine::SourceSpec| {
        spec.cadence = Some(Cadence::Every(Duration::from_hours(1)));
    };
    world.source("up", hourly);
    let root = world.path("up");
    std::fs::remove_dir(&root).unwrap();
    let failed = world.sync("up").await;
    assert_eq!(failed.status, RunStatus::Error);
    let engine = world.engine().await;
    let now = Timestamp::now();
    assert_eq!(engine.due(now), []);
    let specs = world.specs.clone();
    let same = engine
        .reload(specs.clone(), &Touched::default())
        .await
        .unwrap();
    assert_eq!(same.due(now), []);
    let other = engine.reload(specs, &touched(&["up"], &[])).await.unwrap();
    assert_eq!(due(&other, Timestamp::now()), [source("up")]);
}
