//! When a source runs by itself: its turns, its failures, what a person must mend first.

use std::time::Duration;

use homing_core::{SideError, SourceId};
use homing_store::SourceRow;
use jiff::Timestamp;

use crate::cadence::{CRON_JITTER, Cadence, later};
use crate::error::EngineError;
use crate::report::RunStatus;
use crate::spec::{AtStart, SourceSpec};

/// The first pause after a failure; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(30);

/// The longest pause, unless the interval is longer.
const LONGEST_BACKOFF: Duration = Duration::from_mins(15);

/// The longest pause that a far side may ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// So many intervals without a success make a source stale.
const STALE_INTERVALS: u32 = 3;

/// What a source's actor remembers of its attempts; the store keeps the same over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) next_due: Option<Timestamp>,
    pub(crate) failures: u32,
    pub(crate) backoff_until: Option<Timestamp>,
    pub(crate) stalled: Option<String>,
    pub(crate) last_attempt: Option<Timestamp>,
    pub(crate) last_success: Option<Timestamp>,
    /// Something changed since the last run began.
    pub(crate) changed: bool,
    /// When all that was planned: a clock that shows less was set back.
    planned_at: Option<Timestamp>,
    stale_at: Option<Timestamp>,
}

/// Why a source's turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// It came then.
    Since(Timestamp),
    /// Something changed.
    Changed,
}

impl Schedule {
    /// Goes on from what the store remembers. A source that is due, or was never synced, runs soon.
    pub(crate) fn resume(
        row: Option<&SourceRow>,
        id: &SourceId,
        spec: &SourceSpec,
        now: Timestamp,
    ) -> Self {
        let mut schedule = row.map(Self::from).unwrap_or_default();
        schedule.next_due = schedule.first_turn(id, spec, now);
        // A clock that was set back while nobody looked must not put anything off for longer than it may be.
        let wait = later(now, LONGEST_WAIT);
        schedule.backoff_until = schedule.backoff_until.min(wait);
        schedule.planned_at = Some(now);
        schedule.plan_staleness(spec);
        schedule
    }

    fn first_turn(&self, id: &SourceId, spec: &SourceSpec, now: Timestamp) -> Option<Timestamp> {
        let Some(cadence) = &spec.cadence else {
            // Nobody watched while the daemon was down.
            let missed = spec.watch && spec.at_start == AtStart::Due;
            return (missed || spec.at_start == AtStart::Always).then_some(now);
        };
        let latest = cadence.turn_after(id, now, now);
        let planned = self
            .next_due
            .or_else(|| cadence.turn_after(id, self.last_attempt?, self.last_attempt?))
            .map(|planned| latest.map_or(planned, |latest| planned.min(latest)));
        match spec.at_start {
            AtStart::Always => Some(now),
            AtStart::Due if spec.watch => Some(now),
            AtStart::Due => Some(planned.unwrap_or(now)),
            AtStart::Never => planned.filter(|planned| *planned > now).or(latest),
        }
    }

    /// Tells whether the source's turn has come, and why.
    pub(crate) fn due(&mut self, spec: &SourceSpec, now: Timestamp) -> Option<Due> {
        self.follow_clock(spec, now);
        let waits = self.backoff_until.is_some_and(|until| until > now) || self.stalled.is_some();
        if waits {
            return None;
        }
        match self.next_due.filter(|due| *due <= now) {
            Some(since) => Some(Due::Since(since)),
            None => self.changed.then_some(Due::Changed),
        }
    }

    /// Moves what was planned, when the clock was set back to before that: a pause of a minute stays a minute.
    fn follow_clock(&mut self, spec: &SourceSpec, now: Timestamp) {
        let Some(planned_at) = self.planned_at.filter(|planned_at| *planned_at > now) else {
            return;
        };
        let back = planned_at.duration_since(now);
        let move_back = |time: Timestamp| time.checked_sub(back).unwrap_or(now);
        self.backoff_until = self.backoff_until.map(move_back);
        self.next_due = match &spec.cadence {
            Some(cadence @ Cadence::Cron { .. }) => self.next_due.map(|due| {
                // The next turn is the one that was planned, unless more than one would be left out until then.
                let second = |next| later(cadence.next(next)?, CRON_JITTER);
                match cadence.next(now) {
                    Some(next) if second(next).is_some_and(|second| second < due) => next,
                    _ => due,
                }
            }),
            _ => self.next_due.map(move_back),
        };
        self.planned_at = Some(now);
    }

