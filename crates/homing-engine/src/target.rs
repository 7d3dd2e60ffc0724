//! A target's actor: one publish at a time; whoever waits when it begins is served by it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use homing_core::{ItemKey, Policy, Problem, SideError, SourceId, TargetId};
use homing_store::{ConflictRow, HeadRow, LedgerRow, Reader, StoreError, StoredRoot};
use tokio::sync::{Mutex as TurnLock, oneshot};

use crate::catalog::{Flagged, SourceHead};
use crate::elsewhere;
use crate::error::EngineError;
use crate::hooks::{self, HookActor};
use crate::missing;
use crate::noted::Noted;
use crate::pipeline::plan::Consent;
use crate::pipeline::record;
use crate::recover;
use crate::report::{Failure, ItemReport};
use crate::restored;
use crate::runs::Run;
use crate::shared::{Shared, locked};
use crate::spec::{PushMode, TargetSpec};
use crate::target_run::{TargetRun, Told};
use crate::watching::Watching;

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
    /// Items with blocking findings.
    pub(crate) flagged: Vec<Flagged>,
    /// Why it did not do its work.
    pub(crate) error: Option<Failure>,
    /// Fingerprint of the plan, when the guard stopped it.
    pub(crate) digest: Option<String>,
}

impl Published {
    /// Returns the answer to a request that came to nothing.
    fn failed(error: &EngineError) -> Self {
        Self {
            error: Some(error.failure()),
            ..Self::default()
        }
    }

    /// Returns the answer to a request whose publish died of a mistake in Homing.
    fn lost() -> Self {
        let died = "the publish that it waited for died".to_owned();
        Self::failed(&EngineError::Panicked(died))
    }
}

/// One target.
#[derive(Default)]
pub(crate) struct TargetActor {
    /// Held while anything reads or writes the target for a plan.
    turn: TurnLock<Recovery>,
    pending: Mutex<Vec<(PublishRequest, oneshot::Sender<Published>)>>,
    pub(crate) hook: HookActor,
    known: Noted<Knowledge>,
    told: Mutex<Told>,
    pub(crate) watching: Watching,
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
    /// Items could not be brought up to date.
    pub(crate) has_failed_items: bool,
    /// What findings keep from being published as it is, a sentence each.
    pub(crate) stopped: Vec<String>,
    /// What the guard keeps here, by source.
    pub(crate) blocked: BTreeMap<SourceId, Withheld>,
}

/// What the guard keeps in a target.
#[derive(Debug, Clone)]
pub(crate) struct Withheld {
    pub(crate) failure: Failure,
    /// Fingerprint of the plan.
    pub(crate) digest: String,
}

impl Withheld {
    /// Returns why it is kept, and the command that mends it.
    pub(crate) fn told(&self, shared: &Shared, source: &SourceId) -> String {
        let message = &self.failure.message;
        let is_configured = shared.specs.sources.contains_key(source);
        if shared.is_live(source) {
            let accept = format!("`homing sync {source} --accept-deletions`");
            return format!("{message}; look at `homing diff {source}`, then {accept} goes on");
        }
        let (state, command) = if is_configured {
            ("disabled", "disable")
        } else {
            ("not configured any more", "remove")
        };
        format!(
            "source `{source}` is {state}, but {message}, so its files wait; `homing source {command} {source}` takes them out"
        )
    }
}

impl Knowledge {
    /// Tells whether the target was looked at since the start, be it in vain.
    pub(crate) fn was_looked_at(&self) -> bool {
        self.published || self.error.is_some()
    }
}

/// What the store knows of a target.
pub(crate) struct TargetState {
    pub(crate) ledger: BTreeMap<ItemKey, LedgerRow>,
    pub(crate) root: Option<StoredRoot>,
    /// Where it was published last; unknown of what an older Homing published.
    pub(crate) path: Option<String>,
    pub(crate) conflicts: Vec<ConflictRow>,
    pub(crate) heads: Vec<SourceHead>,
    /// Keys whose edits were taken into the head and never pushed; of sources that publish here no more, too.
    pub(crate) unpushed: BTreeSet<(SourceId, ItemKey)>,
    pub(crate) rebuild_pending: bool,
}

impl TargetActor {
    /// Publishes the catalog, then runs the target's hook if that changed something.
    pub(crate) async fn publish(
        &self,
        shared: &Arc<Shared>,
        id: &TargetId,
        request: PublishRequest,
    ) -> Published {
        let run = Arc::clone(&request.run);
        let mut published = self.publish_only(shared, id, request).await;
        published
            .problems
            .extend(hooks::run(shared, id, &run).await);
        published
    }

    /// Publishes the catalog; requests that wait together are served together.
    async fn publish_only(
        &self,
        shared: &Arc<Shared>,
        id: &TargetId,
        request: PublishRequest,
    ) -> Published {
        let run = Arc::clone(&request.run);
        let (sender, mut receiver) = oneshot::channel();
        locked(&self.pending).push((request, sender));
        let mut turn = tokio::select! {
            turn = self.turn.lock() => turn,
            () = run.cancel.cancelled() => {
                if self.withdraw(&run) {
                    return Published::failed(&EngineError::Cancelled);
                }
                // It is being served at this moment, together with others: that is finished.
                return receiver.await.unwrap_or_else(|_| Published::lost());
            }
        };
        match receiver.try_recv() {
            Ok(published) => return published,
            Err(oneshot::error::TryRecvError::Closed) => return Published::lost(),
            Err(oneshot::error::TryRecvError::Empty) => {}
        }
        // It may have waited over a reload: what is published is what is configured now.
        let shared = &shared.newest();
        let (requests, senders): (Vec<_>, Vec<_>) = std::mem::take(&mut *locked(&self.pending))
            .into_iter()
            .unzip();
        let answers = self.publish_for(shared, id, &requests, &mut turn).await;
        self.watching.run_ended();
        for (sender, answer) in senders.into_iter().zip(answers) {
            // The run may have been ended by a time limit meanwhile.
            sender.send(answer).ok();
        }
        receiver.try_recv().unwrap_or_else(|_| Published::lost())
    }

