//! What clients ask to be run.

use serde::{Deserialize, Serialize};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, OneOfBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::{Problem, Run};

/// What may be asked for; another word is a bad request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestVerb {
    /// Pull, then push where the source may.
    #[default]
    Sync,
    /// Take over what the origin changed, and publish.
    Pull,
    /// Take back what was edited here.
    Push,
}

impl RequestVerb {
    /// Returns the word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Pull => "pull",
            Self::Push => "push",
        }
    }
}

/// Body of `POST /v1/sources/{id}/runs`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the fields of the interface, each a switch of its own"
)]
pub struct RunRequest {
    /// What to do.
    pub verb: RequestVerb,
    /// Ignore backoff and validators.
    #[serde(default)]
    pub force: bool,
    /// Only tell: the answer is 200 with a [`crate::Diff`], and nothing is written. All else that is asked holds.
    #[serde(default)]
    pub dry_run: bool,
    /// Only items whose path matches one of these; gitignore syntax, empty for all.
    #[serde(default)]
    pub filter: Vec<String>,
    /// Continue exactly the plan that the guard blocked.
    #[serde(default)]
    pub accept_deletions: bool,
    /// The root is another directory than before, and that is meant.
    #[serde(default)]
    pub accept_root: bool,
}

/// Body of `POST /v1/runs`. A source that does not exist fails the request before anything is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManyRunsRequest {
    /// Which sources; `"all"` means all that are enabled.
    pub sources: Selection,
    /// What to do.
    pub verb: RequestVerb,
    /// Leave sources alone whose last success is not older than this: a duration such as `24h` or `7d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "24h")]
    pub if_older_than: Option<String>,
    /// As in [`RunRequest`].
    #[serde(default)]
    pub force: bool,
    /// As in [`RunRequest`].
    #[serde(default)]
    pub filter: Vec<String>,
    /// As in [`RunRequest`].
    #[serde(default)]
    pub accept_deletions: bool,
    /// As in [`RunRequest`].
    #[serde(default)]
    pub accept_root: bool,
}

impl ManyRunsRequest {
    /// Returns what is asked of one of the sources.
    pub fn for_one(&self) -> RunRequest {
        RunRequest {
            verb: self.verb,
            force: self.force,
            dry_run: false,
            filter: self.filter.clone(),
            accept_deletions: self.accept_deletions,
            accept_root: self.accept_root,
        }
    }
}

/// Which sources: `"all"` or a list of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All that are enabled.
    All,
    /// These.
    Names(Vec<String>),
}

impl PartialSchema for Selection {
    fn schema() -> RefOr<Schema> {
        let all = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["all"]));
        let names = ArrayBuilder::new().items(ObjectBuilder::new().schema_type(Type::String));
        OneOfBuilder::new()
            .item(all)
            .item(names)
            .description(Some(
                "Which sources: \"all\" that are enabled, or a list of names.",
            ))
            .into()
    }
}

impl ToSchema for Selection {}

impl Serialize for Selection {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Names(names) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Selection {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "`sources` must be \"all\" or a list of names")]
        enum Wire {
            Word(String),
            Names(Vec<String>),
        }
        match Wire::deserialize(deserializer)? {
            Wire::Word(word) if word == "all" => Ok(Self::All),
            Wire::Word(word) => Err(serde::de::Error::custom(format!(
                "`sources` must be \"all\" or a list of names, not \"{}\"",
                word.escape_debug()
            ))),
            Wire::Names(names) => Ok(Self::Names(names)),
        }
    }
}

/// Answer to `POST /v1/runs`: 200 when all have ended within `?wait=`, else 202.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StartedRuns {
    /// The runs, or those that were joined, in the order of the sources.
    pub runs: Vec<Run>,
    /// Sources that were left alone: their last success is not older than `if_older_than`.
    #[serde(default)]
    pub fresh: Vec<String>,
    /// Sources for which no run could be started (`source` is set), for example because the queue is full.
    #[serde(default)]
    pub problems: Vec<Problem>,
}

/// Body of `POST /v1/sources/{id}/release`; the answer is the finished [`Run`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// The paths; empty for all that are held or left away.
    #[serde(default)]
    pub paths: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_refuses_what_it_does_not_know() {
        assert!(serde_json::from_str::<RunRequest>(r#"{"verb":"sync","hook":"rm"}"#).is_err());
        assert!(serde_json::from_str::<RunRequest>(r#"{"verb":"publish"}"#).is_err());
        assert!(serde_json::from_str::<RunRequest>("{}").is_err());
        let request: RunRequest = serde_json::from_str(r#"{"verb":"pull"}"#).unwrap();
        assert_eq!(
            request,
            RunRequest {
                verb: RequestVerb::Pull,
                ..RunRequest::default()
            }
        );
    }

    #[test]
    fn a_selection_is_all_or_names() {
        let many = |sources: &str| {
            serde_json::from_str::<ManyRunsRequest>(&format!(
                r#"{{"sources":{sources},"verb":"sync"}}"#
            ))
            .map(|request| request.sources)
        };
        assert_eq!(many(r#""all""#).unwrap(), Selection::All);
        assert_eq!(
            many(r#"["a","b"]"#).unwrap(),
            Selection::Names(vec!["a".to_owned(), "b".to_owned()])
        );
        assert!(
            many(r#""a""#)
                .unwrap_err()
                .to_string()
                .contains("\"all\" or a list of names")
        );
        assert!(
            many("3")
                .unwrap_err()
                .to_string()
                .contains("\"all\" or a list of names")
        );
        assert_eq!(serde_json::to_string(&Selection::All).unwrap(), r#""all""#);
    }
}
