//! Reload: other settings take over while runs are under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use homing_core::{SourceId, TargetId};
use homing_store::{RunFilter, RunRow, SourceRow, StoreError, Writer};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::changes;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::history;
use crate::report::Trigger;
use crate::runs;
use crate::schedule::Schedule;
use crate::shared::{Actors, Shared, locked};
use crate::source::SourceActor;
use crate::spec::{SourceSpec, Specs};
use crate::status::Snapshot;
use crate::target::TargetActor;
use crate::watching;

/// Which of the configured sources and targets are new, or are not as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// The sources.
    pub sources: BTreeSet<SourceId>,
    /// The targets.
    pub targets: BTreeSet<TargetId>,
}

impl Engine {
    /// Puts other settings in force and returns the handle of them; older handles go on with the old settings.
    ///
    /// Runs under way finish under the settings that they began with, and those that wait begin under the new ones.
    /// What is not `touched` keeps its state and its schedule. Targets that are touched, or take from a source that
    /// is, are published again in the background. What the configuration names no more is left as it is,
    /// but for the left-out directories of what it does name.
    pub async fn reload(&self, mut specs: Specs, touched: &Touched) -> Result<Self, EngineError> {
        self.admit()?;
        let old = self.shared.newest();
        let recalled = specs.recall(&old.store).await?;
        keep_sides(&old.specs, &mut specs, touched);
        let configured = Registration::of(&specs, |id| touched.sources.contains(id));
        let known = old
            .store
            .write(move |writer| register(writer, configured))
            .await?;
        let now = runs::now();
        let (sources, targets) = {
            let mut actors = locked(&old.actors);
            let source = |(id, spec): (&SourceId, &SourceSpec)| {
                let actor = actors.source(id, known.get(id), spec, false, now);
                (id.clone(), actor)
            };
            let sources = specs.sources.iter().map(source).collect();
            let targets = specs.targets.keys();
            (
                sources,
                targets.map(|id| (id.clone(), actors.target(id))).collect(),
            )
        };
        let permits = if specs.settings.max_runs == old.specs.settings.max_runs {
            Arc::clone(&old.permits)
        } else {
            // Runs under way keep the permits that they have.
            Arc::new(Semaphore::new(specs.settings.max_runs.max(1)))
        };
        let shared = Shared {
            store: old.store.clone(),
            runs: Arc::clone(&old.runs),
            events: old.events.clone(),
            changes: Arc::clone(&old.changes),
            permits,
            boot_id: old.boot_id.clone(),
            pauses: Arc::clone(&old.pauses),
            waited: Arc::clone(&old.waited),
            turns: Arc::clone(&old.turns),
            watches: old.stopping.child_token(),
            tasks: old.tasks.clone(),
            stopping: old.stopping.clone(),
            ending: old.ending.clone(),
            sources,
            targets,
            withdrawn: Mutex::default(),
            renderings: Arc::clone(&old.renderings),
            snapshot: Snapshot::default(),
            specs,
            actors: Arc::clone(&old.actors),
            newest: Arc::clone(&old.newest),
        };
        let engine = Self {
            shared: shared.into_force(),
        };
        for (id, spec) in &engine.shared.specs.targets {
            let is_touched = touched.targets.contains(id)
                || recalled.contains(id)
                || spec.from.iter().any(|id| touched.sources.contains(id));
            if is_touched {
                engine.publish(id.clone(), Trigger::Startup);
            }
        }
        old.watches.cancel();
        watching::begin(&engine.shared);
        engine.shared.turns.notify_one();
        changes::look(&engine.shared);
        Ok(engine)
    }

    /// Returns the handle of the settings that are in force now.
    #[must_use]
    pub fn newest(&self) -> Self {
        Self {
            shared: self.shared.newest(),
        }
    }
}

/// Goes on with the sides of what did not change: they know what their file systems can do.
fn keep_sides(old: &Specs, specs: &mut Specs, touched: &Touched) {
    for (id, spec) in &mut specs.sources {
        if let Some(known) = old.sources.get(id)
            && !touched.sources.contains(id)
        {
            *spec = known.clone();
        }
    }
    for (id, spec) in &mut specs.targets {
        if let Some(known) = old.targets.get(id)
            && known.path == spec.path
        {
            spec.place = Arc::clone(&known.place);
        }
    }
}

/// What the store is to know of a source.
pub(crate) struct Registration {
    id: SourceId,
    kind: String,
    url: String,
    enabled: bool,
}

impl Registration {
    /// Returns those of the sources that are `wanted`.
    pub(crate) fn of(specs: &Specs, wanted: impl Fn(&SourceId) -> bool) -> Vec<Self> {
        let wanted = specs.sources.iter().filter(|(id, _)| wanted(id));
        wanted
            .map(|(id, spec)| Self {
                id: id.clone(),
                kind: spec.kind.clone(),
                url: spec.url.clone(),
                enabled: spec.enabled,
            })
            .collect()
    }
}

/// What the store knows of a source.
pub(crate) struct KnownSource {
    row: Option<SourceRow>,
    last_run: Option<RunRow>,
}

impl KnownSource {
    /// Returns when its turn was to come.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.row.as_ref().and_then(|row| row.next_due)
    }
}

/// Brings the sources' rows in line with the configuration and returns what is known of them.
pub(crate) fn register(
    writer: &Writer<'_>,
    configured: Vec<Registration>,
) -> Result<BTreeMap<SourceId, KnownSource>, StoreError> {
    let mut sources = BTreeMap::new();
    for source in configured {
        let Registration {
            id,
            kind,
            url,
            enabled,
        } = source;
        let known = writer.source(&id)?;
        if known
            .as_ref()
            .is_none_or(|row| row.kind != kind || row.url != url)
        {
            writer.register_source(&id, &kind, &url)?;
        }
        if known.as_ref().is_none_or(|row| row.enabled != enabled) {
            writer.set_enabled(&id, enabled)?;
        }
        let filter = RunFilter {
            source: Some(id.clone()),
            own: true,
            limit: 1,
            ..RunFilter::default()
        };
        let last_run = writer.runs(filter)?.into_iter().next();
        let row = writer.source(&id)?;
        sources.insert(id, KnownSource { row, last_run });
    }
    Ok(sources)
}

impl Actors {
    /// Returns a source's actor. One that is `known` anew counts with a schedule of its new settings.
    pub(crate) fn source(
        &mut self,
        id: &SourceId,
        known: Option<&KnownSource>,
        spec: &SourceSpec,
        repairs: bool,
        now: Timestamp,
    ) -> Arc<SourceActor> {
        let row = known.and_then(|known| known.row.as_ref());
        let schedule = || Schedule::resume(row, id, spec, now);
        if let Some(actor) = self.sources.get(id) {
            if known.is_some() {
                let mut schedule = schedule();
                if schedule.failures > 0 {
                    // Its new settings may have mended what kept it from working.
                    schedule.backoff_until = None;
                    schedule.next_due = schedule.next_due.map(|_| now);
                }
                actor.reschedule(schedule);
            }
            return Arc::clone(actor);
        }
        let last_run = known.and_then(|known| known.last_run.as_ref());
        let actor = SourceActor::new(schedule(), last_run.map(history::report), repairs);
        let actor = Arc::new(actor);
        self.sources.insert(id.clone(), Arc::clone(&actor));
        actor
    }

    /// Returns a target's actor.
    pub(crate) fn target(&mut self, id: &TargetId) -> Arc<TargetActor> {
        Arc::clone(self.targets.entry(id.clone()).or_default())
    }
}
