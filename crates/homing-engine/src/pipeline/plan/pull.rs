//! The plan of a pull: what the head takes from the origin.

use std::collections::BTreeMap;
use std::ops::Bound;

use homing_core::{
    ConflictKind, Contents, Decision, Direction, FetchRequest, Item, ItemKey, Manifest, PlanInput,
    PlannedItem, Policy, Problem, ProblemKind, Side, SideError, SourceId, Step, UnknownReason,
    Version, plan,
};
use homing_store::{ConflictRow, HeadRow, Hop};

use crate::error;
use crate::merging::{Settled, Versions, settle};
use crate::missing::{Missing, Unfetched};
use crate::report::{ItemAction, ItemReport};
use crate::runs;

/// Both sides as the survey found them.
pub(crate) struct PullInput<'a> {
    pub(crate) source: &'a SourceId,
    pub(crate) rows: &'a BTreeMap<ItemKey, HeadRow>,
    pub(crate) listing: &'a Manifest,
    pub(crate) policy: Policy,
    /// The far side, asked only which keys its selection covers.
    pub(crate) origin: &'a dyn Side,
    /// Which keys the run is about.
    pub(crate) filter: &'a crate::filter::Filter,
    /// What the origin did not give so far.
    pub(crate) unfetched: &'a Unfetched,
}

/// What is to be done, before contents are at hand.
#[derive(Debug)]
pub(crate) struct PullDecisions {
    decisions: BTreeMap<ItemKey, PlannedItem>,
    /// Contents that the plan needs from the origin.
    pub(crate) fetches: Vec<FetchRequest>,
    /// Deletions and changes of the head, for the guard.
    pub(crate) steps: Vec<Step>,
}

impl PullDecisions {
    /// Returns the keys that both sides changed.
    pub(crate) fn diverged(&self) -> impl Iterator<Item = &ItemKey> {
        let diverged = |planned: &PlannedItem| matches!(planned.decision, Decision::Diverged(_));
        self.decisions
            .iter()
            .filter(move |(_, planned)| diverged(planned))
            .map(|(key, _)| key)
    }
}

/// What is to be recorded.
#[derive(Debug, Default)]
pub(crate) struct PullPlan {
    pub(crate) puts: Vec<HeadRow>,
    pub(crate) deletes: Vec<ItemKey>,
    pub(crate) conflicts: Vec<ConflictRow>,
    pub(crate) items: Vec<ItemReport>,
    pub(crate) problems: Vec<Problem>,
    /// Keys that the head changed and the origin did not.
    pub(crate) modified: Vec<ItemKey>,
    /// What the origin has and did not give: files, and directories of which it tells nothing.
    pub(crate) unfetched: Unfetched,
}

/// Decides every key. Pure.
pub(crate) fn decide(input: &PullInput<'_>) -> PullDecisions {
    let base: BTreeMap<ItemKey, Version> = input
        .rows
        .values()
        .filter_map(|row| Some((row.key.clone(), row.base?)))
        .collect();
    let near = head_manifest(input.rows);
    let mut decisions = plan(PlanInput {
        base: &base,
        near: &near,
        far: input.listing,
        direction: Direction::Pull,
    });
    decisions.retain(|key, _| input.filter.covers(key));
    let mut fetches = Vec::new();
    let mut steps = Vec::new();
    for (key, item) in &decisions {
        let fetch = match item.decision {
            Decision::Create(_) | Decision::Update(_) | Decision::Diverged(_) => {
                input.listing.items.get(key)
            }
            _ => None,
        };
        if let Some(far) = fetch {
            fetches.push(FetchRequest::new(key, far));
        }
        let after = match item.decision {
            Decision::Create(version) | Decision::Update(version) => Some(version),
            // What the selection does not cover any more was not deleted by anyone.
            Decision::Delete if !input.origin.covers(key) => continue,
            Decision::Delete => None,
            _ => continue,
        };
        steps.push(Step {
            key: key.clone(),
            renamed_from: None,
            before: item.near,
            after,
        });
    }
    PullDecisions {
        decisions,
        fetches,
        steps,
    }
}