    /// Takes in how a run ended that began at `started`; `is_complete`: it took over all that it could.
    pub(crate) fn ended(
        &mut self,
        id: &SourceId,
        spec: &SourceSpec,
        started: Timestamp,
        (status, is_complete): (RunStatus, bool),
        error: Option<&EngineError>,
        now: Timestamp,
    ) {
        self.last_attempt = Some(now);
        self.planned_at = Some(now);
        let cadence = spec.cadence.as_ref();
        self.next_due = cadence.and_then(|cadence| cadence.turn_after(id, started, now));
        match status {
            RunStatus::Success | RunStatus::Partial | RunStatus::Blocked => {
                // What failed in part is not what upstream has now.
                if status != RunStatus::Blocked && is_complete {
                    self.last_success = Some(now);
                }
                // It may have given a part of what it has, and said when to come again.
                let asked = error.and_then(EngineError::wait);
                self.backoff_until = asked.and_then(|asked| later(now, asked.min(LONGEST_WAIT)));
                self.wait_for_backoff(spec);
                self.stalled = None;
                match error {
                    Some(EngineError::Side(
                        SideError::Transient { .. } | SideError::Unreachable { .. },
                    )) if asked.is_none() => self.come_again_for_the_rest(spec, now),
                    _ => self.failures = 0,
                }
            }
            RunStatus::Error => {
                self.failures = self.failures.saturating_add(1);
                let interval = cadence.map(|cadence| cadence.interval(now));
                let pause = match error {
                    // It costs next to nothing to ask, and works again as soon as the network does; or it says itself
                    // when it works again, which what failed before does not make later.
                    Some(EngineError::Side(
                        SideError::Unreachable { .. } | SideError::RateLimited { .. },
                    )) => first_backoff(),
                    _ => backoff(self.failures, interval.unwrap_or_default()),
                };
                let asked = error.and_then(EngineError::wait).unwrap_or_default();
                self.backoff_until = later(now, pause.max(asked.min(LONGEST_WAIT)));
                self.wait_for_backoff(spec);
                self.stalled = error
                    .filter(|error| error.needs_a_person(spec.origin.is_remote()))
                    .map(ToString::to_string);
            }
            RunStatus::Queued
            | RunStatus::Running
            | RunStatus::Cancelled
            | RunStatus::Interrupted => {}
        }
        self.plan_staleness(spec);
    }

    /// Has a source that broke off in the middle come again before its next turn, if that is far away.
    fn come_again_for_the_rest(&mut self, spec: &SourceSpec, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        let Some(turn) = self.next_due else { return };
        let interval = spec.cadence.as_ref().map(|cadence| cadence.interval(now));
        let soon = later(now, backoff(self.failures, interval.unwrap_or_default()));
        self.next_due = Some(soon.map_or(turn, |soon| soon.min(turn)));
    }

    /// Has a source come again after its pause: not only at its next turn, and not before.
    fn wait_for_backoff(&mut self, spec: &SourceSpec) {
        if self.backoff_until.is_some() && spec.comes_again() {
            self.next_due = self.backoff_until;
        }
    }

    /// Tells whether the last success is too long ago.
    pub(crate) fn is_stale(&self, spec: &SourceSpec, now: Timestamp) -> bool {
        match (self.last_success, self.stale_at) {
            // The clock was set back since; how old the success is cannot be told.
            (Some(success), _) if success > now => self.failures > 0,
            (_, Some(stale_at)) => stale_at < now,
            (Some(_), None) => false,
            (None, None) => {
                self.failures > 0 && (spec.stale_after.is_some() || spec.cadence.is_some())
            }
        }
    }

    /// Returns when the last success is too long ago.
    pub(crate) fn stale_at(&self) -> Option<Timestamp> {
        self.stale_at
    }

    /// Returns the times at which [`Self::is_stale`] may come to say something else by itself.
    pub(crate) fn turning_points(&self) -> impl Iterator<Item = Timestamp> {
        self.stale_at.into_iter().chain(self.last_success)
    }

    /// Works out when the last success will be too long ago: once for each run, for every status asks.
    fn plan_staleness(&mut self, spec: &SourceSpec) {
        self.stale_at = self.last_success.and_then(|success| {
            if let Some(limit) = spec.stale_after {
                return later(success, limit);
            }
            let cadence = spec.cadence.as_ref()?;
            (0..STALE_INTERVALS).try_fold(success, |turn, _| cadence.next(turn))
        });
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
            changed: false,
            planned_at: None,
            stale_at: None,
        }
    }
}

/// Returns [`FIRST_BACKOFF`], or the milliseconds that a test would rather wait (feature `failpoints`).
fn first_backoff() -> Duration {
    fail::fail_point!("engine::first_backoff", |millis| {
        let millis = millis.and_then(|millis| millis.parse().ok());
        millis.map_or(FIRST_BACKOFF, Duration::from_millis)
    });
    FIRST_BACKOFF
}

/// Returns the pause after the `failures`th failure in a row.
fn backoff(failures: u32, interval: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    first_backoff()
        .saturating_mul(1 << doublings)
        .min(LONGEST_BACKOFF.max(interval))
}

#[cfg(test)]
mod tests;
