//! What runs, and the way from one configuration to the next.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use homing_api::{Changes, Condition, Problem, ProblemKind, Reloaded};
use homing_config::{Commands, Config};
use homing_engine::{Engine, Events, Touched};
use homing_store::{Store, StoreOptions};
use jiff::Timestamp;

use crate::api::{Answer, Serving};
use crate::configuration::{self, Judged, Place};
use crate::import::Configured;
use crate::schedule::{Pump, Schedule, Tempo};
use crate::shown::Shown;
use crate::start::StartError;
use crate::tasks::Tasks;
use crate::upkeep::Repositories;
use crate::{condition, convert, log, problem};

/// How long answers under way may take once the runs have ended.
const ANSWER_GRACE: Duration = Duration::from_secs(2);

/// Who wants the configuration to be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A person: by a request or a signal.
    Asked,
    /// The file changed. Whoever can write it cannot have a new command run so.
    FileChanged,
}

impl Cause {
    fn words(self) -> &'static str {
        match self {
            Self::Asked => "somebody asked",
            Self::FileChanged => "a file changed",
        }
    }
}

/// What runs: with a valid configuration all of it, else nothing.
pub(crate) struct Service {
    place: Arc<Place>,
    log: log::Handle,
    tasks: Tasks,
    events: Events,
    syncing: Option<Syncing>,
    /// The commands that a person put in force last, by a start or by asking for a reload.
    ///
    /// An editor that removes a file for a moment takes none of them back.
    approved: Commands,
    /// Why nothing runs, or why what runs is not what the file says.
    invalid: Option<Box<Problem>>,
    conditions: Vec<Condition>,
}

struct Syncing {
    engine: Engine,
    store: Store,
    config: Config,
    /// The configuration file was there when it was read.
    had_file: bool,
    /// The configuration as the interface shows it.
    shown: Arc<Shown>,
    importable: Arc<Vec<Configured>>,
    tempo: Tempo,
    schedule: Option<Schedule>,
}

impl Service {
    /// Starts what the configuration asks for; one that is not valid is no error.
    pub(crate) async fn start(
        place: Arc<Place>,
        judged: Result<Judged, Box<Problem>>,
        log: log::Handle,
        tasks: Tasks,
        events: &Events,
    ) -> Result<Self, StartError> {
        let mut service = Self {
            place,
            log,
            tasks,
            events: events.clone(),
            syncing: None,
            approved: Commands::default(),
            invalid: None,
            conditions: Vec::new(),
        };
        match judged {
            Ok(judged) => {
                service.approved = judged.config.commands();
                service.begin(judged).await?;
            }
            Err(problem) => service.refuse(problem),
        }
        Ok(service)
    }

    /// Begins to run sources when their turn comes, if there is a valid configuration.
    pub(crate) async fn begin_schedule(&mut self) -> Result<(), StartError> {
        let repositories = self.repositories();
        let Some(syncing) = &mut self.syncing else {
            return Ok(());
        };
        let pump = Pump::new(
            syncing.engine.clone(),
            syncing.store.clone(),
            self.tasks.clone(),
            syncing.tempo,
            repositories,
            Timestamp::now(),
        );
        let schedule = Schedule::start(pump)
            .await
            .map_err(|error| StartError::system("the schedule could not start", error))?;
        syncing.schedule = Some(schedule);
        Ok(())
    }

    /// Takes the configuration over, whole or not at all.
    pub(crate) async fn reload(&mut self, cause: Cause) -> Answer {
        let since = Instant::now();
        let place = Arc::clone(&self.place);
        let commands = (cause == Cause::FileChanged).then(|| self.approved.clone());
        let was_there = self
            .syncing
            .as_ref()
            .is_some_and(|syncing| syncing.had_file);
        if cause == Cause::FileChanged && was_there && self.place.file_is_gone() {
            let problem = self.place.gone();
            self.refuse(problem.clone());
            return Err(problem);
        }
        let judged = tokio::task::spawn_blocking(move || place.load(commands)).await;
        let judged = match judged {
            Ok(Ok(judged)) => judged,
            Ok(Err(problem)) => {
                self.refuse(problem.clone());
                return Err(problem);
            }
            Err(error) => {
                let detail = format!("the configuration could not be read: {error}");
                return Err(Box::new(Problem::new(ProblemKind::Internal, detail)));
            }
        };
        let commands = judged.config.commands();
        let reloaded = self.take_over(judged).await?;
        if cause == Cause::Asked {
            self.approved = commands;
        }
        let took = since.elapsed();
        if reloaded.is_empty() && cause == Cause::FileChanged {
            tracing::debug!(?took, "the configuration was read again and is the same");
        } else {
            let what = in_words(&reloaded);
            tracing::info!(cause = cause.words(), ?took, what, "configuration reloaded");
        }
        Ok(reloaded)
    }

