//! The pump: asks once a second whose turn has come.
//!
//! `tokio-cron-scheduler` is the clock only. What is due is the engine's to say, from wall-clock times in the database,
//! so a suspended machine or a restart loses no turn.

use homing_engine::{Engine, EngineError, RunRequest, Trigger, Verb};
use homing_store::Store;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::tasks::Tasks;

/// How often the store is swept.
const SWEEP_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// The first sweep waits until the daemon has caught up with its sources.
const FIRST_SWEEP_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// The clock, running.
pub(crate) struct Schedule {
    scheduler: JobScheduler,
}

impl Schedule {
    /// Submits what is due now, and from then on looks every second.
    pub(crate) async fn start(pump: Pump) -> Result<Self, JobSchedulerError> {
        pump.submit_due(Timestamp::now(), Trigger::Startup);
        let scheduler = JobScheduler::new().await?;
        let pump = Arc::new(pump);
        let job = Job::new_async("* * * * * *", move |_, _| {
            let pump = Arc::clone(&pump);
            Box::pin(async move { pump.tick(Timestamp::now()) })
        })?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        Ok(Self { scheduler })
    }

    /// Stops the clock.
    pub(crate) async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "the schedule did not stop cleanly");
        }
    }
}

/// What happens at every tick.
pub(crate) struct Pump {
    engine: Engine,
    store: Store,
    tasks: Tasks,
    next_sweep: Mutex<Timestamp>,
}

impl Pump {
    /// Returns a pump whose first sweep is some minutes from `now`.
    pub(crate) fn new(engine: Engine, store: Store, tasks: Tasks, now: Timestamp) -> Self {
        let next_sweep = Mutex::new(later(now, FIRST_SWEEP_AFTER));
        Self {
            engine,
            store,
            tasks,
            next_sweep,
        }
    }

    fn tick(&self, now: Timestamp) {
        if self.tasks.stopping().is_cancelled() {
            return;
        }
        self.submit_due(now, Trigger::Schedule);
        if self.sweep_is_due(now) {
            self.sweep(now);
        }
    }

    fn submit_due(&self, now: Timestamp, trigger: Trigger) {
        let engine = self.engine.newest();
        for source in engine.due(now) {
            match engine.submit(&source, RunRequest::new(Verb::Sync, trigger)) {
                Ok(run) => tracing::debug!(%source, %run, "its turn has come"),
                // It runs already, or was switched off since: the next turn will tell.
                Err(
                    EngineError::Busy { .. }
                    | EngineError::Disabled { .. }
                    | EngineError::ShuttingDown,
                ) => {}
                Err(error) => tracing::warn!(%source, %error, "the run could not be queued"),
            }
        }
    }

    fn sweep_is_due(&self, now: Timestamp) -> bool {
        let mut next = self
            .next_sweep
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let due = is_due(*next, now);
        if due {
            *next = later(now, SWEEP_EVERY);
        }
        due
    }

    fn sweep(&self, now: Timestamp) {
        let keep_history = self.engine.newest().settings().keep_history;
        let store = self.store.clone();
        self.tasks.spawn(async move {
            match store.sweep(keep_history, now).await {
                Ok(report) => tracing::info!(?report, "old history and contents were swept"),
                Err(error) => tracing::warn!(%error, "old history and contents could not be swept"),
            }
        });
    }
}

/// Tells whether `next` has come. A clock that was set back by more than a day makes it due too, for else a wrong
/// clock at one start would keep the store from being swept for years.
fn is_due(next: Timestamp, now: Timestamp) -> bool {
    now >= next || next.duration_since(now) > SWEEP_EVERY
}

fn later(now: Timestamp, duration: SignedDuration) -> Timestamp {
    now.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use homing_core::RunId;
    use homing_engine::{Settings, Specs};
    use homing_store::{RunRow, StoreOptions};

    use super::*;

    fn old_run() -> RunRow {
        RunRow {
            id: RunId(1),
            source: None,
            target: None,
            verb: "sync".to_owned(),
            trigger: "manual".to_owned(),
            status: "success".to_owned(),
            started_at: "2020-01-02T03:04:05Z".parse().unwrap(),
            synced: 1,
            cached: 0,
            failed: 0,
            removed: 0,
            bytes: 0,
            requests: 0,
            error_kind: None,
            error_message: None,
            duration_ms: 1,
            phases: Vec::new(),
            plan_digest: None,
            problems: Vec::new(),
            boot_id: "b".to_owned(),
        }
    }

    #[tokio::test]
    async fn the_pump_sweeps_when_it_is_time_and_not_before() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(StoreOptions {
            data_dir: home.path().to_owned(),
        })
        .unwrap();
        store
            .write(|writer| writer.begin_run(&old_run()))
            .await
            .unwrap();
        let month = Duration::from_hours(24 * 30);
        let specs = Specs {
            sources: BTreeMap::new(),
            targets: BTreeMap::new(),
            settings: Settings {
                keep_history: month,
                ..Settings::default()
            },
        };
        let engine = Engine::start(specs, store.clone()).await.unwrap();
        let tasks = Tasks::default();
        let now = Timestamp::now();
        let pump = Pump::new(engine, store.clone(), tasks.clone(), now);
        let is_kept = || async {
            store
                .read(|reader| reader.run(RunId(1)))
                .await
                .unwrap()
                .is_some()
        };

        pump.tick(now);
        assert!(tasks.finished(month).await);
        assert!(is_kept().await, "it was swept at once");
        pump.tick(later(now, FIRST_SWEEP_AFTER));
        assert!(tasks.finished(month).await);
        assert!(!is_kept().await, "it was not swept");
    }

    #[test]
    fn a_sweep_is_due_at_its_time_and_after_the_clock_was_set_back() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let next = later(now, FIRST_SWEEP_AFTER);
        assert!(!is_due(next, now));
        assert!(is_due(next, next));
        assert!(is_due(next, later(next, SWEEP_EVERY)));
        let set_back = now
            .saturating_sub(SignedDuration::from_hours(24 * 400))
            .unwrap();
        assert!(is_due(next, set_back));
    }
}
