//! One run of a source, phase by phase.

mod pulling;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use homing_core::{ItemKey, Problem, ProblemKind, SideError, SourceId, TargetId};
use homing_store::{HeadRow, SourceRow, SourceUpdate};

use crate::capture;
use crate::catalog::Flagged;
use crate::error::EngineError;
use crate::examine;
use crate::filter::Filter;
use crate::history;
use crate::missing::{self, Unfetched};
use crate::pipeline::plan::Consent;
use crate::pipeline::record;
use crate::push;
use crate::recover;
use crate::report::{RunRequest, Trigger, Verb};
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
    /// What was wrong with the origin when it was what its revision says.
    problems: Vec<Problem>,
    /// What the origin did not give so far.
    unfetched: Unfetched,
}

impl SourceState {
    fn selection(&self) -> Option<&str> {
        self.row.as_ref()?.selection.as_deref()
    }

    /// Tells whether the head followed another selection so far: another place, or other filters. Limits select nothing.
    fn follows_another(&self, selection: &str) -> bool {
        let selected = |fingerprint: &str| {
            let mut parts = fingerprint.split('/').map(str::to_owned);
            (parts.next(), parts.next())
        };
        self.selection()
            .is_some_and(|old| selected(old) != selected(selection))
    }
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
        let mut flagged = Vec::new();
        for published in published {
            let published = published?;
            self.run.problems(published.problems);
            flagged.extend(published.flagged);
            self.ended.journalled(published.carried);
            self.ended.reported(published.reported);
            self.ended.digests.extend(published.digest);
            if let Some(failure) = published.error {
                self.run.update(|report| {
                    report.fail(failure);
                });
            }
        }
        self.run.problems(Flagged::problems(&flagged));
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
            // What the head has was listed under the old one.
            revision: Some(None),
            etag: Some(None),
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
                    problems: history::problems(reader.metadata(&record::problems_key(&id))?),
                    unfetched: missing::read(
                        reader.metadata(&record::unfetched_key(&id))?.as_deref(),
                    ),
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
        self.run.end_with(if self.spec.comes_again() {
            error.failure_on_the_way()
        } else {
            error.failure()
        });
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