    /// Returns the mirrors, which outlive every configuration.
    fn repositories(&self) -> Repositories {
        let env = &self.place.env;
        Repositories {
            mirrors: self.place.kept.mirrors.clone(),
            environment: self.place.kept.environment_of_git(env),
        }
    }

    /// Returns the engine, or why there is none.
    pub(crate) fn serving(&self) -> Result<Serving, Box<Problem>> {
        match (&self.syncing, &self.invalid) {
            (Some(syncing), _) => {
                let sources = syncing.config.sources.iter();
                Ok(Serving {
                    engine: syncing.engine.clone(),
                    sources: sources
                        .map(|(id, source)| (id.clone(), source.enabled))
                        .collect(),
                    shown: Arc::clone(&syncing.shown),
                    importable: Arc::clone(&syncing.importable),
                    repositories: self.repositories(),
                })
            }
            (None, Some(problem)) => Err(problem.clone()),
            (None, None) => {
                let detail = "homingd has not begun";
                Err(Box::new(Problem::new(ProblemKind::NotReady, detail)))
            }
        }
    }

    /// Returns what is to be said about the configuration.
    pub(crate) fn conditions(&self) -> Vec<Condition> {
        self.conditions.clone()
    }

    /// Takes no new work, lets runs finish, closes the store.
    pub(crate) async fn drain(self) {
        self.tasks.stop();
        let Some(syncing) = self.syncing else {
            self.tasks.finished(ANSWER_GRACE).await;
            return;
        };
        if let Some(schedule) = syncing.schedule {
            schedule.stop().await;
        }
        let grace = syncing.config.daemon.shutdown_grace;
        syncing.engine.shutdown(grace).await;
        self.place.kept.connections.end().await;
        if !self.tasks.finished(ANSWER_GRACE).await {
            tracing::warn!("some connections did not end in time");
        }
        syncing.store.close().await;
    }

    async fn begin(&mut self, judged: Judged) -> Result<(), StartError> {
        let Judged { config, specs, .. } = judged;
        let store = open_store(&config.daemon.data_dir).await?;
        if let Some(moved) = store.quarantined() {
            tracing::error!(
                moved = %moved.display(),
                "the database was damaged and moved aside; nothing is deleted or pushed until the rebuild is accepted"
            );
        }
        let engine = Engine::start_telling(specs, store.clone(), self.events.clone())
            .await
            .map_err(|error| StartError::system("the engine could not start", error))?;
        self.syncing = Some(Syncing {
            engine,
            store,
            tempo: tempo(&config),
            had_file: self.place.has_file(),
            shown: Arc::new(Shown::of(&config)),
            importable: Arc::new(Configured::of(&config)),
            config,
            schedule: None,
        });
        Ok(())
    }

    async fn take_over(&mut self, judged: Judged) -> Answer {
        let old = self.syncing.as_ref().map(|syncing| &syncing.config);
        let new = &judged.config;
        let reloaded = Reloaded {
            sources: configuration::changes(old.map(|old| &old.sources), &new.sources),
            targets: configuration::changes(old.map(|old| &old.targets), &new.targets),
            settings: old.map_or_else(Vec::new, |old| configuration::settings(old, new)),
            restart_needed: self.place.moved(),
            commands_waiting: judged.waiting.clone(),
        };
        let format = self.place.log_format(Some(new));
        let filter = (old.map(|old| &old.daemon.log) != Some(&new.daemon.log))
            .then(|| judged.filter.clone());
        if self.syncing.is_none() {
            let begun = async {
                self.begin(judged).await?;
                self.begin_schedule().await
            };
            if let Err(error) = begun.await {
                let problem = not_started(&error);
                self.invalid = Some(problem.clone());
                return Err(problem);
            }
        } else if !reloaded.is_empty() {
            self.change(judged).await?;
        }
        if let Some(syncing) = &mut self.syncing {
            syncing.had_file = self.place.has_file();
        }
        if let Some(filter) = filter {
            self.log.set_filter(filter);
        }
        self.log.set_format(format);
        self.invalid = None;
        self.tell(&reloaded);
        Ok(reloaded)
    }

