//! Push: the origin takes what the head changed, journalled like a publish.

use std::collections::{BTreeMap, BTreeSet};

use homing_core::{
    Change, Item, ItemKey, Manifest, Operation, Outcome, SideError, SourceId, Step, Version,
};
use homing_store::{HeadRow, Hop, JournalRow, JournalState};

use crate::error::{self, EngineError};
use crate::filter::Filter;
use crate::pipeline::plan::push::{PushInput, decide};
use crate::pipeline::plan::{Consent, guard};
use crate::pipeline::publish::{all_failed, sums};
use crate::pipeline::record::push_waits_key;
use crate::report::{ItemAction, ItemReport};
use crate::runs::{self, Run};
use crate::shared::Shared;
use crate::spec::SourceSpec;
use crate::watch::watched_to_the_end;

/// All that a push needs.
pub(crate) struct Push<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) id: &'a SourceId,
    pub(crate) spec: &'a SourceSpec,
    pub(crate) run: &'a Run,
    pub(crate) head: &'a BTreeMap<ItemKey, HeadRow>,
    pub(crate) held: &'a BTreeSet<ItemKey>,
    pub(crate) filter: &'a Filter,
    pub(crate) consent: &'a Consent,
    pub(crate) rebuild_pending: bool,
}

/// What a push did.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
    /// Items that the journal has.
    pub(crate) carried: Vec<ItemReport>,
    /// Items that it has not: what could not even be tried.
    pub(crate) reported: Vec<ItemReport>,
    pub(crate) done: BTreeSet<ItemKey>,
    pub(crate) bytes: u64,
    /// The origin has something that the head has not.
    pub(crate) outdated: bool,
    /// The first failure of the origin's disk; or that nothing could be done for want of permission.
    pub(crate) failure: Option<EngineError>,
}

