//! What the daemon is, and which versions of the interface it speaks.

use serde::{Deserialize, Serialize};

/// The oldest version of the interface that this code speaks.
pub const API_MIN: u32 = 1;

/// The newest version of the interface that this code speaks.
pub const API_MAX: u32 = 1;

/// A range of interface versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// `GET /v1/version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    fn ranges_overlap_at_their_ends() {
        let range = |min, max| ApiRange { min, max };
        assert!(range(1, 2).overlaps(range(2, 3)));
        assert!(range(2, 3).overlaps(range(1, 2)));
        assert!(!range(1, 1).overlaps(range(2, 3)));
        assert!(!range(2, 3).overlaps(range(1, 1)));
    }
}
