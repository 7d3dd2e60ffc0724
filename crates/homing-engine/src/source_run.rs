//! One run of a source, phase by phase.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use homing_core::{
    Contents, Intake, ItemKey, Listed, Manifest, Problem, ProblemKind, Revision, SideError,
    SourceId, Step, TargetId,
};
use homing_store::{HeadRow, SourceRow, SourceUpdate, StoredRoot};

use crate::capture;
use crate::error::EngineError;
use crate::examine::{self, Examining};
use crate::filter::Filter;
use crate::pipeline::plan::pull::{self, PullInput, PullPlan};
use crate::pipeline::plan::{Consent, guard};
use crate::pipeline::{heal, intake, record, survey, transfer};
use crate::push;
use crate::recover;
use crate::report::{ItemAction, RunRequest, Trigger, Verb};
use crate::runs::Run;
use crate::shared::Shared;
use crate::spec::{PushMode, SourceSpec};
use crate::target::{PublishRequest, Recovery};

pub(crate) use crate::pipeline::record::Ended;

/// A run under way.
pub(crate) struct SourceRun<'a> {
    shared: &'a Arc<Shared>,
    id: &'a SourceId,
    spec: &'a SourceSpec,
    run: &'a Arc<Run>,
    request: RunRequest,
    ended: Ended,
    consent: Consent,
    targets: Vec<TargetId>,
}

/// What the store knows of the source.
struct SourceState {
    row: Option<SourceRow>,
    head: BTreeMap<ItemKey, HeadRow>,
    held: BTreeSet<ItemKey>,
    rebuild_pending: bool,
    /// Unpushed edits wait for a person since the source was pointed elsewhere.
    push_waits: bool,
    /// Its items were examined by other rules, or never.
    unexamined: bool,
}

impl SourceState {
    fn never_selected(&self) -> bool {
        self.row.as_ref().is_none_or(|row| row.selection.is_none())
    }

    /// Tells whether the head followed another selection so far.
    fn follows_another(&self, selection: &str) -> bool {
        let old = self.row.as_ref().and_then(|row| row.selection.as_deref());
        old.is_some_and(|old| old != selection)
    }
}

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

impl<'a> SourceRun<'a> {
    pub(crate) fn new(
        shared: &'a Arc<Shared>,
        id: &'a SourceId,
        spec: &'a SourceSpec,
        run: &'a Arc<Run>,
        request: RunRequest,
    ) -> Self {
        let targets = shared.targets_of(id);
        Self {
            shared,
            id,
            spec,
            run,
            request,
            ended: Ended::default(),
            consent: Consent::default(),
            targets,
        }
    }

    /// Goes through all phases. Whatever fails is in the run's report; the rest is done all the same.
    pub(crate) async fn execute(mut self, turn: &mut Recovery) -> Ended {
        let _pins = self.shared.store.contents().pin_scope();
        if let Err(error) = self.phases(turn).await {
            self.fail(error);
        }
        let counts = self.ended.counts();
        self.run.update(|report| {
            report.synced = counts.synced;
            report.removed = counts.removed;
            report.failed = counts.failed;
            report.cached = counts.cached;
            report.bytes = counts.bytes;
            report.requests = self.run.progress.requests();
        });
        self.ended
    }

    async fn phases(&mut self, turn: &mut Recovery) -> Result<(), EngineError> {
        self.run.check_cancelled()?;
        if *turn == Recovery::Due {
            match recover::origin(self.shared, self.id).await {
                Err(
                    EngineError::RootChanged(_) | EngineError::Side(SideError::NotFound { .. }),
                ) if self.request.accept_root => {
                    recover::give_up_origin(self.shared, self.id).await?;
                }
                recovered => recovered?,
            }
            *turn = Recovery::Done;
        }
        if self.request.accept_deletions {
            self.consent.digests = blocked_before(self.shared, self.id, &self.targets).await?;
        }
        if self.spec.push != PushMode::Never {
            self.capture().await?;
        }
        if let Err(error) = self.pull().await {
            // What is held stays published, but nobody agreed to deletions while the origin is in doubt.
            self.consent = Consent::default();
            self.fail(error);
        }
        self.publish().await?;
        let pushes = !matches!(self.request.verb, Verb::Pull | Verb::Release);
        if self.ended.error.is_none() && self.spec.push != PushMode::Never && pushes {
            self.push(turn).await?;
        }
        Ok(())
    }

