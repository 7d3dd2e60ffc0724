//! The engine's handle: start, requests, shutdown.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;

use homing_core::{ProblemKind, RunId, SourceId, TargetId};
use homing_store::{RunFilter, Store};
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::catalog::Flagged;
use crate::changes::{self, Changes};
use crate::error::EngineError;
use crate::events::Events;
use crate::history;
use crate::pause::Pauses;
use crate::pipeline::plan::Consent;
use crate::pipeline::record::recount;
use crate::progress;
use crate::recover;
use crate::reload::{Registration, register};
use crate::report::{
    ConflictReport, ItemsReport, ItemsRequest, RunReport, RunRequest, RunStatus, Trigger, Verb,
};
use crate::runs::{self, Run, Runs};
use crate::shared::{Actors, Shared};
use crate::source::SourceActor;
use crate::spec::{PushMode, Settings, Specs};
use crate::status::Snapshot;
use crate::target::{PublishRequest, Published};
use crate::{turns, watching, words};

/// The engine. Clones are handles of the same one.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

impl Engine {
    /// Starts the engine on an open store.
    ///
    /// Returns before anything is synced: what a killed process left under way is repaired in the background, and
    /// every target is brought in line with the heads and the configuration once.
    pub async fn start(specs: Specs, store: Store) -> Result<Self, EngineError> {
        Self::start_telling(specs, store, Events::default()).await
    }

    /// As [`Engine::start`], and tells what happens on `events`.
    pub async fn start_telling(
        mut specs: Specs,
        store: Store,
        events: Events,
    ) -> Result<Self, EngineError> {
        specs.recall(&store).await?;
        let boot_id = boot_id();
        let configured = Registration::of(&specs, |_| true);
        let now = runs::now();
        let (known, last, half_pushed, pauses) = store
            .write(move |writer| {
                let interrupted = writer.interrupt_running(now)?;
                recount(writer, interrupted)?;
                let half_pushed = recover::half_pushed(&writer.unfinished_journal()?);
                let known = register(writer, configured)?;
                let pauses = Pauses::read(writer, known.keys())?;
                Ok((known, writer.last_run_id()?, half_pushed, pauses))
            })
            .await?;
        let mut actors = Actors::default();
        let sources: BTreeMap<SourceId, Arc<SourceActor>> = specs
            .sources
            .iter()
            .map(|(id, spec)| {
                let repairs = spec.enabled && half_pushed.contains(id);
                let actor = actors.source(id, known.get(id), spec, repairs, now);
                (id.clone(), actor)
            })
            .collect();
        turns::keep_first(&store, &specs, &sources, &known).await?;
        let targets = specs
            .targets
            .keys()
            .map(|id| (id.clone(), actors.target(id)))
            .collect();
        let stopping = CancellationToken::new();
        let shared = Shared {
            store,
            runs: Arc::new(Runs::after(last, events.clone())),
            events,
            changes: Arc::default(),
            permits: Arc::new(Semaphore::new(specs.settings.max_runs.max(1))),
            boot_id,
            pauses: Arc::new(Pauses::new(pauses)),
            waited: Arc::new(Mutex::new((now, Trigger::Startup))),
            turns: Arc::new(Notify::new()),
            watches: stopping.child_token(),
            tasks: TaskTracker::new(),
            stopping,
            ending: CancellationToken::new(),
            sources,
            targets,
            withdrawn: Mutex::default(),
            renderings: Arc::default(),
            specs,
            snapshot: Snapshot::default(),
            actors: Arc::new(Mutex::new(actors)),
            newest: Arc::default(),
        };
        let engine = Self {
            shared: shared.into_force(),
        };
        Changes::begin(&engine).await?;
        let shared = Arc::clone(&engine.shared);
        engine.shared.tasks.spawn(progress::tell(shared));
        for target in engine.shared.targets.keys() {
            engine.publish(target.clone(), Trigger::Startup);
        }
        // At once, as in targets: what a user writes from now on must not be taken for damage.
        for (source, actor) in &engine.shared.sources {
            if actor.knowledge().repairs {
                engine.repair(source.clone());
            }
        }
        watching::begin(&engine.shared);
        Ok(engine)
    }

    /// Queues a run, or joins the request to a waiting run that does the same.
    pub fn submit(&self, source: &SourceId, request: RunRequest) -> Result<RunId, EngineError> {
        self.admit()?;
        let (spec, actor) = self.shared.source(source)?;
        if !self.shared.is_live(source) {
            return Err(EngineError::Disabled(source.clone()));
        }
        if request.verb == Verb::Push && spec.push == PushMode::Never {
            return Err(EngineError::Rejected {
                message: format!("source `{source}` does not push"),
                hint: format!(
                    "set `push = \"direct\"` in [sources.{source}] to let edits go back to the origin"
                ),
            });
        }
        crate::filter::Filter::new(&request.filter)?;
        let (run, new) = actor.enqueue(&self.shared, source, request)?;
        if new {
            let (shared, id, run) = (Arc::clone(&self.shared), source.clone(), Arc::clone(&run));
            let span = run.span();
            let execution = async move {
                if let Ok((_, actor)) = shared.source(&id) {
                    actor.execute(Arc::clone(&shared), id.clone(), run).await;
                }
            };
            self.shared.tasks.spawn(execution.instrument(span));
        }
        Ok(run.id)
    }

