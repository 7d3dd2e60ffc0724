//! Status: every source and target at a glance, from what is known already. Never reads a side.

use std::collections::BTreeMap;

use homing_core::{SourceId, TargetId};
use homing_store::{ConflictRow, SourceRow};
use jiff::Timestamp;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::pause::{Pause, PauseReport};
use crate::report::{Condition, EngineStatus, RunStatus, SourceStatus, State, TargetStatus};
use crate::runs;
use crate::source;
use crate::spec::{PushMode, SourceSpec};
use crate::watching::Trouble;

/// What the store knows, in one snapshot.
struct Stored {
    sources: BTreeMap<SourceId, (Option<SourceRow>, usize, bool, usize)>,
    ledgers: BTreeMap<TargetId, usize>,
    conflicts: Vec<ConflictRow>,
}

impl Engine {
    /// Returns every configured source and target at a glance.
    pub async fn status(&self) -> Result<EngineStatus, EngineError> {
        let stored = self.stored().await?;
        let now = runs::now();
        let paused = self.shared.pauses.report(now);
        let sources = self
            .shared
            .specs
            .sources
            .iter()
            .map(|(id, spec)| self.source_status(id, spec, &stored, &paused, now))
            .collect();
        let targets = self
            .shared
            .specs
            .targets
            .iter()
            .map(|(id, spec)| {
                let known = self
                    .shared
                    .target(id)
                    .map(|(_, actor)| actor.knowledge())
                    .unwrap_or_default();
                let conflicts = count(&stored.conflicts, |row| row.target.as_ref() == Some(id));
                let mut states = Vec::new();
                states.extend((!known.modified.is_empty()).then_some(State::Modified));
                states
                    .extend((!known.published || known.error.is_some()).then_some(State::Outdated));
                states.extend((conflicts > 0).then_some(State::Conflict));
                TargetStatus {
                    id: id.clone(),
                    path: spec.path.display().to_string(),
                    from: spec.from.clone(),
                    states: or_synced(states),
                    files: stored.ledgers.get(id).copied().unwrap_or(0) as u64,
                    conflicts,
                    error: known.error,
                }
            })
            .collect::<Vec<_>>();
        let looked_at = |id: &TargetId| {
            self.shared
                .target(id)
                .is_ok_and(|(_, actor)| actor.knowledge().was_looked_at())
        };
        let sources_wait = self
            .shared
            .sources
            .values()
            .any(|actor| actor.knowledge().repairs);
        let recovered = self.shared.specs.targets.keys().all(looked_at) && !sources_wait;
        let quarantined = self
            .shared
            .store
            .quarantined()
            .map(|path| path.display().to_string());
        Ok(EngineStatus {
            sources,
            targets,
            paused: paused.all,
            recovered,
            quarantined,
        })
    }

    async fn stored(&self) -> Result<Stored, EngineError> {
        let sources: Vec<SourceId> = self.shared.specs.sources.keys().cloned().collect();
        let targets: Vec<TargetId> = self.shared.specs.targets.keys().cloned().collect();
        let stored = self
            .shared
            .store
            .read(move |reader| {
                let mut known = BTreeMap::new();
                for id in sources {
                    let (files, unpushed) = reader.head_counts(&id)?;
                    known.insert(
                        id.clone(),
                        (
                            reader.source(&id)?,
                            files,
                            unpushed > 0,
                            reader.holds(&id)?.len(),
                        ),
                    );
                }
                let mut ledgers = BTreeMap::new();
                for id in targets {
                    ledgers.insert(id.clone(), reader.ledger_count(&id)?);
                }
                Ok(Stored {
                    sources: known,
                    ledgers,
                    conflicts: reader.conflicts(None, None)?,
                })
            })
            .await?;
        Ok(stored)
    }

    /// Returns why changes of a source, or edits in its targets, are found at its next turn only.
    fn unwatched(&self, id: &SourceId, spec: &SourceSpec) -> Option<Trouble> {
        let until = match spec.cadence {
            Some(_) => "until then it is looked at when its turn comes",
            None => "until then it is looked at every few minutes",
        };
        let own = self.shared.source(id).ok()?.1.watching.trouble();
        let targets = self.shared.targets_of(id);
        let of_target = targets
            .iter()
            .filter(|_| spec.push != PushMode::Never)
            .find_map(|id| Some((id, self.shared.target(id).ok()?.1.watching.trouble()?)));
        match (own, of_target) {
            (Some(trouble), _) => Some(Trouble {
                message: format!("it is not watched: {}; {until}", trouble.message),
                ..trouble
            }),
            (None, Some((target, trouble))) => Some(Trouble {
                message: format!(
                    "target `{target}` is not watched: {}; {until}",
                    trouble.message
                ),
                ..trouble
            }),
            (None, None) => None,
        }
    }

