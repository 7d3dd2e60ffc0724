//! A source's actor: its queue, one run at a time, what it remembers.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;

use homing_core::{ItemKey, SourceId};
use jiff::Timestamp;
use tokio::sync::Mutex as TurnLock;

use crate::changes;
use crate::error::EngineError;
use crate::figures;
use crate::noted::Noted;
use crate::recover;
use crate::report::{RunReport, RunRequest, RunStatus, Trigger, Verb};
use crate::runs::{self, Run};
use crate::schedule::{Due, Schedule};
use crate::shared::{Shared, locked};
use crate::source_run::{Ended, SourceRun};
use crate::spec::SourceSpec;
use crate::target::Recovery;
use crate::watching::Watching;

/// Requests that may wait for one source.
pub(crate) const QUEUE: usize = 8;

/// One source.
#[derive(Default)]
pub(crate) struct SourceActor {
    /// Held by the run that is under way.
    turn: TurnLock<Recovery>,
    waiting: Mutex<VecDeque<(RunRequest, Arc<Run>)>>,
    known: Noted<Knowledge>,
    pub(crate) watching: Watching,
}

/// What the actor remembers between runs.
#[derive(Default, Clone)]
pub(crate) struct Knowledge {
    pub(crate) schedule: Schedule,
    pub(crate) current: Option<Arc<Run>>,
    pub(crate) last_run: Option<RunReport>,
    /// Keys that were edited here and not pushed, and keys that upstream has and the head has not.
    pub(crate) modified: Vec<ItemKey>,
    pub(crate) outdated: bool,
    /// Why the origin did not give all that it has.
    pub(crate) shortfall: Option<String>,
    /// What a killed process left under way in the origin was not looked at yet.
    pub(crate) repairs: bool,
}

impl Knowledge {
    fn is_under_way(&self, run: &Run) -> bool {
        self.current
            .as_ref()
            .is_some_and(|current| current.id == run.id)
    }
}

impl SourceActor {
    /// Begins to count with what the store remembers.
    pub(crate) fn new(schedule: Schedule, last_run: Option<RunReport>, repairs: bool) -> Self {
        let known = Knowledge {
            schedule,
            last_run,
            repairs,
            ..Knowledge::default()
        };
        Self {
            known: Noted::new(known),
            ..Self::default()
        }
    }

    /// Counts with another schedule from now on.
    pub(crate) fn reschedule(&self, schedule: Schedule) {
        self.known.write().schedule = schedule;
    }

    /// Returns what it remembers.
    pub(crate) fn knowledge(&self) -> Knowledge {
        self.known.read().clone()
    }

    /// Returns the times at which its status changes by itself, beside its pauses.
    pub(crate) fn turning_points(&self) -> Vec<Timestamp> {
        self.known.read().schedule.turning_points().collect()
    }

    /// Returns why it is the source's turn, if it is, and nothing of it waits or is under way.
    pub(crate) fn due(&self, spec: &SourceSpec, now: Timestamp) -> Option<Due> {
        if !locked(&self.waiting).is_empty() {
            return None;
        }
        let mut known = self.known.write();
        if known.current.is_some() {
            return None;
        }
        known.schedule.due(spec, now)
    }

    /// Gives the source its turn: something changed in it, or in a target that it takes edits from.
    pub(crate) fn something_changed(&self) {
        self.known.write().schedule.changed = true;
    }

    /// Lets the source have its turn in spite of its failures: its origin is there again.
    pub(crate) fn came_back(&self) {
        self.known.write().schedule.backoff_until = None;
    }

