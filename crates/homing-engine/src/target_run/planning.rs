//! The first half of a publish: the target is surveyed, its plan is made, and the guard looks at it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use homing_core::{Item, ItemKey, Manifest, ProblemKind, SourceId, Step};
use homing_store::{LedgerRow, StoredRoot};

use super::TargetRun;
use crate::catalog::{Flagged, Outcome};
use crate::elsewhere::path_key;
use crate::error::EngineError;
use crate::pipeline::plan::publish::{self as plan, PathChange, PublishInput};
use crate::pipeline::plan::{Consent, guard};
use crate::pipeline::publish::Rows;
use crate::pipeline::{heal, survey, transfer};
use crate::render;
use crate::target::{TargetState, Withheld, policies, read_state};

/// So many items that are kept back are told in a status.
const STOPPED_TOLD: usize = 10;

/// What is to be carried out.
pub(super) struct Planned {
    /// Files that change, in a safe order, with the step of each.
    pub(super) changes: Vec<(Step, PathChange)>,
    /// Rows that change without their file.
    pub(super) rows: Rows,
}

impl TargetRun<'_> {
    /// Surveys the target and decides what of the catalog it takes. `again`: it is not the first round.
    ///
    /// What is only to be reported is in [`Done`](super::Done): of several rounds, what the last one found.
    pub(super) async fn plan(&mut self, again: bool) -> Result<Planned, EngineError> {
        let (shared, leader) = (self.shared, &self.requests[0].run);
        let settings = &shared.specs.settings;
        let mut state = read_state(shared, self.id).await?;
        let heads = std::mem::take(&mut state.heads);
        let contents = shared.contents();
        let target = (self.id, self.spec);
        let catalog = render::catalog(shared, target, heads, &state.ledger, contents).await?;
        if self.spec.render.is_some() {
            shared.flush_contents().await?;
            // What was edited in an original is no edit of what was made of it.
            state.unpushed.clear();
        }
        let since = Instant::now();
        self.limits.enter("survey-target", None);
        let paths: BTreeSet<ItemKey> = state
            .ledger
            .keys()
            .chain(catalog.entries.keys())
            .cloned()
            .collect();
        let rules = survey::RootRules {
            boot_id: &shared.boot_id,
            accept: self.requests.iter().any(|request| request.accept_root),
            // What was not as its stamps said is read.
            read_all: again || self.requests.iter().any(|request| request.force),
        };
        let near = survey::target(
            &self.limits,
            settings,
            self.spec,
            state.root.as_ref(),
            &state.ledger,
            paths,
            rules,
        )
        .await?;
        leader.phase("survey-target", since);
        let forgotten = if rules.accept {
            forget_unwritten(&mut state, &near, &shared.boot_id)
        } else {
            Vec::new()
        };
        let since = Instant::now();
        self.limits.enter("plan", None);
        let policies = policies(shared, self.spec);
        let input = PublishInput {
            target: self.id,
            ledger: &state.ledger,
            catalog: &catalog,
            near: &near,
            deletions: self.spec.deletions,
            policies: &policies,
            unpushed: &state.unpushed,
            takes_new_files: self.spec.new_files_to.is_some(),
        };
        let decisions = plan::decide(&input);
        let requests = heal::with_lost(&shared.store, decisions.fetches.clone(), &near).await?;
        let mut plan = if requests.is_empty() {
            plan::resolve(
                &input,
                decisions,
                &BTreeMap::new(),
                shared.contents().as_ref(),
            )?
        } else {
            let place = self.spec.place.as_ref();
            let fetched = transfer::fetch_missing(
                &self.limits,
                settings,
                (&shared.store, shared.contents()),
                place,
                requests,
            )
            .await?;
            let contents = shared.contents();
            // The merges read and keep contents: they block for as long as they take.
            let plan = tokio::task::block_in_place(|| {
                plan::resolve(&input, decisions, &fetched.failed, contents.as_ref())
            })?;
            shared.flush_contents().await?;
            plan
        };
        self.apply_guard(&mut plan, state.ledger.len(), state.rebuild_pending);
        leader.phase("plan", since);

        let root = near.root.map(|identity| StoredRoot {
            identity,
            boot_id: shared.boot_id.clone(),
        });
        if rules.accept
            && let (Some(root), Some(known)) = (&root, &state.root)
            && root.identity != known.identity
        {
            self.accept_root(root.clone(), &forgotten).await?;
        }
        let rows = Rows {
            puts: plan.puts,
            drops: plan.drops.into_iter().chain(forgotten).collect(),
            conflicts: Some(plan.conflicts),
            stored_conflicts: state.conflicts,
            root: root.filter(|root| {
                let path = self.spec.path.display().to_string();
                state.root.as_ref() != Some(root) || state.path != Some(path)
            }),
            ended_holds: catalog.ended_holds,
            ..Rows::default()
        };
        // Only the last plan's reports stand; what was carried out stays done.
        self.done.reported = plan.items;
        let (shadowed, others): (Vec<_>, Vec<_>) = catalog
            .problems
            .into_iter()
            .partition(|problem| is_told_once(problem.kind));
        self.done.shadowed = shadowed.into_iter().collect();
        self.done.problems.extend(others);
        let stopped = catalog.flagged.iter();
        let stopped = stopped.filter(|one| one.outcome != Outcome::Published && !one.stop.passes());
        self.done.stopped = a_few(stopped.map(Flagged::for_status).collect());
        self.done.flagged = catalog.flagged;
        self.done.problems.extend(near.problems);
        self.done.problems.extend(plan.problems);
        self.done.modified = plan.modified;
        Ok(Planned {
            changes: plan.changes,
            rows,
        })
    }

    /// Remembers an accepted root before anything is placed in it: what a kill leaves there is repaired there.
    async fn accept_root(
        &self,
        root: StoredRoot,
        forgotten: &[ItemKey],
    ) -> Result<(), EngineError> {
        let (target, forgotten) = (self.id.clone(), forgotten.to_vec());
        let path = self.spec.path.display().to_string();
        self.shared
            .store
            .write(move |writer| {
                writer.set_target_root(&target, root)?;
                writer.set_metadata(&path_key(&target), &path)?;
                writer.delete_ledger(&target, &forgotten)
            })
            .await?;
        Ok(())
    }

    /// Takes out of the plan whatever a person must see first: of a source whose deletions are too many, everything.
    fn apply_guard(
        &mut self,
        plan: &mut plan::PublishPlan,
        ledger_rows: usize,
        rebuild_pending: bool,
    ) {
        let deletes = |change: &PathChange| change.after.is_none();
        if rebuild_pending {
            let before = plan.changes.len();
            plan.changes.retain(|(_, change)| !deletes(change));
            let withheld = before - plan.changes.len();
            if withheld > 0 {
                self.done.error = Some(EngineError::RebuildPending(withheld).failure());
            }
            return;
        }
        let consent = self.consent();
        let steps: Vec<Step> = plan
            .changes
            .iter()
            .filter(|(_, change)| {
                let is_agreed = consent.agreed(&change.source, &change.key)
                    || self.spec.lets_go_of(&change.source);
                !(deletes(change) && is_agreed)
            })
            .map(|(step, _)| step.clone())
            .collect();
        let side = format!("target `{}`", self.id);
        let Err((error, digest)) = guard(&side, &steps, ledger_rows, &consent.consent) else {
            return;
        };
        let sources: BTreeSet<SourceId> = plan
            .changes
            .iter()
            .filter(|(_, change)| deletes(change))
            .map(|(_, change)| change.source.clone())
            .collect();
        plan.changes
            .retain(|(_, change)| !sources.contains(&change.source));
        for source in sources {
            let accept_root = self.requests.iter().any(|request| request.accept_root);
            let withheld = Withheld {
                failure: error.blocked(&source, "sync", accept_root),
                digest: digest.clone(),
            };
            self.done.blocked.insert(source, withheld);
        }
    }

    fn consent(&self) -> Consents {
        let mut consents = Consents::default();
        for request in self.requests {
            consents
                .consent
                .digests
                .extend(request.consent.digests.iter().cloned());
            if let Some(source) = &request.source {
                consents
                    .keys
                    .insert(source.clone(), request.consent.keys.clone());
            }
        }
        consents
    }
}

