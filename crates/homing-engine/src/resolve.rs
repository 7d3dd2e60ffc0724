//! Resolve: a person decides a conflict.

use std::sync::Arc;

use homing_core::{ConflictKind, Item, Policy, Step, TargetId, Version};
use homing_store::{ConflictRow, HeadRow, Hop, JournalRow, JournalState, LedgerRow};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::hooks;
use crate::merging::{Settled, Versions, settle};
use crate::pipeline::plan::publish::PathChange;
use crate::pipeline::publish::{Assignment, Rows};
use crate::render;
use crate::report::{Resolution, RunReport, RunRequest, Trigger, Verb};
use crate::runs::{self, Run};
use crate::shared::Shared;
use crate::target::Published;
use crate::target_turn::TargetTurn;

impl Engine {
    /// Decides an open conflict. `ours` is the local side: the file in the target, or the head.
    ///
    /// [`EngineError::Rejected`] when the file has changed since the conflict was seen, or nothing can be chosen.
    pub async fn resolve(&self, conflict: i64, with: Resolution) -> Result<RunReport, EngineError> {
        self.admit()?;
        let row = self
            .shared
            .store
            .read(move |reader| reader.conflict(conflict))
            .await?;
        let row = row.ok_or(EngineError::UnknownConflict(conflict))?;
        if row.kind == ConflictKind::Structure {
            return Err(EngineError::Rejected {
                message: format!(
                    "`{}` cannot be chosen: {}",
                    row.key,
                    row.detail
                        .as_deref()
                        .unwrap_or("something stands in its way")
                ),
                hint: "move what stands in the way, then sync again".to_owned(),
            });
        }
        let shared = Arc::clone(&self.shared);
        let run = shared.runs.create(
            Some(row.source.clone()),
            row.target.clone(),
            Verb::Resolve,
            Trigger::Manual,
        );
        let task = Arc::clone(&run);
        let source = row.source.clone();
        let hop = row.hop;
        self.go_alone(Arc::clone(&run), async move {
            match &row.target {
                Some(target) => {
                    let mut published = in_target(&shared, target, &row, with, &task).await?;
                    let told = hooks::run(&shared, target, &task).await;
                    published.problems.extend(told);
                    Ok(published)
                }
                None => in_head(&shared, &row, with, &task).await,
            }
        });
        let report = self.wait(run.id).await?;
        // A decision about the head shows in the targets only when they are published again.
        if hop == Hop::Pull && report.error.is_none() {
            let follow_up = self.submit(&source, RunRequest::new(Verb::Sync, Trigger::Manual))?;
            self.wait(follow_up).await?;
        }
        Ok(report)
    }
}

/// Decides a conflict between a file in a target and the catalog.
async fn in_target(
    shared: &Shared,
    id: &TargetId,
    row: &ConflictRow,
    with: Resolution,
    run: &Arc<Run>,
) -> Result<Published, EngineError> {
    let mut turn = TargetTurn::take(shared, id, run).await?;
    let near = turn.survey([row.key.clone()].into(), false).await?;
    let found = near.items.get(&row.key);
    if found.map(Item::version) != row.near || near.unknown_reason(&row.key).is_some() {
        return Err(EngineError::Rejected {
            message: format!("`{}` has changed since the conflict was seen", row.key),
            hint: "sync again, then look at `homing conflicts`".to_owned(),
        });
    }
    let heads = std::mem::take(&mut turn.state.heads);
    let contents = shared.contents();
    let target = (id, turn.spec);
    let catalog = render::catalog(shared, target, heads, &turn.state.ledger, contents).await?;
    shared.flush_contents().await?;
    let entry = catalog.entries.get(&row.key);
    if entry.map(|entry| entry.version) != row.far {
        return Err(EngineError::Rejected {
            message: format!(
                "upstream has changed `{}` since the conflict was seen",
                row.key
            ),
            hint: "sync again, then look at `homing conflicts`".to_owned(),
        });
    }
    let state = &turn.state;
    let known = state.ledger.get(&row.key);
    let key = entry
        .map(|entry| &entry.key)
        .or(known.map(|known| &known.key))
        .unwrap_or(&row.key)
        .clone();
    let chosen = choose(shared, row, with).await?;
    let mut rows = Rows::default();
    let remaining = state
        .conflicts
        .iter()
        .filter(|open| open.id != row.id && open.hop == Hop::Publish);
    rows.conflicts = Some(remaining.cloned().collect());
    rows.stored_conflicts.clone_from(&state.conflicts);
    let mut assignments = Vec::new();
    let stays = chosen.map(|(version, _)| version) == row.near;
    match (stays, row.far) {
        // The file is the user's own now.
        (true, None) => rows.drops.push(row.key.clone()),
        (true, Some(far)) => rows.puts.push(LedgerRow {
            source: row.source.clone(),
            key,
            path: row.key.clone(),
            base: Some(far),
            written: row.near,
            size: found.map_or(0, |item| item.size),
            identity: found.and_then(|item| item.identity.clone()),
            adopted: known.is_none_or(|known| known.adopted),
            tombstone: false,
        }),
        (false, _) => {
            let after = chosen.map(|(version, _)| version);
            let change = PathChange {
                source: row.source.clone(),
                key,
                path: row.key.clone(),
                before: row.near,
                after,
                size: chosen.map_or(0, |(_, size)| size),
                base_before: known.and_then(|known| known.base),
                base_after: row.far,
                adopted: false,
            };
            let step = Step {
                key: row.key.clone(),
                renamed_from: None,
                before: row.near,
                after,
            };
            assignments.push(Assignment {
                run: Arc::clone(run),
                step,
                change,
            });
        }
    }
    let carried = turn.carry_out(assignments, rows).await?;
    if let Some(change) = carried.changed.first() {
        return Err(EngineError::Rejected {
            message: format!("`{}` changed while it was resolved", change.path),
            hint: "sync again, then look at `homing conflicts`".to_owned(),
        });
    }
    if let Some(error) = carried.failure {
        run.fail(&error);
    }
    Ok(Published {
        carried: carried.items,
        ..Published::default()
    })
}

