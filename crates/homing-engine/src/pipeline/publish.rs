//! Publish: the journal says what is intended, the side does it, the journal and the ledger say what was done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use homing_core::{
    Change, Item, ItemKey, Operation, Outcome, RunId, SideError, SourceId, Step, TargetId,
};
use homing_store::{ConflictRow, HoldRow, Hop, JournalRow, JournalState, LedgerRow, StoredRoot};

use crate::elsewhere::path_key;
use crate::error::{self, EngineError};
use crate::history::{self, CONFLICT};
use crate::pipeline::plan::publish::PathChange;
use crate::report::{ItemAction, ItemReport};
use crate::runs::{self, Run};
use crate::shared::Shared;
use crate::spec::TargetSpec;
use crate::watch::watched_to_the_end;

/// One file to change, on behalf of a run.
pub(crate) struct Assignment {
    pub(crate) run: Arc<Run>,
    pub(crate) step: Step,
    pub(crate) change: PathChange,
}

/// Rows that go into the store together with the intent or the outcome.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) puts: Vec<LedgerRow>,
    pub(crate) drops: Vec<ItemKey>,
    /// All open conflicts of the target, or `None` to leave them as they are.
    pub(crate) conflicts: Option<Vec<ConflictRow>>,
    /// Those that the store has: equal ones are not written again.
    pub(crate) stored_conflicts: Vec<ConflictRow>,
    pub(crate) root: Option<StoredRoot>,
    /// Holds that come with the intent; one whose file was not as planned ends with the outcome.
    pub(crate) holds: Vec<HoldRow>,
    pub(crate) ended_holds: Vec<(SourceId, ItemKey)>,
    /// The run that is undone, which is marked with the intent.
    pub(crate) undone: Option<RunId>,
}

/// What is written before anything is done.
struct Intent {
    holds: Vec<HoldRow>,
    /// The run that is undone, and by which.
    undone: Option<(RunId, RunId)>,
}

/// What became of the assignments.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    pub(crate) items: Vec<ItemReport>,
    /// What was not as planned: plan again.
    pub(crate) changed: Vec<PathChange>,
    /// The first failure of this machine's disk; or that nothing could be done for want of permission.
    pub(crate) failure: Option<EngineError>,
}

/// Journals, carries out and records changes of a target's files, with the rows that change without one.
///
/// Killed at any instruction, it leaves journal rows from which [`crate::recover`] goes on.
pub(crate) async fn carry_out(
    shared: &Shared,
    target: &TargetId,
    spec: &TargetSpec,
    leader: &Run,
    assignments: Vec<Assignment>,
    mut rows: Rows,
) -> Result<Carried, EngineError> {
    let operations: Vec<Operation> = assignments.iter().map(operation).collect();
    let held: BTreeSet<_> = rows
        .holds
        .iter()
        .map(|hold| (hold.source.clone(), hold.key.clone()))
        .collect();
    let intent = Intent {
        holds: std::mem::take(&mut rows.holds),
        undone: rows.undone.map(|undone| (undone, leader.id)),
    };
    let (assignments, operations, journal) =
        plan_rows(shared, target, assignments, operations, intent).await?;
    let outcomes = if operations.is_empty() {
        Vec::new()
    } else {
        crate::kill_point!("run::journalled");
        leader.enter("publish", Some(sums(&operations)));
        let applied = spec
            .place
            .apply(operations, shared.contents(), leader.progress.clone());
        watched_to_the_end(leader, &shared.specs.settings, applied).await?
    };
    if !journal.is_empty() {
        crate::kill_point!("run::applied");
    }
    let mut carried = Carried {
        items: Vec::with_capacity(assignments.len()),
        ..Carried::default()
    };
    rows.puts.reserve_exact(assignments.len());
    let mut forbidden = None;
    let mut states = Vec::with_capacity(assignments.len());
    let mut changed = BTreeSet::new();
    for ((assignment, id), outcome) in assignments.into_iter().zip(journal).zip(outcomes) {
        let change = &assignment.change;
        let is_changed = matches!(outcome, Outcome::Changed);
        let (state, reason) = match outcome {
            Outcome::Done(item) => {
                done(&assignment, item, &mut rows);
                (JournalState::Durable, None)
            }
            Outcome::Placed(item) => {
                done(&assignment, item, &mut rows);
                (JournalState::Placed, None)
            }
            Outcome::Changed => {
                let owner = (change.source.clone(), change.key.clone());
                rows.ended_holds.extend(held.get(&owner).cloned());
                (
                    JournalState::Failed,
                    Some(history::PLANNED_AGAIN.to_owned()),
                )
            }
            Outcome::Failed(error) => {
                let reason = failed(target, change, &error, rows.conflicts.as_mut());
                match error {
                    SideError::Storage { .. } => {
                        carried.failure.get_or_insert(error.into());
                    }
                    SideError::Auth { .. } => {
                        forbidden.get_or_insert(error);
                    }
                    _ => {}
                }
                (JournalState::Failed, Some(reason))
            }
        };
        // A rename and what is written after it are of one path.
        let is_again = || {
            carried
                .changed
                .iter()
                .any(|known| known.path == change.path)
        };
        if state != JournalState::Failed || !(is_changed || is_again()) {
            carried
                .items
                .push(report(target, change, state, reason.clone()));
        }
        if state != JournalState::Failed && change.before != change.after {
            changed.insert(assignment.run.id);
        }
        states.push((id, state, reason));
        if is_changed {
            carried.changed.push(assignment.change);
        }
    }
    let tried = !states.is_empty();
    if carried.failure.is_none() && all_failed(&states) {
        carried.failure = forbidden.map(EngineError::from);
    }
    record(shared, target, spec, states, changed, rows).await?;
    if tried {
        crate::kill_point!("run::recorded");
    }
    Ok(carried)
}