    /// Takes the edits in the source's targets into the head; waits once for files that were only just written.
    async fn capture(&mut self) -> Result<(), EngineError> {
        let since = Instant::now();
        self.run.enter("capture", None);
        let mut again = Vec::new();
        for target in self.targets.clone() {
            if !self.capture_from(&target).await?.is_empty() {
                again.push(target);
            }
        }
        if !again.is_empty() {
            tokio::select! {
                () = tokio::time::sleep(capture::SETTLED) => {}
                () = self.run.cancel.cancelled() => return Err(EngineError::Cancelled),
            }
        }
        for target in again {
            for (path, reason) in self.capture_from(&target).await? {
                let message = format!("its edit in target `{target}` was not taken in: {reason}");
                self.run.problems([Problem {
                    kind: ProblemKind::Changing,
                    path: path.to_string(),
                    message,
                }]);
            }
        }
        self.run.phase("capture", since);
        Ok(())
    }

    async fn capture_from(
        &mut self,
        target: &TargetId,
    ) -> Result<Vec<(ItemKey, String)>, EngineError> {
        let accept_root = self.request.accept_root;
        match capture::capture(self.shared, target, self.id, self.run, accept_root).await {
            Ok((items, unsettled)) => {
                self.ended.journalled(items);
                Ok(unsettled)
            }
            // A target that cannot be read keeps its edits; its publish says what is wrong with it.
            Err(EngineError::Cancelled) => Err(EngineError::Cancelled),
            Err(
                error
                @ (EngineError::Store(_) | EngineError::Stalled(_) | EngineError::TimedOut(_)),
            ) => Err(error),
            Err(error) => {
                tracing::warn!(source = %self.id, %target, %error, "edits could not be captured");
                Ok(Vec::new())
            }
        }
    }

