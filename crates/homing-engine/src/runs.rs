//! The runs that are queued or under way.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use homing_core::{Problem, ProblemKind, Progress, RunId, SourceId, TargetId};
use homing_store::RunRow;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Span;
use tracing::field::Empty;

use crate::error::EngineError;
use crate::report::{Failure, RunReport, RunStatus, Trigger, Verb};

/// Problems of one kind that a run keeps; the rest are counted.
const PROBLEMS_PER_KIND: usize = 20;

/// Begins a phase of the run that the current task works for, and returns the time.
pub(crate) fn begin(phase: &str) -> Instant {
    Span::current().record("phase", phase);
    Instant::now()
}

/// A run from its request to its end.
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) cancel: CancellationToken,
    pub(crate) progress: Progress,
    report: Mutex<RunReport>,
    operations: AtomicUsize,
    begun: Instant,
    done: watch::Sender<bool>,
}

impl Run {
    /// Makes a run that only carries limits and progress: it has no number, and nobody sees it.
    pub(crate) fn unseen(verb: Verb) -> Self {
        Self::new(RunId(0), None, None, verb, Trigger::Manual)
    }

    fn new(
        id: RunId,
        source: Option<SourceId>,
        target: Option<TargetId>,
        verb: Verb,
        trigger: Trigger,
    ) -> Self {
        let report = RunReport {
            id,
            source,
            target,
            verb,
            trigger,
            status: RunStatus::Queued,
            started_at: now(),
            duration: Duration::ZERO,
            synced: 0,
            cached: 0,
            failed: 0,
            removed: 0,
            bytes: 0,
            error: None,
            problems: Vec::new(),
            phases: Vec::new(),
            items: Vec::new(),
        };
        Self {
            id,
            cancel: CancellationToken::new(),
            progress: Progress::default(),
            report: Mutex::new(report),
            operations: AtomicUsize::new(0),
            begun: Instant::now(),
            done: watch::Sender::new(false),
        }
    }

    /// Returns the run as it is now.
    pub(crate) fn report(&self) -> RunReport {
        let mut report = self.lock().clone();
        if matches!(report.status, RunStatus::Queued | RunStatus::Running) {
            report.duration = self.begun.elapsed();
        }
        report
    }

    /// Returns a number that no other operation of the run has.
    pub(crate) fn next_operation(&self) -> usize {
        self.operations.fetch_add(1, Ordering::Relaxed)
    }

    /// Changes the report.
    pub(crate) fn update(&self, change: impl FnOnce(&mut RunReport)) {
        change(&mut self.lock());
    }

    /// Returns what every line of the log carries while this run is under way.
    pub(crate) fn span(&self) -> Span {
        let report = self.lock();
        // At the highest level, so that no filter takes it from a line that it lets through.
        let span = tracing::error_span!(
            "run",
            source = Empty,
            target = Empty,
            run = self.id.0,
            phase = Empty
        );
        if let Some(source) = &report.source {
            span.record("source", source.as_str());
        }
        if let Some(target) = &report.target {
            span.record("target", target.as_str());
        }
        span
    }

    /// Notes how long a phase took.
    pub(crate) fn phase(&self, name: &str, since: Instant) {
        let took = since.elapsed();
        self.update(
            |report| match report.phases.iter_mut().find(|(phase, _)| phase == name) {
                Some((_, total)) => *total += took,
                None => report.phases.push((name.to_owned(), took)),
            },
        );
    }

    /// Adds problems, each once and no more of one kind than a person would read.
    pub(crate) fn problems(&self, problems: impl IntoIterator<Item = Problem>) {
        self.update(|report| {
            let mut known: std::collections::BTreeSet<Problem> =
                report.problems.iter().cloned().collect();
            let mut counts: BTreeMap<ProblemKind, usize> = BTreeMap::new();
            for problem in &report.problems {
                *counts.entry(problem.kind).or_default() += 1;
            }
            for problem in problems {
                let count = counts.entry(problem.kind).or_default();
                if *count > PROBLEMS_PER_KIND || !known.insert(problem.clone()) {
                    continue;
                }
                *count += 1;
                if *count > PROBLEMS_PER_KIND {
                    let message = "there are more of this kind, which are not listed".to_owned();
                    report.problems.push(Problem {
                        kind: problem.kind,
                        path: String::new(),
                        message,
                    });
                } else {
                    report.problems.push(problem);
                }
            }
        });
    }