    fn source_status(
        &self,
        id: &SourceId,
        spec: &SourceSpec,
        stored: &Stored,
        paused: &PauseReport,
        now: Timestamp,
    ) -> SourceStatus {
        let known = self
            .shared
            .source(id)
            .map(|(_, actor)| actor.knowledge())
            .unwrap_or_default();
        let (row, files, unpushed, held) = match stored.sources.get(id) {
            Some((row, files, unpushed, held)) => (row.as_ref(), *files, *unpushed, *held),
            None => (None, 0, false, 0),
        };
        let conflicts = count(&stored.conflicts, |row| row.source == *id);
        let edited = self.shared.targets_of(id).iter().any(|target| {
            self.shared.target(target).is_ok_and(|(_, actor)| {
                actor
                    .knowledge()
                    .modified
                    .iter()
                    .any(|(source, _)| source == id)
            })
        });
        let failed = known
            .last_run
            .as_ref()
            .is_some_and(|run| run.error.is_some());
        let mut states = Vec::new();
        states
            .extend((unpushed || edited || !known.modified.is_empty()).then_some(State::Modified));
        states.extend(
            (known.outdated || failed || known.schedule.last_success.is_none())
                .then_some(State::Outdated),
        );
        states.extend((conflicts > 0).then_some(State::Conflict));
        states.extend((held > 0).then_some(State::Held));
        SourceStatus {
            id: id.clone(),
            kind: spec.kind.clone(),
            url: spec.url.clone(),
            enabled: spec.enabled,
            priority: spec.priority,
            states: or_synced(states),
            conditions: conditions(
                spec,
                &known,
                conflicts,
                pause_of(id, paused),
                self.unwatched(id, spec),
                now,
            ),
            revision: row.and_then(|row| row.revision.clone()),
            files: files as u64,
            last_attempt: known.schedule.last_attempt,
            last_success: known.schedule.last_success,
            next_due: known.schedule.next_due,
            paused: paused.sources.get(id).copied(),
            conflicts,
            last_run: known.last_run,
            current_run: known.current.map(|run| run.report()),
        }
    }
}

fn count(conflicts: &[ConflictRow], of: impl Fn(&ConflictRow) -> bool) -> u64 {
    conflicts.iter().filter(|row| of(row)).count() as u64
}

/// Returns the pause of a source, or of everything, that ends last.
fn pause_of(id: &SourceId, paused: &PauseReport) -> Option<Pause> {
    let both = paused.sources.get(id).into_iter().chain(&paused.all);
    both.copied()
        .max_by_key(|pause| pause.until.unwrap_or(Timestamp::MAX))
}

fn or_synced(states: Vec<State>) -> Vec<State> {
    if states.is_empty() {
        vec![State::Synced]
    } else {
        states
    }
}

fn conditions(
    spec: &SourceSpec,
    known: &source::Knowledge,
    conflicts: u64,
    pause: Option<Pause>,
    unwatched: Option<Trouble>,
    now: Timestamp,
) -> Vec<Condition> {
    let schedule = &known.schedule;
    let error = known.last_run.as_ref().and_then(|run| run.error.as_ref());
    let blocked = known
        .last_run
        .as_ref()
        .is_some_and(|run| run.status == RunStatus::Blocked);
    let condition = |kind, holds: bool, reason: &str, message: String, since| Condition {
        kind,
        holds,
        reason: reason.to_owned(),
        message,
        since,
    };
    let told = |error: Option<&crate::report::Failure>| {
        error.map(|error| error.message.clone()).unwrap_or_default()
    };
    let stale = schedule.is_stale(spec, now);
    let ready = spec.enabled && error.is_none() && schedule.last_success.is_some();
    let reason = match (spec.enabled, error) {
        (false, _) => "Disabled",
        (true, Some(_)) => "LastRunFailed",
        (true, None) if schedule.last_success.is_none() => "NeverSynced",
        (true, None) => "Synced",
    };
    let mut conditions = vec![condition(
        "Ready",
        ready,
        reason,
        told(error),
        schedule.last_success,
    )];
    if let Some(pause) = pause {
        let message = match pause.until {
            Some(until) => format!("nothing runs by itself until {until}"),
            None => "nothing runs by itself until `homing resume`".to_owned(),
        };
        conditions.push(condition(
            "Paused",
            true,
            "ByHand",
            message,
            Some(pause.since),
        ));
    }
    if let Some(run) = &known.current {
        let since = Some(run.report().started_at);
        conditions.push(condition(
            "Syncing",
            true,
            "RunUnderWay",
            format!("run {}", run.id),
            since,
        ));
    }
    if stale {
        let message = match schedule.last_success {
            Some(success) => format!("the last success was at {success}"),
            None => "it was never synced".to_owned(),
        };
        conditions.push(condition(
            "Stale",
            true,
            "TooOld",
            message,
            schedule.last_success,
        ));
    }
    if let Some(stalled) = &schedule.stalled {
        conditions.push(condition(
            "Stalled",
            true,
            "NeedsAPerson",
            stalled.clone(),
            schedule.last_attempt,
        ));
    }
    if let Some(trouble) = unwatched {
        let since = Some(trouble.since);
        conditions.push(condition(
            "Unwatched",
            true,
            "CannotWatch",
            trouble.message,
            since,
        ));
    }
    if conflicts > 0 {
        conditions.push(condition(
            "Conflicted",
            true,
            "ConflictsOpen",
            format!("{conflicts} open"),
            None,
        ));
    }
    if blocked {
        conditions.push(condition(
            "Blocked",
            true,
            "Guard",
            told(error),
            schedule.last_attempt,
        ));
    }
    conditions
}
