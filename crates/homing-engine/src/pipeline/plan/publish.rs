//! The plan of a publish: what a target takes from the catalog.

mod change;
mod settle;

pub(crate) use change::PathChange;
pub(crate) use settle::resolve;

use std::collections::{BTreeMap, BTreeSet};

use homing_core::{
    ConflictKind, Decision, Direction, FetchRequest, Item, ItemKey, Manifest, PlanInput,
    PlannedItem, Policy, Problem, ProblemKind, SourceId, Step, TargetId, UnknownReason, Version,
    plan,
};
use homing_store::{ConflictRow, Hop, LedgerRow};

use crate::catalog::{Catalog, Entry};
use crate::report::{ItemAction, ItemReport};
use crate::runs;
use crate::spec::Deletions;

/// Both sides as the survey found them.
#[derive(Debug)]
pub(crate) struct PublishInput<'a> {
    pub(crate) target: &'a TargetId,
    pub(crate) ledger: &'a BTreeMap<ItemKey, LedgerRow>,
    pub(crate) catalog: &'a Catalog,
    pub(crate) near: &'a Manifest,
    pub(crate) deletions: Deletions,
    /// The sources that publish here, with their policies; a ledger row of any other belongs to one that is gone.
    pub(crate) policies: &'a BTreeMap<SourceId, Policy>,
    /// Keys whose edits were taken into a head and never pushed: a file of such a key carries an edit.
    pub(crate) unpushed: &'a BTreeSet<(SourceId, ItemKey)>,
    /// Whether files that are the user's own go to a source.
    pub(crate) takes_new_files: bool,
}

/// A path on which both sides differ from what they agreed on.
#[derive(Debug)]
struct Divergence {
    kind: ConflictKind,
    row: Option<LedgerRow>,
    entry: Option<Entry>,
    near: Item,
}

/// What is to be done, before edited files are in the store.
#[derive(Debug, Default)]
pub(crate) struct PublishDecisions {
    changes: Vec<PathChange>,
    divergences: BTreeMap<ItemKey, Divergence>,
    /// Edited files that a merge, or a conflict's copy, needs from the target.
    pub(crate) fetches: Vec<FetchRequest>,
    plan: PublishPlan,
}

/// What is to be carried out and recorded.
#[derive(Debug, Default)]
pub(crate) struct PublishPlan {
    /// Files that change, in a safe order, with the step of each.
    pub(crate) changes: Vec<(Step, PathChange)>,
    /// Rows that change without their file.
    pub(crate) puts: Vec<LedgerRow>,
    /// Paths that Homing no longer answers for; their files stay.
    pub(crate) drops: Vec<ItemKey>,
    pub(crate) conflicts: Vec<ConflictRow>,
    pub(crate) items: Vec<ItemReport>,
    pub(crate) problems: Vec<Problem>,
    /// Published files that carry an edit, by source.
    pub(crate) modified: Vec<(SourceId, ItemKey)>,
}

/// Decides every path of the ledger and of the catalog. Pure.
pub(crate) fn decide(input: &PublishInput<'_>) -> PublishDecisions {
    let base: BTreeMap<ItemKey, Version> = input
        .ledger
        .values()
        .filter_map(|row| Some((row.path.clone(), row.base?)))
        .collect();
    let far = input.catalog.manifest();
    let planned = plan(PlanInput {
        base: &base,
        near: input.near,
        far: &far,
        direction: Direction::Pull,
    });
    let mut decisions = PublishDecisions::default();
    let paths: BTreeSet<&ItemKey> = input
        .ledger
        .keys()
        .chain(input.catalog.entries.keys())
        .collect();
    for path in paths {
        let row = input.ledger.get(path);
        let entry = input.catalog.entries.get(path);
        Place {
            input,
            path,
            row,
            entry,
            planned: planned.get(path),
        }
        .decide(&mut decisions);
    }
    decisions
}

/// One path and all that is known of it.
struct Place<'a> {
    input: &'a PublishInput<'a>,
    path: &'a ItemKey,
    row: Option<&'a LedgerRow>,
    entry: Option<&'a Entry>,
    planned: Option<&'a PlannedItem>,
}

