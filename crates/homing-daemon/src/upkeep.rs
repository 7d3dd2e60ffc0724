//! Upkeep of the store and of mirrors: old history goes every day; room that is free for good is given back in quiet hours.

mod repositories;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use homing_engine::Engine;
use homing_store::Store;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub(crate) use self::repositories::Repositories;

/// How often the store is swept.
const SWEEP_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// The first sweep waits until the daemon has caught up with its sources.
const FIRST_SWEEP_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// How often it is asked in quiet hours whether the database should be written anew.
const VACUUM_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// The hours of the day, by the clock on the wall, in which hardly anybody waits for a sync.
const QUIET_HOURS: std::ops::Range<i8> = 1..5;

/// When each kind of upkeep comes next.
pub(crate) struct Upkeep {
    next_sweep: Mutex<Timestamp>,
    next_vacuum: Mutex<Timestamp>,
    next_tidying: Mutex<Timestamp>,
    repositories: Repositories,
}

impl Upkeep {
    /// Returns an upkeep whose first sweep is some minutes from `now`.
    pub(crate) fn new(now: Timestamp, repositories: Repositories) -> Self {
        Self {
            next_sweep: Mutex::new(later(now, FIRST_SWEEP_AFTER)),
            next_vacuum: Mutex::new(later(now, FIRST_SWEEP_AFTER)),
            next_tidying: Mutex::new(later(now, FIRST_SWEEP_AFTER)),
            repositories,
        }
    }

    /// Returns the work for which it is time, if there is any.
    pub(crate) fn due(
        &self,
        engine: &Engine,
        store: &Store,
        now: Timestamp,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        let sweeps = take_turn(&self.next_sweep, now, SWEEP_EVERY);
        let is_quiet = is_quiet(now, &TimeZone::system()) && engine.is_idle();
        let vacuums = is_quiet && take_turn(&self.next_vacuum, now, VACUUM_EVERY);
        let tidies = is_quiet && take_turn(&self.next_tidying, now, SWEEP_EVERY);
        if !sweeps && !vacuums && !tidies {
            return None;
        }
        let repositories = tidies.then(|| (self.repositories.clone(), engine.clone()));
        let (store, keep_history) = (store.clone(), engine.settings().keep_history);
        Some(async move {
            if sweeps {
                sweep(&store, keep_history, now).await;
            }
            if vacuums {
                vacuum(&store).await;
            }
            if let Some((repositories, engine)) = repositories {
                repositories.tidy(&engine, keep_history).await;
            }
        })
    }
}

async fn sweep(store: &Store, keep_history: Duration, now: Timestamp) {
    match store.sweep(keep_history, now).await {
        Ok(report) => tracing::info!(?report, "old history and contents were swept"),
        Err(error) => tracing::warn!(%error, "old history and contents could not be swept"),
    }
}

async fn vacuum(store: &Store) {
    let vacuumed = match store.size().await {
        Ok(size) if size.wants_vacuum() => store.vacuum().await,
        Ok(_) => return,
        Err(error) => Err(error),
    };
    match vacuumed {
        Ok(bytes) => tracing::info!(
            ?bytes,
            "the database was written anew without its free room"
        ),
        Err(error) => tracing::warn!(%error, "the database could not be written anew"),
    }
}

fn is_quiet(now: Timestamp, zone: &TimeZone) -> bool {
    QUIET_HOURS.contains(&zone.to_datetime(now).hour())
}

/// Tells whether `next` has come, and if so sets it `every` further.
fn take_turn(next: &Mutex<Timestamp>, now: Timestamp, every: SignedDuration) -> bool {
    let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
    let due = is_due(*next, now, every);
    if due {
        *next = later(now, every);
    }
    due
}

/// Tells whether `next` has come. A clock that was set back by more than `every` makes it due too, for else a wrong
/// clock at one start would keep the store from being looked after for years.
fn is_due(next: Timestamp, now: Timestamp, every: SignedDuration) -> bool {
    now >= next || next.duration_since(now) > every
}

fn later(now: Timestamp, duration: SignedDuration) -> Timestamp {
    now.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
