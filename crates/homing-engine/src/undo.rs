//! Undo: what a run changed in targets is put back and held there.

mod choose;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use homing_core::{Item, ItemKey, Ordered, RunId, SourceId, Step, TargetId, Version, order};
use homing_store::{HoldRow, Hop, JournalRow, JournalState};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::hooks;
use crate::pipeline::plan::publish::PathChange;
use crate::pipeline::publish::{Assignment, Rows};
use crate::report::{ItemAction, ItemReport, RunReport, Trigger, Verb};
use crate::runs::{self, Run};
use crate::shared::Shared;
use crate::target::Published;
use crate::target_turn::TargetTurn;

impl Engine {
    /// Puts back what a run changed in targets (the last run of which something can be put back, unless one is named),
    /// and holds it there until upstream moves on or it is released. A last run that is under way is waited for.
    ///
    /// A file that was changed since is left as it is and reported. What was pushed stays pushed.
    pub async fn undo(&self, run: Option<RunId>) -> Result<RunReport, EngineError> {
        self.admit()?;
        let undone = if let Some(run) = run {
            self.ensure_ended(run)?;
            run
        } else {
            choose::last_that_can_be_undone(self).await?
        };
        let (row, journal) = self
            .shared
            .store
            .read(move |reader| Ok((reader.run(undone)?, reader.journal(undone)?)))
            .await?;
        let row = row.ok_or(EngineError::UnknownRun(undone))?;
        if row.verb == Verb::Undo.as_str() {
            return Err(EngineError::Rejected {
                message: format!("run {undone} is itself an undo"),
                hint: "`homing release` lets what it holds follow upstream again".to_owned(),
            });
        }
        let captured: BTreeSet<ItemKey> = journal
            .iter()
            .filter(|row| row.hop == Hop::Capture)
            .map(|row| row.key.clone())
            .collect();
        let mut by_target: BTreeMap<TargetId, Vec<JournalRow>> = BTreeMap::new();
        let mut pushed = 0;
        for row in journal {
            match (row.hop, row.state, &row.target) {
                (Hop::Publish, JournalState::Durable | JournalState::Placed, Some(target)) => {
                    by_target.entry(target.clone()).or_default().push(row);
                }
                (Hop::Push, JournalState::Durable | JournalState::Placed, _) => pushed += 1,
                _ => {}
            }
        }
        if by_target.is_empty() {
            return Err(match pushed {
                0 => EngineError::NothingToUndo,
                _ => EngineError::Rejected {
                    message: format!(
                        "run {undone} only pushed: what was pushed is undone by a new push alone"
                    ),
                    hint: "put the old content into the file, then run `homing push`".to_owned(),
                },
            });
        }
        let shared = Arc::clone(&self.shared);
        let run = shared
            .runs
            .create(row.source, row.target, Verb::Undo, Trigger::Manual);
        run.update(|report| report.undone = Some(undone));
        let task = Arc::clone(&run);
        self.go_alone(Arc::clone(&run), async move {
            let touched = by_target.keys().cloned().collect();
            let elsewhere = published_elsewhere(&shared, touched).await?;
            let mut published = Published::default();
            let targets: Vec<TargetId> = by_target.keys().cloned().collect();
            for (target, rows) in by_target {
                if shared.target(&target).is_err() {
                    let items = rows.iter().map(|row| not_configured(&target, row));
                    published.reported.extend(items);
                    continue;
                }
                match undo_in(&shared, &target, undone, rows, &elsewhere, &captured, &task).await {
                    Ok((carried, reported)) => {
                        published.carried.extend(carried);
                        published.reported.extend(reported);
                    }
                    Err(error) => task.fail(&error),
                }
            }
            let by = task.id;
            // What failed is asked for again by the next undo.
            let failed = |item: &ItemReport| item.action == ItemAction::Failed;
            let nothing_was_left = published.carried.is_empty() && published.reported.is_empty();
            let is_undone = nothing_was_left || !published.carried.iter().all(failed);
            shared
                .store
                .write(move |writer| {
                    if is_undone {
                        writer.mark_undone(undone, by)
                    } else {
                        writer.unmark_undone(by)
                    }
                })
                .await?;
            for target in targets {
                let told = hooks::run(&shared, &target, &task).await;
                published.problems.extend(told);
            }
            Ok(published)
        });
        self.wait(run.id).await
    }

