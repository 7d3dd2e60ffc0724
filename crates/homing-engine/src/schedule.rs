//! When a source runs by itself: its interval, its failures, what a person must mend first.

use std::time::Duration;

use homing_core::{RunId, SourceId};
use homing_store::SourceRow;
use jiff::{SignedDuration, Timestamp};

use crate::error::EngineError;
use crate::report::RunStatus;
use crate::spec::{AtStart, SourceSpec};

/// The first pause after a failure; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(30);

/// The longest pause, unless the interval is longer.
const LONGEST_BACKOFF: Duration = Duration::from_mins(15);

/// What a source's actor remembers of its attempts; the store keeps the same over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) next_due: Option<Timestamp>,
    pub(crate) failures: u32,
    pub(crate) backoff_until: Option<Timestamp>,
    pub(crate) stalled: Option<String>,
    pub(crate) last_attempt: Option<Timestamp>,
    pub(crate) last_success: Option<Timestamp>,
}

impl Schedule {
    /// Goes on from what the store remembers. A source that is due, or was never synced, runs soon.
    pub(crate) fn resume(row: Option<&SourceRow>, spec: &SourceSpec, now: Timestamp) -> Self {
        let mut schedule = row.map(Self::from).unwrap_or_default();
        schedule.next_due = spec.every.map(|every| {
            let planned = schedule
                .next_due
                .or_else(|| after(schedule.last_attempt?, every));
            // A clock that was set back must not put the next turn off by more than the interval.
            let planned = planned
                .map(|planned| after(now, every).map_or(planned, |latest| planned.min(latest)));
            match spec.at_start {
                AtStart::Always => now,
                AtStart::Due => planned.unwrap_or(now),
                AtStart::Never => planned
                    .filter(|planned| *planned > now)
                    .or_else(|| after(now, every))
                    .unwrap_or(now),
            }
        });
        schedule
    }

    /// Tells whether the source's turn has come.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.next_due.is_some_and(|due| due <= now)
            && self.backoff_until.is_none_or(|until| until <= now)
            && self.stalled.is_none()
    }

    /// Takes in how a run ended.
    pub(crate) fn ended(
        &mut self,
        id: &SourceId,
        run: RunId,
        spec: &SourceSpec,
        status: RunStatus,
        error: Option<&EngineError>,
        now: Timestamp,
    ) {
        self.last_attempt = Some(now);
        self.next_due = spec
            .every
            .and_then(|every| after(now, every.saturating_add(jitter(id, run, every))));
        match status {
            RunStatus::Success | RunStatus::Partial | RunStatus::Blocked => {
                if status != RunStatus::Blocked {
                    self.last_success = Some(now);
                }
                self.failures = 0;
                self.backoff_until = None;
                self.stalled = None;
            }
            RunStatus::Error => {
                self.failures = self.failures.saturating_add(1);
                let pause = error
                    .and_then(EngineError::wait)
                    .unwrap_or_else(|| backoff(self.failures, spec.every.unwrap_or_default()));
                self.backoff_until = after(now, pause);
                // A failed source is tried again after its pause, not only at its next turn.
                if spec.every.is_some() {
                    self.next_due = self.next_due.min(self.backoff_until).or(self.backoff_until);
                }
                self.stalled = error
                    .filter(|error| error.needs_a_person())
                    .map(ToString::to_string);
            }
            RunStatus::Queued
            | RunStatus::Running
            | RunStatus::Cancelled
            | RunStatus::Interrupted => {}
        }
    }

    /// Tells whether the last success is too long ago.
    pub(crate) fn is_stale(&self, spec: &SourceSpec, now: Timestamp) -> bool {
        let Some(limit) = spec
            .stale_after
            .or_else(|| spec.every.map(|every| every.saturating_mul(3)))
        else {
            return false;
        };
        match self.last_success {
            Some(success) => after(success, limit).is_some_and(|stale| stale < now),
            None => self.failures > 0,
        }
    }
}

impl From<&SourceRow> for Schedule {
    fn from(row: &SourceRow) -> Self {
        Self {
            next_due: row.next_due,
            failures: row.failures,
            backoff_until: row.backoff_until,
            // What was wrong may have been mended while the daemon was down: the first run finds out.
            stalled: None,
            last_attempt: row.last_sync_time,
            last_success: row.last_success_time,
        }
    }
}

/// Returns the pause after the `failures`th failure in a row.
fn backoff(failures: u32, every: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_BACKOFF
        .saturating_mul(1 << doublings)
        .min(LONGEST_BACKOFF.max(every))
}

/// Returns up to a tenth of the interval, another one for every source and run, so that sources do not march in step.
fn jitter(id: &SourceId, run: RunId, every: Duration) -> Duration {
    let seed = homing_core::ContentHash::of(format!("{id} {run}").as_bytes());
    let fraction = u32::from(u16::from_be_bytes([seed.as_bytes()[0], seed.as_bytes()[1]]));
    every / 10 * fraction / u32::from(u16::MAX)
}

fn after(time: Timestamp, pause: Duration) -> Option<Timestamp> {
    time.checked_add(SignedDuration::try_from(pause).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_a_quarter_of_an_hour_or_the_interval() {
        let minutes = Duration::from_mins;
        assert_eq!(backoff(1, minutes(5)), FIRST_BACKOFF);
        assert_eq!(backoff(3, minutes(5)), minutes(2));
        assert_eq!(backoff(40, minutes(5)), LONGEST_BACKOFF);
        assert_eq!(backoff(40, minutes(60)), minutes(60));
    }

    #[test]
    fn jitter_is_a_tenth_of_the_interval_at_most_and_differs() {
        let every = Duration::from_mins(10);
        let of = |id: &str| jitter(&id.parse().unwrap(), RunId(1), every);
        assert!(of("a") <= every / 10);
        assert!(of("b") <= every / 10);
        assert_ne!(of("a"), of("b"));
    }
}
