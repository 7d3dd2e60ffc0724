//! The pump: asks the engine whose turn has come, when the clock ticks and when something changed.
//!
//! `tokio-cron-scheduler` is the clock only. What is due is the engine's to say, from wall-clock times in the database,
//! so a suspended machine or a restart loses no turn.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use homing_engine::{Engine, EngineError, RunRequest, Verb};
use homing_store::Store;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use crate::tasks::Tasks;
use crate::upkeep::{Repositories, Upkeep};

/// Sources with a shorter interval want a clock that ticks every second.
const SHORT: Duration = Duration::from_secs(30);
/// The pause between two groups of sources that begin together.
const SPREAD_PAUSE: Duration = Duration::from_secs(1);
/// So many sources begin together when many are due at once, after a start or a night's sleep; a tenth of them when
/// there are very many, so that a thousand have had their turn within a minute.
const TOGETHER: usize = 4;
const SPREAD: usize = 10;

/// The clock, running.
pub(crate) struct Schedule {
    scheduler: JobScheduler,
    end: CancellationToken,
}

impl Schedule {
    /// Submits what is due now, and from then on whatever the clock or the engine says that it may be time for.
    pub(crate) async fn start(pump: Pump) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        let ticks = Arc::new(Notify::new());
        let clock = Arc::clone(&ticks);
        let pattern = pump.tempo.pattern();
        scheduler
            .add(Job::new(pattern, move |_, _| clock.notify_one())?)
            .await?;
        scheduler.start().await?;
        let tasks = pump.tasks.clone();
        let end = tasks.stopping().child_token();
        let until = end.clone();
        tasks.spawn(async move { pump.run(&ticks, &until).await });
        Ok(Self { scheduler, end })
    }

    /// Stops the clock.
    pub(crate) async fn stop(mut self) {
        self.end.cancel();
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "the schedule did not stop cleanly");
        }
    }
}

/// How often the clock ticks.
///
/// Each tick costs some wake-ups of the processor, so nobody is asked every second for turns that come every hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tempo {
    /// Every second.
    Fast,
    /// Every five seconds.
    Calm,
}

impl Tempo {
    /// Returns what the shortest interval asks for; a time of day has a minute.
    pub(crate) fn of(mut intervals: impl Iterator<Item = Duration>) -> Self {
        if intervals.any(|every| every < SHORT) {
            Self::Fast
        } else {
            Self::Calm
        }
    }

    fn pattern(self) -> &'static str {
        match self {
            Self::Fast => "* * * * * *",
            Self::Calm => "*/5 * * * * *",
        }
    }

    /// Returns how late a tick is when the machine must have slept.
    fn slept(self) -> SignedDuration {
        match self {
            Self::Fast => SignedDuration::from_secs(5),
            Self::Calm => SignedDuration::from_secs(15),
        }
    }
}

/// What happens at every tick.
pub(crate) struct Pump {
    engine: Engine,
    store: Store,
    tasks: Tasks,
    tempo: Tempo,
    upkeep: Upkeep,
    last_tick: Mutex<Timestamp>,
}

impl Pump {
    /// Returns a pump that has looked at `now`.
    pub(crate) fn new(
        engine: Engine,
        store: Store,
        tasks: Tasks,
        tempo: Tempo,
        repositories: Repositories,
        now: Timestamp,
    ) -> Self {
        Self {
            engine,
            store,
            tasks,
            tempo,
            upkeep: Upkeep::new(now, repositories),
            last_tick: Mutex::new(now),
        }
    }

    /// Ticks until that is to end.
    async fn run(&self, ticks: &Notify, end: &CancellationToken) {
        loop {
            let more = self.tick(Timestamp::now());
            tokio::select! {
                () = end.cancelled() => return,
                () = ticks.notified() => {}
                () = self.engine.turns_changed() => {}
                () = tokio::time::sleep(SPREAD_PAUSE), if more => {}
            }
        }
    }

    /// Does what it is time for; tells whether more is due already.
    fn tick(&self, now: Timestamp) -> bool {
        if self.tasks.stopping().is_cancelled() {
            return false;
        }
        if self.slept(now) {
            tracing::info!("the machine slept; what came due meanwhile runs once");
            self.engine.woke(now);
        }
        let upkeep = self.upkeep.due(&self.engine.newest(), &self.store, now);
        if let Some(work) = upkeep {
            self.tasks.spawn(work);
        }
        self.submit_due(now)
    }

    /// Tells whether nobody looked for so long that the machine must have slept.
    fn slept(&self, now: Timestamp) -> bool {
        let mut last = lock(&self.last_tick);
        let since = std::mem::replace(&mut *last, now);
        now.duration_since(since) > self.tempo.slept()
    }

    /// Submits what is due, no more at once than keeps the machine quiet; tells whether some has to wait.
    fn submit_due(&self, now: Timestamp) -> bool {
        let engine = self.engine.newest();
        let turns = engine.due(now);
        let together = turns.len().div_ceil(SPREAD).max(TOGETHER);
        let more = turns.len() > together;
        for turn in turns.into_iter().take(together) {
            let request = RunRequest::new(Verb::Sync, turn.trigger);
            match engine.submit(&turn.source, request) {
                Ok(run) => tracing::debug!(source = %turn.source, %run, "its turn has come"),
                // It runs already, or was switched off since: the next turn will tell.
                Err(
                    EngineError::Busy { .. }
                    | EngineError::Disabled { .. }
                    | EngineError::ShuttingDown,
                ) => {}
                Err(error) => {
                    tracing::warn!(source = %turn.source, %error, "the run could not be queued");
                }
            }
        }
        more
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
