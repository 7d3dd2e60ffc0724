//! Recovery: what a killed process left under way is made old or new, from the journal's rows of it.

use std::collections::{BTreeMap, BTreeSet};

use homing_core::{
    Change, ContentHash, Interrupted, Item, ItemKey, ItemState, Operation, Outcome, Progress,
    Recovered, RunId, Side, SideError, SourceId, TargetId, Version,
};
use homing_store::{HeadRow, Hop, JournalRow, JournalState, RunRow};

use crate::error::EngineError;
use crate::pipeline::plan::publish::PathChange;
use crate::pipeline::record::recount;
use crate::pipeline::survey;
use crate::runs;
use crate::shared::Shared;

/// Repairs a target and brings its ledger in line with it. Runs before anything else is done to the target.
pub(crate) async fn target(shared: &Shared, id: &TargetId) -> Result<(), EngineError> {
    let rows = unfinished(shared, |row| {
        row.hop == Hop::Publish && row.target.as_ref() == Some(id)
    })
    .await?;
    if rows.is_empty() {
        return Ok(());
    }
    let (spec, actor) = shared.target(id)?;
    let root = {
        let id = id.clone();
        shared
            .store
            .read(move |reader| reader.target_root(&id))
            .await?
    };
    let place = format!("`{}`", spec.path.display());
    survey::same_root(spec.place.as_ref(), root.as_ref(), &shared.boot_id, &place).await?;
    let (settled, rescued) = settle(shared, spec.place.as_ref(), &rows).await?;
    let mut puts = Vec::new();
    let mut drops = Vec::new();
    let mut changed = BTreeSet::new();
    for ((row, _), end) in rows.iter().zip(&settled) {
        let End::Done(item) = end else { continue };
        if spec.hook.is_some() {
            changed.insert(row.run);
        }
        let change = PathChange::of(row, item.as_ref().map_or(0, |item| item.size));
        match change.row(item.as_ref().and_then(|item| item.identity.clone())) {
            Some(row) => puts.push(row),
            None => drops.push(row.path.clone()),
        }
    }
    crate::kill_point!("recover::settled");
    let states = states(&rows, &settled);
    let interrupted: BTreeSet<RunId> = rows.iter().map(|(row, _)| row.run).collect();
    tracing::info!(target = %id, operations = rows.len(), "repaired what a killed process left under way");
    let id = id.clone();
    shared
        .store
        .write(move |writer| {
            let ledger = writer.ledger(&id)?;
            // A file that the user had before Homing stays his, whatever was placed in it since.
            for row in &mut puts {
                row.adopted = ledger.get(&row.path).is_some_and(|known| known.adopted);
            }
            writer.delete_ledger(&id, &drops)?;
            writer.put_ledger(&id, &puts)?;
            writer.put_journal(&rescued)?;
            for run in changed {
                writer.put_pending_hook(&id, run, runs::now())?;
            }
            writer.set_journal_state(&states)?;
            recount(writer, interrupted)
        })
        .await?;
    actor.hook.owe();
    Ok(())
}

/// Repairs a source's origin and brings its head in line with it.
pub(crate) async fn origin(shared: &Shared, id: &SourceId) -> Result<(), EngineError> {
    let rows = unfinished(shared, |row| row.hop == Hop::Push && &row.source == id).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let (spec, _) = shared.source(id)?;
    let root = {
        let id = id.clone();
        shared
            .store
            .read(move |reader| reader.source(&id))
            .await?
            .and_then(|row| row.root)
    };
    let place = format!("`{}`", spec.url);
    survey::same_root(spec.origin.as_ref(), root.as_ref(), &shared.boot_id, &place).await?;
    let (settled, rescued) = settle(shared, spec.origin.as_ref(), &rows).await?;
    let mut moved = Vec::new();
    for ((row, _), end) in rows.iter().zip(&settled) {
        if let End::Done(item) = end {
            moved.push((
                row.key.clone(),
                row.after,
                item.as_ref().and_then(|item| item.identity.clone()),
            ));
        }
    }
    crate::kill_point!("recover::settled");
    let states = states(&rows, &settled);
    let interrupted: BTreeSet<RunId> = rows.iter().map(|(row, _)| row.run).collect();
    tracing::info!(source = %id, operations = rows.len(), "repaired what a killed process left under way");
    let id = id.clone();
    shared
        .store
        .write(move |writer| {
            let head = writer.head(&id)?;
            for (key, base, identity) in moved {
                let Some(row) = head.get(&key) else { continue };
                let row = HeadRow {
                    base,
                    identity,
                    ..row.clone()
                };
                if row.head.is_none() && row.base.is_none() {
                    writer.delete_head(&id, &[key])?;
                } else {
                    writer.put_head(&id, &[row])?;
                }
            }
            writer.put_journal(&rescued)?;
            writer.set_journal_state(&states)?;
            recount(writer, interrupted)
        })
        .await?;
    Ok(())
}

