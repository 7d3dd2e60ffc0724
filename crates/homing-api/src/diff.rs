//! What a sync would do, what a target holds, and why.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::words::words;
use crate::{Commits, Item, Notice, RequestVerb, Version};

/// Query of `GET /v1/sources/{id}/diff`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DiffQuery {
    /// For which verb; `sync` unless given.
    #[serde(default)]
    pub verb: RequestVerb,
    /// Also tell how contents change, as unified diffs.
    #[serde(default)]
    pub patch: bool,
}

/// `GET /v1/sources/{id}/diff`, and the answer to a dry run. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diff {
    /// The source.
    pub source: String,
    /// The changes by item, in path order.
    pub items: Vec<Item>,
    /// Edits that stay where they are.
    #[serde(default)]
    pub modified: Vec<Modified>,
    /// What the guard would say, when it would block.
    #[serde(default)]
    pub blocked: Option<String>,
    /// Items that an undo keeps as they are; `GET /v1/sources/{id}/files` names them.
    #[serde(default)]
    pub held: u64,
    /// What a person should hear about.
    #[serde(default)]
    pub problems: Vec<Notice>,
    /// The commits between what is published and what the origin has now, where these are commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commits: Option<Commits>,
}

/// `homing diff --json`, and `homing sync --dry-run --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diffs {
    /// One for each source.
    pub diffs: Vec<Diff>,
}

/// An edit that stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Modified {
    /// The source.
    pub source: String,
    /// The target, unless the edit is in the head.
    #[serde(default)]
    pub target: Option<String>,
    /// Its path there.
    pub path: String,
}

words! {
    /// How a published path differs from what was written.
    Drift {
        /// It carries an edit.
        Edited = "edited",
        /// It is gone.
        Missing = "missing",
        /// Something that is no regular file stands there, or it cannot be read.
        Unreadable = "unreadable",
        /// It was missing or damaged and is back.
        Repaired = "repaired",
    }
}

/// Body of `POST /v1/targets/{id}/verify`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// Restore what is missing or damaged; never an edit.
    #[serde(default)]
    pub repair: bool,
}

/// Answer to `POST /v1/targets/{id}/verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    /// The target.
    pub target: String,
    /// Paths compared.
    pub checked: u64,
    /// Paths that differ.
    pub drifted: Vec<Drifted>,
}

/// `homing verify --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verifications {
    /// One for each target.
    pub verifications: Vec<Verification>,
}

/// A path that differs from what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drifted {
    /// The path in the target.
    pub path: String,
    /// How.
    pub drift: Drift,
    /// More about it, maybe empty.
    pub message: String,
}

/// Query of `GET /v1/why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WhyQuery {
    /// An absolute path.
    pub path: String,
}

/// `GET /v1/why`: which source put a file where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// The target that the path is in.
    pub target: String,
    /// The path in the target.
    pub path: String,
    /// What the file is now: `published`, `edited`, `held`, `adopted`, `deleted`, `conflict`, `own`,
    /// `shadowed` (not published here, for another item has its name), `blocked` (a finding keeps what the source has now
    /// from being published); more may come.
    pub state: String,
    /// Who offers it, the winner first.
    pub candidates: Vec<Candidate>,
}

/// One source that offers a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// The source.
    pub source: String,
    /// The key there.
    pub key: String,
    /// Its priority; lower wins.
    pub priority: u16,
    /// What it offers.
    pub version: Version,
    /// The origin's revision.
    #[serde(default)]
    pub revision: Option<String>,
    /// Why it won or lost.
    pub reason: String,
}
