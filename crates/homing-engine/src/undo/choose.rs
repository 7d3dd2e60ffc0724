//! Which run an undo takes back when none is named.

use std::collections::{BTreeMap, BTreeSet};

use homing_core::{Item, ItemKey, RunId, TargetId};
use homing_store::{Hop, JournalRow, JournalState};

use super::net_changes;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::pipeline::survey;
use crate::report::Verb;
use crate::runs::Run;
use crate::shared::Shared;
use crate::target::read_state;

/// So many runs are looked at.
const CANDIDATES: usize = 50;

/// Returns the newest run of which something can be put back.
///
/// The end of one that is under way is waited for: an older one is not what a person means.
pub(super) async fn last_that_can_be_undone(engine: &Engine) -> Result<RunId, EngineError> {
    let shared = &engine.shared;
    let candidates = shared
        .store
        .read(|reader| reader.undoable_runs(CANDIDATES))
        .await?;
    for candidate in &candidates {
        if shared.runs.get(*candidate).is_some() {
            engine.wait(*candidate).await?;
        }
        if can_be_undone(shared, *candidate).await? {
            return Ok(*candidate);
        }
    }
    Err(match candidates.first() {
        Some(last) => EngineError::NothingLeftToUndo(*last),
        None => EngineError::NothingToUndo,
    })
}

/// Tells whether at least one file is as the run left it, and what was there before is kept.
async fn can_be_undone(shared: &Shared, run: RunId) -> Result<bool, EngineError> {
    let journal = shared.store.read(move |reader| reader.journal(run)).await?;
    let captured: BTreeSet<ItemKey> = journal
        .iter()
        .filter(|row| row.hop == Hop::Capture)
        .map(|row| row.key.clone())
        .collect();
    let mut by_target: BTreeMap<TargetId, Vec<JournalRow>> = BTreeMap::new();
    for row in journal {
        let is_done = matches!(row.state, JournalState::Durable | JournalState::Placed);
        if let (Hop::Publish, true, Some(target)) = (row.hop, is_done, row.target.clone()) {
            by_target.entry(target).or_default().push(row);
        }
    }
    for (target, rows) in by_target {
        if shared.target(&target).is_err() {
            continue;
        }
        let mut changes = net_changes(rows);
        changes.retain(|_, row| row.before != row.after && !captured.contains(&row.key));
        if !changes.is_empty() && is_as_it_was_left(shared, &target, &changes).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn is_as_it_was_left(
    shared: &Shared,
    id: &TargetId,
    changes: &BTreeMap<ItemKey, JournalRow>,
) -> Result<bool, EngineError> {
    let (spec, _) = shared.target(id)?;
    let state = read_state(shared, id).await?;
    let rules = survey::RootRules {
        boot_id: &shared.boot_id,
        accept: false,
        read_all: false,
    };
    let near = survey::target(
        &Run::unseen(Verb::Undo, Vec::new()),
        &shared.specs.settings,
        spec,
        state.root.as_ref(),
        &state.ledger,
        changes.keys().cloned().collect(),
        rules,
    )
    .await;
    // What keeps the target from being read is for the undo to tell.
    let Ok(near) = near else { return Ok(true) };
    let mut hashes = Vec::new();
    for row in changes.values() {
        let found = near.items.get(&row.path).map(Item::version);
        if near.unknown_reason(&row.path).is_none() && found == row.after {
            let Some(before) = row.before else {
                return Ok(true);
            };
            hashes.push(before.hash);
        }
    }
    let wanted = hashes.len();
    let missing = shared
        .store
        .read(move |reader| reader.missing_contents(&hashes))
        .await?;
    Ok(missing.len() < wanted)
}