    fn repair(&self, source: SourceId) {
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            if let Ok((_, actor)) = shared.source(&source) {
                actor.repair(&shared, &source).await;
            }
        });
    }

    /// Waits until a run has ended.
    pub async fn wait(&self, run: RunId) -> Result<RunReport, EngineError> {
        match self.shared.runs.get(run) {
            Some(run) => Ok(run.ended().await),
            None => self.run(run).await,
        }
    }

    /// Cancels a run that has not ended. What is being written at that moment is finished.
    pub fn cancel(&self, run: RunId) -> Result<(), EngineError> {
        let run = self
            .shared
            .runs
            .get(run)
            .ok_or(EngineError::UnknownRun(run))?;
        run.cancel.cancel();
        Ok(())
    }

    /// Returns the settings that this handle goes by.
    pub fn settings(&self) -> &Settings {
        &self.shared.specs.settings
    }

    /// Returns runs, newest first; those that have not ended come first. Without items.
    pub async fn history(
        &self,
        source: Option<SourceId>,
        status: Option<RunStatus>,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunReport>, EngineError> {
        let wanted = |report: &RunReport| {
            source
                .as_ref()
                .is_none_or(|source| report.source.as_ref() == Some(source))
                && status.is_none_or(|status| report.status == status)
                && before.is_none_or(|before| report.id < before)
        };
        let live: BTreeMap<RunId, RunReport> = self
            .shared
            .runs
            .all()
            .iter()
            .map(|run| (run.id, run.report()))
            .collect();
        let filter = RunFilter {
            source: source.clone(),
            target: None,
            status: status.map(|status| status.as_str().to_owned()),
            before,
            own: false,
            limit,
        };
        let stored = self
            .shared
            .store
            .read(move |reader| reader.runs(filter))
            .await?;
        let ended = stored
            .iter()
            .filter(|row| !live.contains_key(&row.id))
            .map(history::report);
        let mut reports: Vec<_> = live
            .values()
            .filter(|report| wanted(report))
            .cloned()
            .chain(ended)
            .collect();
        reports.sort_by_key(|report| std::cmp::Reverse(report.id));
        reports.truncate(limit);
        Ok(reports)
    }

    /// Returns one run with its items.
    pub async fn run(&self, id: RunId) -> Result<RunReport, EngineError> {
        let mut report = self.summary(id).await?;
        let journal = self
            .shared
            .store
            .read(move |reader| reader.journal(id))
            .await?;
        report.items = history::items(&journal);
        Ok(report)
    }

    /// Returns one run without items.
    pub async fn summary(&self, id: RunId) -> Result<RunReport, EngineError> {
        // A run is in history before it is live no more, so one of the two knows it.
        let live = self.shared.runs.get(id).map(|run| run.report());
        let (row, undone) = self
            .shared
            .store
            .read(move |reader| Ok((reader.run(id)?, reader.undone_by(id)?)))
            .await?;
        let mut report = match (live, row) {
            (Some(live), _) => live,
            (None, Some(row)) => history::report(&row),
            (None, None) => return Err(EngineError::UnknownRun(id)),
        };
        report.undone = undone.or(report.undone);
        Ok(report)
    }

    /// Returns items of a run, in its order.
    pub async fn items(
        &self,
        id: RunId,
        request: ItemsRequest,
    ) -> Result<ItemsReport, EngineError> {
        let ItemsRequest {
            failed_only,
            after,
            limit,
        } = request;
        // One more than asked for tells whether there are more.
        let mut rows = self
            .shared
            .store
            .read(move |reader| {
                reader.journal_page(id, after, limit.saturating_add(1), failed_only)
            })
            .await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        Ok(ItemsReport {
            next: more.then(|| rows.last().map_or(after, |row| row.id)),
            items: history::items(&rows),
        })
    }

    /// Returns when a source last did its whole work.
    pub fn last_success(&self, source: &SourceId) -> Result<Option<Timestamp>, EngineError> {
        let (_, actor) = self.shared.source(source)?;
        Ok(actor.knowledge().schedule.last_success)
    }

    /// Returns the open conflicts.
    pub async fn conflicts(
        &self,
        source: Option<SourceId>,
        target: Option<TargetId>,
    ) -> Result<Vec<ConflictReport>, EngineError> {
        let rows = self
            .shared
            .store
            .read(move |reader| reader.conflicts(source.as_ref(), target.as_ref()))
            .await?;
        let report = |row: homing_store::ConflictRow| ConflictReport {
            id: row.id,
            hop: words::hop(row.hop),
            source: row.source,
            target: row.target,
            path: row.key,
            kind: row.kind,
            detail: row.detail,
            since: row.since,
        };
        Ok(rows.into_iter().map(report).collect())
    }

    /// Returns the store that it works on.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Tells whether nothing runs and nothing waits to.
    pub fn is_idle(&self) -> bool {
        self.shared.runs.all().is_empty()
    }

    /// Allows deletions and pushes again after the database was rebuilt.
    pub async fn accept_rebuild(&self) -> Result<(), EngineError> {
        self.shared
            .store
            .write(|writer| writer.accept_rebuild())
            .await?;
        self.look_for_changes();
        Ok(())
    }

    /// Stops taking work, lets runs finish within `grace`, then cancels them and waits for what is being written.
    pub async fn shutdown(&self, grace: Duration) {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        if tokio::time::timeout(grace, self.shared.tasks.wait())
            .await
            .is_err()
        {
            for run in self.shared.runs.all() {
                run.cancel.cancel();
            }
            self.shared.ending.cancel();
            self.shared.tasks.wait().await;
        }
    }

    /// Returns where it is told what happens.
    pub fn events(&self) -> &Events {
        &self.shared.events
    }

    /// Says that the status of something may have changed otherwise than by a run: what is news is told soon.
    pub fn look_for_changes(&self) {
        changes::look(&self.shared);
    }

    /// Refuses new work while the daemon stops.
    pub(crate) fn admit(&self) -> Result<(), EngineError> {
        if self.shared.stopping.is_cancelled() {
            Err(EngineError::ShuttingDown)
        } else {
            Ok(())
        }
    }

    /// Publishes to a target in a run of its own, which history keeps only when it did something.
    pub(crate) fn publish(&self, target: TargetId, trigger: Trigger) -> Arc<Run> {
        let run = self
            .shared
            .runs
            .create(None, Some(target.clone()), Verb::Publish, trigger);
        let (shared, task) = (Arc::clone(&self.shared), Arc::clone(&run));
        self.go_alone(Arc::clone(&run), async move {
            let request = PublishRequest {
                run: task,
                source: None,
                consent: Consent::default(),
                accept_root: false,
                force: false,
            };
            let (_, actor) = shared.target(&target)?;
            Ok(actor.publish(&shared, &target, request).await)
        });
        run
    }

    /// Does the work of a run that is not a source's, in a task of its own: a client that goes away must not leave it
    /// half done.
    pub(crate) fn go_alone(
        &self,
        run: Arc<Run>,
        work: impl Future<Output = Result<Published, EngineError>> + Send + 'static,
    ) {
        let shared = Arc::clone(&self.shared);
        let span = run.span();
        let execution = async move {
            if is_at_start(&run) {
                run.begin_quietly();
            } else {
                run.begin();
            }
            let _pins = shared.store.contents().pin_scope();
            let published = match AssertUnwindSafe(work).catch_unwind().await {
                Ok(published) => published,
                Err(panic) => Err(EngineError::panicked(panic.as_ref())),
            };
            let published = published.unwrap_or_else(|error| {
                run.fail(&error);
                Published::default()
            });
            conclude_alone(&shared, &run, published).await;
            shared.runs.remove(run.id);
            run.announce();
            changes::look(&shared);
        };
        self.shared.tasks.spawn(execution.instrument(span));
    }
}

