//! Verify: what is published, compared with what was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use homing_core::{FetchRequest, ItemKey, Step, TargetId};
use homing_store::LedgerRow;

use tracing::Instrument;

use crate::changes;
use crate::engine::{Engine, conclude_alone};
use crate::error::EngineError;
use crate::hooks;
use crate::pipeline::plan::publish::PathChange;
use crate::pipeline::publish::{Assignment, Rows};
use crate::pipeline::transfer;
use crate::report::{Drift, ItemAction, Trigger, Verb, VerifyReport};
use crate::runs::Run;
use crate::shared::Shared;
use crate::target::Published;
use crate::target_turn::TargetTurn;

impl Engine {
    /// Compares every published file with what was written, byte by byte. With `repair`, files that are missing or
    /// damaged come back; an edit is never touched.
    pub async fn verify(
        &self,
        target: &TargetId,
        repair: bool,
    ) -> Result<VerifyReport, EngineError> {
        self.admit()?;
        self.shared.target(target)?;
        let shared = Arc::clone(&self.shared);
        let run = shared
            .runs
            .create(None, Some(target.clone()), Verb::Verify, Trigger::Manual);
        let id = target.clone();
        let span = run.span();
        let verified = async move {
            run.begin_quietly();
            let _pins = shared.store.contents().pin_scope();
            let verified = verify(&shared, &id, repair, &run).await;
            if let Ok((_, published)) = &verified
                && !published.carried.is_empty()
            {
                let carried = published.carried.clone();
                let told = hooks::run(&shared, &id, &run).await;
                conclude_alone(
                    &shared,
                    &run,
                    Published {
                        carried,
                        problems: told.into_iter().collect(),
                        ..Published::default()
                    },
                )
                .await;
            }
            shared.runs.remove(run.id);
            run.announce();
            changes::look(&shared);
            verified.map(|(report, _)| report)
        };
        self.shared.tasks.spawn(verified.instrument(span)).await?
    }
}

async fn verify(
    shared: &Shared,
    id: &TargetId,
    repair: bool,
    run: &Arc<Run>,
) -> Result<(VerifyReport, Published), EngineError> {
    let mut turn = TargetTurn::take(shared, id, run).await?;
    let paths = turn.state.ledger.keys().cloned().collect();
    let near = turn.survey(paths, true).await?;
    let mut report = VerifyReport {
        target: id.clone(),
        checked: 0,
        drifted: Vec::new(),
    };
    let mut repairs = Vec::new();
    let mut damages = Vec::new();
    for (path, row) in turn.state.ledger.iter().filter(|(_, row)| !row.tombstone) {
        report.checked += 1;
        if let Some(reason) = near.unknown_reason(path) {
            report
                .drifted
                .push((path.clone(), Drift::Unreadable, reason.to_string()));
            continue;
        }
        let found = near.items.get(path);
        let version = found.map(homing_core::Item::version);
        if version == row.written {
            continue;
        }
        // The same stat signature over other bytes: nobody wrote the file, the disk lost it.
        let damaged =
            found.is_some_and(|item| item.identity.is_some() && item.identity == row.identity);
        let (drift, told) = match (found, damaged) {
            (None, _) => (Drift::Missing, "it is gone"),
            (Some(_), true) => (Drift::Missing, "its bytes are damaged: nobody wrote to it"),
            (Some(_), false) => (Drift::Edited, "it was edited"),
        };
        if drift == Drift::Missing {
            damages.extend(found.map(|item| FetchRequest::new(path, item)));
            repairs.extend(assignment(row, version, run));
        }
        report.drifted.push((path.clone(), drift, told.to_owned()));
    }
    let mut published = Published::default();
    if repair && !repairs.is_empty() {
        // What the disk made of a file is kept too before it is replaced.
        let (place, settings) = (turn.spec.place.as_ref(), &shared.specs.settings);
        let kept = transfer::fetch_missing(
            run,
            settings,
            (&shared.store, shared.contents()),
            place,
            damages,
        )
        .await?;
        repairs.retain(|repair| !kept.failed.contains_key(&repair.change.path));
        let carried = turn.carry_out(repairs, Rows::default()).await?;
        note_repairs(&mut report, &carried.items);
        published.carried = carried.items;
        if let Some(error) = carried.failure {
            return Err(error);
        }
    }
    Ok((report, published))
}

fn assignment(
    row: &LedgerRow,
    found: Option<homing_core::Version>,
    run: &Arc<Run>,
) -> Option<Assignment> {
    let after = Some(row.written?);
    let change = PathChange {
        source: row.source.clone(),
        key: row.key.clone(),
        path: row.path.clone(),
        before: found,
        after,
        size: row.size,
        base_before: row.base,
        base_after: row.base,
        adopted: row.adopted,
    };
    let step = Step {
        key: row.path.clone(),
        renamed_from: None,
        before: found,
        after,
    };
    Some(Assignment {
        run: Arc::clone(run),
        step,
        change,
    })
}

fn note_repairs(report: &mut VerifyReport, items: &[crate::report::ItemReport]) {
    let done: BTreeMap<&ItemKey, &crate::report::ItemReport> =
        items.iter().map(|item| (&item.path, item)).collect();
    for (path, drift, told) in &mut report.drifted {
        match done.get(path) {
            Some(item) if matches!(item.action, ItemAction::Failed | ItemAction::Conflict) => {
                *told = item.reason.clone().unwrap_or_default();
            }
            Some(_) => {
                *drift = Drift::Repaired;
                told.push_str(", and is back");
            }
            None => {}
        }
    }
}
