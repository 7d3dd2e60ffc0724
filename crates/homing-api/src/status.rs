//! The daemon, its sources and its targets at a glance.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::words::words;
use crate::{Failure, Pause, Run, Served, SourceShown, StoreSize, TargetShown};

words! {
    /// A state of a source or target; several may hold at once.
    State {
        /// All sides agree.
        Synced = "synced",
        /// Something was edited here.
        Modified = "modified",
        /// Something upstream is not here yet.
        Outdated = "outdated",
        /// A person must decide.
        Conflict = "conflict",
        /// An undo holds.
        Held = "held",
    }
}

/// A condition of the daemon or of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Condition {
    /// `Ready`, `Paused`, `Syncing`, `Stale`, `Stalled`, `Unwatched`, `Conflicted`, `Blocked`, `ConfigInvalid`,
    /// `ReloadNeeded`, `RestartNeeded`, `StorageFailed`, `Offline`; more may come. A `Ready` that does not hold says why:
    /// `LastRunFailed`, `Offline`, `PartialRun`, `HookFailed`, `NeverSynced`, `Disabled`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: bool,
    /// A word for why.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// Since when, where known.
    #[serde(default)]
    pub since: Option<String>,
}

/// Query of `GET /v1/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct StatusQuery {
    /// Also tell what has to be counted: bytes of contents, waiting hooks, the store.
    #[serde(default)]
    pub detailed: bool,
}

/// `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The daemon.
    pub daemon: Daemon,
    /// Every source, by name.
    pub sources: Vec<Source>,
    /// Every target, by name.
    pub targets: Vec<Target>,
}

/// The daemon itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Daemon {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started_at: String,
    /// The configuration file.
    pub config_path: String,
    /// Where it keeps its state.
    pub data_dir: String,
    /// Whether repairs after the last stop are done.
    pub recovered: bool,
    /// A database that was moved aside, until the rebuild is accepted.
    #[serde(default)]
    pub quarantined: Option<String>,
    /// The pause of everything.
    #[serde(default)]
    pub paused: Option<Pause>,
    /// Its conditions.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// What the state takes on disk; only in a detailed status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreSize>,
}

/// `GET /v1/sources`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sources {
    /// Every source, by name.
    pub sources: Vec<Source>,
}

/// One source, `GET /v1/sources/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// Its name.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Where it comes from.
    pub url: String,
    /// Whether it is synced at all.
    pub enabled: bool,
    /// Its priority; lower wins.
    pub priority: u16,
    /// Its states.
    pub states: Vec<State>,
    /// Its conditions.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The origin's revision, where it has one.
    #[serde(default)]
    pub revision: Option<String>,
    /// When that commit was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_time: Option<String>,
    /// The first line of that commit's message, cut at 200 characters: a stranger's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_subject: Option<String>,
    /// Items in its head.
    pub files: u64,
    /// Open conflicts.
    pub conflicts: u64,
    /// The last attempt.
    #[serde(default)]
    pub last_attempt: Option<String>,
    /// The last success.
    #[serde(default)]
    pub last_success: Option<String>,
    /// The next one by schedule.
    #[serde(default)]
    pub next_due: Option<String>,
    /// Its own pause.
    #[serde(default)]
    pub paused: Option<Pause>,
    /// The last run, without items.
    #[serde(default)]
    pub last_run: Option<Run>,
    /// The run under way, without items.
    #[serde(default)]
    pub current_run: Option<Run>,
    /// Bytes of the items in its head; only in a detailed status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_bytes: Option<u64>,
    /// Bytes of the mirrors of its repository and submodules, which other sources may share; only in a detailed status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror_bytes: Option<u64>,
    /// When its last success is too long ago, or has been since; only in a detailed status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_at: Option<String>,
    /// How it is configured, without secrets; not in `GET /v1/status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<SourceShown>,
}

/// `GET /v1/targets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Targets {
    /// Every target, by name.
    pub targets: Vec<Target>,
}

/// One target, `GET /v1/targets/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Target {
    /// Its name.
    pub id: String,
    /// Where it is.
    pub path: String,
    /// Its sources.
    pub from: Vec<String>,
    /// Of a part of a preset: sources whose items its tool reads in the directory of another target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub served: Vec<Served>,
    /// Its states.
    pub states: Vec<State>,
    /// Paths that Homing answers for.
    pub files: u64,
    /// Open conflicts.
    pub conflicts: u64,
    /// Its conditions: `Blocked`, when the guard keeps what a source no longer has; more may come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Why the last publish failed, when it did.
    #[serde(default)]
    pub error: Option<Failure>,
    /// Runs that its hook was not told of yet; only in a detailed status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks_waiting: Option<u64>,
    /// How it is configured, without secrets; not in `GET /v1/status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<TargetShown>,
    /// Where the name is that of a preset: the targets that it is; the rest is their sum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub parts: Vec<Target>,
}

/// Returns the name of the section that a target is configured in: of a part of a preset, the preset's.
pub fn section(target: &str) -> &str {
    target.split_once('.').map_or(target, |(name, _)| name)
}

/// Tells whether a word names a target, or the preset that it is a part of.
pub fn names_target(word: &str, target: &str) -> bool {
    word == target || word == section(target)
}

/// `GET /v1/health`: 200 when ready, else 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Whether all is well enough to sync.
    pub ready: bool,
    /// Why not.
    #[serde(default)]
    pub reasons: Vec<String>,
}