impl Place<'_> {
    fn decide(&self, decisions: &mut PublishDecisions) {
        match self.planned.map(|planned| &planned.decision) {
            Some(Decision::Blocked(reason)) => return self.blocked(reason, decisions),
            Some(Decision::Unknown(reason)) => return self.unknown(reason, decisions),
            _ => {}
        }
        match (self.row, self.entry) {
            (None, None) => {}
            (None, Some(entry)) => self.offered(entry, decisions),
            (Some(row), None) => self.gone(row, decisions),
            (Some(row), Some(entry)) => self.known(row, entry, decisions),
        }
    }

    /// Returns what the target holds; only asked where it is known.
    fn near(&self) -> Option<Version> {
        match self.planned {
            Some(planned) => planned.near,
            // Unchanged: near, far and base are one.
            None => self.row.and_then(|row| row.base),
        }
    }

    fn near_item(&self) -> Option<&Item> {
        self.input.near.items.get(self.path)
    }

    /// A path that Homing did not answer for so far.
    fn offered(&self, entry: &Entry, decisions: &mut PublishDecisions) {
        match self.near() {
            None => decisions.changes.push(self.change(entry, None, None)),
            Some(near) if near == entry.version => {
                let row = LedgerRow {
                    adopted: true,
                    ..self.agreed(entry)
                };
                decisions.plan.items.push(self.report(
                    ItemAction::Adopted,
                    Some(near),
                    Some(near),
                    None,
                ));
                decisions.plan.puts.push(row);
            }
            Some(_) => self.diverged(ConflictKind::Added, decisions),
        }
    }

    /// A path that the catalog no longer has.
    fn gone(&self, row: &LedgerRow, decisions: &mut PublishDecisions) {
        let Some(near) = self.near() else {
            decisions.plan.drops.push(self.path.clone());
            return;
        };
        if is_kept_back(row) {
            return;
        }
        let source_is_gone = !self.input.policies.contains_key(&row.source);
        if self.is_unpushed(row) && self.lost_its_path(row) {
            return self.diverged(ConflictKind::Provenance, decisions);
        }
        if source_is_gone && self.is_unpushed(row) {
            decisions.plan.problems.push(Problem {
                kind: ProblemKind::Shadowed,
                path: self.path.to_string(),
                message: format!(
                    "its edit never reached source `{}`, which is gone: the file is yours now",
                    row.source
                ),
            });
            decisions.plan.drops.push(self.path.clone());
        } else if row.adopted && self.input.takes_new_files && !source_is_gone {
            // The user's again. Remembered, or else it would go back upstream as if it were new.
            decisions.plan.puts.push(LedgerRow {
                base: None,
                tombstone: true,
                ..row.clone()
            });
        } else if row.adopted || (Some(near) != row.base && source_is_gone) {
            // It is the user's: he had it before, or edited what nobody offers any more.
            if !row.adopted {
                decisions.plan.problems.push(Problem {
                    kind: ProblemKind::Shadowed,
                    path: self.path.to_string(),
                    message: format!(
                        "it was edited here, so it stays when source `{}` goes: the file is yours now",
                        row.source
                    ),
                });
            }
            decisions.plan.drops.push(self.path.clone());
        } else if Some(near) == row.base {
            decisions.changes.push(PathChange {
                source: row.source.clone(),
                key: row.key.clone(),
                path: self.path.clone(),
                before: Some(near),
                after: None,
                size: 0,
                base_before: row.base,
                base_after: None,
                adopted: false,
            });
        } else {
            self.diverged(ConflictKind::Delete, decisions);
        }
    }

    /// A path that both the ledger and the catalog have.
    fn known(&self, row: &LedgerRow, entry: &Entry, decisions: &mut PublishDecisions) {
        let Some(near) = self.near() else {
            return self.deleted_by_user(row, entry, decisions);
        };
        let other_source = row.source != entry.source || row.key != entry.key;
        if near == entry.version {
            if self.planned.is_some() || other_source || row.tombstone || self.identity_is_news(row)
            {
                let agreed = LedgerRow {
                    adopted: row.adopted,
                    ..self.agreed(entry)
                };
                decisions.plan.puts.push(agreed);
            }
        } else if other_source && self.is_unpushed(row) {
            self.diverged(ConflictKind::Provenance, decisions);
        } else if Some(near) == row.base {
            decisions
                .changes
                .push(self.change(entry, Some(near), Some(row)));
        } else if other_source {
            self.diverged(ConflictKind::Provenance, decisions);
        } else if Some(entry.version) == row.base {
            decisions
                .plan
                .modified
                .push((row.source.clone(), self.path.clone()));
            // An identity stands for what was written: that of an edit would hide the edit from every later survey.
            let is_written = row.written == Some(near);
            if (is_written && self.identity_is_news(row)) || row.tombstone {
                let identity = self
                    .near_item()
                    .filter(|_| is_written)
                    .and_then(|item| item.identity.clone());
                decisions.plan.puts.push(LedgerRow {
                    identity,
                    tombstone: false,
                    ..row.clone()
                });
            }
        } else if row.base.is_none() {
            self.diverged(ConflictKind::Added, decisions);
        } else {
            self.diverged(ConflictKind::Content, decisions);
        }
    }

    fn deleted_by_user(&self, row: &LedgerRow, entry: &Entry, decisions: &mut PublishDecisions) {
        if row.tombstone {
            return;
        }
        match self.input.deletions {
            Deletions::Restore => {
                let mut change = self.change(entry, None, Some(row));
                // What Homing puts here is its own, whoever had the file before.
                change.adopted = false;
                decisions.changes.push(change);
            }
            Deletions::Keep => {
                decisions.plan.puts.push(LedgerRow {
                    tombstone: true,
                    adopted: false,
                    ..row.clone()
                });
            }
        }
    }

    fn diverged(&self, kind: ConflictKind, decisions: &mut PublishDecisions) {
        let Some(near) = self.near_item() else { return };
        decisions.fetches.push(FetchRequest::new(self.path, near));
        let divergence = Divergence {
            kind,
            row: self.row.cloned(),
            entry: self.entry.cloned(),
            near: near.clone(),
        };
        decisions.divergences.insert(self.path.clone(), divergence);
    }

    fn blocked(&self, reason: &UnknownReason, decisions: &mut PublishDecisions) {
        let Some((source, _)) = self.owner() else {
            return;
        };
        let detail = match reason {
            UnknownReason::NotAFile(what) => {
                format!("{what} stands in its place or on the way to it")
            }
            reason => reason.to_string(),
        };
        decisions
            .plan
            .conflicts
            .push(structure(self.input.target, source, self.path, &detail));
        let reason = detail;
        decisions
            .plan
            .items
            .push(self.report(ItemAction::Conflict, None, None, Some(reason)));
    }

    fn unknown(&self, reason: &UnknownReason, decisions: &mut PublishDecisions) {
        if self.entry.is_some() {
            let reason = format!("`{}` is left as it is: {reason}", self.path);
            decisions
                .plan
                .items
                .push(self.report(ItemAction::Failed, None, None, Some(reason)));
        }
    }

    fn owner(&self) -> Option<(&SourceId, &ItemKey)> {
        self.entry
            .map(|entry| (&entry.source, &entry.key))
            .or(self.row.map(|row| (&row.source, &row.key)))
    }

    /// Tells whether the file carries an edit that only its source's head has beside it.
    fn is_unpushed(&self, row: &LedgerRow) -> bool {
        !self.input.unpushed.is_empty()
            && self
                .input
                .unpushed
                .contains(&(row.source.clone(), row.key.clone()))
    }

    /// Tells whether the row's source offers the path still, and another source's file or directory stands in its way.
    fn lost_its_path(&self, row: &LedgerRow) -> bool {
        let losers = self.input.catalog.losers.get(self.path);
        losers.is_some_and(|losers| losers.iter().any(|loser| loser.entry.source == row.source))
    }

    fn identity_is_news(&self, row: &LedgerRow) -> bool {
        self.near_item()
            .is_some_and(|item| item.identity.is_some() && item.identity != row.identity)
    }

    fn change(
        &self,
        entry: &Entry,
        before: Option<Version>,
        row: Option<&LedgerRow>,
    ) -> PathChange {
        PathChange {
            source: entry.source.clone(),
            key: entry.key.clone(),
            path: self.path.clone(),
            before,
            after: Some(entry.version),
            size: entry.size,
            base_before: row.and_then(|row| row.base),
            base_after: Some(entry.version),
            adopted: row.is_some_and(|row| row.adopted),
        }
    }

    /// Returns the row of a path that holds what the catalog has.
    fn agreed(&self, entry: &Entry) -> LedgerRow {
        LedgerRow {
            source: entry.source.clone(),
            key: entry.key.clone(),
            path: self.path.clone(),
            base: Some(entry.version),
            written: Some(entry.version),
            size: entry.size,
            identity: self.near_item().and_then(|item| item.identity.clone()),
            adopted: false,
            tombstone: false,
        }
    }

    fn report(
        &self,
        action: ItemAction,
        before: Option<Version>,
        after: Option<Version>,
        reason: Option<String>,
    ) -> ItemReport {
        let (source, key) = self.owner().expect("every path has a row or an entry");
        item(
            self.input.target,
            (source.clone(), key.clone()),
            self.path,
            action,
            before,
            after,
            reason,
        )
    }
}

/// Tells whether a row only says that the user kept a file which upstream deleted.
fn is_kept_back(row: &LedgerRow) -> bool {
    row.tombstone && row.base.is_none()
}

fn structure(target: &TargetId, source: &SourceId, path: &ItemKey, detail: &str) -> ConflictRow {
    ConflictRow {
        id: 0,
        hop: Hop::Publish,
        source: source.clone(),
        target: Some(target.clone()),
        key: path.clone(),
        kind: ConflictKind::Structure,
        base: None,
        near: None,
        far: None,
        detail: Some(detail.to_owned()),
        since: runs::now(),
    }
}

fn item(
    target: &TargetId,
    (source, key): (SourceId, ItemKey),
    path: &ItemKey,
    action: ItemAction,
    before: Option<Version>,
    after: Option<Version>,
    reason: Option<String>,
) -> ItemReport {
    ItemReport {
        source,
        target: Some(target.clone()),
        key,
        path: path.clone(),
        action,
        before,
        after,
        reason,
    }
}
