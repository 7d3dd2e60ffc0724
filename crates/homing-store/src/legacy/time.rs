//! Times as several hands have written them into one column.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Reads a time with or without an offset, a `T` and fractions; without an offset it is UTC, as `CURRENT_TIMESTAMP` is.
pub fn lenient_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let zoned = text.parse::<Timestamp>().ok();
    zoned.or_else(|| {
        let civil: DateTime = text.parse().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_its_writers_used_is_the_same_moment() {
        let expected: Timestamp = "2025-11-29T10:00:00Z".parse().unwrap();
        for text in [
            "2025-11-29T10:00:00Z",
            "2025-11-29T10:00:00+00:00",
            "2025-11-29T10:00:00.000000+00:00",
            "2025-11-29 10:00:00",
            "2025-11-29T10:00:00",
            "2025-11-29T11:00:00+01:00",
            " 2025-11-29 10:00:00 ",
        ] {
            assert_eq!(lenient_time(text), Some(expected), "{text}");
        }
        for text in ["", "yesterday", "2025-13-01 00:00:00", "17"] {
            assert_eq!(lenient_time(text), None, "{text}");
        }
    }
}
