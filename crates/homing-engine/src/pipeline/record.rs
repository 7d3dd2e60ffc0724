//! Record: what a source's run found and did, in as few transactions as it takes.

use std::collections::BTreeSet;

use homing_core::{ItemKey, Manifest, RunId, SourceId};
use homing_store::{
    ConflictRow, ConflictScope, Hop, JournalRow, JournalState, SourceUpdate, StoredRoot,
};

use crate::error::EngineError;
use crate::history::CONFLICT;
use crate::pipeline::plan::pull::PullPlan;
use crate::report::{ItemAction, ItemReport, RunReport, RunStatus};
use crate::runs::{self, Run};
use crate::schedule::Schedule;
use crate::shared::Shared;

/// What a run leaves to be recorded at its end.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// The error that ended it, for the schedule.
    pub(crate) error: Option<EngineError>,
    /// Items that the journal does not have yet.
    pub(crate) items: Vec<ItemReport>,
    /// Fingerprints of plans that the guard stopped.
    pub(crate) digests: BTreeSet<String>,
    pub(crate) listed: u64,
    pub(crate) listing: Option<Manifest>,
    pub(crate) bytes: u64,
    pub(crate) root: Option<StoredRoot>,
    pub(crate) selection: Option<String>,
    pub(crate) modified: Vec<ItemKey>,
    pub(crate) outdated: bool,
    changed: BTreeSet<ItemKey>,
    removed: BTreeSet<ItemKey>,
    failed: BTreeSet<(ItemKey, Option<homing_core::TargetId>)>,
}

/// What a run comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) synced: u64,
    pub(crate) removed: u64,
    pub(crate) failed: u64,
    pub(crate) cached: u64,
    pub(crate) bytes: u64,
}

impl Ended {
    /// Returns the end of a run that did not get anywhere.
    pub(crate) fn with_error(error: EngineError) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }

    /// Notes an item that the head took over.
    pub(crate) fn note_changed(&mut self, key: &ItemKey) {
        self.changed.insert(key.clone());
    }

    /// Notes an item that left the head.
    pub(crate) fn note_removed(&mut self, key: &ItemKey) {
        self.removed.insert(key.clone());
    }

    /// Takes in items that are in the journal already.
    pub(crate) fn journalled(&mut self, items: Vec<ItemReport>) {
        for item in items {
            self.count(&item);
        }
    }

    /// Takes in items that have no journal row yet.
    pub(crate) fn reported(&mut self, items: Vec<ItemReport>) {
        self.items.extend(items);
    }

    /// Takes in what a push did: failures have no journal row yet.
    pub(crate) fn pushed(&mut self, items: Vec<ItemReport>) {
        let (mut failed, done): (Vec<_>, Vec<_>) = items
            .into_iter()
            .partition(|item| item.action == ItemAction::Failed);
        // What the pull of the same run left to a person is told once, as a conflict.
        let is_open = |key: &ItemKey| {
            self.items.iter().any(|known| {
                known.action == ItemAction::Conflict && known.target.is_none() && known.key == *key
            })
        };
        failed.retain(|item| !is_open(&item.key));
        self.reported(failed);
        self.journalled(done);
    }

    /// Returns the totals.
    pub(crate) fn counts(&mut self) -> Counts {
        for item in std::mem::take(&mut self.items) {
            self.count(&item);
            self.items.push(item);
        }
        let touched = self.changed.union(&self.removed).count() as u64;
        let failed = self.failed.len() as u64;
        Counts {
            synced: self.changed.len() as u64,
            removed: self.removed.len() as u64,
            failed,
            cached: self.listed.saturating_sub(touched + failed),
            bytes: self.bytes,
        }
    }

    /// Tells whether a pull's conflicts are others than the stored ones.
    pub(crate) async fn conflicts_differ(
        &self,
        shared: &Shared,
        source: &SourceId,
        found: &[ConflictRow],
    ) -> Result<bool, EngineError> {
        let id = source.clone();
        let stored = shared
            .store
            .read(move |reader| reader.conflicts(Some(&id), None))
            .await?;
        let essence = |row: &ConflictRow| (row.key.clone(), row.kind, row.base, row.near, row.far);
        let found: BTreeSet<_> = found.iter().map(essence).collect();
        let stored: BTreeSet<_> = stored
            .iter()
            .filter(|row| row.hop == Hop::Pull)
            .map(essence)
            .collect();
        Ok(found != stored)
    }

    /// Writes the run's line of history, the items that have no journal row, and the source's row: one transaction.
    pub(crate) async fn record(
        self,
        shared: &Shared,
        id: &SourceId,
        report: &RunReport,
        schedule: Schedule,
    ) -> Result<(), EngineError> {
        let digests: Vec<String> = self.digests.into_iter().collect();
        let row = runs::row(
            report,
            (!digests.is_empty()).then(|| digests.join(",")),
            &shared.boot_id,
        );
        let journal = unjournalled(report.id, self.items);
        let succeeded = matches!(report.status, RunStatus::Success | RunStatus::Partial);
        let update = SourceUpdate {
            revision: None,
            selection: self.selection.filter(|_| succeeded),
            last_sync_time: schedule.last_attempt,
            last_success_time: schedule.last_success,
            next_due: Some(schedule.next_due),
            etag: None,
            failures: Some(schedule.failures),
            backoff_until: Some(schedule.backoff_until),
            stalled: Some(schedule.stalled),
            root: self.root.filter(|_| succeeded),
        };
        let id = id.clone();
        shared
            .store
            .write(move |writer| {
                writer.finish_run(&row)?;
                writer.put_journal(&journal)?;
                writer.update_source(&id, update)
            })
            .await?;
        Ok(())
    }

    /// Writes the line of history of a run that is not a source's, with the items that have no journal row.
    pub(crate) async fn record_alone(
        self,
        shared: &Shared,
        report: &RunReport,
    ) -> Result<(), EngineError> {
        let digests: Vec<String> = self.digests.into_iter().collect();
        let row = runs::row(
            report,
            (!digests.is_empty()).then(|| digests.join(",")),
            &shared.boot_id,
        );
        let journal = unjournalled(report.id, self.items);
        shared
            .store
            .write(move |writer| {
                writer.finish_run(&row)?;
                writer.put_journal(&journal).map(drop)
            })
            .await?;
        Ok(())
    }

    fn count(&mut self, item: &ItemReport) {
        match item.action {
            ItemAction::Failed | ItemAction::Conflict => {
                self.failed.insert((item.key.clone(), item.target.clone()));
            }
            ItemAction::Removed => {
                self.removed.insert(item.key.clone());
            }
            _ => {
                self.changed.insert(item.key.clone());
            }
        }
    }
}

