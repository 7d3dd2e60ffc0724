//! The plan of a push: what the origin takes from the head.

use std::collections::{BTreeMap, BTreeSet};

use homing_core::{
    Decision, Direction, ItemKey, Manifest, Ordered, PlanInput, Side, SourceId, Step, Version,
    order, plan,
};
use homing_store::HeadRow;

use crate::filter::Filter;
use crate::pipeline::plan::pull::head_manifest;
use crate::report::{ItemAction, ItemReport};

/// Both sides as they are after the pull.
pub(crate) struct PushInput<'a> {
    pub(crate) source: &'a SourceId,
    pub(crate) rows: &'a BTreeMap<ItemKey, HeadRow>,
    pub(crate) listing: &'a Manifest,
    /// Keys that an undo holds: they are not pushed.
    pub(crate) held: &'a BTreeSet<ItemKey>,
    pub(crate) filter: &'a Filter,
    /// The far side, asked only which keys its selection covers.
    pub(crate) origin: &'a dyn Side,
}

/// What the origin gets.
#[derive(Debug, Default)]
pub(crate) struct PushPlan {
    /// Operations in a safe order.
    pub(crate) steps: Vec<Step>,
    /// What cannot be pushed, and why.
    pub(crate) items: Vec<ItemReport>,
    /// Keys on which both already agree, with what: only the base moves.
    pub(crate) converged: Vec<(ItemKey, Option<Version>)>,
}

/// Decides every key that the head changed. Pure.
pub(crate) fn decide(input: &PushInput<'_>) -> PushPlan {
    let base: BTreeMap<ItemKey, Version> = input
        .rows
        .values()
        .filter_map(|row| Some((row.key.clone(), row.base?)))
        .collect();
    let near = head_manifest(input.rows);
    let decisions = plan(PlanInput {
        base: &base,
        near: &near,
        far: input.listing,
        direction: Direction::Push,
    });
    let mut push = PushPlan::default();
    let mut steps = Vec::new();
    for (key, planned) in decisions {
        let covered = input.filter.covers(&key) && input.origin.covers(&key);
        if !covered || input.held.contains(&key) {
            continue;
        }
        let after = match planned.decision {
            Decision::Create(version) | Decision::Update(version) => Some(version),
            Decision::Delete => None,
            Decision::Converged(version) => {
                push.converged.push((key, version));
                continue;
            }
            Decision::Diverged(_) => {
                let reason =
                    "the origin changed it too: run `homing sync` to merge both".to_owned();
                push.items
                    .push(failed(input.source, key, planned.far, reason));
                continue;
            }
            Decision::Blocked(reason) => {
                push.items.push(failed(
                    input.source,
                    key,
                    planned.far,
                    format!("at the origin, {reason}"),
                ));
                continue;
            }
            Decision::Unchanged | Decision::Modified | Decision::Unknown(_) => continue,
        };
        steps.push(Step {
            key,
            renamed_from: None,
            before: planned.far,
            after,
        });
    }
    let Ordered { steps, blocked } = order(steps, input.listing, input.listing.capabilities);
    push.steps = steps;
    for (step, obstacle) in blocked {
        let reason = format!("at the origin, `{obstacle}` stands in its way");
        push.items
            .push(failed(input.source, step.key, step.before, reason));
    }
    push
}

fn failed(source: &SourceId, path: ItemKey, before: Option<Version>, reason: String) -> ItemReport {
    ItemReport {
        source: source.clone(),
        target: None,
        key: path.clone(),
        path,
        action: ItemAction::Failed,
        before,
        after: None,
        reason: Some(reason),
    }
}
