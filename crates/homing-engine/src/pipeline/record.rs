//! Record: what a source's run found and did, in as few transactions as it takes.

use std::collections::BTreeSet;

use homing_core::{ItemKey, Manifest, Problem, Revision, RunId, SourceId};
use homing_store::{
    ConflictRow, ConflictScope, HeadRow, Hop, JournalRow, JournalState, RunRow, SourceRow,
    SourceUpdate, StoreError, StoredRoot, Writer,
};

use crate::error::EngineError;
use crate::examine;
use crate::filter::Filter;
use crate::history::{self, CONFLICT};
use crate::missing::{self, Unfetched};
use crate::pipeline::plan::pull::PullPlan;
use crate::report::{ItemAction, ItemReport, RunReport, RunStatus, Verb};
use crate::runs::{self, Run};
use crate::schedule::Schedule;
use crate::shared::Shared;

/// What a run leaves to be recorded at its end.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// The error that ended it, for the schedule.
    pub(crate) error: Option<EngineError>,
    /// Why the origin did not give all that it has, and when to come again.
    pub(crate) shortfall: Option<EngineError>,
    /// Items that the journal does not have yet.
    pub(crate) items: Vec<ItemReport>,
    /// Fingerprints of plans that the guard stopped.
    pub(crate) digests: BTreeSet<String>,
    pub(crate) listed: u64,
    /// Items that the head was to take over and has not: no work was done for them, but some is needed.
    pub(crate) planned: u64,
    pub(crate) listing: Option<Manifest>,
    pub(crate) bytes: u64,
    pub(crate) modified: Vec<ItemKey>,
    pub(crate) outdated: bool,
    changed: BTreeSet<ItemKey>,
    removed: BTreeSet<ItemKey>,
    failed: BTreeSet<(ItemKey, Option<homing_core::TargetId>)>,
    /// Something failed that is not a conflict.
    is_incomplete: bool,
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

    /// Takes in what could not be pushed. What the pull of the same run left to a person is told once, as a conflict.
    pub(crate) fn not_pushed(&mut self, mut items: Vec<ItemReport>) {
        let is_open = |key: &ItemKey| {
            self.items.iter().any(|known| {
                known.action == ItemAction::Conflict && known.target.is_none() && known.key == *key
            })
        };
        items.retain(|item| !is_open(&item.key));
        self.reported(items);
    }

    /// Tells whether the run took over all that it could: what waits for a person counts as taken over.
    pub(crate) fn is_complete(&self, report: &RunReport) -> bool {
        !self.is_incomplete && !report.problems.iter().any(runs::matters)
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
            cached: self.listed.saturating_sub(touched + failed + self.planned),
            bytes: self.bytes,
        }
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
        let update = SourceUpdate {
            revision: None,
            about: None,
            selection: None,
            last_sync_time: schedule.last_attempt,
            last_success_time: schedule.last_success,
            next_due: Some(schedule.next_due),
            etag: None,
            failures: Some(schedule.failures),
            backoff_until: Some(schedule.backoff_until),
            stalled: Some(schedule.stalled),
            root: None,
        };
        let id = id.clone();
        shared
            .store
            .write(move |writer| {
                // What it was at, as the head that was recorded says.
                let revision = writer.source(&id)?.and_then(|source| source.revision);
                writer.finish_run(&RunRow { revision, ..row })?;
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
                self.is_incomplete |= item.action == ItemAction::Failed;
                self.failed.insert((item.key.clone(), item.target.clone()));
            }
            ItemAction::Removed => {
                self.removed.insert(item.key.clone());
            }
            // It is on its way: what has arrived is told by a publish or a push.
            ItemAction::Captured => {}
            _ => {
                self.changed.insert(item.key.clone());
            }
        }
    }
}

/// Counts what interrupted runs came to, by what the journal says of them now.
pub(crate) fn recount(
    writer: &Writer<'_>,
    runs: impl IntoIterator<Item = RunId>,
) -> Result<(), StoreError> {
    let interrupted = RunStatus::Interrupted.as_str();
    for id in runs {
        let Some(row) = writer.run(id)?.filter(|row| row.status == interrupted) else {
            continue;
        };
        let mut rows = writer.journal(id)?;
        rows.retain(|row| row.state != JournalState::Planned);
        // What would be gone here alone comes with no hold: the next undo is to finish it.
        let stays_away = |row: &JournalRow| row.after.is_none() && row.base_after.is_some();
        let is_left = |row: &JournalRow| row.state == JournalState::Failed && stays_away(row);
        if row.verb == Verb::Undo.as_str() && rows.iter().any(is_left) {
            writer.unmark_undone(id)?;
        }
        let mut all = Ended::default();
        all.journalled(history::items(&rows));
        let counts = all.counts();
        writer.finish_run(&RunRow {
            synced: counts.synced,
            removed: counts.removed,
            failed: counts.failed,
            ..row
        })?;
    }
    Ok(())
}

/// The metadata key that says that unpushed edits wait for a person.
pub(crate) fn push_waits_key(source: &SourceId) -> String {
    format!("push_waits:{source}")
}

