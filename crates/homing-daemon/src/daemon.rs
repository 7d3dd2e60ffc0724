//! The life of the daemon: lock, store, engine, socket, schedule, and the way back.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use homing_api::Problem;
use homing_config::{Config, Locations};
use homing_engine::{Engine, Events, NoticeKind};
use homing_store::{Store, StoreOptions};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, Identity, Serving, Shared, router};
use crate::lock::Lock;
use crate::schedule::{Pump, Schedule, Tempo};
use crate::signal::Signals;
use crate::socket::Socket;
use crate::start::StartError;
use crate::tasks::Tasks;
use crate::{assemble, convert, server};

/// How long answers under way may take once the runs have ended.
const ANSWER_GRACE: Duration = Duration::from_secs(2);

/// Runs until a signal or a client ends it.
///
/// `config` is the problem that clients hear when there is no valid one; nothing is synced then.
pub(crate) async fn run(
    config: Result<Config, Box<Problem>>,
    locations: &Locations,
) -> Result<ExitCode, StartError> {
    let mut signals = Signals::listen()
        .map_err(|error| StartError::system("could not listen to signals", error))?;
    let lock = Lock::take(&locations.data_dir)?;
    let grace = config
        .as_ref()
        .map_or(Duration::ZERO, |config| config.daemon.shutdown_grace);
    let tasks = Tasks::default();
    let events = Events::default();
    let mut running = match config
        .and_then(|config| Ok((assemble::specs(&config, &locations.config_file)?, config)))
    {
        Ok((specs, config)) => Running::start(specs, &config, &tasks, &events).await?,
        Err(problem) => {
            tracing::error!(causes = ?problem.causes, "{}", problem.detail);
            Running::without_configuration(problem)
        }
    };
    let socket = Socket::bind(&locations.socket, &lock)?;
    let path = socket.path().to_owned();
    let end = CancellationToken::new();
    let api = Api::new(Shared {
        engine: running.serving(),
        identity: identity(locations),
        events: events.clone(),
        end: end.clone(),
        stopping: tasks.stopping().clone(),
    });
    let accepting = tasks.clone();
    tasks.spawn(async move { server::serve(socket, router(api), accepting).await });
    tracing::info!(socket = %path.display(), pid = std::process::id(), "ready");
    running.begin_schedule(&tasks).await?;

    let signal = tokio::select! {
        signal = signals.ended() => Some(signal),
        () = end.cancelled() => None,
    };
    tracing::info!(signal, "stopping: runs under way may finish");
    events.notice(NoticeKind::ShuttingDown, None, "homingd is shutting down");
    tokio::select! {
        () = drain(running, &tasks, grace) => {
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        second = signals.ended() => {
            tracing::warn!("a second signal ends homingd at once; the next start repairs what was under way");
            Ok(ExitCode::from(128 + second))
        }
    }
    // The lock goes last, when nothing of this daemon can write any more.
}

/// What runs: with a valid configuration all of it, else nothing but the interface.
enum Running {
    Syncing(Box<Syncing>),
    Waiting(Box<Problem>),
}

struct Syncing {
    engine: Engine,
    store: Store,
    sources: std::collections::BTreeMap<homing_core::SourceId, bool>,
    keep_history: Duration,
    tempo: Tempo,
    schedule: Option<Schedule>,
}

impl Running {
    async fn start(
        specs: homing_engine::Specs,
        config: &Config,
        tasks: &Tasks,
        events: &Events,
    ) -> Result<Self, StartError> {
        let data_dir = config.daemon.data_dir.clone();
        let store = open_store(&data_dir).await?;
        if let Some(moved) = store.quarantined() {
            tracing::error!(
                moved = %moved.display(),
                "the database was damaged and moved aside; nothing is deleted or pushed until the rebuild is accepted"
            );
        }
        let sources = specs
            .sources
            .iter()
            .map(|(id, spec)| (id.clone(), spec.enabled))
            .collect();
        let tempo = Tempo::of(&specs);
        let engine = Engine::start_telling(specs, store.clone(), events.clone())
            .await
            .map_err(|error| StartError::system("the engine could not start", error))?;
        tracing::debug!(tasks = ?tasks, "the engine runs");
        let keep_history = config.daemon.keep_history;
        Ok(Self::Syncing(Box::new(Syncing {
            engine,
            store,
            sources,
            keep_history,
            tempo,
            schedule: None,
        })))
    }

    fn without_configuration(problem: Box<Problem>) -> Self {
        Self::Waiting(problem)
    }

    fn serving(&self) -> Result<Serving, Box<Problem>> {
        match self {
            Self::Syncing(syncing) => Ok(Serving {
                engine: syncing.engine.clone(),
                sources: syncing.sources.clone(),
            }),
            Self::Waiting(problem) => Err(problem.clone()),
        }
    }

    async fn begin_schedule(&mut self, tasks: &Tasks) -> Result<(), StartError> {
        let Self::Syncing(syncing) = self else {
            return Ok(());
        };
        let pump = Pump::new(
            syncing.engine.clone(),
            syncing.store.clone(),
            syncing.keep_history,
            tasks.clone(),
            syncing.tempo,
            Timestamp::now(),
        );
        let schedule = Schedule::start(pump)
            .await
            .map_err(|error| StartError::system("the schedule could not start", error))?;
        syncing.schedule = Some(schedule);
        Ok(())
    }
}

/// Takes no new work, lets runs finish, closes the store.
async fn drain(running: Running, tasks: &Tasks, grace: Duration) {
    tasks.stop();
    let Running::Syncing(syncing) = running else {
        tasks.finished(ANSWER_GRACE).await;
        return;
    };
    if let Some(schedule) = syncing.schedule {
        schedule.stop().await;
    }
    syncing.engine.shutdown(grace).await;
    if !tasks.finished(ANSWER_GRACE).await {
        tracing::warn!("some connections did not end in time");
    }
    syncing.store.close().await;
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

fn identity(locations: &Locations) -> Identity {
    let now = Timestamp::now();
    Identity {
        boot_id: format!("{:x}-{:x}", now.as_nanosecond(), std::process::id()),
        started_at: convert::time(now),
        config_path: locations.config_file.clone(),
        data_dir: locations.data_dir.clone(),
    }
}
