//! Cron patterns: when the next turn comes, in a time zone whose clock changes.
//!
//! croner does the calendar; what a change of the clock makes of a time of day is decided here. croner's own search,
//! asked within the hour that autumn repeats, answers with a time that is past, and leaves out what a pattern for every
//! hour has in the second pass.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

/// Times of day that a search looks at before it gives up: no pattern needs more, for the clock changes twice a year.
const SEARCHES: usize = 1000;

/// A pattern of five fields (minute, hour, day of month, month, day of week), or a word such as `@daily`.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    pattern: Arc<croner::Cron>,
    /// It goes by the hours that pass and not by the time of day.
    hourly: bool,
}

/// Why a text is no cron pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// It cannot be read.
    #[error("it cannot be read as a cron pattern: {0}")]
    Syntax(String),
    /// It has seconds, a year, or too few fields.
    #[error("a cron pattern has five fields, and this has {0}")]
    Fields(usize),
    /// No day fits it.
    #[error("no day fits this pattern, so that its turn would never come")]
    Never,
}

impl Cron {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let text = text.trim();
        let fields: Vec<&str> = text.split_whitespace().collect();
        let is_word = text.starts_with('@');
        if !is_word && fields.len() != 5 {
            return Err(CronError::Fields(fields.len()));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let pattern = parser
            .parse(text)
            .map_err(|error| CronError::Syntax(error.to_string()))?;
        let hourly = if is_word {
            text.eq_ignore_ascii_case("@hourly")
        } else {
            fields[1].starts_with('*')
        };
        let cron = Self {
            text: text.to_owned(),
            pattern: Arc::new(pattern),
            hourly,
        };
        // February the 30th is a pattern too.
        match cron.next_after(Timestamp::UNIX_EPOCH, &TimeZone::UTC) {
            Some(_) => Ok(cron),
            None => Err(CronError::Never),
        }
    }

    /// Returns the first turn after a time, in a zone.
    ///
    /// A time of day that the clock leaves out in spring comes when the clock is put forward, and one that it repeats
    /// in autumn comes once. A pattern for every hour goes by the hours that pass.
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if self.hourly {
            self.next_hourly(after, zone)
        } else {
            self.next_of_day(after, zone)
        }
    }

    fn next_hourly(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let (mut from, mut inclusive) = (after, false);
        for _ in 0..SEARCHES {
            let offset = i64::from(zone.to_offset(from).seconds());
            let local = self.calendar(from.as_second() + offset, inclusive)?;
            let found = Timestamp::from_second(local - offset).ok()?;
            match zone.following(from).next() {
                Some(change) if change.timestamp() <= found => {
                    (from, inclusive) = (change.timestamp(), true);
                }
                _ => return Some(found),
            }
        }
        None
    }

    fn next_of_day(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut local = after.as_second() + i64::from(zone.to_offset(after).seconds());
        for _ in 0..SEARCHES {
            local = self.calendar(local, false)?;
            let found = instant(local, zone)?;
            // In the second pass of a repeated hour the times of the first are past.
            if found > after {
                return Some(found);
            }
        }
        None
    }

    /// Returns the next local time that the pattern has, in seconds as if there were no zones.
    fn calendar(&self, local: i64, inclusive: bool) -> Option<i64> {
        let from = DateTime::<Utc>::from_timestamp(local, 0)?;
        let found = self.pattern.find_next_occurrence(&from, inclusive).ok()?;
        Some(found.timestamp())
    }
}

/// Returns when a local time comes: when it is repeated, the first time; when it is left out, at the change.
fn instant(local: i64, zone: &TimeZone) -> Option<Timestamp> {
    let civil = Offset::UTC.to_datetime(Timestamp::from_second(local).ok()?);
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
        AmbiguousOffset::Gap { after, .. } => {
            let shortly_before = after.to_timestamp(civil).ok()?;
            Some(zone.following(shortly_before).next()?.timestamp())
        }
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(pattern: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let zone = TimeZone::get(zone).unwrap();
        let cron = Cron::parse(pattern).unwrap();
        let mut from: Timestamp = after.parse().unwrap();
        let mut turns = Vec::new();
        for _ in 0..count {
            let next = cron.next_after(from, &zone).unwrap();
            assert!(next > from, "{next} is not after {from}");
            turns.push(zone.to_datetime(next).strftime("%m-%d %H:%M").to_string());
            from = next;
        }
        turns
    }

    #[test]
    fn a_time_of_day_that_spring_leaves_out_comes_once() {
        // Berlin goes from 02:00 to 03:00 on March the 29th.
        assert_eq!(
            turns("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 4),
            ["03-28 02:30", "03-29 03:00", "03-30 02:30", "03-31 02:30"]
        );
        assert_eq!(
            turns("*/15 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["03-29 03:00", "03-30 02:00"]
        );
    }

    #[test]
    fn a_time_of_day_that_autumn_repeats_comes_once() {
        // Berlin goes from 03:00 to 02:00 on October the 25th, at 01:00 UTC.
        assert_eq!(
            turns("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["10-25 02:30", "10-26 02:30"]
        );
        for within_the_second_pass in ["2026-10-25T01:10:00Z", "2026-10-25T01:40:00Z"] {
            assert_eq!(
                turns("30 2 * * *", "Europe/Berlin", within_the_second_pass, 1),
                ["10-26 02:30"]
            );
        }
    }

    #[test]
    fn a_pattern_for_every_hour_goes_by_the_hours_that_pass() {
        assert_eq!(
            turns("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", 6),
            [
                "10-25 02:00",
                "10-25 02:30",
                "10-25 02:00",
                "10-25 02:30",
                "10-25 03:00",
                "10-25 03:30"
            ]
        );
        assert_eq!(
            turns("0 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", 2),
            ["03-29 03:00", "03-29 04:00"]
        );
        assert_eq!(
            turns("0 */6 * * *", "Europe/Berlin", "2026-10-24T20:00:00Z", 4),
            ["10-25 00:00", "10-25 06:00", "10-25 12:00", "10-25 18:00"]
        );
        assert_eq!(
            turns("@hourly", "America/New_York", "2026-01-01T00:10:00Z", 1),
            ["12-31 20:00"]
        );
    }

    #[test]
    fn days_and_words_are_understood_in_their_zone() {
        assert_eq!(
            turns("0 9 * * MON-FRI", "Asia/Tokyo", "2026-01-02T00:00:00Z", 2),
            ["01-05 09:00", "01-06 09:00"]
        );
        assert_eq!(
            turns("@monthly", "UTC", "2026-01-02T00:00:00Z", 1),
            ["02-01 00:00"]
        );
        assert_eq!(
            turns("0 0 29 2 *", "UTC", "2026-01-02T00:00:00Z", 1),
            ["02-29 00:00"]
        );
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, fields) in [("", 0), ("* * * *", 4), ("0 0 */6 * * *", 6)] {
            assert_eq!(Cron::parse(text), Err(CronError::Fields(fields)), "{text}");
        }
        for text in ["61 * * * *", "0 25 * * *", "x * * * *", "@sometimes"] {
            assert!(
                matches!(Cron::parse(text), Err(CronError::Syntax(_))),
                "{text}"
            );
        }
        assert_eq!(Cron::parse("0 0 30 2 *"), Err(CronError::Never));
    }
}