/// Turns decisions into rows, once the contents are in the store (but for those in `failed`). Blocks.
pub(crate) fn resolve(
    input: &PullInput<'_>,
    decisions: &PullDecisions,
    failed: &BTreeMap<ItemKey, SideError>,
    contents: &dyn Contents,
) -> Result<PullPlan, SideError> {
    let most = decisions.decisions.len();
    let mut pull = PullPlan {
        puts: Vec::with_capacity(most),
        items: Vec::with_capacity(most),
        unfetched: unfetched(input),
        ..PullPlan::default()
    };
    for (key, planned) in &decisions.decisions {
        if let Some(error) = failed.get(key) {
            let reason = error::reason(error);
            let missing = Missing::not_fetched(reason.clone());
            pull.unfetched.insert(key.clone(), missing);
            pull.items.push(report(
                input,
                key,
                planned,
                ItemAction::Failed,
                None,
                Some(reason),
            ));
            continue;
        }
        let far = input.listing.items.get(key);
        match &planned.decision {
            Decision::Unchanged => {}
            Decision::Converged(None) => pull.deletes.push(key.clone()),
            Decision::Converged(Some(version)) => pull.puts.push(agreed(key, *version, far)),
            Decision::Create(version) => {
                pull.puts.push(agreed(key, *version, far));
                pull.items.push(report(
                    input,
                    key,
                    planned,
                    ItemAction::Created,
                    Some(*version),
                    None,
                ));
            }
            Decision::Update(version) => {
                pull.puts.push(agreed(key, *version, far));
                pull.items.push(report(
                    input,
                    key,
                    planned,
                    ItemAction::Updated,
                    Some(*version),
                    None,
                ));
            }
            Decision::Delete => {
                pull.deletes.push(key.clone());
                pull.items
                    .push(report(input, key, planned, ItemAction::Removed, None, None));
            }
            Decision::Modified => pull.modified.push(key.clone()),
            Decision::Diverged(ConflictKind::Delete)
                if far.is_none() && !input.origin.covers(key) =>
            {
                pull.modified.push(key.clone());
                pull.problems.push(Problem {
                    kind: ProblemKind::Shadowed,
                    path: key.to_string(),
                    message: "its edit was never pushed, and the source's selection does not cover it any more".into(),
                });
            }
            Decision::Diverged(kind) => diverged(input, key, planned, *kind, contents, &mut pull)?,
            Decision::Blocked(reason) | Decision::Unknown(reason) => {
                // What nobody ever had is only reported, with the listing; a known item is now without news.
                if input.rows.contains_key(key) {
                    pull.items.push(report(
                        input,
                        key,
                        planned,
                        ItemAction::Failed,
                        None,
                        Some(format!("`{key}` is left as it is: {reason}")),
                    ));
                }
            }
        }
    }
    not_fetched(input, &mut pull);
    refresh_identities(input, decisions, &mut pull);
    Ok(pull)
}

/// Returns what the origin does not give now, and what it did not give before and this run is not about.
fn unfetched(input: &PullInput<'_>) -> Unfetched {
    let unknown = input.listing.unknown.iter();
    let now = unknown.filter_map(|(path, reason)| {
        let missing = Missing::of(reason, || was_item(input.rows, path))?;
        Some((ItemKey::new(path).ok()?, missing))
    });
    let before = input.unfetched.iter();
    // The selection may be another since.
    let is_others = |key: &ItemKey| !input.filter.covers(key) && input.origin.covers(key);
    let others = before.filter(|(key, _)| is_others(key));
    let others = others.map(|(key, missing)| (key.clone(), missing.clone()));
    others.chain(now).collect()
}

/// Tells whether the origin had a file under this path or below it.
fn was_item(rows: &BTreeMap<ItemKey, HeadRow>, path: &str) -> bool {
    let is_one = |row: &HeadRow| row.base.is_some();
    let below = format!("{path}/");
    let under = rows.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded));
    let mut under = under.take_while(|(key, _)| key.as_str().starts_with(&below));
    rows.get(path).is_some_and(is_one) || under.any(|(_, row)| is_one(row))
}

/// Reports what the origin has and did not give, where Homing never had it: of that no decision tells.
fn not_fetched(input: &PullInput<'_>, pull: &mut PullPlan) {
    for (path, reason) in &input.listing.unknown {
        let (UnknownReason::NotFetched(reason), Ok(key)) = (reason, ItemKey::new(path)) else {
            continue;
        };
        if !input.rows.contains_key(&key) && input.filter.covers(&key) {
            pull.items.push(ItemReport {
                source: input.source.clone(),
                target: None,
                path: key.clone(),
                key,
                action: ItemAction::Failed,
                before: None,
                after: None,
                reason: Some(reason.clone()),
            });
        }
    }
}

