//! One item of a run or of a plan.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::words::words;

words! {
    /// How one item of a run ended.
    ItemAction {
        /// It was made.
        Created = "created",
        /// Its content or mode was replaced.
        Updated = "updated",
        /// It was merged with an edit.
        Merged = "merged",
        /// It was deleted.
        Removed = "removed",
        /// It was taken into the head from a target.
        Captured = "captured",
        /// It was written to the origin.
        Pushed = "pushed",
        /// It equals the user's own file.
        Adopted = "adopted",
        /// A person must decide.
        Conflict = "conflict",
        /// It failed, for the reason given.
        Failed = "failed",
    }
}

/// One item of a run or of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Item {
    /// The source that it belongs to.
    pub source: String,
    /// The target, when it was about one.
    #[serde(default)]
    pub target: Option<String>,
    /// Its path there.
    pub path: String,
    /// What became of it.
    pub action: ItemAction,
    /// What was there.
    #[serde(default)]
    pub before: Option<Version>,
    /// What is there.
    #[serde(default)]
    pub after: Option<Version>,
    /// Why it failed, or what kind of conflict it is.
    #[serde(default)]
    pub reason: Option<String>,
    /// How its content changes, as a unified diff with Git's headers; only in a diff that asks for it, and bounded there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
}

/// A content and its mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// SHA-256 in hexadecimal.
    pub hash: String,
    /// Whether its owner may execute it.
    pub executable: bool,
}
