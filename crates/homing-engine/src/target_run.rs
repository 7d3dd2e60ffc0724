//! One publish of a target, on behalf of whoever waited for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use homing_core::{Item, ItemKey, Manifest, Problem, ProblemKind, SourceId, Step, TargetId};
use homing_store::{LedgerRow, StoredRoot};

use crate::catalog::Catalog;
use crate::elsewhere::path_key;
use crate::error::EngineError;
use crate::past::look_back;
use crate::pipeline::plan::publish::{self as plan, PathChange, PublishInput};
use crate::pipeline::plan::{Consent, guard};
use crate::pipeline::publish::{Assignment, Rows, carry_out};
use crate::pipeline::{heal, survey, transfer};
use crate::report::{Failure, ItemAction, ItemReport, Verb};
use crate::runs::Run;
use crate::shared::Shared;
use crate::spec::TargetSpec;
use crate::target::{PublishRequest, Published, TargetState, Withheld, policies, read_state};

/// A file that keeps changing under Homing's hands is left to the next run after this many plans.
const ROUNDS: usize = 3;

/// One publish of a target, on behalf of some requests.
pub(crate) struct TargetRun<'a> {
    shared: &'a Shared,
    id: &'a TargetId,
    spec: &'a TargetSpec,
    requests: &'a [PublishRequest],
    /// Its own time limits: what ends one of the runs that wait must not end it for the others.
    limits: Run,
    pub(crate) done: Done,
}

/// What a publish did so far.
#[derive(Debug, Default)]
pub(crate) struct Done {
    carried: Vec<ItemReport>,
    reported: Vec<ItemReport>,
    problems: Vec<Problem>,
    /// The items that lost their path to others.
    shadowed: BTreeSet<Problem>,
    pub(crate) modified: Vec<(SourceId, ItemKey)>,
    /// What findings keep from being published as it is.
    pub(crate) stopped: Vec<String>,
    pub(crate) error: Option<Failure>,
    /// What the guard stopped, by source.
    pub(crate) blocked: BTreeMap<SourceId, Withheld>,
}