    /// Goes on with other settings.
    async fn change(&mut self, judged: Judged) -> Result<(), Box<Problem>> {
        let Some(syncing) = &mut self.syncing else {
            return Ok(());
        };
        let Judged { config, specs, .. } = judged;
        let touched = Touched {
            sources: configuration::touched(&syncing.config.sources, &config.sources),
            targets: configuration::touched(&syncing.config.targets, &config.targets),
        };
        let engine = syncing.engine.reload(specs, &touched).await;
        syncing.engine = engine.map_err(|error| Box::new(problem::of_failure(&error.failure())))?;
        syncing.shown = Arc::new(Shown::of(&config));
        syncing.importable = Arc::new(Configured::of(&config));
        syncing.config = config;
        let tempo = tempo(&syncing.config);
        if tempo != syncing.tempo {
            syncing.tempo = tempo;
            if let Some(schedule) = syncing.schedule.take() {
                schedule.stop().await;
            }
            let begun = self.begin_schedule().await;
            begun.map_err(|error| not_started(&error))?;
        }
        Ok(())
    }

    /// Notes that the file is not valid. What is in force stays so.
    fn refuse(&mut self, problem: Box<Problem>) {
        tracing::error!(causes = problem.causes.join("; "), "{}", problem.detail);
        let since = self.since("ConfigInvalid");
        self.conditions
            .retain(|condition| condition.kind != "ConfigInvalid");
        let told = condition::config_invalid(&problem, &since);
        self.conditions.insert(0, told);
        self.invalid = Some(problem);
    }

    /// Says what of a valid configuration is not in force yet.
    fn tell(&mut self, reloaded: &Reloaded) {
        let mut conditions = Vec::new();
        if !reloaded.commands_waiting.is_empty() {
            let since = self.since("ReloadNeeded");
            conditions.push(condition::reload_needed(&reloaded.commands_waiting, &since));
        }
        if !reloaded.restart_needed.is_empty() {
            let since = self.since("RestartNeeded");
            conditions.push(condition::restart_needed(&reloaded.restart_needed, &since));
        }
        for condition in &conditions {
            if !self.conditions.contains(condition) {
                tracing::warn!("{}", condition.message);
            }
        }
        self.conditions = conditions;
    }

    /// Returns since when a condition holds: since now, when it did not hold before.
    fn since(&self, kind: &str) -> String {
        let known = self.conditions.iter().find(|known| known.kind == kind);
        known
            .and_then(|known| known.since.clone())
            .unwrap_or_else(|| convert::time(Timestamp::now()))
    }
}

/// Returns what a reload changed, for a line of the log.
fn in_words(reloaded: &Reloaded) -> String {
    let of = |what: &str, changes: &Changes| {
        [
            ("added", &changes.added),
            ("changed", &changes.changed),
            ("removed", &changes.removed),
        ]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(how, names)| format!("{what} {how}: {}", names.join(", ")))
        .collect::<Vec<_>>()
    };
    let mut parts = of("sources", &reloaded.sources);
    parts.extend(of("targets", &reloaded.targets));
    if !reloaded.settings.is_empty() {
        parts.push(format!(
            "settings changed: {}",
            reloaded.settings.join(", ")
        ));
    }
    if parts.is_empty() {
        return "nothing is other than it was".to_owned();
    }
    parts.join("; ")
}

fn tempo(config: &Config) -> Tempo {
    Tempo::of(config.sources.values().filter_map(|source| source.every))
}

fn not_started(error: &StartError) -> Box<Problem> {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    let mut problem = Problem::new(ProblemKind::Storage, error.to_string()).with_causes(causes);
    problem.hint = error.hint();
    tracing::error!(causes = ?problem.causes, "{}", problem.detail);
    Box::new(problem)
}

async fn open_store(data_dir: &Path) -> Result<Store, StartError> {
    let options = StoreOptions {
        data_dir: data_dir.to_owned(),
    };
    match tokio::task::spawn_blocking(move || Store::open(options)).await {
        Ok(Ok(store)) => Ok(store),
        Ok(Err(source)) => Err(StartError::Store {
            data_dir: data_dir.to_owned(),
            source,
        }),
        Err(error) => Err(StartError::system(
            "the database could not be opened",
            error,
        )),
    }
}