/// Tells whether not one row of a journal was carried out.
pub(crate) fn all_failed(states: &[(i64, JournalState, Option<String>)]) -> bool {
    states
        .iter()
        .all(|(_, state, _)| *state == JournalState::Failed)
}

/// Returns how many items operations are, and how many bytes they write.
pub(crate) fn sums(operations: &[Operation]) -> (u64, u64) {
    let bytes = |operation: &Operation| match operation.change {
        Change::Write { size, .. } => size,
        Change::Rename { .. } | Change::Delete => 0,
    };
    (operations.len() as u64, operations.iter().map(bytes).sum())
}

fn operation(assignment: &Assignment) -> Operation {
    let Assignment { run, step, change } = assignment;
    let kind = match (&step.renamed_from, step.after) {
        (Some(from), _) => Change::Rename { from: from.clone() },
        (None, Some(version)) => Change::Write {
            version,
            size: change.size,
        },
        (None, None) => Change::Delete,
    };
    Operation {
        key: step.key.clone(),
        change: kind,
        expected: step.before,
        temporary: Operation::temporary_name(run.id, run.next_operation()),
    }
}

/// What is to be done and how, with the numbers of its rows in the journal.
type Journalled = (Vec<Assignment>, Vec<Operation>, Vec<i64>);

/// Writes the intent and the runs that it belongs to in one transaction.
async fn plan_rows(
    shared: &Shared,
    target: &TargetId,
    assignments: Vec<Assignment>,
    operations: Vec<Operation>,
    intent: Intent,
) -> Result<Journalled, EngineError> {
    if assignments.is_empty() {
        return Ok((assignments, operations, Vec::new()));
    }
    let mut begun = BTreeMap::new();
    for Assignment { run, .. } in &assignments {
        begun
            .entry(run.id)
            .or_insert_with(|| runs::row(&run.report(), None, &shared.boot_id));
    }
    let target = target.clone();
    let journalled = shared
        .store
        .write(move |writer| {
            for run in begun.values() {
                writer.begin_run(run)?;
            }
            for hold in intent.holds {
                writer.put_hold(hold)?;
            }
            if let Some((undone, by)) = intent.undone {
                writer.mark_undone(undone, by)?;
            }
            // One row at a time: of many files, all of them would weigh more than the plan.
            let rows = assignments.iter().zip(&operations);
            let ids = writer.put_journal(
                rows.map(|(assignment, operation)| planned(&target, assignment, operation)),
            )?;
            Ok((assignments, operations, ids))
        })
        .await?;
    Ok(journalled)
}

/// Returns the journal's row of what is under way from now on.
fn planned(
    target: &TargetId,
    Assignment { run, change, .. }: &Assignment,
    operation: &Operation,
) -> JournalRow {
    JournalRow {
        id: 0,
        run: run.id,
        hop: Hop::Publish,
        source: change.source.clone(),
        target: Some(target.clone()),
        key: change.key.clone(),
        path: change.path.clone(),
        before: change.before,
        after: change.after,
        base_before: change.base_before,
        base_after: change.base_after,
        temporary: Some(operation.temporary.clone()),
        state: JournalState::Planned,
        reason: None,
    }
}

fn done(Assignment { step, change, .. }: &Assignment, item: Option<Item>, rows: &mut Rows) {
    // The row of the old name goes with a rename.
    rows.drops.extend(step.renamed_from.clone());
    match change.row(item.and_then(|item| item.identity)) {
        Some(row) => rows.puts.push(row),
        None => rows.drops.push(change.path.clone()),
    }
}

