//! Status: every source and target at a glance, from what is known already. Never reads a side.

mod conditions;
mod offline;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use homing_core::{SourceId, TargetId};
use homing_store::{ConflictRow, SourceRow};
use jiff::Timestamp;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::noted;
use crate::pause::{Pause, PauseReport};
use crate::report::{Condition, EngineStatus, Offline, SourceStatus, State, TargetStatus};
use crate::runs;
use crate::shared::locked;
use crate::spec::{PushMode, SourceSpec};
use crate::target::Withheld;
use crate::watching::Trouble;

/// What a status last read, for as long as nothing was written.
#[derive(Default)]
pub(crate) struct Snapshot(Mutex<Option<Arc<Stored>>>);

/// For how long a status is what [`Engine::status`] would tell again.
#[derive(Debug, Clone)]
pub struct Freshness {
    /// The commits and changes before it was found out.
    commits: u64,
    changes: u64,
    /// When it was found out, and the first time after that at which something in it ends by itself.
    since: Timestamp,
    until: Option<Timestamp>,
}

/// What the store knows, in one snapshot.
struct Stored {
    /// The commits before it was read.
    commits: u64,
    quarantined: Option<String>,
    restored: Option<String>,
    sources: BTreeMap<SourceId, (Option<SourceRow>, usize, bool, usize)>,
    ledgers: BTreeMap<TargetId, usize>,
    conflicts: Vec<ConflictRow>,
}

/// What one look finds out for all sources.
#[derive(Clone, Copy)]
struct AllTold<'a> {
    stored: &'a Stored,
    paused: &'a PauseReport,
    offline: Option<&'a Offline>,
}

impl Engine {
    /// Returns what [`Engine::status`] does, and how long it will; `None`: it changes all the time, for something runs.
    pub async fn status_to_keep(&self) -> Result<(EngineStatus, Option<Freshness>), EngineError> {
        // Counted before anything is read: what changes meanwhile makes it look old, never new.
        let (commits, changes, since) =
            (self.shared.store.commits(), noted::changes(), runs::now());
        let status = self.status().await?;
        if status
            .sources
            .iter()
            .any(|source| source.current_run.is_some())
        {
            return Ok((status, None));
        }
        let sources = self.shared.sources.values();
        let points = sources.flat_map(|actor| actor.turning_points());
        let until = points.chain(self.shared.pauses.ends());
        let until = until.filter(|point| *point >= since).min();
        let fresh = Freshness {
            commits,
            changes,
            since,
            until,
        };
        Ok((status, Some(fresh)))
    }

    /// Tells whether a status is still what [`Engine::status`] would tell.
    pub fn still_holds(&self, status: &Freshness) -> bool {
        let now = runs::now();
        status.commits == self.shared.store.commits()
            && status.changes == noted::changes()
            && status.since <= now
            && status.until.is_none_or(|until| now < until)
    }

