//! What has changed in the status of sources and targets, told once for everybody.
//!
//! Whoever changes something says so with [`look`]; a task then compares the status with the last one that was told.
//! It looks seldom enough never to be what keeps a machine busy, and always once more after the last change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::engine::Engine;
use crate::events::{ConflictsChanged, Event};
use crate::report::{ConflictReport, EngineStatus, SourceStatus};
use crate::shared::Shared;

/// The shortest pause between two looks; a look that took long is followed by a longer one.
const PAUSE: Duration = Duration::from_millis(50);

/// How long changes are gathered while nobody listens: they are for whoever asks later what has happened.
const UNHEARD: Duration = Duration::from_secs(1);

/// A look may take this part of the time.
const SHARE: u32 = 10;

/// Conflicts that one event lists.
const LISTED: usize = 100;

/// What was told last, and whether it may be out of date.
#[derive(Default)]
pub(crate) struct Changes {
    told: Mutex<Option<Seen>>,
    is_due: AtomicBool,
    is_looking: AtomicBool,
}

/// A status as it was seen.
struct Seen {
    status: EngineStatus,
    conflicts: BTreeMap<i64, ConflictReport>,
}

impl Changes {
    /// Takes in what there is at the start, to which changes are compared.
    pub(crate) async fn begin(engine: &Engine) -> Result<(), crate::error::EngineError> {
        let seen = see(engine).await?;
        *engine.shared.changes.told.lock().await = Some(seen);
        Ok(())
    }
}

/// Says that something may have changed: it is looked at soon, and what is news is told.
pub(crate) fn look(shared: &Arc<Shared>) {
    shared.changes.is_due.store(true, Ordering::SeqCst);
    if shared.changes.is_looking.swap(true, Ordering::SeqCst) {
        return;
    }
    let shared = Arc::clone(shared);
    shared.tasks.clone().spawn(async move {
        let changes = &shared.changes;
        loop {
            while changes.is_due.load(Ordering::SeqCst) {
                tokio::select! {
                    () = shared.events.heard() => {}
                    () = tokio::time::sleep(UNHEARD) => {}
                    () = shared.stopping.cancelled() => {}
                }
                changes.is_due.store(false, Ordering::SeqCst);
                let began = Instant::now();
                // What is configured may be other than when it was asked for.
                let engine = Engine {
                    shared: shared.newest(),
                };
                tell(&engine).await;
                let pause = PAUSE.max(began.elapsed() * SHARE);
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = shared.stopping.cancelled() => {}
                }
            }
            changes.is_looking.store(false, Ordering::SeqCst);
            // Who came between the two lines above has seen a look under way.
            if !changes.is_due.load(Ordering::SeqCst)
                || changes.is_looking.swap(true, Ordering::SeqCst)
            {
                return;
            }
        }
    });
}

async fn tell(engine: &Engine) {
    let mut told = engine.shared.changes.told.lock().await;
    match see(engine).await {
        Ok(seen) => {
            if let Some(before) = &*told {
                for event in compare(before, &seen) {
                    engine.shared.events.tell(event);
                }
            }
            *told = Some(seen);
        }
        Err(error) => tracing::warn!(%error, "what has changed could not be found out"),
    }
}

async fn see(engine: &Engine) -> Result<Seen, crate::error::EngineError> {
    let status = engine.status().await?;
    let conflicts = engine.conflicts(None, None).await?;
    Ok(Seen {
        status,
        conflicts: conflicts
            .into_iter()
            .map(|conflict| (conflict.id, conflict))
            .collect(),
    })
}

/// Returns what is news.
fn compare(before: &Seen, after: &Seen) -> Vec<Event> {
    let mut events = Vec::new();
    let old = &before.status;
    let was_told = |source: &SourceStatus| {
        let known = old.sources.iter().find(|known| known.id == source.id);
        known.is_some_and(|known| lasting(known) == lasting(source))
    };
    events.extend(
        after
            .status
            .sources
            .iter()
            .filter(|source| !was_told(source))
            .map(|source| Event::Source(Box::new(source.clone()))),
    );
    events.extend(
        after
            .status
            .targets
            .iter()
            .filter(|target| !old.targets.contains(target))
            .map(|target| Event::Target(Box::new(target.clone()))),
    );
    events.extend(conflicts(&before.conflicts, &after.conflicts).map(Event::Conflicts));
    let daemon = |status: &EngineStatus| {
        let quarantined = status.quarantined.clone();
        (
            status.recovered,
            quarantined,
            status.paused,
            status.offline.clone(),
        )
    };
    events.extend((daemon(old) != daemon(&after.status)).then_some(Event::Daemon));
    events
}

/// Returns a source without what moves all the time: how far its run is.
fn lasting(source: &SourceStatus) -> SourceStatus {
    let mut source = source.clone();
    if let Some(run) = &mut source.current_run {
        run.duration = Duration::ZERO;
        run.progress = None;
        run.phases.clear();
        run.problems.clear();
        run.error = None;
    }
    source
}

fn conflicts(
    before: &BTreeMap<i64, ConflictReport>,
    after: &BTreeMap<i64, ConflictReport>,
) -> Option<ConflictsChanged> {
    let missing = |of: &BTreeMap<i64, ConflictReport>, from: &BTreeMap<i64, ConflictReport>| {
        of.iter()
            .filter(|(id, _)| !from.contains_key(id))
            .map(|(_, conflict)| conflict.clone())
            .collect::<Vec<_>>()
    };
    let mut opened = missing(after, before);
    let mut closed = missing(before, after);
    if opened.is_empty() && closed.is_empty() {
        return None;
    }
    let all = opened.len() + closed.len();
    opened.truncate(LISTED);
    closed.truncate(LISTED);
    let more = (all - opened.len() - closed.len()) as u64;
    Some(ConflictsChanged {
        opened,
        closed,
        more,
    })
}
