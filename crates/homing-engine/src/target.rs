//! A target's actor: one publish at a time; whoever waits when it begins is served by it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use homing_core::{ItemKey, Policy, Problem, SideError, SourceId, TargetId};
use homing_store::{ConflictRow, LedgerRow, StoreError, StoredRoot};
use tokio::sync::{Mutex as TurnLock, oneshot};

use crate::catalog::SourceHead;
use crate::error::EngineError;
use crate::pipeline::plan::Consent;
use crate::recover;
use crate::report::{Failure, ItemReport};
use crate::runs::Run;
use crate::shared::{Shared, locked};
use crate::spec::TargetSpec;
use crate::target_run::TargetRun;

/// What a run wants of a publish.
pub(crate) struct PublishRequest {
    pub(crate) run: Arc<Run>,
    /// The source that the run is about; `None` for a target's own run.
    pub(crate) source: Option<SourceId>,
    pub(crate) consent: Consent,
    pub(crate) accept_root: bool,
    pub(crate) force: bool,
}

/// What a publish did for one request.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// Items that the journal has.
    pub(crate) carried: Vec<ItemReport>,
    /// Items that it has not: conflicts, adoptions, failures before anything was tried.
    pub(crate) reported: Vec<ItemReport>,
    pub(crate) problems: Vec<Problem>,
    /// Why it did not do its work.
    pub(crate) error: Option<Failure>,
    /// Fingerprint of the plan, when the guard stopped it.
    pub(crate) digest: Option<String>,
}

/// One target.
#[derive(Default)]
pub(crate) struct TargetActor {
    /// Held while anything reads or writes the target for a plan.
    turn: TurnLock<Recovery>,
    pending: Mutex<Vec<(PublishRequest, oneshot::Sender<Published>)>>,
    known: Mutex<Knowledge>,
}

/// Whether what a killed process left in the target was repaired.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// Not yet, or something was left under way since.
    #[default]
    Due,
    /// Nothing is left.
    Done,
}

/// What the last publish saw.
#[derive(Debug, Default, Clone)]
pub(crate) struct Knowledge {
    pub(crate) modified: Vec<(SourceId, ItemKey)>,
    pub(crate) error: Option<Failure>,
    pub(crate) published: bool,
}

/// What the store knows of a target.
pub(crate) struct TargetState {
    pub(crate) ledger: BTreeMap<ItemKey, LedgerRow>,
    pub(crate) root: Option<StoredRoot>,
    pub(crate) conflicts: Vec<ConflictRow>,
    pub(crate) heads: Vec<SourceHead>,
    pub(crate) rebuild_pending: bool,
}

impl TargetActor {
    /// Publishes the catalog; requests that wait together are served together.
    pub(crate) async fn publish(
        &self,
        shared: &Shared,
        id: &TargetId,
        request: PublishRequest,
    ) -> Published {
        let (sender, mut receiver) = oneshot::channel();
        locked(&self.pending).push((request, sender));
        let mut turn = self.turn.lock().await;
        if let Ok(published) = receiver.try_recv() {
            return published;
        }
        let (requests, senders): (Vec<_>, Vec<_>) = std::mem::take(&mut *locked(&self.pending))
            .into_iter()
            .unzip();
        let answers = self.publish_for(shared, id, &requests, &mut turn).await;
        for (sender, answer) in senders.into_iter().zip(answers) {
            // The run may have been ended by a time limit meanwhile.
            sender.send(answer).ok();
        }
        receiver.try_recv().unwrap_or_default()
    }

    /// Returns what the last publish saw.
    pub(crate) fn knowledge(&self) -> Knowledge {
        locked(&self.known).clone()
    }

    /// Takes the target for work that must not meet a publish, with what was left under way repaired.
    pub(crate) async fn take_turn(
        &self,
        shared: &Shared,
        id: &TargetId,
    ) -> Result<tokio::sync::MutexGuard<'_, Recovery>, EngineError> {
        let mut turn = self.turn.lock().await;
        ensure_recovered(shared, id, &mut turn, false).await?;
        Ok(turn)
    }

    async fn publish_for(
        &self,
        shared: &Shared,
        id: &TargetId,
        requests: &[PublishRequest],
        turn: &mut Recovery,
    ) -> Vec<Published> {
        let accept_root = requests.iter().any(|request| request.accept_root);
        let result = match ensure_recovered(shared, id, turn, accept_root).await {
            Err(error) => Err(error),
            Ok(()) => match shared.target(id) {
                Err(error) => Err(error),
                Ok((spec, _)) => {
                    let mut publish = TargetRun::new(shared, id, spec, requests);
                    let _pins = shared.store.contents().pin_scope();
                    // Whatever ends it early may leave operations under way.
                    *turn = Recovery::Due;
                    let result = publish.rounds().await;
                    if result.is_ok() {
                        *turn = Recovery::Done;
                    }
                    result.map(|()| publish.done)
                }
            },
        };
        let mut known = locked(&self.known);
        match result {
            Ok(done) => {
                *known = Knowledge {
                    modified: done.modified.clone(),
                    error: done.error.clone(),
                    published: true,
                };
                done.answers(requests)
            }
            Err(error) => {
                let failure = error.failure();
                known.error = Some(failure.clone());
                requests
                    .iter()
                    .map(|_| Published {
                        error: Some(failure.clone()),
                        ..Published::default()
                    })
                    .collect()
            }
        }
    }
}

/// Repairs what a killed process, or an apply that was given up, left in the target.
async fn ensure_recovered(
    shared: &Shared,
    id: &TargetId,
    turn: &mut Recovery,
    accept_root: bool,
) -> Result<(), EngineError> {
    if *turn == Recovery::Due {
        match recover::target(shared, id).await {
            Err(EngineError::Side(SideError::NotFound { .. })) if accept_root => {
                recover::give_up_target(shared, id).await?;
            }
            recovered => recovered?,
        }
        *turn = Recovery::Done;
    }
    Ok(())
}

/// Reads what the store knows of a target, in one snapshot.
pub(crate) async fn read_state(shared: &Shared, id: &TargetId) -> Result<TargetState, EngineError> {
    let (spec, _) = shared.target(id)?;
    let sources: Vec<(SourceId, u16)> = spec
        .from
        .iter()
        .filter_map(|source| Some((source.clone(), shared.specs.sources.get(source)?)))
        .filter(|(_, source)| source.enabled)
        .map(|(id, source)| (id, source.priority))
        .collect();
    let target = id.clone();
    let state = shared
        .store
        .read(move |reader| {
            let heads = sources
                .into_iter()
                .map(|(source, priority)| {
                    let rows = reader.head(&source)?;
                    let holds = reader.holds(&source)?;
                    Ok(SourceHead {
                        source,
                        priority,
                        rows,
                        holds,
                    })
                })
                .collect::<Result<_, StoreError>>()?;
            Ok(TargetState {
                ledger: reader.ledger(&target)?,
                root: reader.target_root(&target)?,
                conflicts: reader.conflicts(None, Some(&target))?,
                heads,
                rebuild_pending: reader.metadata("rebuild_pending")?.as_deref() == Some("1"),
            })
        })
        .await?;
    Ok(state)
}

/// Returns the policies of the sources that publish to a target.
pub(crate) fn policies(shared: &Shared, spec: &TargetSpec) -> BTreeMap<SourceId, Policy> {
    let live = |id: &SourceId| {
        let source = shared
            .specs
            .sources
            .get(id)
            .filter(|source| source.enabled)?;
        Some((id.clone(), source.on_conflict))
    };
    spec.from.iter().filter_map(live).collect()
}