    /// Returns every configured source and target at a glance.
    pub async fn status(&self) -> Result<EngineStatus, EngineError> {
        let stored = self.stored().await?;
        let now = runs::now();
        let edited = self.edited();
        let paused = self.shared.pauses.report(now);
        let offline = self.offline();
        let sources = self
            .shared
            .specs
            .sources
            .iter()
            .map(|(id, spec)| {
                let is_edited = edited.contains(id);
                let told = AllTold {
                    stored: &stored,
                    paused: &paused,
                    offline: offline.as_ref(),
                };
                self.source_status(id, spec, is_edited, told, now)
            })
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
                let is_behind = !known.published
                    || known.error.is_some()
                    || known.has_failed_items
                    || !known.blocked.is_empty();
                states.extend(is_behind.then_some(State::Outdated));
                states.extend((conflicts > 0).then_some(State::Conflict));
                TargetStatus {
                    id: id.clone(),
                    path: spec.path.display().to_string(),
                    from: spec.from.clone(),
                    served: spec
                        .tool
                        .iter()
                        .flat_map(|tool| tool.served.clone())
                        .collect(),
                    states: or_synced(states),
                    files: stored.ledgers.get(id).copied().unwrap_or(0) as u64,
                    conflicts,
                    conditions: self
                        .withheld(&known.blocked)
                        .into_iter()
                        .chain(known.stopped.iter().map(|message| stopped(message)))
                        .collect(),
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
        let quarantined = stored.quarantined.clone();
        Ok(EngineStatus {
            sources,
            targets,
            paused: paused.all,
            recovered,
            quarantined,
            restored: stored.restored.clone(),
            offline,
        })
    }

    /// Returns what is told while no far side can be reached.
    fn offline(&self) -> Option<Offline> {
        let sources = self.shared.specs.sources.iter();
        let far_away = sources.filter(|(_, spec)| spec.enabled && spec.origin.is_remote());
        offline::find(far_away.filter_map(|(id, spec)| {
            let (_, actor) = self.shared.source(id).ok()?;
            Some((id, actor.knowledge(), spec.comes_again()))
        }))
    }

    /// Returns what the guard keeps from leaving a target, and the command that lets it.
    fn withheld(&self, blocked: &BTreeMap<SourceId, Withheld>) -> Vec<Condition> {
        let told = |(source, withheld): (&SourceId, &Withheld)| Condition {
            kind: "Blocked",
            holds: true,
            reason: match self.shared.specs.sources.contains_key(source) {
                true if self.shared.is_live(source) => "Guard".to_owned(),
                true => DISABLED.to_owned(),
                false => "SourceRemoved".to_owned(),
            },
            message: withheld.told(&self.shared, source),
            since: None,
        };
        blocked.iter().map(told).collect()
    }

    /// Returns what the guard keeps in the targets of a source that is not in service.
    fn left_behind(&self, source: &SourceId) -> Option<String> {
        if self.shared.is_live(source) {
            return None;
        }
        self.shared.targets.values().find_map(|actor| {
            let blocked = actor.knowledge().blocked;
            Some(blocked.get(source)?.told(&self.shared, source))
        })
    }

    /// Returns the sources of which a target that follows them holds an edit.
    fn edited(&self) -> BTreeSet<SourceId> {
        let follows = |target: &TargetId, source: &SourceId| {
            let spec = self.shared.specs.targets.get(target);
            spec.is_some_and(|spec| spec.from.contains(source))
        };
        let mut edited = BTreeSet::new();
        for (target, actor) in &self.shared.targets {
            let modified = actor.knowledge().modified.into_iter();
            let sources = modified.map(|(source, _)| source);
            edited.extend(sources.filter(|source| follows(target, source)));
        }
        edited
    }

    /// Returns what the store knows; read again only after something was written, or other things are asked for.
    async fn stored(&self) -> Result<Arc<Stored>, EngineError> {
        let commits = self.shared.store.commits();
        let specs = &self.shared.specs;
        let last = locked(&self.shared.snapshot.0).clone();
        if let Some(stored) = last
            && stored.commits == commits
            && stored.sources.keys().eq(specs.sources.keys())
            && stored.ledgers.keys().eq(specs.targets.keys())
        {
            return Ok(stored);
        }
        let stored = Arc::new(self.read(commits).await?);
        *locked(&self.shared.snapshot.0) = Some(Arc::clone(&stored));
        Ok(stored)
    }

    async fn read(&self, commits: u64) -> Result<Stored, EngineError> {
        let sources: Vec<SourceId> = self.shared.specs.sources.keys().cloned().collect();
        let targets: Vec<TargetId> = self.shared.specs.targets.keys().cloned().collect();
        let quarantined = self
            .shared
            .store
            .quarantined()
            .map(|path| path.display().to_string());
        let restored = self.shared.store.restored();
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
                    commits,
                    quarantined,
                    restored,
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
        edited: bool,
        all: AllTold<'_>,
        now: Timestamp,
    ) -> SourceStatus {
        let AllTold {
            stored,
            paused,
            offline,
        } = all;
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
        let failed = known
            .last_run
            .as_ref()
            .is_some_and(|run| run.error.is_some());
        let mut states = Vec::new();
        states
            .extend((unpushed || edited || !known.modified.is_empty()).then_some(State::Modified));
        let in_part = conditions::partial(&known, conflicts);
        let is_behind = matches!(in_part, Some(("PartialRun", _)));
        states.extend(
            (known.outdated || failed || is_behind || known.schedule.last_success.is_none())
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
            conditions: conditions::conditions(
                spec,
                &known,
                conflicts,
                conditions::Told {
                    in_part,
                    pause: pause_of(id, paused),
                    unwatched: self.unwatched(id, spec),
                    left_behind: self.left_behind(id),
                    offline: offline.is_some_and(|all| all.sources.iter().any(|one| one.id == *id)),
                },
                now,
            ),
            revision: row.and_then(|row| row.revision.clone()),
            about: row.and_then(|row| row.about.clone()),
            files: files as u64,
            last_attempt: known.schedule.last_attempt,
            last_success: known.schedule.last_success,
            next_due: known
                .schedule
                .next_due
                .filter(|_| known.schedule.stalled.is_none()),
            paused: paused.sources.get(id).copied(),
            conflicts,
            last_run: known.last_run,
            current_run: known.current.map(|run| run.report()),
        }
    }
}

/// Says what a finding keeps from being published as it is.
fn stopped(message: &str) -> Condition {
    Condition {
        kind: "Blocked",
        holds: true,
        reason: "Findings".to_owned(),
        message: message.to_owned(),
        since: None,
    }
}

/// Why the guard keeps the files of a source that is out of service.
const DISABLED: &str = "SourceDisabled";

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