/// Tells whether it is the publish that every target gets when the daemon starts.
fn is_at_start(run: &Run) -> bool {
    let report = run.report();
    report.verb == Verb::Publish && report.trigger == Trigger::Startup
}

/// Ends a run that is not a source's: counts, history, log.
pub(crate) async fn conclude_alone(shared: &Shared, run: &Run, published: Published) {
    let mut ended = crate::pipeline::record::Ended::default();
    run.problems(published.problems);
    run.problems(Flagged::problems(&published.flagged));
    ended.journalled(published.carried);
    ended.reported(published.reported);
    ended.digests.extend(published.digest);
    run.update(|report| {
        if let Some(failure) = published.error {
            report.fail(failure);
        }
    });
    let counts = ended.counts();
    run.update(|report| {
        report.synced = counts.synced;
        report.removed = counts.removed;
        report.failed = counts.failed;
    });
    run.finish();
    let report = run.report();
    // A daemon that starts and finds everything in place has nothing to tell.
    let idle = report.verb == Verb::Publish
        && report.error.is_none()
        && counts.synced + counts.removed == 0
        && report
            .problems
            .iter()
            .all(|problem| problem.kind != ProblemKind::Hook);
    if idle {
        return;
    }
    run.is_worth_telling();
    if let Err(error) = ended.record_alone(shared, &report).await {
        tracing::error!(run = %report.id, %error, "the end of the run could not be recorded");
        run.fail(&error);
        run.finish();
    }
    crate::figures::run_ended(&run.report());
}

/// Returns the kernel's id of this boot; without one every start counts as a new boot, which is the careful side.
fn boot_id() -> String {
    match std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) => id.trim().to_owned(),
        Err(_) => format!("unknown-{}", runs::now()),
    }
}