/// Tells whether a problem stays as it is until somebody changes an item or the configuration.
fn is_told_once(kind: ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::Shadowed | ProblemKind::Rendering | ProblemKind::ReadTwice
    )
}

/// The consent of all requests together.
#[derive(Default)]
struct Consents {
    consent: Consent,
    keys: BTreeMap<SourceId, BTreeSet<ItemKey>>,
}

impl Consents {
    fn agreed(&self, source: &SourceId, key: &ItemKey) -> bool {
        self.keys.get(source).is_some_and(|keys| keys.contains(key))
    }
}

/// Cuts what findings stop to what a person reads: a status tells it again and again.
fn a_few(mut stopped: Vec<String>) -> Vec<String> {
    let more = stopped.len().saturating_sub(STOPPED_TOLD);
    if more > 0 {
        stopped.truncate(STOPPED_TOLD);
        stopped.push(format!(
            "{more} more items are kept back by blocking findings; `homing audit` tells them all"
        ));
    }
    stopped
}

/// Forgets the files that are not as they were written in a root which a person has said is another one: nobody
/// deleted them there, and what else has their path there was never made from them.
pub(crate) fn forget_unwritten(
    state: &mut TargetState,
    near: &Manifest,
    boot_id: &str,
) -> Vec<ItemKey> {
    if !survey::is_another_root(near.root, state.root.as_ref(), boot_id) {
        return Vec::new();
    }
    let is_written = |path: &ItemKey, row: &LedgerRow| {
        let found = near.items.get(path).map(Item::version);
        near.unknown_reason(path).is_some() || (found.is_some() && found == row.written)
    };
    let forgotten: Vec<ItemKey> = state
        .ledger
        .iter()
        .filter(|(path, row)| !is_written(path, row))
        .map(|(path, _)| path.clone())
        .collect();
    for path in &forgotten {
        state.ledger.remove(path);
    }
    forgotten
}
