//! Withdrawal: a person takes a source out of service, and with that agrees to the deletions that follow.

use std::collections::BTreeSet;
use std::sync::Arc;

use homing_core::{ItemKey, SourceId, TargetId};
use homing_store::{ConflictScope, Hop};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::pipeline::plan::Consent;
use crate::report::{RunReport, RunStatus, Trigger, Verb};
use crate::runs::Run;
use crate::shared::{Shared, locked};
use crate::target::{PublishRequest, Published};

/// What becomes of a source's files and of what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Withdrawal {
    /// Its files stay in the targets and are the user's own.
    pub keep_files: bool,
    /// See [`Forget`].
    pub forget: Forget,
}

/// What is forgotten of a source, once all its files are dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Forget {
    /// Nothing: it may come back as it was.
    #[default]
    Nothing,
    /// What it holds, but not its history.
    State,
    /// All.
    StateAndHistory,
}

impl Engine {
    /// Takes a source out of service until the configuration is loaded anew: what runs of it is cancelled, its unedited
    /// files leave the targets (the guard does not ask: the person did), edited ones are the user's.
    ///
    /// One that the configuration no longer names is taken out likewise, as long as a target holds files of it.
    /// Waits for all of it. When a target cannot be reached the run tells so, and nothing is forgotten.
    pub async fn withdraw(
        &self,
        source: &SourceId,
        withdrawal: Withdrawal,
    ) -> Result<RunReport, EngineError> {
        self.admit()?;
        let is_configured = self.shared.source(source).is_ok();
        if !is_configured && concerned(&self.shared, source).await?.is_empty() {
            return Err(EngineError::UnknownSource(source.clone()));
        }
        self.shared.take_out_of_service(source);
        for run in self.shared.runs.all() {
            if run.report().source.as_ref() == Some(source) {
                run.cancel.cancel();
            }
        }
        let runs = &self.shared.runs;
        let run = runs.create(Some(source.clone()), None, Verb::Publish, Trigger::Manual);
        let (shared, id, task) = (Arc::clone(&self.shared), source.clone(), Arc::clone(&run));
        self.go_alone(Arc::clone(&run), async move {
            // A run of it that was under way ends first. One whose section is gone may have had none.
            let actor = locked(&shared.actors).sources.get(&id).cloned();
            let _turn = match &actor {
                Some(actor) => Some(actor.take_turn().await),
                None => None,
            };
            let targets = concerned(&shared, &id).await?;
            if withdrawal.keep_files {
                let_go(&shared, &id, &targets).await?;
                return Ok(Published::default());
            }
            Ok(empty(&shared, &id, &targets, &task).await)
        });
        let report = run.ended().await;
        self.forget(source, withdrawal.forget, report.status)
            .await?;
        Ok(report)
    }

    async fn forget(
        &self,
        source: &SourceId,
        forget: Forget,
        status: RunStatus,
    ) -> Result<(), EngineError> {
        let id = source.clone();
        let purge = match forget {
            Forget::State if status == RunStatus::Success => Some(false),
            Forget::StateAndHistory if status == RunStatus::Success => Some(true),
            _ => None,
        };
        let forgotten = self.shared.store.write(move |writer| {
            if let Some(purge) = purge {
                return writer.remove_source(&id, purge);
            }
            // Its conflicts are open only while it takes part; those in targets were closed by the publish.
            for hop in [Hop::Pull, Hop::Push, Hop::Capture] {
                let scope = ConflictScope {
                    hop,
                    source: Some(id.clone()),
                    target: None,
                };
                writer.replace_conflicts(scope, Vec::new())?;
            }
            Ok(())
        });
        Ok(forgotten.await?)
    }
}

/// Returns the targets that hold files of a source, or would.
async fn concerned(shared: &Shared, source: &SourceId) -> Result<Vec<TargetId>, EngineError> {
    let takes = shared.targets_of(source);
    let others: Vec<TargetId> = shared
        .specs
        .targets
        .keys()
        .filter(|target| !takes.contains(target))
        .cloned()
        .collect();
    let id = source.clone();
    let others = shared.store.read(move |reader| {
        let mut holding = Vec::new();
        for target in others {
            if reader.ledger(&target)?.values().any(|row| row.source == id) {
                holding.push(target);
            }
        }
        Ok(holding)
    });
    Ok([takes, others.await?].concat())
}

/// Makes the files of a source in its targets the user's own.
async fn let_go(
    shared: &Arc<Shared>,
    source: &SourceId,
    targets: &[TargetId],
) -> Result<(), EngineError> {
    for target in targets {
        let (_, actor) = shared.target(target)?;
        let _turn = actor.take_turn(shared, target).await?;
        let (id, target) = (source.clone(), target.clone());
        shared
            .store
            .write(move |writer| {
                let rows = writer.ledger(&target)?.into_values();
                let paths: Vec<ItemKey> = rows
                    .filter(|row| row.source == id)
                    .map(|row| row.path)
                    .collect();
                writer.delete_ledger(&target, &paths)?;
                let scope = ConflictScope {
                    hop: Hop::Publish,
                    source: Some(id.clone()),
                    target: Some(target.clone()),
                };
                writer.replace_conflicts(scope, Vec::new())
            })
            .await?;
    }
    Ok(())
}

/// Publishes the targets without the source; every deletion of its files is agreed to.
async fn empty(
    shared: &Arc<Shared>,
    source: &SourceId,
    targets: &[TargetId],
    run: &Arc<Run>,
) -> Published {
    let mut all = Published::default();
    for target in targets {
        let published = match published(shared, source, target, run).await {
            Ok(published) => published,
            Err(error) => Published {
                error: Some(error.failure()),
                ..Published::default()
            },
        };
        all.carried.extend(published.carried);
        all.reported.extend(published.reported);
        all.problems.extend(published.problems);
        all.flagged.extend(published.flagged);
        all.error = all.error.or(published.error);
        all.digest = all.digest.or(published.digest);
    }
    all
}

async fn published(
    shared: &Arc<Shared>,
    source: &SourceId,
    target: &TargetId,
    run: &Arc<Run>,
) -> Result<Published, EngineError> {
    let (id, name) = (source.clone(), target.clone());
    let keys: BTreeSet<ItemKey> = shared
        .store
        .read(move |reader| {
            let rows = reader.ledger(&name)?.into_values();
            Ok(rows
                .filter(|row| row.source == id)
                .map(|row| row.key)
                .collect())
        })
        .await?;
    let request = PublishRequest {
        run: Arc::clone(run),
        source: Some(source.clone()),
        consent: Consent {
            digests: BTreeSet::new(),
            keys,
        },
        accept_root: false,
        force: false,
    };
    let (_, actor) = shared.target(target)?;
    Ok(actor.publish(shared, target, request).await)
}
