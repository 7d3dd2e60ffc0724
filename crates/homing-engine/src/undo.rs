//! Undo: what a run changed in targets is put back and held there.

mod choose;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use homing_core::{Item, ItemKey, Ordered, RunId, SourceId, Step, TargetId, Version, order};
use homing_store::{HoldRow, Hop, JournalRow, JournalState, LedgerRow};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::hooks;
use crate::pipeline::plan::publish::PathChange;
use crate::pipeline::publish::{Assignment, Rows, carry_out};
use crate::pipeline::survey;
use crate::report::{ItemAction, ItemReport, RunReport, Trigger, Verb};
use crate::runs::{self, Run};
use crate::shared::Shared;
use crate::target::{Published, read_state};

impl Engine {
    /// Puts back what a run changed in targets (the last run of which something can be put back, unless one is named),
    /// and holds it there until upstream moves on or it is released.
    ///
    /// A file that was changed since is left as it is and reported. What was pushed stays pushed.
    pub async fn undo(&self, run: Option<RunId>) -> Result<RunReport, EngineError> {
        self.admit()?;
        let undone = if let Some(run) = run {
            run
        } else {
            choose::last_that_can_be_undone(&self.shared).await?
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
        if self.shared.runs.get(undone).is_some() {
            return Err(EngineError::Rejected {
                message: format!("run {undone} is still under way"),
                hint: format!("wait for it, or cancel it with `homing run cancel {undone}`"),
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
            if !published.carried.is_empty() {
                shared
                    .store
                    .write(move |writer| writer.mark_undone(undone, by))
                    .await?;
            }
            for target in targets {
                let told = hooks::run(&shared, &target, &task).await;
                published.problems.extend(told);
            }
            Ok(published)
        });
        self.wait(run.id).await
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
    let (spec, actor) = shared.target(id)?;
    let mut turn = actor.take_turn(shared, id).await?;
    let state = read_state(shared, id).await?;
    let changes = net_changes(rows);
    let paths: BTreeSet<ItemKey> = changes.keys().cloned().collect();
    let rules = survey::RootRules {
        boot_id: &shared.boot_id,
        accept: false,
        read_all: false,
    };
    let settings = &shared.specs.settings;
    let near = survey::target(
        run,
        settings,
        spec,
        state.root.as_ref(),
        &state.ledger,
        paths.clone(),
        rules,
    )
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
        } else if near.unknown_reason(&row.path).is_some() || found != row.after {
            reported.push(left(id, row, found));
        } else if row.before != row.after {
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
    let live: BTreeSet<&SourceId> = state.heads.iter().map(|head| &head.source).collect();
    let is_elsewhere =
        |row: &JournalRow| elsewhere.contains(&(row.source.clone(), row.key.clone()));
    let holds: Vec<HoldRow> = steps
        .iter()
        .filter_map(|step| changes.get(&step.key))
        .filter(|row| live.contains(&row.source))
        // What is only new to this target stays away from it by a tombstone: the catalog did not move.
        .filter(|row| row.base_before.is_some() || !is_elsewhere(row))
        .filter_map(|row| hold(row, &sizes, undone))
        .collect();
    let mut tombstones = Vec::new();
    let mut assignments = Vec::new();
    for step in steps {
        let Some(row) = changes.get(&step.key) else {
            continue;
        };
        let known = state.ledger.get(&row.path);
        let only_here = row.base_before.is_some() || is_elsewhere(row);
        if step.after.is_none() && only_here && live.contains(&row.source) {
            // The run brought back what the user had deleted, or what only this target did not have: it stays away.
            tombstones.extend(known.map(|known| LedgerRow {
                tombstone: true,
                ..known.clone()
            }));
        }
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
            base_after: row.base_before.filter(|_| live.contains(&row.source)),
            adopted: known.is_some_and(|known| known.adopted),
        };
        assignments.push(Assignment {
            run: Arc::clone(run),
            step,
            change,
        });
    }
    *turn = crate::target::Recovery::Due;
    // The holds come first: should the process die in between, the next publish finishes what they ask for.
    shared
        .store
        .write(move |writer| holds.into_iter().try_for_each(|hold| writer.put_hold(hold)))
        .await?;
    let carried = carry_out(shared, id, spec, run, assignments, Rows::default()).await?;
    let gone = |path: &ItemKey| {
        let removed = |item: &&ItemReport| item.action == ItemAction::Removed;
        carried
            .items
            .iter()
            .filter(removed)
            .any(|item| item.path == *path)
    };
    tombstones.retain(|row| gone(&row.path));
    if !tombstones.is_empty() {
        let target = id.clone();
        shared
            .store
            .write(move |writer| writer.put_ledger(&target, &tombstones))
            .await?;
    }
    *turn = crate::target::Recovery::Done;
    reported.extend(
        carried
            .changed
            .iter()
            .filter_map(|path| Some(left(id, changes.get(path)?, None))),
    );
    if let Some(error) = carried.storage {
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
    shared.store.contents().pin_scope().pin(&hashes);
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
