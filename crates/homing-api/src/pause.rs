//! Pauses: nothing runs by itself for a while; what a person asks for is done all the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A time in which nothing runs by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: String,
    /// Until when; absent: until somebody resumes.
    #[serde(default)]
    pub until: Option<String>,
}

/// `POST /v1/pause`, `POST /v1/sources/{id}/pause`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// How long, for example `30m`, `2h` or `1h 30m`; absent: until somebody resumes.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub length: Option<String>,
}

/// Everything that is paused: the answer to every pause and resume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pauses {
    /// The pause of everything.
    #[serde(default)]
    pub all: Option<Pause>,
    /// Sources that have a pause of their own.
    #[serde(default)]
    pub sources: BTreeMap<String, Pause>,
}