impl Push<'_> {
    /// Plans and carries out the push; with the fingerprint of the plan when the guard refuses it.
    ///
    /// `explicit`: edits waited for this, since the source was pointed elsewhere.
    pub(crate) async fn carry_out(
        &self,
        listing: &mut Manifest,
        explicit: bool,
    ) -> Result<Pushed, (EngineError, Option<String>)> {
        let input = PushInput {
            source: self.id,
            rows: self.head,
            listing,
            held: self.held,
            filter: self.filter,
            origin: self.spec.origin.as_ref(),
        };
        let plan = decide(&input);
        let deletions = plan
            .steps
            .iter()
            .filter(|step| step.after.is_none())
            .count();
        if self.rebuild_pending && !plan.steps.is_empty() {
            return Err((
                EngineError::RebuildPending(plan.steps.len()),
                Some(String::new()),
            ));
        }
        if deletions > 0 {
            let side = format!("the origin of source `{}`", self.id);
            guard(&side, &plan.steps, listing.items.len(), self.consent)
                .map_err(|(error, digest)| (error, Some(digest)))?;
        }
        let outdated = plan
            .items
            .iter()
            .any(|item| item.action == ItemAction::Failed);
        let mut pushed = Pushed {
            reported: plan.items,
            outdated,
            ..Pushed::default()
        };
        self.apply(plan.steps, plan.converged, explicit, &mut pushed)
            .await
            .map_err(|error| (error, None))?;
        Ok(pushed)
    }

    async fn apply(
        &self,
        steps: Vec<Step>,
        converged: Vec<(ItemKey, Option<Version>)>,
        explicit: bool,
        pushed: &mut Pushed,
    ) -> Result<(), EngineError> {
        let mut rows = Rows::default();
        for (key, version) in converged {
            rows.agree(self.head, &key, version, None);
        }
        let operations: Vec<Operation> = steps.iter().map(|step| self.operation(step)).collect();
        let journal = self.journal(&steps, &operations).await?;
        let outcomes = if operations.is_empty() {
            Vec::new()
        } else {
            crate::kill_point!("run::journalled");
            self.run.enter("push", Some(sums(&operations)));
            let origin = self.spec.origin.apply(
                operations,
                self.shared.contents(),
                self.run.progress.clone(),
            );
            watched_to_the_end(self.run, &self.shared.specs.settings, origin).await?
        };
        let tried = !journal.is_empty();
        if tried {
            crate::kill_point!("run::applied");
        }
        let mut forbidden = None;
        let mut states = Vec::new();
        for ((step, id), outcome) in steps.iter().zip(journal).zip(outcomes) {
            let (state, reason) = match outcome {
                Outcome::Done(item) => (
                    JournalState::Durable,
                    self.done(step, item, &mut rows, pushed),
                ),
                Outcome::Placed(item) => (
                    JournalState::Placed,
                    self.done(step, item, &mut rows, pushed),
                ),
                Outcome::Changed => (
                    JournalState::Failed,
                    Some("the origin changed meanwhile; the next run merges both".to_owned()),
                ),
                Outcome::Failed(failure) => {
                    let reason = error::reason(&failure);
                    match failure {
                        SideError::Storage { .. } => {
                            pushed.failure.get_or_insert(failure.into());
                        }
                        SideError::Auth { .. } => {
                            forbidden.get_or_insert(failure);
                        }
                        _ => {}
                    }
                    (JournalState::Failed, Some(reason))
                }
            };
            let action = if state == JournalState::Failed {
                ItemAction::Failed
            } else {
                ItemAction::Pushed
            };
            pushed.carried.push(ItemReport {
                source: self.id.clone(),
                target: None,
                key: step.key.clone(),
                path: step.key.clone(),
                action,
                before: step.before,
                after: step.after,
                reason: reason.clone(),
            });
            states.push((id, state, reason));
        }
        if pushed.failure.is_none() && all_failed(&states) {
            pushed.failure = forbidden.map(EngineError::from);
        }
        let id = self.id.clone();
        self.shared
            .store
            .write(move |writer| {
                writer.delete_head(&id, &rows.deletes)?;
                writer.put_head(&id, &rows.puts)?;
                if explicit {
                    writer.set_metadata(&push_waits_key(&id), "0")?;
                }
                writer.set_journal_state(&states)
            })
            .await?;
        if tried {
            crate::kill_point!("run::recorded");
        }
        Ok(())
    }

    fn done(
        &self,
        step: &Step,
        item: Option<Item>,
        rows: &mut Rows,
        pushed: &mut Pushed,
    ) -> Option<String> {
        pushed.bytes += step
            .after
            .and_then(|_| self.head.get(&step.key))
            .map_or(0, |row| row.size);
        pushed.done.insert(step.key.clone());
        rows.agree(self.head, &step.key, step.after, item);
        if let Some(from) = &step.renamed_from {
            rows.agree(self.head, from, None, None);
        }
        None
    }

    fn operation(&self, step: &Step) -> Operation {
        let size = self.head.get(&step.key).map_or(0, |row| row.size);
        let change = match (&step.renamed_from, step.after) {
            (Some(from), _) => Change::Rename { from: from.clone() },
            (None, Some(version)) => Change::Write { version, size },
            (None, None) => Change::Delete,
        };
        Operation {
            key: step.key.clone(),
            change,
            expected: step.before,
            temporary: Operation::temporary_name(self.run.id, self.run.next_operation()),
        }
    }

    async fn journal(
        &self,
        steps: &[Step],
        operations: &[Operation],
    ) -> Result<Vec<i64>, EngineError> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<JournalRow> = steps
            .iter()
            .zip(operations)
            .map(|(step, operation)| JournalRow {
                id: 0,
                run: self.run.id,
                hop: Hop::Push,
                source: self.id.clone(),
                target: None,
                key: step.key.clone(),
                path: step.key.clone(),
                before: step.before,
                after: step.after,
                base_before: None,
                base_after: None,
                temporary: Some(operation.temporary.clone()),
                state: JournalState::Planned,
                reason: None,
            })
            .collect();
        let begun = runs::row(&self.run.report(), None, &self.shared.boot_id);
        let ids = self
            .shared
            .store
            .write(move |writer| {
                writer.begin_run(&begun)?;
                writer.put_journal(&rows)
            })
            .await?;
        Ok(ids)
    }
}

/// Changes of the head's rows.
#[derive(Debug, Default)]
struct Rows {
    puts: Vec<HeadRow>,
    deletes: Vec<ItemKey>,
}

impl Rows {
    /// Notes that head and origin agree on a key.
    fn agree(
        &mut self,
        head: &BTreeMap<ItemKey, HeadRow>,
        key: &ItemKey,
        version: Option<Version>,
        item: Option<Item>,
    ) {
        let Some(version) = version else {
            self.deletes.push(key.clone());
            return;
        };
        let size = item
            .as_ref()
            .map(|item| item.size)
            .or(head.get(key).map(|row| row.size))
            .unwrap_or(0);
        self.puts.push(HeadRow {
            key: key.clone(),
            head: Some(version),
            base: Some(version),
            size,
            identity: item.and_then(|item| item.identity),
            facts: None,
        });
    }
}