    /// Ends the run with an error; the first one counts.
    pub(crate) fn fail(&self, error: &EngineError) {
        let failure = error.failure();
        self.update(|report| {
            report.error.get_or_insert(failure);
        });
    }

    /// Fails when the run has been cancelled.
    pub(crate) fn check_cancelled(&self) -> Result<(), EngineError> {
        if self.cancel.is_cancelled() {
            Err(EngineError::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Sets the status that the counts and errors give and wakes everyone who waits.
    pub(crate) fn finish(&self) {
        let took = self.begun.elapsed();
        self.update(|report| {
            report.duration = took;
            report.status = final_status(report);
        });
    }

    /// Wakes everyone who waits.
    pub(crate) fn announce(&self) {
        self.done.send_replace(true);
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) -> RunReport {
        let mut done = self.done.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        drop(done.wait_for(|done| *done).await);
        self.report()
    }

    fn lock(&self) -> MutexGuard<'_, RunReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn final_status(report: &RunReport) -> RunStatus {
    let matters = |problem: &Problem| {
        matches!(
            problem.kind,
            ProblemKind::Unreadable
                | ProblemKind::Changing
                | ProblemKind::Limit
                | ProblemKind::Empty
                | ProblemKind::Hook
        )
    };
    match &report.error {
        Some(error) if error.kind == "cancelled" => RunStatus::Cancelled,
        Some(error) if error.kind == "guard" => RunStatus::Blocked,
        Some(_) => RunStatus::Error,
        None if report.failed > 0 || report.problems.iter().any(matters) => RunStatus::Partial,
        None => RunStatus::Success,
    }
}

/// All runs that have not ended.
pub(crate) struct Runs {
    last: AtomicI64,
    live: Mutex<HashMap<RunId, Arc<Run>>>,
}

impl Runs {
    /// Begins to count after `last`.
    pub(crate) fn after(last: RunId) -> Self {
        Self {
            last: AtomicI64::new(last.0),
            live: Mutex::default(),
        }
    }

    /// Makes a run that is queued.
    pub(crate) fn create(
        &self,
        source: Option<SourceId>,
        target: Option<TargetId>,
        verb: Verb,
        trigger: Trigger,
    ) -> Arc<Run> {
        let id = RunId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let run = Arc::new(Run::new(id, source, target, verb, trigger));
        self.lock().insert(id, Arc::clone(&run));
        run
    }

    /// Returns a run that has not ended.
    pub(crate) fn get(&self, id: RunId) -> Option<Arc<Run>> {
        self.lock().get(&id).cloned()
    }

    /// Returns all that have not ended, newest first.
    pub(crate) fn all(&self) -> Vec<Arc<Run>> {
        let mut runs: Vec<_> = self.lock().values().cloned().collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.id));
        runs
    }

    /// Forgets a run that has ended.
    pub(crate) fn remove(&self, id: RunId) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Run>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the time as it is stored: UTC, whole milliseconds.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// Makes a history row of a report.
pub(crate) fn row(report: &RunReport, plan_digest: Option<String>, boot_id: &str) -> RunRow {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    RunRow {
        id: report.id,
        source: report.source.clone(),
        target: report.target.clone(),
        verb: report.verb.as_str().to_owned(),
        trigger: report.trigger.as_str().to_owned(),
        status: report.status.as_str().to_owned(),
        started_at: report.started_at,
        synced: report.synced,
        cached: report.cached,
        failed: report.failed,
        removed: report.removed,
        bytes: report.bytes,
        requests: 0,
        error_kind: report.error.as_ref().map(|error| error.kind.to_owned()),
        error_message: report.error.as_ref().map(stored_failure),
        duration_ms: millis(report.duration),
        phases: report
            .phases
            .iter()
            .map(|(name, took)| (name.clone(), millis(*took)))
            .collect(),
        plan_digest,
        problems: report
            .problems
            .iter()
            .map(crate::history::stored_problem)
            .collect(),
        boot_id: boot_id.to_owned(),
    }
}

/// Writes message, causes and hint into the one column that history has for them, a line each.
fn stored_failure(failure: &Failure) -> String {
    let mut lines = vec![failure.message.replace('\n', " ")];
    lines.extend(
        failure
            .causes
            .iter()
            .map(|cause| format!("caused by: {}", cause.replace('\n', " "))),
    );
    lines.extend(failure.hint.iter().map(|hint| format!("hint: {hint}")));
    lines.join("\n")
}