/// Returns the sources of which a killed process left pushes under way.
pub(crate) fn half_pushed(unfinished: &[(RunRow, Vec<JournalRow>)]) -> BTreeSet<SourceId> {
    let rows = unfinished.iter().flat_map(|(_, rows)| rows);
    rows.filter(|row| row.hop == Hop::Push)
        .map(|row| row.source.clone())
        .collect()
}

/// Gives up what was under way in a target that a person has said is another directory now.
pub(crate) async fn give_up_target(shared: &Shared, id: &TargetId) -> Result<(), EngineError> {
    let rows = unfinished(shared, |row| {
        row.hop == Hop::Publish && row.target.as_ref() == Some(id)
    })
    .await?;
    give_up(shared, &rows).await
}

/// Gives up what was under way in an origin that a person has said is another directory now.
pub(crate) async fn give_up_origin(shared: &Shared, id: &SourceId) -> Result<(), EngineError> {
    let rows = unfinished(shared, |row| row.hop == Hop::Push && &row.source == id).await?;
    give_up(shared, &rows).await
}

async fn give_up(shared: &Shared, rows: &Unfinished) -> Result<(), EngineError> {
    let reason = || Some("the directory was replaced before this was done".to_owned());
    let states: Vec<_> = rows
        .iter()
        .map(|(row, _)| (row.id, JournalState::Failed, reason()))
        .collect();
    shared
        .store
        .write(move |writer| writer.set_journal_state(&states))
        .await?;
    Ok(())
}

/// Rows with the boot of their run.
type Unfinished = Vec<(JournalRow, String)>;

async fn unfinished(
    shared: &Shared,
    concerns: impl Fn(&JournalRow) -> bool,
) -> Result<Unfinished, EngineError> {
    let runs = shared
        .store
        .read(|reader| reader.unfinished_journal())
        .await?;
    let rows = runs
        .into_iter()
        .flat_map(|(run, rows)| rows.into_iter().map(move |row| (row, run.boot_id.clone())));
    let (open, placed): (Unfinished, Unfinished) = rows
        .filter(|(row, _)| concerns(row))
        .partition(|(row, boot)| row.state == JournalState::Planned || *boot != shared.boot_id);
    if !placed.is_empty() {
        // The machine did not go down since they were placed and recorded: nothing can have been lost of them.
        let durable: Vec<_> = placed
            .iter()
            .map(|(row, _)| (row.id, JournalState::Durable, None))
            .collect();
        shared
            .store
            .write(move |writer| writer.set_journal_state(&durable))
            .await?;
    }
    Ok(open)
}

/// How the operation of a row ended.
enum End {
    /// It is done. The item that it made; without an identity where something later has its path.
    Done(Option<Item>),
    /// It was not done.
    NotDone,
}

/// Lets the side repair itself. Returns what became of each row, and new rows that name rescued bytes.
///
/// A repair that fails leaves every row open: nothing is planned on a damaged file.
async fn settle(
    shared: &Shared,
    side: &dyn Side,
    rows: &Unfinished,
) -> Result<(Vec<End>, Vec<JournalRow>), EngineError> {
    let sizes = sizes(shared, rows).await?;
    let interrupted: Vec<Interrupted> = rows
        .iter()
        .map(|(row, boot)| Interrupted {
            operation: operation(row, &sizes),
            power_lost: *boot != shared.boot_id,
        })
        .collect();
    let recovered = side.recover(interrupted.clone(), shared.contents()).await?;
    shared.flush_contents().await?;
    let paths: BTreeMap<&ItemKey, &JournalRow> =
        rows.iter().map(|(row, _)| (&row.path, row)).collect();
    let mut rescued = Vec::new();
    let mut found: BTreeMap<ItemKey, (ItemState, bool)> = BTreeMap::new();
    for Recovered {
        key,
        state,
        was_placed,
        rescued: hashes,
    } in recovered
    {
        if let Some(row) = paths.get(&key) {
            rescued.extend(hashes.iter().map(|hash| rescued_row(row, *hash)));
        }
        found.insert(key, (state, was_placed));
    }
    let mut settled = Vec::with_capacity(rows.len());
    let mut damaged = Vec::new();
    // Newest first: of several operations on one path, only the last one says what was meant.
    for (
        (row, _),
        Interrupted {
            operation,
            power_lost,
        },
    ) in rows.iter().zip(interrupted).rev()
    {
        let Some((state, was_placed)) = found.remove(&row.path) else {
            settled.push(End::NotDone);
            continue;
        };
        let known = !matches!(state, ItemState::Unknown(_));
        let present = state.item().cloned();
        let version = present.as_ref().map(Item::version);
        settled.push(if known && version == row.after {
            End::Done(present)
        } else if power_lost && known && version != row.before && row.after.is_some() {
            damaged.push((
                settled.len(),
                Operation {
                    expected: version,
                    ..operation
                },
            ));
            End::NotDone
        } else if was_placed && version != row.before {
            // What is there now was made from what the operation placed: an edit of that, not of what was before.
            End::Done(made(&operation))
        } else {
            End::NotDone
        });
    }
    let (places, operations): (Vec<usize>, Vec<Operation>) = damaged.into_iter().unzip();
    for (at, item) in places
        .into_iter()
        .zip(repair(shared, side, operations).await?)
    {
        settled[at] = End::Done(item);
    }
    settled.reverse();
    Ok((settled, rescued))
}

