//! `?wait=30s`: how long an answer may be held back until a run has ended.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// `?wait=`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WaitQuery {
    /// Answer when what was started has ended or this has passed, for example `30s`; absent: at once. A daemon that holds
    /// many answers back may answer sooner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
}

/// Writes a duration as [`parse_wait`] reads it.
pub fn format_wait(wait: Duration) -> String {
    format!("{}ms", wait.as_millis())
}

/// Reads a whole number with a unit: `500ms`, `30s`, `5m`, `1h`.
pub fn parse_wait(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, wait) in [
            ("500ms", Some(Duration::from_millis(500))),
            ("30s", Some(Duration::from_secs(30))),
            ("5m", Some(Duration::from_mins(5))),
            ("1h", Some(Duration::from_hours(1))),
            ("0s", Some(Duration::ZERO)),
            ("30", None),
            ("s", None),
            ("", None),
            ("-3s", None),
            ("3 s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(parse_wait(text), wait, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let wait = Duration::from_millis(61_234);
        assert_eq!(parse_wait(&format_wait(wait)), Some(wait));
    }
}