    fn ensure_ended(&self, run: RunId) -> Result<(), EngineError> {
        match self.shared.runs.get(run) {
            None => Ok(()),
            Some(_) => Err(EngineError::Rejected {
                message: format!("run {run} is still under way"),
                hint: format!("wait for it, or cancel it with `homing run cancel {run}`"),
            }),
        }
    }
}

type Items = Vec<ItemReport>;

/// Undoes a run's changes in one target. Returns what was carried out, and what was left as it is.
async fn undo_in(
    shared: &Shared,
    id: &TargetId,
    undone: RunId,
    rows: Vec<JournalRow>,
    elsewhere: &BTreeSet<(SourceId, ItemKey)>,
    captured: &BTreeSet<ItemKey>,
    run: &Arc<Run>,
) -> Result<(Items, Items), EngineError> {
    let mut turn = TargetTurn::take(shared, id, run).await?;
    let changes = net_changes(rows);
    let near = turn
        .survey(changes.keys().cloned().collect(), false)
        .await?;
    let sizes = sizes(shared, &changes, undone).await?;
    let mut reported = Vec::new();
    let mut steps = Vec::new();
    for row in changes.values() {
        let found = near.items.get(&row.path).map(Item::version);
        if captured.contains(&row.key) {
            // A hold would take the edit from the file that it was made in.
            let mut report = left(id, row, found);
            let reason = "it came from an edit in a target of yours: take that edit back there";
            report.reason = Some(reason.to_owned());
            reported.push(report);
        } else if near.unknown_reason(&row.path).is_some()
            || (found != row.after && found != row.before)
        {
            reported.push(left(id, row, found));
        } else if found != row.before {
            steps.push(Step {
                key: row.path.clone(),
                renamed_from: None,
                before: row.after,
                after: row.before,
            });
        }
    }
    let Ordered { steps, blocked } = order(steps, &near, near.capabilities);
    for (step, obstacle) in blocked {
        if let Some(row) = changes.get(&step.key) {
            let mut report = left(id, row, step.before);
            report.reason = Some(format!("`{obstacle}` stands in its way"));
            reported.push(report);
        }
    }
    let live: BTreeSet<&SourceId> = turn.state.heads.iter().map(|head| &head.source).collect();
    let is_elsewhere =
        |row: &JournalRow| elsewhere.contains(&(row.source.clone(), row.key.clone()));
    let holds: Vec<HoldRow> = steps
        .iter()
        .filter_map(|step| changes.get(&step.key))
        .filter(|row| live.contains(&row.source))
        // A hold names originals: what this target made of them is put back like an edit.
        .filter(|_| turn.spec.render.is_none())
        // What is only new to this target stays away from it by a tombstone: the catalog did not move.
        .filter(|row| row.base_before.is_some() || !is_elsewhere(row))
        .filter_map(|row| hold(row, &sizes, undone))
        .collect();
    let mut assignments = Vec::new();
    for step in steps {
        let Some(row) = changes.get(&step.key) else {
            continue;
        };
        let known = turn.state.ledger.get(&row.path);
        // What is deleted with a base stays away: the run brought back what the user had deleted, or what only this
        // target did not have.
        let base = match row.base_before {
            _ if turn.spec.render.is_some() => row.base_after,
            None if step.after.is_none() && is_elsewhere(row) => known.and_then(|known| known.base),
            base => base,
        };
        let change = PathChange {
            source: row.source.clone(),
            key: row.key.clone(),
            path: row.path.clone(),
            before: step.before,
            after: step.after,
            size: step
                .after
                .and_then(|version| sizes.get(&version).copied())
                .unwrap_or(0),
            base_before: row.base_after,
            // Of a source that is gone nothing is answered for: the file is the user's.
            base_after: base.filter(|_| live.contains(&row.source)),
            adopted: known.is_some_and(|known| known.adopted),
        };
        assignments.push(Assignment {
            run: Arc::clone(run),
            step,
            change,
        });
    }
    // Should the process die before it is done, the next publish finishes what the holds ask for.
    let rows = Rows {
        holds,
        undone: Some(undone),
        ..Rows::default()
    };
    let carried = turn.carry_out(assignments, rows).await?;
    let changed = carried.changed.iter();
    reported.extend(changed.filter_map(|change| Some(left(id, changes.get(&change.path)?, None))));
    if let Some(error) = carried.failure {
        run.fail(&error);
    }
    Ok((carried.items, reported))
}

