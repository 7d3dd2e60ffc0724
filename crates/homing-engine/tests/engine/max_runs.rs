//! `max_runs`: how many runs may transfer or publish at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use homing_core::RunId;
use homing_engine::{Engine, RunRequest, RunStatus, Trigger, Verb as Do};
use testkit::Verb;

use crate::memory::{Accompanied, Memory};
use crate::world::source;

/// Far longer than anything takes: whoever waits this long waits for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes a world with a source `other` beside `up`, in which one run may work.
fn one_at_a_time() -> (Memory, Arc<Accompanied>) {
    let mut memory = Memory::new();
    memory.world.specs.settings.max_runs = 1;
    let other = memory.another("other");
    memory.up.memory.put("a.md", b"a");
    other.memory.put("b.md", b"b");
    (memory, other)
}

/// Counts the fetches that reach a side.
fn count_fetches(side: &Accompanied) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    side.before(move |verb, _| {
        if verb == Verb::Fetch {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        Box::pin(async {})
    });
    count
}

fn submit(engine: &Engine, name: &str) -> RunId {
    let request = RunRequest::new(Do::Sync, Trigger::Manual);
    engine.submit(&source(name), request).unwrap()
}

/// Waits until a run has made its plan, and so comes to where it needs a permit.
async fn planned(engine: &Engine, run: RunId) {
    let look = async {
        loop {
            let report = engine.run(run).await.unwrap();
            if report.phases.iter().any(|(phase, _)| phase == "plan") {
                return;
            }
            assert!(
                matches!(report.status, RunStatus::Queued | RunStatus::Running),
                "{report:#?}"
            );
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, look).await;
    waited.expect("a survey needs no permit");
}

/// Fails when a run that is to wait fetches; without a permit it would have begun long before the last look.
async fn stays_out(engine: &Engine, run: RunId, fetches: &AtomicUsize) {
    for _ in 0..200 {
        let report = engine.run(run).await.unwrap();
        assert_eq!(report.status, RunStatus::Running, "{report:#?}");
        assert_eq!(fetches.load(Ordering::SeqCst), 0, "it fetched meanwhile");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_run_transfers_another_surveys_and_then_waits() {
    let (mut memory, other) = one_at_a_time();
    let engine = memory.ready().await;
    let gate = memory.up.gate(Verb::Fetch);
    let first = submit(&engine, "up");
    gate.entered().await;
    let fetches = count_fetches(&other);
    let second = submit(&engine, "other");
    planned(&engine, second).await;
    assert_eq!(other.memory.calls(Verb::List), 1);
    stays_out(&engine, second, &fetches).await;
    gate.open();
    for run in [first, second] {
        assert_eq!(engine.wait(run).await.unwrap().status, RunStatus::Success);
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_run_publishes_another_does_not_transfer() {
    let (mut memory, other) = one_at_a_time();
    let engine = memory.ready().await;
    let gate = memory.here.gate(Verb::Apply);
    let first = submit(&engine, "up");
    gate.entered().await;
    let fetches = count_fetches(&other);
    let second = submit(&engine, "other");
    planned(&engine, second).await;
    stays_out(&engine, second, &fetches).await;
    gate.open();
    for run in [first, second] {
        assert_eq!(engine.wait(run).await.unwrap().status, RunStatus::Success);
    }
    assert_eq!(memory.published("a.md").unwrap(), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_for_others_can_be_cancelled() {
    let (mut memory, other) = one_at_a_time();
    let engine = memory.ready().await;
    let gate = memory.up.gate(Verb::Fetch);
    let first = submit(&engine, "up");
    gate.entered().await;
    let fetches = count_fetches(&other);
    let second = submit(&engine, "other");
    planned(&engine, second).await;
    engine.cancel(second).unwrap();
    let ended = tokio::time::timeout(PATIENCE, engine.wait(second)).await;
    let ended = ended.expect("a cancelled run waits for nobody").unwrap();
    assert_eq!(ended.status, RunStatus::Cancelled);
    assert_eq!(fetches.load(Ordering::SeqCst), 0);
    gate.open();
    assert_eq!(engine.wait(first).await.unwrap().status, RunStatus::Success);
}
