//! The second half of a publish's plan: divergences are settled, operations are put in order.

use std::collections::BTreeMap;

use homing_core::{ConflictKind, Contents, ItemKey, Ordered, SideError, SourceId, Step, order};
use homing_store::{ConflictRow, Hop, LedgerRow};

use super::{Divergence, PathChange, PublishDecisions, PublishInput, PublishPlan, item, structure};
use crate::error;
use crate::merging::{Settled, Versions, settle};
use crate::pipeline::plan::pull::conflict_reason;
use crate::report::ItemAction;
use crate::runs;

/// Settles the divergences, once the edited files are in the store (but for those in `failed`), and orders all
/// operations. Blocks.
pub(crate) fn resolve(
    input: &PublishInput<'_>,
    decisions: PublishDecisions,
    failed: &BTreeMap<ItemKey, SideError>,
    contents: &dyn Contents,
) -> Result<PublishPlan, SideError> {
    let PublishDecisions {
        mut changes,
        divergences,
        plan: mut publish,
        ..
    } = decisions;
    for (path, divergence) in divergences {
        if let Some(failure) = failed.get(&path) {
            let owner = divergence.owner();
            let reason = Some(error::reason(failure));
            let near = Some(divergence.near.version());
            publish.items.push(item(
                input.target,
                owner,
                &path,
                ItemAction::Failed,
                near,
                None,
                reason,
            ));
            continue;
        }
        settle_divergence(
            input,
            &path,
            &divergence,
            contents,
            &mut changes,
            &mut publish,
        )?;
    }
    let steps = changes
        .iter()
        .map(|change| Step {
            key: change.path.clone(),
            renamed_from: None,
            before: change.before,
            after: change.after,
        })
        .collect();
    let Ordered { steps, blocked } = order(steps, input.near, input.near.capabilities);
    let mut by_path: BTreeMap<ItemKey, PathChange> = changes
        .into_iter()
        .map(|change| (change.path.clone(), change))
        .collect();
    for (step, obstacle) in blocked {
        if let Some(change) = by_path.remove(&step.key) {
            let detail = format!("`{obstacle}` stands in its way");
            publish.conflicts.push(structure(
                input.target,
                &change.source,
                &change.path,
                &detail,
            ));
            let reason = Some(detail);
            let report = item(
                input.target,
                (change.source, change.key),
                &change.path,
                ItemAction::Conflict,
                change.before,
                None,
                reason,
            );
            publish.items.push(report);
        }
    }
    for step in steps {
        let Some(from) = &step.renamed_from else {
            if let Some(change) = by_path.remove(&step.key) {
                publish.changes.push((step, change));
            }
            continue;
        };
        // The row of the old name goes with the rename. A change of content as well is a step of its own that follows.
        let old = by_path.remove(from);
        let change = if by_path
            .get(&step.key)
            .is_some_and(|change| change.after == step.after)
        {
            by_path.remove(&step.key)
        } else {
            by_path.get(&step.key).map(|change| PathChange {
                before: step.before,
                after: step.after,
                base_after: old.as_ref().and_then(|old| old.base_before),
                ..change.clone()
            })
        };
        if let Some(change) = change {
            publish.changes.push((step, change));
        }
    }
    Ok(publish)
}

impl Divergence {
    fn owner(&self) -> (SourceId, ItemKey) {
        let entry = self
            .entry
            .as_ref()
            .map(|entry| (entry.source.clone(), entry.key.clone()));
        let row = || {
            self.row
                .as_ref()
                .map(|row| (row.source.clone(), row.key.clone()))
        };
        entry
            .or_else(row)
            .expect("every divergence has a row or an entry")
    }
}

fn settle_divergence(
    input: &PublishInput<'_>,
    path: &ItemKey,
    divergence: &Divergence,
    contents: &dyn Contents,
    changes: &mut Vec<PathChange>,
    publish: &mut PublishPlan,
) -> Result<(), SideError> {
    let (source, key) = divergence.owner();
    let policy = input.policies.get(&source).copied().unwrap_or_default();
    let near = divergence.near.version();
    let far = divergence.entry.as_ref().map(|entry| entry.version);
    let base = divergence.row.as_ref().and_then(|row| row.base);
    let settled = match divergence.kind {
        // A user's own file, or an edit of another source's file, is never replaced without him.
        ConflictKind::Added | ConflictKind::Provenance | ConflictKind::Structure => {
            Settled::Conflict
        }
        ConflictKind::Content | ConflictKind::Delete => settle(
            contents,
            Versions {
                base,
                near: Some(near),
                far,
            },
            policy,
        )?,
    };
    match settled {
        Settled::Conflict => {
            publish.conflicts.push(ConflictRow {
                id: 0,
                hop: Hop::Publish,
                source: source.clone(),
                target: Some(input.target.clone()),
                key: path.clone(),
                kind: divergence.kind,
                base,
                near: Some(near),
                far,
                detail: None,
                since: runs::now(),
            });
            let reason = Some(conflict_reason(divergence.kind).to_owned());
            let report = item(
                input.target,
                (source, key),
                path,
                ItemAction::Conflict,
                Some(near),
                Some(near),
                reason,
            );
            publish.items.push(report);
        }
        // The user's version stays, and nobody offers another: it is his own now.
        Settled::As(Some((version, _))) if far.is_none() && version == near => {
            publish.drops.push(path.clone());
        }
        Settled::As(merged) => {
            let after = merged.map(|(version, _)| version);
            let size = merged.map_or(0, |(_, size)| size);
            let adopted = divergence.row.as_ref().is_some_and(|row| row.adopted);
            if after == Some(near) {
                // The edit holds all that upstream changed: only the base moves.
                publish.puts.push(LedgerRow {
                    source: source.clone(),
                    key,
                    path: path.clone(),
                    base: far,
                    written: after,
                    size,
                    identity: divergence.near.identity.clone(),
                    adopted,
                    tombstone: false,
                });
                publish.modified.push((source, path.clone()));
            } else {
                changes.push(PathChange {
                    source,
                    key,
                    path: path.clone(),
                    before: Some(near),
                    after,
                    size,
                    base_before: base,
                    base_after: far,
                    adopted,
                });
            }
        }
    }
    Ok(())
}