/// The metadata key that has what was wrong with an origin when it was what its revision says.
pub(crate) fn problems_key(source: &SourceId) -> String {
    format!("problems:{source}")
}

/// The metadata key that has what an origin did not give.
pub(crate) fn unfetched_key(source: &SourceId) -> String {
    format!("unfetched:{source}")
}

/// Returns all open conflicts of a pull, when they are others than the stored ones.
///
/// One that the run's filter left out stays open: nobody looked.
pub(crate) async fn open_conflicts(
    shared: &Shared,
    source: &SourceId,
    plan: &PullPlan,
    filter: &Filter,
) -> Result<Option<Vec<ConflictRow>>, EngineError> {
    let id = source.clone();
    let stored = shared
        .store
        .read(move |reader| reader.conflicts(Some(&id), None))
        .await?;
    let stored: Vec<ConflictRow> = stored
        .into_iter()
        .filter(|row| row.hop == Hop::Pull)
        .collect();
    let unseen = stored
        .iter()
        .filter(|row| !filter.covers(&row.key))
        .cloned();
    let open: Vec<ConflictRow> = plan.conflicts.iter().cloned().chain(unseen).collect();
    let essence = |row: &ConflictRow| (row.key.clone(), row.kind, row.base, row.near, row.far);
    let differ = open.iter().map(essence).collect::<BTreeSet<_>>()
        != stored.iter().map(essence).collect::<BTreeSet<_>>();
    Ok(differ.then_some(open))
}

/// What of an origin the head follows now.
#[derive(Debug, Default)]
pub(crate) struct Follows {
    /// The selection, when it is news.
    pub(crate) selection: Option<String>,
    /// The root, when it is news.
    pub(crate) root: Option<StoredRoot>,
    /// The revision, and the one that the store has. `None`: the head is not what the origin was at any one moment.
    pub(crate) revision: Option<Revision>,
    pub(crate) stored: Option<Revision>,
    /// What is wrong with the origin as it is at that revision, when it is news.
    pub(crate) problems: Option<Vec<Problem>>,
    /// What it has and did not give, when it is news.
    pub(crate) unfetched: Option<Unfetched>,
}

impl Follows {
    fn is_no_news(&self) -> bool {
        self.selection.is_none()
            && self.root.is_none()
            && self.revision == self.stored
            && self.problems.is_none()
            && self.unfetched.is_none()
    }

    fn update(self) -> SourceUpdate {
        let revision = (self.revision != self.stored).then_some(self.revision);
        let validator = |known: &Option<Revision>| known.as_ref()?.validator.clone();
        SourceUpdate {
            selection: self.selection,
            root: self.root,
            etag: revision.as_ref().map(validator),
            about: revision
                .as_ref()
                .and_then(|known| known.as_ref()?.about.clone()),
            revision: revision.map(|known| known.map(|known| known.name)),
            ..SourceUpdate::default()
        }
    }
}

/// Returns the revision that a source's row has.
pub(crate) fn stored_revision(row: &SourceRow) -> Option<Revision> {
    Some(Revision {
        name: row.revision.clone()?,
        validator: row.etag.clone(),
        about: row.about.clone(),
    })
}

/// What a pull made of the head.
pub(crate) struct Head {
    pub(crate) puts: Vec<HeadRow>,
    pub(crate) deletes: Vec<ItemKey>,
    /// All open conflicts, when they are others than the stored ones.
    pub(crate) conflicts: Option<Vec<ConflictRow>>,
    /// Unpushed edits wait for a person from now on.
    pub(crate) push_waits: bool,
    /// What the head follows now.
    pub(crate) follows: Follows,
    /// Whether a begun run is needed, for items that will be in the journal.
    pub(crate) journal_items: bool,
    /// All items were examined by the rules of now, which is news.
    pub(crate) examined: bool,
}

impl Head {
    /// Writes rows, conflicts and selection in one transaction; nothing when nothing is news.
    pub(crate) async fn record(
        self,
        shared: &Shared,
        source: &SourceId,
        run: &Run,
    ) -> Result<(), EngineError> {
        let Head {
            puts,
            deletes,
            conflicts,
            push_waits,
            follows,
            journal_items,
            examined,
        } = self;
        let rows = !puts.is_empty() || !deletes.is_empty();
        if !rows && conflicts.is_none() && !push_waits && follows.is_no_news() && !examined {
            return Ok(());
        }
        let begun = journal_items.then(|| runs::row(&run.report(), None, &shared.boot_id));
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
                if examined {
                    writer.set_metadata(&examine::rules_key(&source), &examine::rules())?;
                }
                if let Some(unfetched) = &follows.unfetched {
                    let text = missing::stored(unfetched);
                    writer.set_metadata(&unfetched_key(&source), &text)?;
                }
                if let Some(problems) = &follows.problems {
                    let text = history::stored_problems(problems);
                    writer.set_metadata(&problems_key(&source), &text)?;
                }
                if !follows.is_no_news() {
                    writer.update_source(&source, follows.update())?;
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
