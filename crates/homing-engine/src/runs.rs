//! The runs that are queued or under way.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use homing_core::{Problem, ProblemKind, Progress, RunId, SourceId, TargetId};
use homing_store::{RunRow, Store};
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::Span;
use tracing::field::Empty;

use crate::error::EngineError;
use crate::events::{Event, Events, RunMoved};
use crate::progress::Live;
use crate::report::{Failure, RunProgress, RunReport, RunStatus, Trigger, Verb};
use crate::shared::locked;

/// Problems of one kind that a run keeps; the rest are counted.
const PROBLEMS_PER_KIND: usize = 20;

/// A run from its request to its end.
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) cancel: CancellationToken,
    pub(crate) progress: Progress,
    report: Mutex<RunReport>,
    operations: AtomicUsize,
    begun: Instant,
    done: watch::Sender<bool>,
    events: Events,
    /// Whether listeners have heard of it: what only looks, or found nothing to do at the start, is not told.
    told: AtomicBool,
    /// Whether the history was asked to note that it is under way.
    noted: AtomicBool,
    live: Mutex<Option<Live>>,
    told_progress: Mutex<Option<RunProgress>>,
    /// Runs that wait for this one's work, and so are in the same phase.
    followers: Vec<Arc<Run>>,
}

impl Run {
    /// Makes a run that only carries limits and progress: it has no number, and nobody sees it but in the progress of
    /// those that wait for it.
    pub(crate) fn unseen(verb: Verb, followers: Vec<Arc<Self>>) -> Self {
        let events = Events::default();
        Self {
            followers,
            ..Self::new(RunId(0), None, None, verb, Trigger::Manual, events)
        }
    }

    fn new(
        id: RunId,
        source: Option<SourceId>,
        target: Option<TargetId>,
        verb: Verb,
        trigger: Trigger,
        events: Events,
    ) -> Self {
        let report = RunReport {
            id,
            source,
            target,
            verb,
            undone: None,
            trigger,
            status: RunStatus::Queued,
            started_at: now(),
            duration: Duration::ZERO,
            synced: 0,
            cached: 0,
            failed: 0,
            removed: 0,
            bytes: 0,
            requests: 0,
            error: None,
            problems: Vec::new(),
            phases: Vec::new(),
            revision: None,
            progress: None,
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
            events,
            told: AtomicBool::new(false),
            noted: AtomicBool::new(false),
            live: Mutex::default(),
            told_progress: Mutex::default(),
            followers: Vec::new(),
        }
    }

    /// Returns the run as it is now.
    pub(crate) fn report(&self) -> RunReport {
        let mut report = self.lock().clone();
        if matches!(report.status, RunStatus::Queued | RunStatus::Running) {
            report.duration = self.begun.elapsed();
        }
        if report.status == RunStatus::Running {
            report.progress = locked(&self.live).as_ref().map(Live::progress);
        }
        report
    }

    /// Says that it waits for its turn.
    pub(crate) fn queued(&self) {
        self.told.store(true, Ordering::Relaxed);
        self.events.tell(Event::RunQueued(Box::new(self.report())));
    }

    /// Says that its work begins.
    pub(crate) fn begin(&self) {
        self.update(|report| report.status = RunStatus::Running);
        self.told.store(true, Ordering::Relaxed);
        self.events.tell(Event::RunStarted(Box::new(self.report())));
    }

    /// Begins without a word; whether there is anything to tell shows at the end.
    pub(crate) fn begin_quietly(&self) {
        self.update(|report| report.status = RunStatus::Running);
    }

    /// Says that its end is to be told, if its beginning was not.
    pub(crate) fn is_worth_telling(&self) {
        self.told.store(true, Ordering::Relaxed);
    }