    /// Surveys the origin and takes what it changed into the head.
    async fn pull(&mut self) -> Result<(), EngineError> {
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
            self.ended.listing = Some(listing);
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
        self.ended.listing = Some(listing);
        Ok(())
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
        let decisions = pull::decide(&input);
        let is_write = |step: &&Step| step.after.is_some();
        self.ended.planned = decisions.steps.iter().filter(is_write).count() as u64;
        self.guard_head(&decisions.steps, state)?;
        self.run.phase("plan", since);
        crate::kill_point!("run::planned");
        let since = Instant::now();
        let permit = tokio::select! {
            permit = self.shared.permits.acquire() => permit,
            () = self.run.cancel.cancelled() => return Err(EngineError::Cancelled),
        };
        let settings = &self.shared.specs.settings;
        let origin = self.spec.origin.as_ref();
        let requests = decisions.fetches.clone();
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
        self.run.phase("transfer", since);
        crate::kill_point!("run::transferred");
        self.run.check_cancelled()?;
        let since = Instant::now();
        self.run.enter("record", None);
        self.run.problems(plan.problems.clone());
        let push_waits = selection_changed && !plan.modified.is_empty();
        self.ended.modified.clone_from(&plan.modified);
        let selection = (selection_changed || state.never_selected()) && filter.is_all();
        let selection = selection.then(|| self.spec.selection.clone());
        let is_agreed = filter.is_all()
            && plan.conflicts.is_empty()
            && !plan
                .items
                .iter()
                .any(|item| item.action == ItemAction::Failed);
        let follows = record::Follows {
            selection,
            root,
            revision: revision.filter(|_| is_agreed),
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
            plan: &plan,
            conflicts,
            push_waits,
            follows,
            journal_items: no_target,
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

    /// Publishes to every target of the source.
    async fn publish(&mut self) -> Result<(), EngineError> {
        self.run.check_cancelled()?;
        let shared = self.shared;
        let requests = self.targets.iter().map(|target| {
            let request = PublishRequest {
                run: Arc::clone(self.run),
                source: Some(self.id.clone()),
                consent: self.consent.clone(),
                accept_root: self.request.accept_root,
                force: self.request.force,
            };
            async move {
                let (_, actor) = shared.target(target)?;
                Ok::<_, EngineError>(actor.publish(shared, target, request).await)
            }
        });
        let published = futures_util::future::join_all(requests).await;
        for published in published {
            let published = published?;
            self.run.problems(published.problems);
            self.ended.journalled(published.carried);
            self.ended.reported(published.reported);
            self.ended.digests.extend(published.digest);
            if let Some(failure) = published.error {
                self.run.update(|report| {
                    report.fail(failure);
                });
            }
        }
        Ok(())
    }

    /// Takes what the head changed back to the origin.
    async fn push(&mut self, turn: &mut Recovery) -> Result<(), EngineError> {
        let Some(mut listing) = self.ended.listing.take() else {
            return Ok(());
        };
        let since = Instant::now();
        let state = self.read_state().await?;
        let explicit = self.request.verb == Verb::Push && self.request.trigger == Trigger::Manual;
        if state.push_waits && !explicit {
            let message =
                "edits wait for `homing push`, for the source was pointed elsewhere".to_owned();
            self.run.problems([Problem {
                kind: ProblemKind::Shadowed,
                path: String::new(),
                message,
            }]);
            return Ok(());
        }
        let filter = Filter::new(&self.request.filter)?;
        let pushing = push::Push {
            shared: self.shared,
            id: self.id,
            spec: self.spec,
            run: self.run,
            head: &state.head,
            held: &state.held,
            filter: &filter,
            consent: &self.consent,
            rebuild_pending: state.rebuild_pending,
        };
        *turn = Recovery::Due;
        let pushed = pushing.carry_out(&mut listing, state.push_waits).await;
        self.run.phase("push", since);
        let pushed = match pushed {
            Ok(pushed) => pushed,
            Err((error, digest)) => {
                *turn = if digest.is_some() {
                    Recovery::Done
                } else {
                    Recovery::Due
                };
                self.ended.digests.extend(digest);
                if matches!(error, EngineError::Guard { .. }) {
                    let failure = error.blocked(self.id, self.verb(), self.request.accept_root);
                    self.run.update(|report| {
                        report.fail(failure);
                    });
                }
                return Err(error);
            }
        };
        *turn = Recovery::Done;
        self.ended.bytes += pushed.bytes;
        self.ended.outdated = pushed.outdated;
        self.ended.modified.retain(|key| !pushed.done.contains(key));
        self.ended.not_pushed(pushed.reported);
        self.ended.journalled(pushed.carried);
        if let Some(error) = pushed.failure {
            return Err(error);
        }
        if explicit && filter.is_all() && state.follows_another(&self.spec.selection) {
            // The person has said so under this selection: the next pull need not ask.
            self.record_selection().await?;
        }
        Ok(())
    }

    async fn record_selection(&self) -> Result<(), EngineError> {
        let id = self.id.clone();
        let update = SourceUpdate {
            selection: Some(self.spec.selection.clone()),
            ..SourceUpdate::default()
        };
        self.shared
            .store
            .write(move |writer| writer.update_source(&id, update))
            .await?;
        Ok(())
    }

    async fn read_state(&self) -> Result<SourceState, EngineError> {
        let id = self.id.clone();
        let state = self
            .shared
            .store
            .read(move |reader| {
                Ok(SourceState {
                    row: reader.source(&id)?,
                    head: reader.head(&id)?,
                    held: reader.holds(&id)?.into_keys().collect(),
                    rebuild_pending: reader.metadata("rebuild_pending")?.as_deref() == Some("1"),
                    push_waits: reader.metadata(&record::push_waits_key(&id))?.as_deref()
                        == Some("1"),
                    unexamined: reader.metadata(&examine::rules_key(&id))?
                        != Some(examine::rules()),
                })
            })
            .await?;
        Ok(state)
    }

    /// Returns the command that makes a run like this one.
    fn verb(&self) -> &'static str {
        match self.request.verb {
            Verb::Pull => "pull",
            Verb::Push => "push",
            _ => "sync",
        }
    }

    fn fail(&mut self, error: EngineError) {
        self.run.fail(&error);
        self.ended.error.get_or_insert(error);
    }
}

/// Returns the fingerprints of the plans that wait for a person's word: those of the source's last blocked run, and
/// what its targets withhold of sources that are out of service.
pub(crate) async fn blocked_before(
    shared: &Shared,
    id: &SourceId,
    targets: &[TargetId],
) -> Result<BTreeSet<String>, EngineError> {
    let id = id.clone();
    let blocked = shared
        .store
        .read(move |reader| reader.last_blocked(&id))
        .await?;
    let digests = blocked.and_then(|run| run.plan_digest).unwrap_or_default();
    let withheld = targets.iter().filter_map(|target| {
        let (_, actor) = shared.target(target).ok()?;
        let blocked = actor.knowledge().blocked.into_iter();
        let gone = blocked.filter(|(source, _)| !shared.is_live(source));
        Some(gone.map(|(_, withheld)| withheld.digest))
    });
    Ok(digests
        .split(',')
        .filter(|digest| !digest.is_empty())
        .map(str::to_owned)
        .chain(withheld.flatten())
        .collect())
}