fn failed(
    target: &TargetId,
    change: &PathChange,
    failure: &SideError,
    conflicts: Option<&mut Vec<ConflictRow>>,
) -> String {
    let reason = error::reason(failure);
    let (SideError::Conflict { .. }, Some(conflicts)) = (failure, conflicts) else {
        return reason;
    };
    conflicts.push(ConflictRow {
        id: 0,
        hop: Hop::Publish,
        source: change.source.clone(),
        target: Some(target.clone()),
        key: change.path.clone(),
        kind: homing_core::ConflictKind::Structure,
        base: None,
        near: None,
        far: None,
        detail: Some(reason.clone()),
        since: runs::now(),
    });
    format!("{CONFLICT}{reason}")
}

fn report(
    target: &TargetId,
    change: &PathChange,
    state: JournalState,
    reason: Option<String>,
) -> ItemReport {
    let (action, reason) = match (state, reason) {
        (JournalState::Failed, Some(reason)) => match reason.strip_prefix(CONFLICT) {
            Some(reason) => (ItemAction::Conflict, Some(reason.to_owned())),
            None => (ItemAction::Failed, Some(reason)),
        },
        (_, reason) => (
            history::published(change.before, change.after, change.base_after),
            reason,
        ),
    };
    ItemReport {
        source: change.source.clone(),
        target: Some(target.clone()),
        key: change.key.clone(),
        path: change.path.clone(),
        action,
        before: change.before,
        after: change.after,
        reason,
    }
}

async fn record(
    shared: &Shared,
    target: &TargetId,
    spec: &TargetSpec,
    states: Vec<(i64, JournalState, Option<String>)>,
    changed: BTreeSet<RunId>,
    rows: Rows,
) -> Result<(), EngineError> {
    let owes_hook = spec.hook.is_some() && !changed.is_empty();
    let (id, target) = (target, target.clone());
    let path = spec.path.display().to_string();
    let Rows {
        puts,
        drops,
        conflicts,
        stored_conflicts,
        root,
        ended_holds,
        holds: _,
        undone: _,
    } = rows;
    let conflicts = conflicts.filter(|open| differ(open, &stored_conflicts));
    // A root that the first publish made has no identity in the survey: ask once more.
    let root = match root {
        None if !puts.is_empty() => root_of(spec, shared).await,
        root => root,
    };
    let nothing =
        states.is_empty() && puts.is_empty() && drops.is_empty() && ended_holds.is_empty();
    if nothing && conflicts.is_none() && root.is_none() {
        return Ok(());
    }
    shared
        .store
        .write(move |writer| {
            if let Some(root) = root {
                writer.set_target_root(&target, root)?;
                writer.set_metadata(&path_key(&target), &path)?;
            }
            writer.delete_ledger(&target, &drops)?;
            writer.put_ledger(&target, &puts)?;
            for run in changed.into_iter().filter(|_| owes_hook) {
                writer.put_pending_hook(&target, run, runs::now())?;
            }
            if let Some(conflicts) = conflicts {
                let scope = homing_store::ConflictScope {
                    hop: Hop::Publish,
                    source: None,
                    target: Some(target),
                };
                writer.replace_conflicts(scope, conflicts)?;
            }
            for (source, key) in ended_holds {
                writer.delete_holds(&source, &[key])?;
            }
            writer.set_journal_state(&states)
        })
        .await?;
    if owes_hook && let Ok((_, actor)) = shared.target(id) {
        actor.hook.owe();
    }
    Ok(())
}

async fn root_of(spec: &TargetSpec, shared: &Shared) -> Option<StoredRoot> {
    let request = homing_core::ListRequest::new(homing_core::Scope::Keys(BTreeSet::new()));
    // Without an identity the root is only not recognised next time; what was published stands.
    let listed = spec.place.list(request).await.ok()?.whole().ok()?;
    Some(StoredRoot {
        identity: listed.manifest.root?,
        boot_id: shared.boot_id.clone(),
    })
}

/// Tells whether the open conflicts are others than the stored ones.
fn differ(found: &[ConflictRow], stored: &[ConflictRow]) -> bool {
    let essence = |row: &ConflictRow| {
        let versions = (row.base, row.near, row.far);
        (
            row.key.clone(),
            row.source.clone(),
            row.kind,
            versions,
            row.detail.clone(),
        )
    };
    let found: BTreeSet<_> = found.iter().map(essence).collect();
    let stored: BTreeSet<_> = stored
        .iter()
        .filter(|row| row.hop == Hop::Publish)
        .map(essence)
        .collect();
    found != stored
}