    /// Says which phase begins; `total` are the items and bytes that it has to do, where known.
    pub(crate) fn enter(&self, phase: &'static str, total: Option<(u64, u64)>) {
        // Of the task that does the work: that is the run whose lines of the log tell of it.
        Span::current().record("phase", phase);
        let live = Live::begin(phase, &self.progress, total);
        for follower in &self.followers {
            follower.is_in(live.clone());
        }
        self.is_in(live);
    }

    fn is_in(&self, live: Live) {
        let progress = live.progress();
        *locked(&self.live) = Some(live);
        if self.told.load(Ordering::Relaxed) && self.events.is_heard() {
            *locked(&self.told_progress) = Some(progress);
            let moved = self.moved(progress);
            self.events.tell(Event::RunPhase(moved));
        }
    }

    /// Tells how far it is, when that is news.
    pub(crate) fn tell_progress(&self) {
        let Some(progress) = locked(&self.live).as_ref().map(Live::progress) else {
            return;
        };
        let news = self.told.load(Ordering::Relaxed)
            && locked(&self.told_progress).replace(progress) != Some(progress);
        if news {
            self.events.tell(Event::RunProgress(self.moved(progress)));
        }
    }

    fn moved(&self, progress: RunProgress) -> RunMoved {
        let report = self.lock();
        RunMoved {
            run: self.id,
            source: report.source.clone(),
            target: report.target.clone(),
            progress,
        }
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
                    let message = "there are more of this kind, which are not listed; `homing audit` and `homing source check` tell all".to_owned();
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
        self.end_with(error.failure());
    }

    /// Ends it with a failure as it is to be told; the first one counts.
    pub(crate) fn end_with(&self, failure: Failure) {
        self.update(|report| {
            report.fail(failure);
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

    /// Wakes everyone who waits, and tells the end.
    pub(crate) fn announce(&self) {
        if self.told.load(Ordering::Relaxed) {
            self.events
                .tell(Event::RunFinished(Box::new(self.report())));
        }
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

/// Tells whether a problem makes a run partial.
pub(crate) fn matters(problem: &Problem) -> bool {
    matches!(
        problem.kind,
        ProblemKind::Unreadable
            | ProblemKind::Changing
            | ProblemKind::Limit
            | ProblemKind::Name
            | ProblemKind::Empty
            | ProblemKind::Hook
    )
}

fn final_status(report: &RunReport) -> RunStatus {
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
    created: Notify,
    events: Events,
}

impl Runs {
    /// Begins to count after `last`; what the runs do is told on `events`.
    pub(crate) fn after(last: RunId, events: Events) -> Self {
        Self {
            last: AtomicI64::new(last.0),
            live: Mutex::default(),
            created: Notify::new(),
            events,
        }
    }

    /// Tells whether all runs have ended.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Waits until a run is made, or was made since the last call.
    pub(crate) async fn created(&self) {
        self.created.notified().await;
    }

    /// Gives out a number that no run has.
    pub(crate) fn next_number(&self) -> RunId {
        RunId(self.last.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Makes a run that is queued.
    pub(crate) fn create(
        &self,
        source: Option<SourceId>,
        target: Option<TargetId>,
        verb: Verb,
        trigger: Trigger,
    ) -> Arc<Run> {
        let id = self.next_number();
        let events = self.events.clone();
        let run = Arc::new(Run::new(id, source, target, verb, trigger, events));
        self.lock().insert(id, Arc::clone(&run));
        self.created.notify_one();
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

/// Notes in the history that a run is under way, and does not wait for it: should the process die, the run is told as
/// interrupted.
pub(crate) fn note_begun(store: &Store, boot_id: &str, run: &Run) {
    if run.noted.swap(true, Ordering::Relaxed) {
        return;
    }
    let row = row(&run.report(), None, boot_id);
    // Queued by the first poll. A store that cannot be written fails the next write, which somebody waits for.
    store
        .write(move |writer| writer.begin_run(&row))
        .now_or_never();
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
        requests: report.requests,
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
        revision: None,
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
