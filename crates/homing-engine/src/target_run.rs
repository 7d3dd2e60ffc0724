//! One publish of a target, on behalf of whoever waited for it.

mod planning;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use homing_core::{ItemKey, Problem, ProblemKind, SourceId, TargetId};

use crate::catalog::Flagged;
use crate::error::EngineError;
use crate::pipeline::publish::{Assignment, carry_out};
use crate::report::{Failure, ItemAction, ItemReport, Verb};
use crate::runs::Run;
use crate::shared::Shared;
use crate::spec::TargetSpec;
use crate::target::{PublishRequest, Published, Withheld};

use planning::Planned;
pub(crate) use planning::forget_unwritten;

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
    flagged: Vec<Flagged>,
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
        // What was surveyed is let go of here: of many files it would weigh as much as what is carried out.
        let Planned { changes, rows } = self.plan(again).await?;
        let since = Instant::now();
        let assignments = changes
            .into_iter()
            .map(|(step, change)| Assignment {
                run: self.run_for(&change.source),
                step,
                change,
            })
            .collect();
        let (shared, leader) = (self.shared, &self.requests[0].run);
        let carried =
            carry_out(shared, self.id, self.spec, &self.limits, assignments, rows).await?;
        leader.phase("publish", since);
        // A merge that was placed carries the edit on.
        let merged = carried
            .items
            .iter()
            .filter(|item| item.action == ItemAction::Merged);
        self.done
            .modified
            .extend(merged.map(|item| (item.source.clone(), item.path.clone())));
        self.done.carried.extend(carried.items);
        if let Some(error) = carried.failure {
            self.done.error = Some(error.failure());
        }
        let changed = carried.changed.into_iter();
        Ok(changed
            .map(|change| (change.source, change.key, change.path))
            .collect())
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
                flagged: self.flagged_of(request.source.as_ref()),
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

    /// Returns the findings that a run of `source` tells: those of its own items; all, if it is a target's own.
    fn flagged_of(&self, source: Option<&SourceId>) -> Vec<Flagged> {
        let flagged = self.flagged.iter();
        let own = flagged.filter(|one| source.is_none_or(|source| one.source == *source));
        own.cloned().collect()
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