/// Returns the sizes of the contents that were to be placed.
async fn sizes(
    shared: &Shared,
    rows: &Unfinished,
) -> Result<BTreeMap<ContentHash, u64>, EngineError> {
    let hashes: Vec<ContentHash> = rows
        .iter()
        .filter_map(|(row, _)| row.after)
        .map(|version| version.hash)
        .collect();
    let sizes = shared
        .store
        .read(move |reader| {
            let size = |hash: ContentHash| Ok((hash, reader.content_size(&hash)?.unwrap_or(0)));
            hashes.into_iter().map(size).collect()
        })
        .await?;
    Ok(sizes)
}

/// Names rescued bytes in the run that they were found in, so that they are shown and kept as long as its history.
fn rescued_row(row: &JournalRow, hash: ContentHash) -> JournalRow {
    tracing::warn!(path = %row.path, content = %hash, "kept bytes that were found beside a half-done operation");
    JournalRow {
        before: Some(Version {
            hash,
            executable: false,
        }),
        after: None,
        base_before: None,
        base_after: None,
        temporary: None,
        state: JournalState::Failed,
        reason: Some(format!(
            "bytes that nobody had a copy of were found beside it and kept as {hash}"
        )),
        ..row.clone()
    }
}

/// Replaces what a power cut made of files (copies are kept) by what was to be there, and returns what is there now.
async fn repair(
    shared: &Shared,
    side: &dyn Side,
    operations: Vec<Operation>,
) -> Result<Vec<Option<Item>>, EngineError> {
    if operations.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<ItemKey> = operations
        .iter()
        .map(|damaged| damaged.key.clone())
        .collect();
    let outcomes = side
        .apply(operations, shared.contents(), Progress::default())
        .await;
    let mut items = Vec::with_capacity(keys.len());
    for (key, outcome) in keys.iter().zip(outcomes) {
        items.push(match outcome {
            Outcome::Done(item) | Outcome::Placed(item) => item,
            Outcome::Failed(error) => return Err(error.into()),
            Outcome::Changed => {
                let key = key.to_string();
                return Err(SideError::Changed { key }.into());
            }
        });
        tracing::warn!(path = %key, "wrote again what the machine's end had damaged; a copy is kept");
    }
    Ok(items)
}

/// Returns what an operation makes of its path.
fn made(operation: &Operation) -> Option<Item> {
    match operation.change {
        Change::Write { version, size } => Some(Item {
            hash: version.hash,
            size,
            executable: version.executable,
            identity: None,
        }),
        Change::Delete | Change::Rename { .. } => None,
    }
}

fn operation(row: &JournalRow, sizes: &BTreeMap<ContentHash, u64>) -> Operation {
    let change = match row.after {
        Some(version) => {
            let size = sizes.get(&version.hash).copied().unwrap_or(0);
            Change::Write { version, size }
        }
        None => Change::Delete,
    };
    Operation {
        key: row.path.clone(),
        change,
        expected: row.before,
        temporary: row
            .temporary
            .clone()
            .unwrap_or_else(|| Operation::temporary_name(RunId(row.run.0), 0)),
    }
}

fn states(rows: &Unfinished, settled: &[End]) -> Vec<(i64, JournalState, Option<String>)> {
    rows.iter()
        .zip(settled)
        .map(|((row, _), end)| match end {
            End::Done(_) => (row.id, JournalState::Durable, None),
            End::NotDone => (
                row.id,
                JournalState::Failed,
                Some("homingd was ended before this was done".to_owned()),
            ),
        })
        .collect()
}
