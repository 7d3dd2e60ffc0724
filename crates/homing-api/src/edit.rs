//! What the command line tells about sections of the configuration and about its edits, and what homingd finds at a
//! source that is to be checked (`homingd --check-sources`).

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::{Failure, Notice, Run, SecretShown, Source, SourceShown, Target, TargetShown};

/// `homing source list --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceEntries {
    /// Every configured source, by name.
    pub sources: Vec<SourceEntry>,
}

/// `homing source show NAME --json`: a source as it is configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceEntry {
    /// Its settings, defaults filled in.
    #[serde(flatten)]
    pub settings: SourceShown,
    /// The targets that take it.
    pub targets: Vec<String>,
    /// The file that begins its section.
    pub file: String,
    /// The line of the section's header.
    #[serde(default)]
    pub line: Option<usize>,
    /// How it is, when homingd is running and knows it; only `show` asks.
    #[serde(default)]
    pub status: Option<Source>,
}

/// `homing target list --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetEntries {
    /// Every configured target, by name.
    pub targets: Vec<TargetEntry>,
}

/// `homing target show NAME --json`: a target as it is configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetEntry {
    /// Its settings, defaults filled in.
    #[serde(flatten)]
    pub settings: TargetShown,
    /// The file that begins its section.
    pub file: String,
    /// The line of the section's header.
    #[serde(default)]
    pub line: Option<usize>,
    /// How it is, when homingd is running and knows it; only `show` asks.
    #[serde(default)]
    pub status: Option<Target>,
}

/// `--json` of the commands that edit the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigEdit {
    /// Whether nothing was written, because of `--dry-run`.
    pub dry_run: bool,
    /// The files that were, or would be, changed.
    pub files: Vec<FileEdit>,
    /// What was found at new sources.
    #[serde(default)]
    pub checks: Vec<SourceCheck>,
    /// The runs that took files out of targets.
    #[serde(default)]
    pub runs: Vec<Run>,
    /// `loaded`, `not-running`, `restart-needed`, `refused` or, when nothing was changed, `unchanged`.
    pub daemon: String,
}

/// `DELETE /v1/sources/{id}`: as [`crate::routes::SOURCE_WITHDRAW`], and what is held of the source is forgotten. Its
/// section in the configuration is the client's to remove.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WithdrawQuery {
    /// Its files stay in the targets and are the user's own.
    #[serde(default)]
    pub keep: bool,
    /// Its history is forgotten, too.
    #[serde(default)]
    pub purge: bool,
}

/// A file that an edit changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEdit {
    /// The file.
    pub path: String,
    /// Its lines, each after `+`, `-` or a blank; `...` where lines that stay were left out.
    pub diff: Vec<String>,
}

/// What `homingd --check-sources` reads on its standard input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// A configuration to take instead of the user's own.
    #[serde(default)]
    pub text: Option<String>,
    /// The sources; empty: all.
    #[serde(default)]
    pub sources: Vec<String>,
}

/// What `homingd --check-sources` prints, and `homing source check --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceChecks {
    /// One for each source that was asked for.
    pub sources: Vec<SourceCheck>,
}

/// What a source offers at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCheck {
    /// Its name.
    pub id: String,
    /// Where it was looked for.
    pub place: String,
    /// Files that would come.
    pub files: u64,
    /// Their bytes, where that is known without reading them.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// What else is worth knowing, a sentence each: whose token it is, what is left of a limit.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What would not come, and why.
    #[serde(default)]
    pub problems: Vec<Notice>,
    /// The secret that its section names, if it names one.
    #[serde(default)]
    pub token: Option<TokenCheck>,
    /// Why nothing can be said of it, or why its secret is not there.
    #[serde(default)]
    pub error: Option<Failure>,
}

/// Whether a secret is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCheck {
    /// Where it was looked up.
    pub from: SecretShown,
    /// Whether it was found there.
    pub found: bool,
    /// Whether the source's kind sends it anywhere.
    pub used: bool,
}
