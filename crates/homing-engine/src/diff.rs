//! Diff: what a sync would do, found out without writing anything anywhere.

mod patches;
mod publishing;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use homing_core::{
    ContentHash, Contents, FetchRequest, Intake, ItemKey, Manifest, Side, SideError, SourceId,
    TargetId,
};
use homing_store::{HeadRow, HoldRow, LedgerRow};

use crate::capture::take_in;
use crate::catalog::Flagged;
use crate::commits;
use crate::edits::Look;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::filter::Filter;
use crate::missing::{self, Unfetched};
use crate::pipeline::plan::pull::{self, PullInput, PullPlan};
use crate::pipeline::plan::push::{self, PushInput};
use crate::pipeline::plan::{Consent, guard};
use crate::pipeline::{record, survey, transfer};
use crate::report::{DiffReport, ItemAction, ItemReport, ModifiedItem, RunRequest, Trigger, Verb};
use crate::runs::Run;
use crate::scratch::Scratch;
use crate::shared::Shared;
use crate::source_run::blocked_before;
use crate::spec::{PushMode, SourceSpec};

use patches::Wanted;

impl Engine {
    /// Returns what a run of `request` would do. Never writes.
    pub async fn diff(&self, source: &SourceId, verb: Verb) -> Result<DiffReport, EngineError> {
        self.dry_run(source, &RunRequest::new(verb, Trigger::Manual))
            .await
    }

    /// Does what [`Engine::diff`] does, with the patches of what would change. Reads the contents that they need.
    pub async fn diff_with_patches(
        &self,
        source: &SourceId,
        verb: Verb,
    ) -> Result<DiffReport, EngineError> {
        self.find_out(source, &RunRequest::new(verb, Trigger::Manual), true)
            .await
    }

    /// Returns what exactly this request would do, with the consent in it. Never writes.
    pub async fn dry_run(
        &self,
        source: &SourceId,
        request: &RunRequest,
    ) -> Result<DiffReport, EngineError> {
        self.find_out(source, request, false).await
    }

    async fn find_out(
        &self,
        source: &SourceId,
        request: &RunRequest,
        with_patches: bool,
    ) -> Result<DiffReport, EngineError> {
        self.admit()?;
        let (spec, actor) = self.shared.source(source)?;
        if !spec.enabled {
            return Err(EngineError::Disabled(source.clone()));
        }
        let _turn = actor.take_turn().await;
        let run =
            self.shared
                .runs
                .create(Some(source.clone()), None, request.verb, request.trigger);
        let diff = Diff {
            shared: &self.shared,
            id: source,
            spec,
            run: &run,
            request,
            consent: Consent::default(),
            contents: Arc::new(Scratch::over(self.shared.contents())),
            captured: BTreeMap::new(),
            with_patches,
            wanted: Vec::new(),
            flagged: Vec::new(),
            unfetched: Unfetched::new(),
            report: DiffReport::default(),
        };
        let report = diff.find().await;
        self.shared.runs.remove(run.id);
        run.announce();
        report
    }

    /// Returns the bytes of a kept content.
    pub async fn content(&self, hash: &ContentHash) -> Result<Vec<u8>, EngineError> {
        let (contents, hash) = (self.shared.contents(), *hash);
        let bytes = crate::shared::blocking(move || {
            let mut bytes = Vec::new();
            contents
                .open(&hash)?
                .read_to_end(&mut bytes)
                .map_err(|error| SideError::Storage {
                    message: format!("content {hash} could not be read"),
                    source: Some(Box::new(error)),
                })?;
            Ok::<_, SideError>(bytes)
        });
        match bytes.await? {
            Err(SideError::NotFound { message, .. }) => Err(EngineError::Rejected {
                message,
                hint: "sync a source or target that still has it, then try again".to_owned(),
            }),
            read => Ok(read?),
        }
    }
}