    /// Takes the source for work that must not meet a run.
    pub(crate) async fn take_turn(&self) -> tokio::sync::MutexGuard<'_, Recovery> {
        self.turn.lock().await
    }

    /// Joins a request to a waiting run that does what it asks for, or queues a new one.
    ///
    /// Returns the run, and whether it is new.
    pub(crate) fn enqueue(
        &self,
        shared: &Shared,
        id: &SourceId,
        request: RunRequest,
    ) -> Result<(Arc<Run>, bool), EngineError> {
        let mut waiting = locked(&self.waiting);
        if let Some((queued, run)) = waiting
            .iter_mut()
            .find(|(queued, _)| coalesces(queued, &request))
        {
            if queued.verb != request.verb {
                queued.verb = Verb::Sync;
                run.update(|report| report.verb = Verb::Sync);
            }
            if request.trigger == Trigger::Manual {
                queued.trigger = Trigger::Manual;
                run.update(|report| report.trigger = Trigger::Manual);
            }
            return Ok((Arc::clone(run), false));
        }
        if waiting.len() >= QUEUE {
            return Err(EngineError::Busy(id.clone(), waiting.len()));
        }
        let run = shared
            .runs
            .create(Some(id.clone()), None, request.verb, request.trigger);
        waiting.push_back((request, Arc::clone(&run)));
        run.queued();
        Ok((run, true))
    }

    /// Repairs what a killed process left under way in the origin. Where it cannot be now, the next run does.
    pub(crate) async fn repair(&self, shared: &Shared, id: &SourceId) {
        let mut turn = self.turn.lock().await;
        if *turn == Recovery::Due {
            let repaired = AssertUnwindSafe(recover::origin(shared, id))
                .catch_unwind()
                .await
                .unwrap_or_else(|panic| Err(EngineError::panicked(panic.as_ref())));
            match repaired {
                Ok(()) => *turn = Recovery::Done,
                Err(error) => {
                    tracing::warn!(source = %id, %error, "the origin could not be repaired; its next run tries again");
                }
            }
        }
        self.known.write().repairs = false;
    }

    /// Waits for the run's turn and goes through it to its end.
    pub(crate) async fn execute(&self, shared: Arc<Shared>, id: SourceId, run: Arc<Run>) {
        let mut turn = tokio::select! {
            biased;
            turn = self.turn.lock() => turn,
            () = run.cancel.cancelled() => {
                // It need not wait for the run before it to be let go.
                self.leave_queue(&run);
                run.fail(&EngineError::Cancelled);
                let ended = Ended::with_error(EngineError::Cancelled);
                self.conclude(&shared, &id, &run, ended).await;
                changes::look(&shared);
                return;
            }
        };
        let Some(request) = self.leave_queue(&run) else {
            return;
        };
        // It may have waited over a reload: what runs now runs with the settings of now.
        let shared = shared.newest();
        let spec = match shared.source(&id) {
            Ok((spec, _)) if shared.is_live(&id) => spec,
            Ok(_) => return Self::refuse(&shared, &run, &EngineError::Disabled(id)),
            Err(error) => return Self::refuse(&shared, &run, &error),
        };
        {
            let mut known = self.known.write();
            known.current = Some(Arc::clone(&run));
            // What changes from now on is another run's, unless this one looks at a part only.
            if request.filter.is_empty() && matches!(request.verb, Verb::Pull | Verb::Sync) {
                known.schedule.changed = false;
            }
        }
        run.begin();
        changes::look(&shared);
        let source_run = SourceRun::new(&shared, &id, spec, &run, request);
        // A mistake in Homing ends the run and not the source: the next turn starts with a recovery.
        let ended = AssertUnwindSafe(source_run.execute(&mut turn))
            .catch_unwind()
            .await;
        let ended = ended.unwrap_or_else(|panic| {
            let error = EngineError::panicked(panic.as_ref());
            run.fail(&error);
            Ended::with_error(error)
        });
        self.conclude(&shared, &id, &run, ended).await;
        changes::look(&shared);
    }

    /// Takes a run out of the queue and returns what it was to do.
    fn leave_queue(&self, run: &Run) -> Option<RunRequest> {
        let mut waiting = locked(&self.waiting);
        let at = waiting
            .iter()
            .position(|(_, waiting)| waiting.id == run.id)?;
        waiting.remove(at).map(|(request, _)| request)
    }

    /// Ends a run whose source was removed or disabled while it waited.
    fn refuse(shared: &Arc<Shared>, run: &Run, error: &EngineError) {
        run.fail(error);
        run.finish();
        shared.runs.remove(run.id);
        run.announce();
        changes::look(shared);
    }

    /// Writes the run's end into the store and into what the actor remembers, then wakes whoever waits.
    async fn conclude(&self, shared: &Arc<Shared>, id: &SourceId, run: &Run, ended: Ended) {
        run.finish();
        let report = run.report();
        let newest = shared.newest();
        // The next turn is by the settings of now, unless the source is gone from them.
        let Ok((spec, _)) = newest.source(id).or_else(|_| shared.source(id)) else {
            return;
        };
        let schedule = {
            let mut known = self.known.write();
            // A turn that the daemon's own end cut short is still owed.
            if !(report.status == RunStatus::Cancelled && shared.stopping.is_cancelled()) {
                let error = ended.error.as_ref().or(ended.shortfall.as_ref());
                known.schedule.ended(
                    id,
                    spec,
                    report.started_at,
                    (report.status, ended.is_complete(&report)),
                    error,
                    runs::now(),
                );
            }
            // One that was cancelled in the queue has seen nothing.
            if known.is_under_way(run) {
                known.modified.clone_from(&ended.modified);
                known.outdated = ended.outdated;
                known.shortfall = ended.shortfall.as_ref().map(ToString::to_string);
            }
            known.schedule.clone()
        };
        if let Err(error) = ended.record(shared, id, &report, schedule).await {
            // What was published is recorded already; only the run's own line is missing.
            tracing::error!(source = %id, run = %run.id, %error, "the end of the run could not be recorded");
            run.fail(&error);
            run.finish();
        }
        let report = run.report();
        log(&report);
        figures::run_ended(&report);
        {
            let mut known = self.known.write();
            if known.is_under_way(run) {
                known.current = None;
            }
            known.last_run = Some(RunReport {
                items: Vec::new(),
                ..report
            });
            if known.schedule.changed {
                shared.turns.notify_one();
            }
        }
        shared.runs.remove(run.id);
        run.announce();
        self.watching.run_ended();
    }
}

/// Tells whether `waiting` may become a run that does `request` too.
fn coalesces(waiting: &RunRequest, request: &RunRequest) -> bool {
    let mergeable = |verb| matches!(verb, Verb::Pull | Verb::Push | Verb::Sync);
    let same = RunRequest {
        verb: request.verb,
        trigger: request.trigger,
        ..waiting.clone()
    } == *request;
    same && mergeable(waiting.verb) && mergeable(request.verb)
}

fn log(report: &RunReport) {
    let source = report.source.as_ref().map_or("", SourceId::as_str);
    let (run, status) = (report.id.0, report.status.as_str());
    match &report.error {
        Some(error) if report.status != RunStatus::Cancelled => {
            tracing::warn!(source, run, status, error = error.message, causes = ?error.causes, "run ended");
        }
        _ => tracing::info!(
            source,
            run,
            status,
            synced = report.synced,
            removed = report.removed,
            failed = report.failed,
            "run ended"
        ),
    }
}
