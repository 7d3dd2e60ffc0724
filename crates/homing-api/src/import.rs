//! Taking over from another program: what `POST /v1/import/…` reads and answers.
//!
//! The body is a tar stream. Its first entry, [`DOCUMENT`], is the cache or database itself; [`WAL`] may follow, then
//! [`AGENT_SOURCES`] and [`SKILL_SOURCES`], with a database the [`ETAGS`] beside it, then cached files, each as [`FILES`] and the id that an answer has given to
//! it. An id may come several times: the first file that is what was recorded counts.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::words::words;

/// The name of the first entry.
pub const DOCUMENT: &str = "document";
/// The name of a database's write-ahead log.
pub const WAL: &str = "document-wal";
/// The name of the file that lists where agents come from.
pub const AGENT_SOURCES: &str = "agent_sources.yaml";
/// The name of the file that lists where skills come from.
pub const SKILL_SOURCES: &str = "skill_sources.yaml";
/// An `ETag` cache that lies where a database keeps its files; there may be several.
pub const ETAGS: &str = "etag-cache.json";
/// What the names of cached files begin with.
pub const FILES: &str = "files/";

/// Query of `POST /v1/import/…`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ImportQuery {
    /// Only tell what would be taken over; sources that are not configured yet included.
    #[serde(default)]
    pub dry_run: bool,
}

/// Answer to `POST /v1/import/…`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportReport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The sources that the entries belong to.
    pub sources: Vec<ImportedSource>,
    /// What belongs to no source and why, a sentence each.
    pub problems: Vec<String>,
}

/// A source that is, or would be, taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedSource {
    /// Its name in the configuration; of one that is not configured, the name that it may get.
    pub id: String,
    /// Whether it is configured. What is not, takes nothing over.
    pub configured: bool,
    /// What its section holds, or would.
    pub settings: ImportedSettings,
    /// Homing has synced it itself, so that what it holds stays as it is.
    pub synced_before: bool,
    /// Its files.
    pub files: Vec<ImportedFile>,
    /// Lines of its history that are, or would be, new.
    pub syncs: u64,
}

/// How a source is, or would be, configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedSettings {
    /// `github` or `http`.
    pub kind: String,
    /// Where it is.
    pub url: String,
    /// The branch or tag.
    #[serde(default)]
    pub reference: Option<String>,
    /// Only this subdirectory.
    #[serde(default)]
    pub path: Option<String>,
    /// The files, where the place has no list of its own.
    #[serde(default)]
    pub files: Vec<String>,
    /// Patterns in gitignore syntax.
    #[serde(default)]
    pub include: Vec<String>,
    /// Patterns in gitignore syntax.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// 0 to 1000; lower wins. Absent: nothing was said.
    #[serde(default)]
    pub priority: Option<u16>,
    /// Whether it is synced at all.
    pub enabled: bool,
}

/// A file of the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedFile {
    /// What its entry in the tar stream is called, after [`FILES`].
    pub id: String,
    /// Its path in the source.
    pub path: String,
    /// What became of it.
    pub outcome: ImportOutcome,
    /// More about that.
    #[serde(default)]
    pub detail: Option<String>,
    /// Where it may be: absolute, or relative to the directory of the cache; the first is the likeliest.
    #[serde(default)]
    pub places: Vec<String>,
}

words! {
    /// What becomes of a cached file.
    ImportOutcome {
        /// Content and identity: unless it changed upstream, it is not downloaded again.
        Taken = "taken",
        /// Content alone: it is at hand, and downloaded once more by the next sync.
        ContentOnly = "content-only",
        /// Homing has it already.
        Present = "present",
        /// No cached file came for it: it is downloaded by the next sync.
        Missing = "missing",
        /// The cached file is not what was recorded: it is downloaded by the next sync.
        Different = "different",
        /// It cannot be an item.
        Refused = "refused",
    }
}

/// What `homing import` did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportDone {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// One for each cache or database.
    pub imports: Vec<ImportedDocument>,
}

/// What became of one cache or database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedDocument {
    /// The file.
    pub file: String,
    /// What was, or would be, taken over.
    #[serde(flatten)]
    pub report: ImportReport,
    /// Sections that were, or would be, added to the configuration.
    pub added: Vec<String>,
    /// What the file is called now.
    #[serde(default)]
    pub backup: Option<String>,
}