    /// Takes a run's request back; tells whether it was still waiting.
    fn withdraw(&self, run: &Run) -> bool {
        let mut pending = locked(&self.pending);
        let waiting = pending.len();
        pending.retain(|(request, _)| request.run.id != run.id);
        pending.len() < waiting
    }

    /// Returns what the last publish saw.
    pub(crate) fn knowledge(&self) -> Knowledge {
        self.known.read().clone()
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
        if shared.target(id).is_err() {
            // It is configured no more: what is there stays there.
            return requests.iter().map(|_| Published::default()).collect();
        }
        // Not before the turn has come: whoever waits for a target must not hold up other work.
        let _permit = shared.permits.acquire().await;
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
        let result = match result {
            Err(error) => Err(elsewhere::told(shared, id, error).await),
            done => done,
        };
        let mut known = self.known.write();
        match result {
            Ok(done) => {
                *known = Knowledge {
                    modified: done.modified.clone(),
                    error: done.error.clone(),
                    published: true,
                    has_failed_items: done.has_failed_items(),
                    stopped: done.stopped.clone(),
                    blocked: done.blocked.clone(),
                };
                done.answers(shared, requests, &mut locked(&self.told))
            }
            Err(error) => {
                known.error = Some(error.failure());
                requests.iter().map(|_| Published::failed(&error)).collect()
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
        let recovered = async {
            recover::target(shared, id).await?;
            restored::look_at(shared, id).await
        };
        match recovered.await {
            Err(
                EngineError::RootChanged(_)
                | EngineError::RootGone(_)
                | EngineError::Side(SideError::NotFound { .. }),
            ) if accept_root => {
                recover::give_up_target(shared, id).await?;
                restored::trust(shared, id, Vec::new()).await?;
            }
            recovered => recovered?,
        }
        *turn = Recovery::Done;
    }
    Ok(())
}

/// Reads what the store knows of a target.
///
/// Two snapshots, read side by side: the heads with their holds, and the ledger, which nobody writes who does not hold
/// the target's turn.
pub(crate) async fn read_state(shared: &Shared, id: &TargetId) -> Result<TargetState, EngineError> {
    let (spec, _) = shared.target(id)?;
    let sources: Vec<(SourceId, u16, bool)> = spec
        .from
        .iter()
        .filter_map(|source| Some((source.clone(), shared.specs.sources.get(source)?)))
        .filter(|(id, _)| shared.is_live(id))
        .map(|(id, source)| (id, source.priority, source.push != PushMode::Never))
        .collect();
    let live: BTreeSet<SourceId> = sources.iter().map(|(source, ..)| source.clone()).collect();
    let heads = shared.store.read(move |reader| {
        sources
            .into_iter()
            .map(|(source, priority, takes_edits)| {
                let rows = reader.head(&source)?;
                let holds = reader.holds(&source)?;
                let unfetched = reader.metadata(&record::unfetched_key(&source))?;
                Ok(SourceHead {
                    source,
                    priority,
                    takes_edits,
                    rows,
                    holds,
                    unfetched: missing::read(unfetched.as_deref()),
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()
    });
    let target = id.clone();
    let rest = shared.store.read(move |reader| {
        let ledger = reader.ledger(&target)?;
        let root = reader.target_root(&target)?;
        let path = reader.metadata(&elsewhere::path_key(&target))?;
        let conflicts = reader.conflicts(None, Some(&target))?;
        let rebuild_pending = reader.metadata("rebuild_pending")?.as_deref() == Some("1");
        let gone: BTreeSet<&SourceId> = ledger
            .values()
            .map(|row| &row.source)
            .filter(|source| !live.contains(*source))
            .collect();
        let unpushed = unpushed(reader, gone)?;
        Ok(TargetState {
            ledger,
            root,
            path,
            conflicts,
            heads: Vec::new(),
            unpushed,
            rebuild_pending,
        })
    });
    let (heads, mut state) = futures_util::future::try_join(heads, rest).await?;
    for head in &heads {
        let edited = head.rows.values().filter(|row| is_unpushed(row));
        state
            .unpushed
            .extend(edited.map(|row| (head.source.clone(), row.key.clone())));
    }
    Ok(TargetState { heads, ..state })
}

fn is_unpushed(row: &HeadRow) -> bool {
    row.head.is_some() && row.head != row.base
}

/// Returns the keys of some sources whose edits were taken in and never pushed.
fn unpushed(
    reader: &Reader<'_>,
    sources: BTreeSet<&SourceId>,
) -> Result<BTreeSet<(SourceId, ItemKey)>, StoreError> {
    let mut unpushed = BTreeSet::new();
    for source in sources {
        let rows = reader.head(source)?.into_values();
        let edited = rows.filter(is_unpushed);
        unpushed.extend(edited.map(|row| (source.clone(), row.key)));
    }
    Ok(unpushed)
}

/// Returns the policies of the sources that publish to a target.
pub(crate) fn policies(shared: &Shared, spec: &TargetSpec) -> BTreeMap<SourceId, Policy> {
    let live = |id: &SourceId| {
        let source = shared
            .specs
            .sources
            .get(id)
            .filter(|_| shared.is_live(id))?;
        Some((id.clone(), source.on_conflict))
    };
    spec.from.iter().filter_map(live).collect()
}