impl<'a> TargetRun<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        id: &'a TargetId,
        spec: &'a TargetSpec,
        requests: &'a [PublishRequest],
    ) -> Self {
        Self {
            shared,
            id,
            spec,
            requests,
            limits: Run::unseen(
                Verb::Publish,
                requests
                    .iter()
                    .map(|request| Arc::clone(&request.run))
                    .collect(),
            ),
            done: Done::default(),
        }
    }

    /// Plans and carries out, again while files change under its hands.
    pub(crate) async fn rounds(&mut self) -> Result<(), EngineError> {
        for round in 1..=ROUNDS {
            let changed = self.round(round > 1).await?;
            if changed.is_empty() {
                return Ok(());
            }
            if round == ROUNDS {
                for (source, key, path) in changed {
                    self.done.reported.push(ItemReport {
                        source,
                        target: Some(self.id.clone()),
                        key,
                        path,
                        action: ItemAction::Failed,
                        before: None,
                        after: None,
                        reason: Some("it kept changing while it was to be replaced; the next run tries again".into()),
                    });
                }
            }
        }
        Ok(())
    }

    /// Does one round and returns what was not as planned. `again`: it is not the first.
    async fn round(
        &mut self,
        again: bool,
    ) -> Result<Vec<(SourceId, ItemKey, ItemKey)>, EngineError> {
        let (shared, leader) = (self.shared, &self.requests[0].run);
        let settings = &shared.specs.settings;
        let mut state = read_state(shared, self.id).await?;
        let heads = std::mem::take(&mut state.heads);
        let contents = shared.contents();
        let (heads, past) = look_back(heads, &state.ledger, self.spec, contents).await?;
        let catalog = Catalog::merge(self.id, heads, self.spec, &past);
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

        let since = Instant::now();
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
        let by_path: BTreeMap<ItemKey, (SourceId, ItemKey)> = plan
            .changes
            .iter()
            .map(|(_, change)| {
                (
                    change.path.clone(),
                    (change.source.clone(), change.key.clone()),
                )
            })
            .collect();
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
        let assignments = plan
            .changes
            .into_iter()
            .map(|(step, change)| Assignment {
                run: self.run_for(&change.source),
                step,
                change,
            })
            .collect();
        let carried =
            carry_out(shared, self.id, self.spec, &self.limits, assignments, rows).await?;
        leader.phase("publish", since);

        // Only the last plan's reports stand; what was carried out stays done.
        self.done.reported = plan.items;
        self.done.carried.extend(carried.items.iter().cloned());
        let (shadowed, others): (Vec<_>, Vec<_>) = catalog
            .problems
            .into_iter()
            .partition(|problem| problem.kind == ProblemKind::Shadowed);
        self.done.shadowed = shadowed.into_iter().collect();
        self.done.problems.extend(others);
        self.done.stopped = catalog.stopped;
        self.done.problems.extend(near.problems);
        self.done.problems.extend(plan.problems);
        self.done.modified = plan.modified;
        // A merge that was placed carries the edit on.
        let merged = carried
            .items
            .iter()
            .filter(|item| item.action == ItemAction::Merged);
        self.done
            .modified
            .extend(merged.map(|item| (item.source.clone(), item.path.clone())));
        if let Some(error) = carried.failure {
            self.done.error = Some(error.failure());
        }
        let owner = |path: ItemKey| {
            by_path
                .get(&path)
                .map(|(source, key)| (source.clone(), key.clone(), path))
        };
        Ok(carried.changed.into_iter().filter_map(owner).collect())
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
            .filter(|(_, change)| !(deletes(change) && consent.agreed(&change.source, &change.key)))
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

    /// Returns the run that a source's changes belong to: its own, or that of whoever came first.
    fn run_for(&self, source: &SourceId) -> Arc<Run> {
        let own = self
            .requests
            .iter()
            .find(|request| request.source.as_ref() == Some(source));
        Arc::clone(&own.unwrap_or(&self.requests[0]).run)
    }
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

impl Done {
    /// Gives every request what is its own; what belongs to no request goes to the first, but for conflicts, which are
    /// not those of another source. Who lost its path is news to a source once: `told` remembers what it heard.
    pub(crate) fn answers(
        mut self,
        shared: &Shared,
        requests: &[PublishRequest],
        told: &mut Told,
    ) -> Vec<Published> {
        let mut answers: Vec<Published> = requests
            .iter()
            .map(|request| Published {
                problems: told
                    .news(request.source.as_ref(), &self.shadowed)
                    .chain(self.problems.iter().cloned())
                    .collect(),
                error: self.error.clone(),
                ..Published::default()
            })
            .collect();
        let place = |source: &SourceId| {
            requests
                .iter()
                .position(|request| request.source.as_ref() == Some(source))
                .unwrap_or(0)
        };
        for item in self.carried.drain(..) {
            answers[place(&item.source)].carried.push(item);
        }
        let has_run = |item: &ItemReport| {
            requests
                .iter()
                .any(|request| request.source.as_ref().is_none_or(|id| *id == item.source))
        };
        for item in self.reported.drain(..) {
            if item.action != ItemAction::Conflict || has_run(&item) {
                answers[place(&item.source)].reported.push(item);
            }
        }
        for (source, withheld) in self.blocked {
            let at = place(&source);
            let answer = &mut answers[at];
            let runs_for = requests[at].source.as_ref();
            answer.digest = Some(withheld.digest.clone());
            if runs_for.is_some_and(|id| *id != source) {
                // What waits of one source is no failure of another's run.
                answer.problems.push(Problem {
                    kind: ProblemKind::Withheld,
                    path: String::new(),
                    message: withheld.told(shared, &source),
                });
            } else {
                answer.error.get_or_insert(withheld.failure);
            }
        }
        answers
    }

    /// Tells whether items could not be brought up to date.
    pub(crate) fn has_failed_items(&self) -> bool {
        let mut items = self.carried.iter().chain(&self.reported);
        items.any(|item| item.action == ItemAction::Failed)
    }
}

/// What each source's last run on a target, or the target's own, was told of items that lost their path.
#[derive(Debug, Default)]
pub(crate) struct Told(BTreeMap<Option<SourceId>, BTreeSet<Problem>>);

impl Told {
    /// Returns what is new to a source, and remembers all.
    fn news<'p>(
        &mut self,
        source: Option<&SourceId>,
        shadowed: &'p BTreeSet<Problem>,
    ) -> impl Iterator<Item = Problem> + use<'p> {
        let before = self
            .0
            .insert(source.cloned(), shadowed.clone())
            .unwrap_or_default();
        shadowed
            .iter()
            .filter(move |problem| !before.contains(*problem))
            .cloned()
    }
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