/// The metadata key that says that unpushed edits wait for a person.
pub(crate) fn push_waits_key(source: &SourceId) -> String {
    format!("push_waits:{source}")
}

/// Writes what a pull made of the head: rows, conflicts and, where nothing else tells of them, its items.
pub(crate) async fn head(
    shared: &Shared,
    source: &SourceId,
    run: &Run,
    plan: &PullPlan,
    conflicts_differ: bool,
    push_waits: bool,
    journal_items: bool,
) -> Result<(), EngineError> {
    if plan.puts.is_empty() && plan.deletes.is_empty() && !conflicts_differ && !push_waits {
        return Ok(());
    }
    let (puts, deletes) = (plan.puts.clone(), plan.deletes.clone());
    let conflicts = conflicts_differ.then(|| plan.conflicts.clone());
    let begun = (journal_items && !plan.items.is_empty())
        .then(|| runs::row(&run.report(), None, &shared.boot_id));
    let source = source.clone();
    shared
        .store
        .write(move |writer| {
            if let Some(begun) = begun {
                writer.begin_run(&begun)?;
            }
            writer.delete_head(&source, &deletes)?;
            writer.put_head(&source, &puts)?;
            if push_waits {
                writer.set_metadata(&push_waits_key(&source), "1")?;
            }
            if let Some(conflicts) = conflicts {
                let scope = ConflictScope {
                    hop: Hop::Pull,
                    source: Some(source),
                    target: None,
                };
                writer.replace_conflicts(scope, conflicts)?;
            }
            Ok(())
        })
        .await?;
    Ok(())
}

/// Makes journal rows of items that were only reported. Their contents may not be kept, so no hash is named but for
/// what is certainly in the store: what was adopted or taken into the head.
fn unjournalled(run: RunId, items: Vec<ItemReport>) -> Vec<JournalRow> {
    items
        .into_iter()
        .map(|item| {
            let failed = matches!(item.action, ItemAction::Failed | ItemAction::Conflict);
            JournalRow {
                id: 0,
                run,
                // An adopted file was not written, so that there is nothing in it to undo.
                hop: if failed && item.target.is_some() {
                    Hop::Publish
                } else {
                    Hop::Pull
                },
                source: item.source,
                target: item.target,
                key: item.key,
                path: item.path,
                before: if failed { None } else { item.before },
                after: if failed { None } else { item.after },
                base_before: None,
                base_after: if failed { None } else { item.after },
                temporary: None,
                state: if failed {
                    JournalState::Failed
                } else {
                    JournalState::Durable
                },
                reason: match item.action {
                    ItemAction::Conflict => item.reason.map(|reason| format!("{CONFLICT}{reason}")),
                    _ => item.reason,
                },
            }
        })
        .collect()
}
