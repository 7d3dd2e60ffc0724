//! What the command line tells about the configuration and about itself; no daemon is asked for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ApiRange, VersionInfo};

/// `homing version --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The version of the command line.
    pub version: String,
    /// Interface versions that it speaks.
    pub api: ApiRange,
    /// The daemon, when it is running.
    #[serde(default)]
    pub daemon: Option<VersionInfo>,
}

/// `homing config path --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigPaths {
    /// The configuration file.
    pub config: String,
    /// Whether it is there.
    pub exists: bool,
    /// The drop-ins, in the order in which they are laid over it.
    #[serde(default)]
    pub drop_ins: Vec<String>,
    /// Where the state is kept.
    pub data_dir: String,
    /// The daemon's socket.
    pub socket: String,
}

/// `homing config check --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigCheck {
    /// The configuration file.
    pub config: String,
    /// Whether it is valid.
    pub valid: bool,
    /// What is wrong, in the order of the files.
    #[serde(default)]
    pub diagnostics: Vec<ConfigDiagnostic>,
}

/// One thing that is wrong in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigDiagnostic {
    /// The file: the configuration itself or a drop-in; absent when it is about neither's text.
    #[serde(default)]
    pub file: Option<String>,
    /// The line, from 1; absent when it is about the whole file.
    #[serde(default)]
    pub line: Option<usize>,
    /// The column, from 1, in characters.
    #[serde(default)]
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    #[serde(default)]
    pub hint: Option<String>,
}

/// `homing config show --json`: the configuration with its defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigShown {
    /// The configuration file.
    pub config: String,
    /// `[daemon]`.
    pub daemon: DaemonShown,
    /// The sources, by name.
    pub sources: Vec<SourceShown>,
    /// The targets, by name.
    pub targets: Vec<TargetShown>,
}

/// `[daemon]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonShown {
    /// Where the state is kept.
    pub data_dir: String,
    /// The socket.
    pub socket: String,
    /// Runs that move files at the same time.
    pub max_runs: usize,
    /// Connections to one host at the same time.
    #[serde(default)]
    pub per_host: usize,
    /// A run that does not move for this long is ended.
    pub stall_timeout_ms: u64,
    /// A run that takes this long is ended.
    pub run_timeout_ms: u64,
    /// How long a stop waits for runs under way.
    pub shutdown_grace_ms: u64,
    /// How long history is kept.
    pub keep_history_ms: u64,
    /// Where times of day hold; absent: in the zone of the system.
    #[serde(default)]
    pub timezone: Option<String>,
    /// The filter for the log.
    pub log: String,
    /// `text` or `json`.
    #[serde(default)]
    pub log_format: String,
}

/// `[sources.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceShown {
    /// Its name.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Where it is: a directory, or a URL.
    pub root: String,
    /// What only sources of its kind have, by their keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Only this subdirectory.
    #[serde(default)]
    pub path: Option<String>,
    /// Patterns in gitignore syntax.
    pub include: Vec<String>,
    /// Patterns in gitignore syntax.
    pub exclude: Vec<String>,
    /// The interval; absent: by `cron`, or by hand only.
    #[serde(default)]
    pub every_ms: Option<u64>,
    /// The times of its turns, instead of an interval.
    #[serde(default)]
    pub cron: Option<String>,
    /// Where those times hold; absent: in the zone of the system.
    #[serde(default)]
    pub timezone: Option<String>,
    /// `due`, `always` or `never`.
    pub at_start: String,
    /// Absent: three intervals.
    #[serde(default)]
    pub stale_after_ms: Option<u64>,
    /// Whether a change in the root starts a run.
    #[serde(default)]
    pub watch: bool,
    /// 0 to 1000; lower wins.
    pub priority: u16,
    /// `never` or `direct`.
    pub push: String,
    /// `ask`, `ours`, `theirs` or `union`.
    pub on_conflict: String,
    /// Bytes of one file, at most.
    pub max_file_size: u64,
    /// Bytes of all files together, at most.
    pub max_total_size: u64,
    /// Files, at most.
    pub max_files: u64,
    /// Where the secret comes from that the origin asks for; absent: none is named.
    #[serde(default)]
    pub token: Option<SecretShown>,
    /// Whether it is synced at all.
    pub enabled: bool,
}

/// Where a secret comes from; never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecretShown {
    /// A variable of the environment.
    Env(String),
    /// A file.
    File(String),
    /// A command: its program. Nobody knows what its arguments hold, so they are left out.
    Command(String),
    /// An entry of the keyring.
    Keyring(String),
}

impl std::fmt::Display for SecretShown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (form, place) = match self {
            Self::Env(name) => ("env", name),
            Self::File(path) => ("file", path),
            Self::Command(program) => ("command", program),
            Self::Keyring(name) => ("keyring", name),
        };
        write!(f, "{form} {place}")
    }
}

/// `[targets.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TargetShown {
    /// Its name.
    pub id: String,
    /// Where it is.
    pub path: String,
    /// Its sources.
    pub from: Vec<String>,
    /// `tree` or `flat`.
    pub layout: String,
    /// `restore` or `keep`.
    pub deletions: String,
    /// The source that new files go to.
    #[serde(default)]
    pub new_files_to: Option<String>,
    /// Names of active files that may be published.
    pub allow_active: Vec<String>,
    /// The kinds of items that are published: `agent`, `skill`, `command`, `file`.
    #[serde(default)]
    pub include_kinds: Vec<String>,
    /// What becomes of an item with a blocking finding: `block`, `warn` or `allow`.
    #[serde(default)]
    pub on_finding: String,
    /// What runs after a publish changed something.
    #[serde(default)]
    pub after: Vec<String>,
    /// How long that may take.
    #[serde(default)]
    pub hook_timeout_ms: u64,
}