struct Diff<'a> {
    shared: &'a Shared,
    id: &'a SourceId,
    spec: &'a SourceSpec,
    run: &'a Arc<Run>,
    request: &'a RunRequest,
    consent: Consent,
    contents: Arc<Scratch>,
    /// Ledger rows that the captures would move.
    captured: BTreeMap<TargetId, BTreeMap<ItemKey, LedgerRow>>,
    with_patches: bool,
    /// The patches to be made.
    wanted: Vec<Wanted>,
    flagged: Vec<Flagged>,
    /// What the origin did not give.
    unfetched: Unfetched,
    report: DiffReport,
}

impl Diff<'_> {
    async fn find(mut self) -> Result<DiffReport, EngineError> {
        let id = self.id.clone();
        let (row, mut head, holds, unfetched) = self
            .shared
            .store
            .read(move |reader| {
                let unfetched = reader.metadata(&record::unfetched_key(&id))?;
                let (head, holds) = (reader.head(&id)?, reader.holds(&id)?);
                Ok((reader.source(&id)?, head, holds, unfetched))
            })
            .await?;
        let unfetched = missing::read(unfetched.as_deref());
        self.unfetched.clone_from(&unfetched);
        let held: BTreeSet<ItemKey> = holds.keys().cloned().collect();
        let targets = self.shared.targets_of(self.id);
        if self.request.accept_deletions {
            self.consent.digests = blocked_before(self.shared, self.id, &targets).await?;
        }
        let pushes = self.spec.push != PushMode::Never && self.request.verb != Verb::Pull;
        if self.spec.push != PushMode::Never {
            for target in &targets {
                self.capture(target, &mut head).await?;
            }
        }
        let rules = survey::RootRules {
            boot_id: &self.shared.boot_id,
            accept: self.request.accept_root,
            read_all: self.request.force,
        };
        let settings = &self.shared.specs.settings;
        let origin = self.spec.origin.as_ref();
        let kept: Arc<dyn Contents> = self.contents.clone();
        let at = survey::Origin {
            spec: self.spec,
            store: &self.shared.store,
            row: row.as_ref(),
            head: &head,
            intake: Intake::ungated(kept),
        };
        let listed = survey::origin(self.run, settings, at, rules).await?;
        let (listing, revision) = (listed.manifest, listed.revision);
        let until = revision.as_ref().map(|revision| revision.name.as_str());
        let since = row.as_ref().and_then(|row| row.revision.as_deref());
        self.report.commits = commits::between(self.spec, since, until).await;
        self.report
            .problems
            .extend(listing.problems.iter().cloned());
        let filter = Filter::new(&self.request.filter)?;
        if self.request.verb != Verb::Push {
            let input = PullInput {
                source: self.id,
                rows: &head,
                listing: &listing,
                policy: self.spec.on_conflict,
                origin,
                filter: &filter,
                unfetched: &unfetched,
            };
            let decisions = pull::decide(&input);
            let present = head.values().filter(|row| row.head.is_some()).count();
            let side = format!("source `{}`", self.id);
            match guard(&side, &decisions.steps, present, &self.consent) {
                Ok(()) if self.request.accept_deletions => {
                    let deletions = decisions.steps.iter().filter(|step| step.after.is_none());
                    self.consent.keys = deletions.map(|step| step.key.clone()).collect();
                }
                Ok(()) => {}
                Err((error, _)) => self.report.blocked = Some(error.to_string()),
            }
            let known: BTreeSet<ItemKey> = decisions.diverged().cloned().collect();
            // Merges need contents, and so does whoever wants to know what is to be said against them.
            let is_wanted = |fetch: &&FetchRequest| {
                known.contains(&fetch.key) || self.contents.open(&fetch.item.hash).is_err()
            };
            let fetches = decisions.fetches.iter();
            let wanted =
                tokio::task::block_in_place(|| fetches.filter(is_wanted).cloned().collect());
            let failed = self.fetch(origin, wanted).await?;
            let contents = Arc::clone(&self.contents);
            let plan = tokio::task::block_in_place(|| {
                pull::resolve(&input, &decisions, &failed, contents.as_ref())
            })?;
            self.take_in(plan, &mut head, &listing, targets.is_empty());
        }
        // A hold ends when upstream moves on from what was undone.
        let holds_on =
            |hold: &&HoldRow| head.get(&hold.key).and_then(|row| row.head) == hold.refused;
        self.report.held = holds.values().filter(holds_on).count();
        for target in &targets {
            self.publish(target, &head).await?;
        }
        self.report
            .problems
            .extend(Flagged::problems(&self.flagged));
        if pushes {
            let input = PushInput {
                source: self.id,
                rows: &head,
                listing: &listing,
                held: &held,
                filter: &filter,
                origin,
            };
            let plan = push::decide(&input);
            if plan.steps.iter().any(|step| step.after.is_none()) {
                let side = format!("the origin of source `{}`", self.id);
                let present = listing.items.len();
                if let Err((error, _)) = guard(&side, &plan.steps, present, &self.consent) {
                    self.report.blocked.get_or_insert(error.to_string());
                }
            }
            // What the pull leaves to a person is told once, as a conflict.
            let open: BTreeSet<ItemKey> = self
                .report
                .items
                .iter()
                .filter(|item| is_open(item))
                .map(|item| item.key.clone())
                .collect();
            let mut items = plan.items;
            items.retain(|item| !open.contains(&item.key));
            self.report.items.extend(items);
            for step in plan.steps {
                let item = ItemReport {
                    source: self.id.clone(),
                    target: None,
                    key: step.key.clone(),
                    path: step.key,
                    action: ItemAction::Pushed,
                    before: step.before,
                    after: step.after,
                    reason: None,
                };
                self.want_taken(&item, &listing);
                self.report.items.push(item);
            }
        }
        self.make_patches().await?;
        self.report
            .items
            .sort_by(|a, b| (&a.target, &a.path).cmp(&(&b.target, &b.path)));
        Ok(self.report)
    }

    /// Takes edits into the copy of the head, as a run would into the head itself.
    async fn capture(
        &mut self,
        target: &TargetId,
        head: &mut BTreeMap<ItemKey, HeadRow>,
    ) -> Result<(), EngineError> {
        let contents = Arc::clone(&self.contents);
        let look = Look {
            shared: self.shared,
            target,
            source: self.id,
            run: self.run,
            accept_root: self.request.accept_root,
            contents: Arc::clone(&contents) as Arc<dyn Contents>,
            settled_for: Duration::ZERO,
        };
        for edit in look.edits().await?.edits {
            let row = head.get(&edit.row.key);
            let policy = self.spec.on_conflict;
            let taken =
                tokio::task::block_in_place(|| take_in(&edit, row, policy, contents.as_ref()))?;
            if let Some(taken) = taken {
                head.insert(edit.row.key, taken.head);
                let captured = self.captured.entry(target.clone()).or_default();
                captured.extend(taken.ledger.map(|row| (row.path.clone(), row)));
            }
        }
        Ok(())
    }

    /// Brings the copy of the head to where the pull would bring the head.
    fn take_in(
        &mut self,
        plan: PullPlan,
        head: &mut BTreeMap<ItemKey, HeadRow>,
        listing: &Manifest,
        no_target: bool,
    ) {
        self.unfetched = plan.unfetched;
        for key in plan.deletes {
            head.remove(&key);
        }
        for row in plan.puts {
            head.insert(row.key.clone(), row);
        }
        let told = |item: &ItemReport| {
            no_target || matches!(item.action, ItemAction::Failed | ItemAction::Conflict)
        };
        for item in plan.items.into_iter().filter(told) {
            self.want_taken(&item, listing);
            self.report.items.push(item);
        }
        self.report
            .modified
            .extend(plan.modified.into_iter().map(|path| ModifiedItem {
                source: self.id.clone(),
                target: None,
                path,
            }));
    }

    async fn fetch(
        &self,
        side: &dyn Side,
        requests: Vec<FetchRequest>,
    ) -> Result<BTreeMap<ItemKey, SideError>, EngineError> {
        let contents: Arc<dyn Contents> = Arc::clone(&self.contents) as Arc<dyn Contents>;
        let settings = &self.shared.specs.settings;
        Ok(
            transfer::fetch(self.run, settings, side, requests, contents)
                .await?
                .failed,
        )
    }
}

/// Tells whether a conflict of the source itself, and not of a target, is told.
fn is_open(item: &ItemReport) -> bool {
    item.action == ItemAction::Conflict && item.target.is_none()
}
