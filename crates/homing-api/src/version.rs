//! What the daemon is, and which versions of the interface it speaks.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The oldest version of the interface that this code speaks.
pub const API_MIN: u32 = 1;

/// The newest version of the interface that this code speaks.
pub const API_MAX: u32 = 1;

/// The header in which either side tells the range of versions that it speaks, as [`ApiRange`] writes itself.
pub const API_HEADER: &str = "homing-api";

/// A range of interface versions; written as `1` or `1-3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiRange {
    /// The oldest.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

impl ApiRange {
    /// What this code speaks.
    pub const OURS: Self = Self {
        min: API_MIN,
        max: API_MAX,
    };

    /// Tells whether both know a common version.
    pub fn overlaps(self, other: Self) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}

impl fmt::Display for ApiRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{}-{}", self.min, self.max)
        }
    }
}

impl FromStr for ApiRange {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        Ok(Self {
            min: min.parse()?,
            max: max.parse()?,
        })
    }
}

/// `GET /v1/version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionInfo {
    /// The daemon's version.
    pub version: String,
    /// Interface versions that it speaks.
    pub api: ApiRange,
    /// Words for what it can do beyond the first version.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Another one after every start of the daemon.
    pub boot_id: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_it_is_written() {
        for (range, text) in [
            (ApiRange { min: 1, max: 1 }, "1"),
            (ApiRange { min: 2, max: 13 }, "2-13"),
        ] {
            assert_eq!(range.to_string(), text);
            assert_eq!(text.parse(), Ok(range));
        }
        for text in ["", "-", "1-", "-1", "1-2-3", "one", "1 - 2"] {
            assert!(text.parse::<ApiRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_overlap_at_their_ends() {
        let range = |min, max| ApiRange { min, max };
        assert!(range(1, 2).overlaps(range(2, 3)));
        assert!(range(2, 3).overlaps(range(1, 2)));
        assert!(!range(1, 1).overlaps(range(2, 3)));
        assert!(!range(2, 3).overlaps(range(1, 1)));
    }
}
