//! What a target would take of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use homing_core::{
    Contents, FetchRequest, Item, ItemKey, Problem, ProblemKind, SourceId, Step, TargetId, Version,
};
use homing_store::HeadRow;

use super::Diff;
use crate::catalog::{Catalog, SourceHead};
use crate::elsewhere;
use crate::error::EngineError;
use crate::history;
use crate::pipeline::plan::guard;
use crate::pipeline::plan::publish::{self, PathChange, PublishInput};
use crate::pipeline::survey;
use crate::render;
use crate::report::{ItemAction, ItemReport, ModifiedItem};
use crate::target::{Withheld, policies, read_state};
use crate::target_run::forget_unwritten;

impl Diff<'_> {
    pub(super) async fn publish(
        &mut self,
        id: &TargetId,
        head: &BTreeMap<ItemKey, HeadRow>,
    ) -> Result<(), EngineError> {
        let (spec, _) = self.shared.target(id)?;
        let mut state = read_state(self.shared, id).await?;
        state
            .ledger
            .extend(self.captured.get(id).cloned().unwrap_or_default());
        let heads: Vec<SourceHead> = std::mem::take(&mut state.heads)
            .into_iter()
            .map(|known| {
                if &known.source == self.id {
                    SourceHead {
                        rows: head.clone(),
                        unfetched: self.unfetched.clone(),
                        ..known
                    }
                } else {
                    known
                }
            })
            .collect();
        let contents = Arc::clone(&self.contents) as Arc<dyn Contents>;
        let target = (id, spec);
        let catalog = render::catalog(self.shared, target, heads, &state.ledger, contents).await?;
        if spec.render.is_some() {
            state.unpushed.clear();
        }
        let paths = state
            .ledger
            .keys()
            .chain(catalog.entries.keys())
            .cloned()
            .collect();
        let rules = survey::RootRules {
            boot_id: &self.shared.boot_id,
            accept: self.request.accept_root,
            read_all: self.request.force,
        };
        let settings = &self.shared.specs.settings;
        let near = survey::target(
            self.run,
            settings,
            spec,
            state.root.as_ref(),
            &state.ledger,
            paths,
            rules,
        )
        .await;
        let near = match near {
            Err(error) => return Err(elsewhere::told(self.shared, id, error).await),
            Ok(near) => near,
        };
        if rules.accept {
            forget_unwritten(&mut state, &near, &self.shared.boot_id);
        }
        let policies = policies(self.shared, spec);
        let input = PublishInput {
            target: id,
            ledger: &state.ledger,
            catalog: &catalog,
            near: &near,
            deletions: spec.deletions,
            policies: &policies,
            unpushed: &state.unpushed,
            takes_new_files: spec.new_files_to.is_some(),
        };
        let decisions = publish::decide(&input);
        let failed = self
            .fetch(spec.place.as_ref(), decisions.fetches.clone())
            .await?;
        // A merge needs what upstream has, which was not fetched where the head takes it over as it is.
        self.fetch_catalog(&catalog, &decisions.fetches).await?;
        let contents = Arc::clone(&self.contents);
        let plan = tokio::task::block_in_place(|| {
            publish::resolve(&input, decisions, &failed, contents.as_ref())
        })?;
        let withheld = self.withheld(id, &plan.changes, state.ledger.len());
        // A run leaves to the other sources what waits for a person there, as their own runs tell it.
        let is_told =
            |item: &ItemReport| &item.source == self.id || item.action != ItemAction::Conflict;
        self.report
            .items
            .extend(plan.items.into_iter().filter(is_told));
        for (_, change) in plan.changes {
            if withheld.contains(&change.source) {
                continue;
            }
            let item = ItemReport {
                source: change.source,
                target: Some(id.clone()),
                key: change.key,
                path: change.path,
                action: history::published(change.before, change.after, change.base_after),
                before: change.before,
                after: change.after,
                reason: None,
            };
            self.want_published(&item, &near, change.size);
            self.report.items.push(item);
        }
        self.report.modified.extend(
            plan.modified
                .into_iter()
                .filter(|(source, _)| source == self.id)
                .map(|(source, path)| ModifiedItem {
                    source,
                    target: Some(id.clone()),
                    path,
                }),
        );
        self.report.problems.extend(catalog.problems);
        let flagged = catalog.flagged.into_iter();
        self.flagged
            .extend(flagged.filter(|one| one.source == *self.id));
        self.report.problems.extend(near.problems);
        Ok(())
    }

    /// Asks the guard, and tells what it says: of the source itself, and of others, whose names it returns.
    fn withheld(
        &mut self,
        target: &TargetId,
        changes: &[(Step, PathChange)],
        ledger_rows: usize,
    ) -> BTreeSet<SourceId> {
        let spec = self.shared.specs.targets.get(target);
        let agreed = |change: &PathChange| {
            let is_own = &change.source == self.id && self.consent.keys.contains(&change.key);
            let is_moved = spec.is_some_and(|spec| spec.lets_go_of(&change.source));
            change.after.is_none() && (is_own || is_moved)
        };
        let steps: Vec<Step> = changes
            .iter()
            .filter(|(_, change)| !agreed(change))
            .map(|(step, _)| step.clone())
            .collect();
        let side = format!("target `{target}`");
        let Err((error, digest)) = guard(&side, &steps, ledger_rows, &self.consent) else {
            return BTreeSet::new();
        };
        let mut sources: BTreeSet<SourceId> = changes
            .iter()
            .filter(|(_, change)| change.after.is_none())
            .map(|(_, change)| change.source.clone())
            .collect();
        if sources.remove(self.id) {
            self.report.blocked.get_or_insert(error.to_string());
        }
        let withheld = Withheld {
            failure: error.failure(),
            digest,
        };
        self.report
            .problems
            .extend(sources.iter().map(|source| Problem {
                kind: ProblemKind::Withheld,
                path: String::new(),
                message: withheld.told(self.shared, source),
            }));
        sources
    }

    /// Fetches from the origin what the merges of `edited` need and neither the store nor the scratch holds.
    async fn fetch_catalog(
        &self,
        catalog: &Catalog,
        edited: &[FetchRequest],
    ) -> Result<(), EngineError> {
        let requests: Vec<FetchRequest> = edited
            .iter()
            .filter_map(|edit| catalog.entries.get(&edit.key))
            .filter(|entry| {
                &entry.source == self.id && self.contents.open(&entry.version.hash).is_err()
            })
            .map(|entry| {
                let Version { hash, executable } = entry.version;
                FetchRequest::new(
                    &entry.key,
                    &Item {
                        hash,
                        size: entry.size,
                        executable,
                        identity: None,
                    },
                )
            })
            .collect();
        self.fetch(self.spec.origin.as_ref(), requests)
            .await
            .map(drop)
    }
}
