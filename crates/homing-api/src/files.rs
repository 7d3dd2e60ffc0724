//! The items that Homing holds for a source.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of `GET /v1/sources/{id}/files`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct FilesQuery {
    /// Only this file, what lies below this directory, or what matches this pattern in gitignore syntax.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only the newest so many, newest first, 1 to 1000; without `after` and `limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub recent: Option<u32>,
    /// At most this many, 1 to 10000; 1000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 10_000)]
    pub limit: Option<u32>,
    /// Only paths after this one: [`Files::next`] of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// `GET /v1/sources/{id}/files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Files {
    /// The source.
    pub source: String,
    /// The files, by path, or newest first where `recent` was asked for.
    pub files: Vec<File>,
    /// There are more: ask again with this as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One item that Homing holds for a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct File {
    /// Its path in the source.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal.
    pub hash: String,
    /// Whether its owner may execute it.
    pub executable: bool,
    /// Whether it carries an edit that the origin does not have.
    pub modified: bool,
    /// Whether an undo keeps what upstream has from the targets.
    #[serde(default)]
    pub held: bool,
    /// When it was last taken over or edited.
    pub synced_at: String,
}
