//! How often a source has its turn: an interval, or times of day.

use std::time::Duration;

use homing_core::{ContentHash, Cron, SourceId};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// How late a turn at a time of day may be: whoever writes 03:00 does not mean a tenth of a day later.
pub(crate) const CRON_JITTER: Duration = Duration::from_mins(1);

/// When a source's turns come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cadence {
    /// So long after the last one.
    Every(Duration),
    /// At times of day.
    Cron {
        /// Which ones.
        pattern: Cron,
        /// Where they hold; `None`: in the zone that the system has at that moment.
        zone: Option<TimeZone>,
    },
}

impl Cadence {
    /// Returns the turn that follows a time, without jitter.
    pub(crate) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(every) => later(after, *every),
            Self::Cron { pattern, zone } => match zone {
                Some(zone) => pattern.next_after(after, zone),
                None => pattern.next_after(after, &TimeZone::system()),
            },
        }
    }

    /// Returns the turn of a source that follows a run from `started` to `ended`. A time of day that came meanwhile is
    /// still owed.
    pub(crate) fn turn_after(
        &self,
        id: &SourceId,
        started: Timestamp,
        ended: Timestamp,
    ) -> Option<Timestamp> {
        let from = match self {
            Self::Every(_) => ended,
            // A clock that was set back during the run must not bring its turn again.
            Self::Cron { .. } => started.min(ended),
        };
        let next = self.next(from)?;
        later(next, self.jitter(id, next))
    }

    /// Returns the time from one turn to the next one.
    pub(crate) fn interval(&self, at: Timestamp) -> Duration {
        match self {
            Self::Every(every) => *every,
            Self::Cron { .. } => {
                let between = || {
                    let next = self.next(at)?;
                    Duration::try_from(self.next(next)?.duration_since(next)).ok()
                };
                between().unwrap_or_default()
            }
        }
    }

    /// Returns up to a tenth of the interval, always the same for a source, so that sources do not march in step.
    fn jitter(&self, id: &SourceId, at: Timestamp) -> Duration {
        let most = match self {
            Self::Every(every) => *every / 10,
            Self::Cron { .. } => (self.interval(at) / 10).min(CRON_JITTER),
        };
        let seed = ContentHash::of(id.as_str().as_bytes());
        let fraction = u32::from(u16::from_be_bytes([seed.as_bytes()[0], seed.as_bytes()[1]]));
        let jitter = most * fraction / u32::from(u16::MAX);
        // The store keeps milliseconds.
        Duration::from_millis(u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Returns a time that is `pause` later; `None` beyond the end of time.
pub(crate) fn later(time: Timestamp, pause: Duration) -> Option<Timestamp> {
    time.checked_add(SignedDuration::try_from(pause).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> SourceId {
        name.parse().unwrap()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn daily() -> Cadence {
        Cadence::Cron {
            pattern: Cron::parse("30 2 * * *").unwrap(),
            zone: Some(TimeZone::get("Europe/Berlin").unwrap()),
        }
    }

    #[test]
    fn jitter_is_a_tenth_of_the_interval_at_most_and_stays_with_its_source() {
        let every = Duration::from_mins(10);
        let cadence = Cadence::Every(every);
        let at = time("2026-01-02T03:04:05Z");
        let of = |name: &str| cadence.jitter(&id(name), at);
        let names: Vec<String> = (0..100).map(|number| format!("s{number}")).collect();
        assert!(names.iter().all(|name| of(name) <= every / 10));
        let different: std::collections::BTreeSet<Duration> =
            names.iter().map(|name| of(name)).collect();
        assert!(different.len() > 90, "{different:?}");
        assert_eq!(of("a"), of("a"));
        assert!(
            names
                .iter()
                .all(|name| daily().jitter(&id(name), at) <= CRON_JITTER)
        );
    }

    #[test]
    fn a_time_of_day_that_came_during_a_run_is_owed() {
        let turn = |started: &str, ended: &str| {
            daily()
                .turn_after(&id("a"), time(started), time(ended))
                .unwrap()
        };
        let at = |text: &str| {
            let expected = time(text);
            expected..=later(expected, CRON_JITTER).unwrap()
        };
        assert!(
            at("2026-01-02T01:30:00Z")
                .contains(&turn("2026-01-02T01:20:00Z", "2026-01-02T01:40:00Z"))
        );
        assert!(
            at("2026-01-03T01:30:00Z")
                .contains(&turn("2026-01-02T01:30:20Z", "2026-01-02T01:40:00Z"))
        );
    }

    #[test]
    fn an_interval_is_counted_in_hours_that_pass() {
        let hours = |text: &str| daily().interval(time(text)).as_secs() / 3600;
        assert_eq!(hours("2026-01-02T03:04:05Z"), 24);
        // From 02:30 in summer time to 02:30 in winter time.
        assert_eq!(hours("2026-10-24T12:00:00Z"), 25);
        assert_eq!(hours("2026-10-23T12:00:00Z"), 24);
    }
}
