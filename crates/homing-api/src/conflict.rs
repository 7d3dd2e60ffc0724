//! Open conflicts and how they are decided.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::words::words;

words! {
    /// What kind of disagreement a conflict is.
    ConflictKind {
        /// Both sides changed the content.
        Content = "content",
        /// One side deleted what the other changed.
        Delete = "delete",
        /// Both sides have the path and nothing says that they ever agreed.
        Added = "added",
        /// A file stands where a directory must go, or the other way round, or a link is on the way.
        Structure = "structure",
        /// The path now comes from another source, and the file carries an edit.
        Provenance = "provenance",
    }
}

words! {
    /// Between which two sides a conflict is.
    Hop {
        /// From the origin to the head.
        Pull = "pull",
        /// From the head to the origin.
        Push = "push",
        /// From a target to the head.
        Capture = "capture",
        /// From the head to a target.
        Publish = "publish",
    }
}

/// One open conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conflict {
    /// Its number.
    pub id: i64,
    /// Between which sides.
    pub hop: Hop,
    /// The source.
    pub source: String,
    /// The target, when it is in one.
    #[serde(default)]
    pub target: Option<String>,
    /// The path there.
    pub path: String,
    /// What kind.
    pub kind: ConflictKind,
    /// More about it.
    #[serde(default)]
    pub detail: Option<String>,
    /// Since when.
    pub since: String,
}

/// `GET /v1/conflicts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conflicts {
    /// The open conflicts, by source, target and path.
    pub conflicts: Vec<Conflict>,
}

/// Query of `GET /v1/conflicts`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ConflictsQuery {
    /// Only of this source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Only in this target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// How a conflict is decided; another word is a bad request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResolveWith {
    /// The local side stays.
    Ours,
    /// The other side is taken.
    Theirs,
    /// The lines of both.
    Union,
}

/// Body of `POST /v1/conflicts/{id}/resolve`; the answer is the finished [`crate::Run`].
///
/// Own bytes go to `POST /v1/conflicts/{id}/content` as they are (`application/octet-stream`, at most
/// [`ResolveRequest::MAX_CONTENT_BYTES`]), with the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveRequest {
    /// How.
    pub with: ResolveWith,
}

impl ResolveRequest {
    /// The most bytes that a resolution may bring along.
    pub const MAX_CONTENT_BYTES: usize = 16 * 1024 * 1024;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolution_is_one_of_three_words() {
        assert_eq!(
            serde_json::from_str::<ResolveRequest>(r#"{"with":"union"}"#).unwrap(),
            ResolveRequest {
                with: ResolveWith::Union
            }
        );
        assert!(serde_json::from_str::<ResolveRequest>(r#"{"with":"mine"}"#).is_err());
        assert!(
            serde_json::from_str::<ResolveRequest>(r#"{"with":"ours","path":"/etc"}"#).is_err()
        );
    }
}
