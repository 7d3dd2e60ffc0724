//! The pull of a run: survey, plan, transfer, record.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use homing_core::{
    Contents, Intake, ItemKey, Listed, Manifest, Problem, ProblemKind, Revision, Step,
};
use homing_store::StoredRoot;

use super::{SourceRun, SourceState};
use crate::error::EngineError;
use crate::examine::Examining;
use crate::filter::Filter;
use crate::pipeline::plan::guard;
use crate::pipeline::plan::pull::{self, PullInput, PullPlan};
use crate::pipeline::{heal, intake, record, survey, transfer};
use crate::report::{ItemAction, Verb};
use crate::runs;
use crate::spec::PushMode;

/// What the survey found, and how it relates to what the source was before.
struct Surveyed<'a> {
    listing: &'a Manifest,
    /// By which way contents come, and what was found out about those that came already.
    contents: Arc<Examining>,
    selection_changed: bool,
    root: Option<StoredRoot>,
    /// What the origin is as a whole, when nothing of it is missing.
    revision: Option<Revision>,
}

impl SourceRun<'_> {
    /// Surveys the origin and takes what it changed into the head.
    pub(super) async fn pull(&mut self) -> Result<(), EngineError> {
        let since = Instant::now();
        self.run.enter("survey", None);
        let state = self.read_state().await?;
        let selection_changed = state.follows_another(&self.spec.selection);
        let rules = survey::RootRules {
            boot_id: &self.shared.boot_id,
            accept: self.request.accept_root,
            read_all: self.request.force,
        };
        let place = format!("`{}`", self.spec.url);
        let settings = &self.shared.specs.settings;
        let turn = intake::Turn::of(self.shared, self.run);
        let contents = Arc::new(Examining::over(self.shared.contents()));
        let origin = survey::Origin {
            spec: self.spec,
            store: &self.shared.store,
            row: state.row.as_ref(),
            head: &state.head,
            // A directory that does not answer must not hold the store open, for which it has no use.
            intake: if self.spec.origin.is_remote() {
                turn.intake(Arc::clone(&contents) as Arc<dyn Contents>)
            } else {
                Intake::default()
            },
        };
        let before = self.run.progress.counts().1;
        let listed = survey::origin(self.run, settings, origin, rules).await;
        turn.end();
        if self.spec.origin.is_remote() {
            self.ended.bytes += self.run.progress.counts().1 - before;
            self.shared.flush_contents().await?;
        }
        let listed = listed?;
        self.run.phase("survey", since);
        crate::kill_point!("run::surveyed");
        let Listed {
            manifest: listing,
            revision,
            shortfall,
        } = listed;
        self.run.problems(listing.problems.clone());
        let nothing_else = listing.items.is_empty() && listing.unknown.is_empty();
        if nothing_else && state.head.is_empty() {
            let message =
                format!("nothing in {place} matches the selection (path, include, exclude)");
            self.run.problems([Problem {
                kind: ProblemKind::Empty,
                path: String::new(),
                message,
            }]);
        }
        self.ended.listed = listing.items.len() as u64;
        let root = listing
            .root
            .map(|identity| StoredRoot {
                identity,
                boot_id: self.shared.boot_id.clone(),
            })
            .filter(|root| state.row.as_ref().and_then(|row| row.root.as_ref()) != Some(root));
        if self.request.verb == Verb::Push {
            self.keep_for_push(listing);
            return Ok(());
        }
        // Only of what was had whole can it be said later that nothing changed since.
        let revision = revision.filter(|_| shortfall.is_none());
        self.ended.shortfall = shortfall.map(EngineError::Side);
        let origin = Surveyed {
            listing: &listing,
            contents,
            selection_changed,
            root,
            revision,
        };
        self.take_over(&state, origin).await?;
        self.keep_for_push(listing);
        Ok(())
    }

    /// Keeps a listing where a push may need it; it weighs as much as the head.
    fn keep_for_push(&mut self, listing: Manifest) {
        if self.spec.push != PushMode::Never {
            self.ended.listing = Some(listing);
        }
    }

    /// Plans, fetches and records what the head takes from the origin.
    async fn take_over(
        &mut self,
        state: &SourceState,
        origin: Surveyed<'_>,
    ) -> Result<(), EngineError> {
        let Surveyed {
            listing,
            contents,
            selection_changed,
            root,
            revision,
        } = origin;
        let since = Instant::now();
        self.run.enter("plan", None);
        let filter = Filter::new(&self.request.filter)?;
        let input = PullInput {
            source: self.id,
            rows: &state.head,
            listing,
            policy: self.spec.on_conflict,
            origin: self.spec.origin.as_ref(),
            filter: &filter,
            unfetched: &state.unfetched,
        };
        if !listing
            .items
            .keys()
            .chain(state.head.keys())
            .any(|key| filter.covers(key))
            && !filter.is_all()
        {
            let message = "nothing matches the filter".to_owned();
            self.run.problems([Problem {
                kind: ProblemKind::Empty,
                path: String::new(),
                message,
            }]);
        }
        let mut decisions = pull::decide(&input);
        let steps = std::mem::take(&mut decisions.steps);
        let is_write = |step: &&Step| step.after.is_some();
        self.ended.planned = steps.iter().filter(is_write).count() as u64;
        self.guard_head(&steps, state)?;
        if !steps.is_empty() {
            runs::note_begun(&self.shared.store, &self.shared.boot_id, self.run);
        }
        drop(steps);
        self.run.phase("plan", since);
        crate::kill_point!("run::planned");
        let since = Instant::now();
        let permit = tokio::select! {
            permit = self.shared.permits.acquire() => permit,
            () = self.run.cancel.cancelled() => return Err(EngineError::Cancelled),
        };
        let settings = &self.shared.specs.settings;
        let origin = self.spec.origin.as_ref();
        let requests = std::mem::take(&mut decisions.fetches);
        let requests = heal::with_lost(&self.shared.store, requests, listing).await?;
        let way = Arc::clone(&contents) as Arc<dyn Contents>;
        let store = (&self.shared.store, way);
        let fetched = transfer::fetch_missing(self.run, settings, store, origin, requests).await?;
        self.ended.bytes += fetched.bytes;
        let plan = tokio::task::block_in_place(|| {
            let mut plan = pull::resolve(&input, &decisions, &fetched.failed, contents.as_ref())?;
            contents.complete(&mut plan.puts, &plan.deletes, &state.head, state.unexamined)?;
            if !plan.items.is_empty() {
                contents.flush()?;
            }
            Ok::<_, EngineError>(plan)
        })?;
        drop(permit);
        // Of many items, these are as large as the rows that are written now.
        drop((decisions, contents, fetched));
        self.run.phase("transfer", since);
        crate::kill_point!("run::transferred");
        self.run.check_cancelled()?;
        let since = Instant::now();
        self.run.enter("record", None);
        self.run.problems(plan.problems.clone());
        let push_waits = selection_changed && !plan.modified.is_empty();
        self.ended.modified.clone_from(&plan.modified);
        let is_news = state.selection() != Some(self.spec.selection.as_str());
        let selection = (is_news && filter.is_all()).then(|| self.spec.selection.clone());
        let is_agreed = filter.is_all()
            && plan.conflicts.is_empty()
            && !plan
                .items
                .iter()
                .any(|item| item.action == ItemAction::Failed);
        let revision = revision.filter(|_| is_agreed);
        // Whoever says later that nothing changed does not say again what is wrong.
        let problems = revision.is_some() && listing.problems != state.problems;
        let follows = record::Follows {
            selection,
            root,
            revision,
            problems: problems.then(|| listing.problems.clone()),
            unfetched: (plan.unfetched != state.unfetched).then(|| plan.unfetched.clone()),
            stored: state.row.as_ref().and_then(record::stored_revision),
        };
        let is_examined = state.unexamined && !(plan.puts.is_empty() && state.head.is_empty());
        self.record_head(plan, &filter, push_waits, follows, is_examined)
            .await?;
        self.run.phase("record", since);
        Ok(())
    }

    async fn record_head(
        &mut self,
        plan: PullPlan,
        filter: &Filter,
        push_waits: bool,
        follows: record::Follows,
        is_examined: bool,
    ) -> Result<(), EngineError> {
        // Without a target nothing else would tell which items a run took over.
        let no_target = self.targets.is_empty();
        let conflicts = record::open_conflicts(self.shared, self.id, &plan, filter).await?;
        let head = record::Head {
            puts: plan.puts,
            deletes: plan.deletes,
            conflicts,
            push_waits,
            follows,
            journal_items: no_target && !plan.items.is_empty(),
            examined: is_examined,
        };
        head.record(self.shared, self.id, self.run).await?;
        self.ended.planned = 0;
        for item in plan.items {
            match item.action {
                ItemAction::Removed => {
                    self.ended.note_removed(&item.key);
                }
                ItemAction::Failed | ItemAction::Conflict => {}
                _ => self.ended.note_changed(&item.key),
            }
            if no_target || matches!(item.action, ItemAction::Failed | ItemAction::Conflict) {
                self.ended.items.push(item);
            }
        }
        Ok(())
    }

    /// Stops a plan that deletes a lot, and remembers what was let through for the targets.
    fn guard_head(&mut self, steps: &[Step], state: &SourceState) -> Result<(), EngineError> {
        let deletions: BTreeSet<ItemKey> = steps
            .iter()
            .filter(|step| step.after.is_none())
            .map(|step| step.key.clone())
            .collect();
        if !deletions.is_empty() && state.rebuild_pending {
            return Err(EngineError::RebuildPending(deletions.len()));
        }
        let side = format!("source `{}`", self.id);
        let present = state.head.values().filter(|row| row.head.is_some()).count();
        match guard(&side, steps, present, &self.consent) {
            Ok(()) => {
                if self.request.accept_deletions {
                    self.consent.keys = deletions;
                }
                Ok(())
            }
            Err((error, digest)) => {
                self.ended.digests.insert(digest);
                let failure = error.blocked(self.id, self.verb(), self.request.accept_root);
                self.run.update(|report| {
                    report.fail(failure);
                });
                Err(error)
            }
        }
    }
}