/// Returns what a run came to, by path.
///
/// A path may have been written twice in one run (planned again): the first "before" and the last "after" count.
fn net_changes(rows: Vec<JournalRow>) -> BTreeMap<ItemKey, JournalRow> {
    let mut changes: BTreeMap<ItemKey, JournalRow> = BTreeMap::new();
    for row in rows {
        match changes.get_mut(&row.path) {
            Some(first) => (first.after, first.base_after) = (row.after, row.base_after),
            None => {
                changes.insert(row.path.clone(), row);
            }
        }
    }
    changes
}

/// Returns the hold that keeps the catalog at what was there before; none when the catalog did not move.
fn hold(row: &JournalRow, sizes: &BTreeMap<Version, u64>, undone: RunId) -> Option<HoldRow> {
    (row.base_before != row.base_after).then(|| HoldRow {
        source: row.source.clone(),
        key: row.key.clone(),
        held: row.base_before,
        size: row
            .base_before
            .and_then(|version| sizes.get(&version).copied())
            .unwrap_or(0),
        refused: row.base_after,
        run: undone,
        since: runs::now(),
    })
}

/// Returns the items that targets hold which the undone run did not touch.
async fn published_elsewhere(
    shared: &Shared,
    touched: BTreeSet<TargetId>,
) -> Result<BTreeSet<(SourceId, ItemKey)>, EngineError> {
    let items = shared
        .store
        .read(move |reader| {
            let mut items = BTreeSet::new();
            let targets = reader.ledger_targets()?.into_iter();
            for target in targets.filter(|target| !touched.contains(target)) {
                let rows = reader
                    .ledger(&target)?
                    .into_values()
                    .filter(|row| !row.tombstone);
                items.extend(rows.map(|row| (row.source, row.key)));
            }
            Ok(items)
        })
        .await?;
    Ok(items)
}

fn left(target: &TargetId, row: &JournalRow, found: Option<Version>) -> ItemReport {
    ItemReport {
        source: row.source.clone(),
        target: Some(target.clone()),
        key: row.key.clone(),
        path: row.path.clone(),
        action: ItemAction::Failed,
        before: found,
        after: None,
        reason: Some("it was changed since that run, and is left as it is".to_owned()),
    }
}

/// Reports what is in a target that the configuration does not name any more.
fn not_configured(target: &TargetId, row: &JournalRow) -> ItemReport {
    ItemReport {
        reason: Some(format!(
            "target `{target}` is not in the configuration any more, and is left as it is"
        )),
        ..left(target, row, row.after)
    }
}

/// Pins the contents that the undo puts back, so that a sweep of the history leaves them, and returns their sizes.
async fn sizes(
    shared: &Shared,
    changes: &BTreeMap<ItemKey, JournalRow>,
    undone: RunId,
) -> Result<BTreeMap<Version, u64>, EngineError> {
    let versions: BTreeSet<Version> = changes
        .values()
        .flat_map(|row| [row.before, row.base_before])
        .flatten()
        .collect();
    let hashes: Vec<_> = versions.iter().map(|version| version.hash).collect();
    shared.store.contents().pin(&hashes);
    let missing = shared
        .store
        .read(move |reader| {
            let mut missing = reader.missing_contents(&hashes)?;
            if !missing.is_empty() {
                // Damaged ones fail by themselves, each with its reason.
                let lost = reader.lost_contents()?;
                missing.retain(|hash| !lost.contains(hash));
            }
            Ok(missing)
        })
        .await?;
    if !missing.is_empty() {
        return Err(EngineError::Rejected {
            message: format!(
                "run {undone} is too old: {} of its former contents are no longer kept",
                missing.len()
            ),
            hint: "`keep_history` in [daemon] sets how long undo reaches back".to_owned(),
        });
    }
    let sizes = shared
        .store
        .read(move |reader| {
            versions
                .into_iter()
                .filter_map(|version| {
                    reader
                        .content_size(&version.hash)
                        .transpose()
                        .map(|size| Ok((version, size?)))
                })
                .collect()
        })
        .await?;
    Ok(sizes)
}