fn diverged(
    input: &PullInput<'_>,
    key: &ItemKey,
    planned: &PlannedItem,
    kind: ConflictKind,
    contents: &dyn Contents,
    pull: &mut PullPlan,
) -> Result<(), SideError> {
    let versions = Versions {
        base: planned.base,
        near: planned.near,
        far: planned.far,
    };
    let far = input.listing.items.get(key);
    match settle(contents, versions, input.policy)? {
        Settled::As(None) if far.is_none() => {
            pull.deletes.push(key.clone());
            pull.items
                .push(report(input, key, planned, ItemAction::Removed, None, None));
        }
        Settled::As(merged) => {
            pull.puts.push(HeadRow {
                key: key.clone(),
                head: merged.map(|(version, _)| version),
                base: planned.far,
                size: merged.map_or_else(|| far.map_or(0, |item| item.size), |(_, size)| size),
                identity: far.and_then(|item| item.identity.clone()),
                facts: None,
            });
            let after = merged.map(|(version, _)| version);
            pull.items
                .push(report(input, key, planned, ItemAction::Merged, after, None));
        }
        Settled::Conflict => {
            pull.conflicts.push(ConflictRow {
                id: 0,
                hop: Hop::Pull,
                source: input.source.clone(),
                target: None,
                key: key.clone(),
                kind,
                base: planned.base,
                near: planned.near,
                far: planned.far,
                detail: None,
                since: runs::now(),
            });
            let reason = conflict_reason(kind).to_owned();
            pull.items.push(report(
                input,
                key,
                planned,
                ItemAction::Conflict,
                planned.near,
                Some(reason),
            ));
        }
    }
    Ok(())
}

/// Says what a conflict is about, in a sentence without a full stop.
pub(crate) fn conflict_reason(kind: ConflictKind) -> &'static str {
    match kind {
        ConflictKind::Content => "both sides changed it in the same places",
        ConflictKind::Delete => "one side deleted it and the other changed it",
        ConflictKind::Added => "both sides have it, with other contents, and never agreed on it",
        ConflictKind::Structure => "something that is no regular file stands in its place",
        ConflictKind::Provenance => {
            "it comes from another source now, and the file here was edited"
        }
    }
}

/// Returns the head as the near side of a plan.
pub(crate) fn head_manifest(rows: &BTreeMap<ItemKey, HeadRow>) -> Manifest {
    let item = |row: &HeadRow| {
        let version = row.head?;
        Some(Item {
            hash: version.hash,
            size: row.size,
            executable: version.executable,
            identity: None,
        })
    };
    Manifest {
        items: rows
            .values()
            .filter_map(|row| Some((row.key.clone(), item(row)?)))
            .collect(),
        ..Manifest::default()
    }
}

/// Returns the row of a key on which head and origin agree.
fn agreed(key: &ItemKey, version: Version, far: Option<&Item>) -> HeadRow {
    HeadRow {
        key: key.clone(),
        head: Some(version),
        base: Some(version),
        size: far.map_or(0, |item| item.size),
        identity: far.and_then(|item| item.identity.clone()),
        facts: None,
    }
}

/// An unchanged item may have got another identity (touched, or no longer too young to be trusted).
fn refresh_identities(input: &PullInput<'_>, decisions: &PullDecisions, pull: &mut PullPlan) {
    for (key, item) in &input.listing.items {
        let Some(row) = input.rows.get(key) else {
            continue;
        };
        if item.identity.is_some()
            && item.identity != row.identity
            && row.base == Some(item.version())
            && decisions
                .decisions
                .get(key)
                .is_none_or(|planned| planned.decision == Decision::Modified)
        {
            pull.puts.push(HeadRow {
                identity: item.identity.clone(),
                ..row.clone()
            });
        }
    }
}

fn report(
    input: &PullInput<'_>,
    key: &ItemKey,
    planned: &PlannedItem,
    action: ItemAction,
    after: Option<Version>,
    reason: Option<String>,
) -> ItemReport {
    ItemReport {
        source: input.source.clone(),
        target: None,
        key: key.clone(),
        path: key.clone(),
        action,
        before: planned.near,
        after,
        reason,
    }
}
