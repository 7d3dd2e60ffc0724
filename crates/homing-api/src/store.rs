//! The state database: its size, its health, what a person can do for it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/store`: what the state takes on disk, in bytes unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreSize {
    /// Database, log, files, what was set aside, and mirrors.
    pub total: u64,
    /// The database.
    pub database: u64,
    /// Of that, what a vacuum gives back.
    pub free: u64,
    /// The database's write-ahead log.
    pub log: u64,
    /// How many contents are in the database.
    pub contents: u64,
    /// Their bytes.
    pub content_bytes: u64,
    /// How many contents have a file of their own.
    pub content_files: u64,
    /// Their bytes.
    pub content_file_bytes: u64,
    /// How many runs the history has.
    pub runs: u64,
    /// How many databases were set aside: replaced by a backup, or damaged.
    #[serde(default)]
    pub set_aside: u64,
    /// Their bytes.
    #[serde(default)]
    pub set_aside_bytes: u64,
    /// How many mirrors of repositories there are.
    #[serde(default)]
    pub mirrors: u64,
    /// Their bytes.
    #[serde(default)]
    pub mirror_bytes: u64,
}

/// Body of `POST /v1/store/check`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreCheckRequest {
    /// Read every content and compare it with its hash.
    #[serde(default)]
    pub deep: bool,
}

/// Answer to `POST /v1/store/check`, and what `homingd --check-store` finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreCheck {
    /// Whether nothing was found.
    pub sound: bool,
    /// Contents that were examined.
    pub contents: u64,
    /// What is damaged, in words.
    pub damage: Vec<String>,
    /// SHA-256 of contents whose bytes are missing or damaged: the next run fetches them again where it can.
    pub lost_contents: Vec<String>,
    /// Mirrors of repositories that were examined.
    #[serde(default)]
    pub mirrors: u64,
    /// The repositories of mirrors that are damaged: the next run that reads one makes it anew.
    #[serde(default)]
    pub damaged_mirrors: Vec<String>,
    /// Why mirrors could not be examined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirrors_unexamined: Option<String>,
}

/// Answer to `POST /v1/store/vacuum`: bytes of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Vacuumed {
    /// Before it.
    pub before: u64,
    /// After it.
    pub after: u64,
}

/// Body of `POST /v1/store/prune`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PruneRequest {
    /// Runs older than this go, and with them how far back `undo` reaches.
    pub older_than_ms: u64,
}

/// Answer to `POST /v1/store/prune`: what is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pruned {
    /// Runs of the history.
    pub runs: u64,
    /// Contents that nothing named any more.
    pub contents: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What `homing db backup` wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// The file.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
}

/// What `homing db restore` put in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// When the backup was made.
    pub created_at: String,
    /// Contents in it.
    pub contents: u64,
    /// What the state before is called now, when there was one.
    pub replaced: Option<String>,
}
