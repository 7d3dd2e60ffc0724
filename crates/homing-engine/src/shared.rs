//! What all runs share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use homing_core::{Contents, SourceId, TargetId};
use homing_store::Store;
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::changes::Changes;
use crate::error::EngineError;
use crate::events::Events;
use crate::pause::Pauses;
use crate::render::Renderings;
use crate::report::Trigger;
use crate::runs::Runs;
use crate::source::SourceActor;
use crate::spec::{SourceSpec, Specs, TargetSpec};
use crate::status::Snapshot;
use crate::target::TargetActor;

/// The engine's parts, behind every handle of it.
///
/// A reload makes another one, for the new settings; whoever works with this one goes on with the settings that it
/// began with. What guards the disk (actors, runs, tasks) is the same in all of them.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) specs: Specs,
    pub(crate) runs: Arc<Runs>,
    /// Where it is told what happens.
    pub(crate) events: Events,
    pub(crate) changes: Arc<Changes>,
    /// One for each run in transfer or publish.
    pub(crate) permits: Arc<Semaphore>,
    /// The kernel's id of this boot: journal rows of another one may have lost their files' last writes.
    pub(crate) boot_id: String,
    pub(crate) pauses: Arc<Pauses>,
    /// Until when turns came that the start, or a machine that slept, kept waiting; and which of the two.
    pub(crate) waited: Arc<Mutex<(Timestamp, Trigger)>>,
    /// Told when something other than the time may have given a source its turn.
    pub(crate) turns: Arc<Notify>,
    /// Ends the watches of these settings.
    pub(crate) watches: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
    /// Cancelled when a stop waits no longer.
    pub(crate) ending: CancellationToken,
    /// The configured sources.
    pub(crate) sources: BTreeMap<SourceId, Arc<SourceActor>>,
    /// The configured targets.
    pub(crate) targets: BTreeMap<TargetId, Arc<TargetActor>>,
    /// Sources that a person took out of service; see [`crate::Engine::withdraw`].
    pub(crate) withdrawn: Mutex<BTreeSet<SourceId>>,
    /// What was written in the forms of tools.
    pub(crate) renderings: Arc<Renderings>,
    /// What a status last read.
    pub(crate) snapshot: Snapshot,
    /// Every actor there ever was: a name that goes and comes back must not have two.
    pub(crate) actors: Arc<Mutex<Actors>>,
    /// The settings that are in force; see [`Shared::newest`].
    pub(crate) newest: Arc<Mutex<Weak<Shared>>>,
}

/// See [`Shared::actors`].
#[derive(Default)]
pub(crate) struct Actors {
    pub(crate) sources: BTreeMap<SourceId, Arc<SourceActor>>,
    pub(crate) targets: BTreeMap<TargetId, Arc<TargetActor>>,
}

impl Shared {
    /// Puts these settings in force.
    pub(crate) fn into_force(self) -> Arc<Self> {
        let shared = Arc::new(self);
        *locked(&shared.newest) = Arc::downgrade(&shared);
        shared
    }

    /// Returns the parts with the settings that are in force now.
    pub(crate) fn newest(self: &Arc<Self>) -> Arc<Self> {
        locked(&self.newest)
            .upgrade()
            .unwrap_or_else(|| Arc::clone(self))
    }

    /// Returns a source with its actor.
    pub(crate) fn source(
        &self,
        id: &SourceId,
    ) -> Result<(&SourceSpec, &Arc<SourceActor>), EngineError> {
        match (self.specs.sources.get(id), self.sources.get(id)) {
            (Some(spec), Some(actor)) => Ok((spec, actor)),
            _ => Err(EngineError::UnknownSource(id.clone())),
        }
    }

    /// Returns a target with its actor.
    pub(crate) fn target(
        &self,
        id: &TargetId,
    ) -> Result<(&TargetSpec, &Arc<TargetActor>), EngineError> {
        match (self.specs.targets.get(id), self.targets.get(id)) {
            (Some(spec), Some(actor)) => Ok((spec, actor)),
            _ => Err(EngineError::UnknownTarget(id.clone())),
        }
    }

    /// Tells whether a source takes part: it is configured, enabled and not withdrawn.
    pub(crate) fn is_live(&self, id: &SourceId) -> bool {
        let is_enabled = |spec: &SourceSpec| spec.enabled;
        self.specs.sources.get(id).is_some_and(is_enabled) && !locked(&self.withdrawn).contains(id)
    }

    /// Lets a source take no part any more.
    pub(crate) fn take_out_of_service(&self, id: &SourceId) {
        locked(&self.withdrawn).insert(id.clone());
    }

    /// Returns the targets that a source publishes to, in name order.
    pub(crate) fn targets_of(&self, source: &SourceId) -> Vec<TargetId> {
        let takes = |spec: &TargetSpec| spec.from.contains(source);
        self.specs
            .targets
            .iter()
            .filter(|(_, spec)| takes(spec))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Returns the content store as sides see it.
    pub(crate) fn contents(&self) -> Arc<dyn Contents> {
        self.store.contents()
    }

    /// Makes durable what was kept, so that rows may name it.
    pub(crate) async fn flush_contents(&self) -> Result<(), EngineError> {
        let contents = self.contents();
        Ok(blocking(move || contents.flush()).await??)
    }
}

/// Runs blocking work off the async workers.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EngineError> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

/// Locks a mutex whose data stays valid whatever a panicking holder did.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