/// Decides a conflict between the head and the origin: the base moves to what the origin has.
///
/// What the head held before is named by the journal, and so kept as long as history.
async fn in_head(
    shared: &Shared,
    row: &ConflictRow,
    with: Resolution,
    run: &Run,
) -> Result<Published, EngineError> {
    let (_, actor) = shared.source(&row.source)?;
    let _turn = actor.take_turn().await;
    let (source, key) = (row.source.clone(), row.key.clone());
    let known = shared
        .store
        .read(move |reader| reader.head_row(&source, &key))
        .await?;
    if known.as_ref().and_then(|known| known.head) != row.near {
        return Err(EngineError::Rejected {
            message: format!("`{}` has changed since the conflict was seen", row.key),
            hint: "sync again, then look at `homing conflicts`".to_owned(),
        });
    }
    let chosen = choose(shared, row, with).await?;
    let head = HeadRow {
        key: row.key.clone(),
        head: chosen.map(|(version, _)| version),
        base: row.far,
        size: chosen.map_or(0, |(_, size)| size),
        identity: None,
        facts: None,
    };
    let journal = JournalRow {
        id: 0,
        run: run.id,
        hop: Hop::Pull,
        source: row.source.clone(),
        target: None,
        key: row.key.clone(),
        path: row.key.clone(),
        before: row.near,
        after: head.head,
        base_before: row.base,
        base_after: row.far,
        temporary: None,
        state: JournalState::Durable,
        reason: None,
    };
    let carried = vec![crate::history::item(&journal)];
    let begun = runs::row(&run.report(), None, &shared.boot_id);
    let row = row.clone();
    shared
        .store
        .write(move |writer| {
            writer.begin_run(&begun)?;
            writer.put_journal(&[journal])?;
            if head.head.is_none() && head.base.is_none() {
                writer.delete_head(&row.source, std::slice::from_ref(&row.key))?;
            } else {
                writer.put_head(&row.source, &[head])?;
            }
            let scope = homing_store::ConflictScope {
                hop: Hop::Pull,
                source: Some(row.source.clone()),
                target: None,
            };
            let open = writer.conflicts(Some(&row.source), None)?;
            let remaining = open
                .into_iter()
                .filter(|open| open.id != row.id && open.hop == Hop::Pull)
                .collect();
            writer.replace_conflicts(scope, remaining)
        })
        .await?;
    Ok(Published {
        carried,
        ..Published::default()
    })
}

/// Returns what the person chose, with its bytes in the store; `None`: nothing is to be there.
async fn choose(
    shared: &Shared,
    row: &ConflictRow,
    with: Resolution,
) -> Result<Option<(Version, u64)>, EngineError> {
    let policy = match &with {
        Resolution::Ours => return sized(shared, row.near).await,
        Resolution::Theirs => return sized(shared, row.far).await,
        Resolution::Union => Policy::Union,
        Resolution::Content(bytes) => {
            let contents = shared.contents();
            let executable = row
                .near
                .or(row.far)
                .is_some_and(|version| version.executable);
            let (hash, size) = tokio::task::block_in_place(|| {
                contents.keep(&mut bytes.as_slice(), bytes.len() as u64)
            })?;
            shared.flush_contents().await?;
            return Ok(Some((Version { hash, executable }, size)));
        }
    };
    let versions = Versions {
        base: row.base,
        near: row.near,
        far: row.far,
    };
    let contents = shared.contents();
    let settled = tokio::task::block_in_place(|| settle(contents.as_ref(), versions, policy))?;
    shared.flush_contents().await?;
    match settled {
        Settled::As(merged) => Ok(merged),
        Settled::Conflict => Err(EngineError::Rejected {
            message: format!(
                "`{}` cannot keep the lines of both: one side deleted it, or it is no text",
                row.key
            ),
            hint: "choose `--ours`, `--theirs` or `--file F`".to_owned(),
        }),
    }
}

async fn sized(
    shared: &Shared,
    version: Option<Version>,
) -> Result<Option<(Version, u64)>, EngineError> {
    let Some(version) = version else {
        return Ok(None);
    };
    let size = shared
        .store
        .read(move |reader| reader.content_size(&version.hash))
        .await?;
    Ok(Some((version, size.unwrap_or(0))))
}
