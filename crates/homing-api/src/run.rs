//! Runs: how they are asked for and how they are told.

use serde::{Deserialize, Serialize};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, OneOfBuilder, RefOr, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::Problem;
use crate::words::words;

words! {
    /// What a run does.
    Verb {
        /// Take over what the origin changed, and publish.
        Pull = "pull",
        /// Take back what was edited here.
        Push = "push",
        /// Pull, then push where the source may.
        Sync = "sync",
        /// Publish what the heads hold.
        Publish = "publish",
        /// Decide a conflict.
        Resolve = "resolve",
        /// Put back what a run changed.
        Undo = "undo",
        /// Let items follow upstream again.
        Release = "release",
        /// Compare what is published with what was written.
        Verify = "verify",
    }
}

words! {
    /// Why a run exists.
    Trigger {
        /// Its turn had come.
        Schedule = "schedule",
        /// The daemon started.
        Startup = "startup",
        /// Somebody asked.
        Manual = "manual",
        /// Something changed.
        Watch = "watch",
        /// Its turn came while the machine slept, or in a pause.
        Resume = "resume",
    }
}

words! {
    /// Where a run is, or how it ended.
    RunStatus {
        /// It waits for its turn.
        Queued = "queued",
        /// It is under way.
        Running = "running",
        /// All was done.
        Success = "success",
        /// Some items failed, or conflicts are open.
        Partial = "partial",
        /// The guard stopped the plan.
        Blocked = "blocked",
        /// It did not do its work.
        Error = "error",
        /// Somebody, or a shutdown, ended it.
        Cancelled = "cancelled",
        /// The process died under it.
        Interrupted = "interrupted",
    }
}

impl RunStatus {
    /// Tells whether the run will not change any more.
    pub fn has_ended(&self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

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
    /// Only tell: the answer is 200 with a [`crate::Diff`], and nothing is written. `filter` is not applied.
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

/// Query of `GET /v1/runs`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RunsQuery {
    /// Only of this source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Only with this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    /// At most this many, 1 to 1000; 20 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only runs before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
}

/// Query of `GET /v1/runs/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RunQuery {
    /// Answer when the run has ended or this has passed, for example `30s`; absent: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    /// At most this many items, 0 to 10000; 1000 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(maximum = 10_000)]
    pub limit: Option<u32>,
    /// Only items after these: [`Run::next`] of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
}

/// `GET /v1/runs`: newest first, without items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Runs {
    /// The runs.
    pub runs: Vec<Run>,
}

/// One run.
///
/// `GET /v1/runs/{id}` tells every item, page by page; the answer to an undo begins with the first page. Other answers
/// that waited for a run tell those that failed or are in conflict, the first thousand. Lists and status tell none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Its number.
    pub id: i64,
    /// The source, unless it is a target's own.
    #[serde(default)]
    pub source: Option<String>,
    /// The target, when it is a target's own.
    #[serde(default)]
    pub target: Option<String>,
    /// What it does.
    pub verb: Verb,
    /// The run that it took back, when it is an undo that is told with its items.
    #[serde(default)]
    pub undone: Option<i64>,
    /// Why it exists.
    pub trigger: Trigger,
    /// Where it is.
    pub status: RunStatus,
    /// When it began.
    pub started_at: String,
    /// How long it took so far.
    pub duration_ms: u64,
    /// Items taken over, published or pushed.
    pub synced: u64,
    /// Items that were as they should be.
    pub cached: u64,
    /// Items that failed or are in conflict.
    pub failed: u64,
    /// Items removed.
    pub removed: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// Why it failed, when it did.
    #[serde(default)]
    pub error: Option<Failure>,
    /// What a person should hear about.
    #[serde(default)]
    pub problems: Vec<Notice>,
    /// Time by phase, in order.
    #[serde(default)]
    pub phases: Vec<Phase>,
    /// Where it is, while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<RunProgress>,
    /// Its items; those that were as they should be are not among them.
    #[serde(default)]
    pub items: Vec<Item>,
    /// There are more items: ask `GET /v1/runs/{id}` again with this as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// Where a run under way is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunProgress {
    /// The phase.
    pub phase: String,
    /// Items done in this phase.
    pub items: u64,
    /// Items to do in this phase, where known.
    #[serde(default)]
    pub items_total: Option<u64>,
    /// Bytes moved in this phase.
    pub bytes: u64,
    /// Bytes to move in this phase, where known.
    #[serde(default)]
    pub bytes_total: Option<u64>,
}

/// Why a run or a publish failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// A word of [`crate::ProblemKind`].
    pub kind: crate::ProblemKind,
    /// What failed.
    pub message: String,
    /// Why, outermost first.
    #[serde(default)]
    pub causes: Vec<String>,
    /// How to mend it.
    #[serde(default)]
    pub hint: Option<String>,
}

/// Something that a person should hear about and that does not end a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Notice {
    /// A word: `link`, `special-file`, `name`, `collision`, `unreadable`, `changing`, `limit`, `active`, `shadowed`,
    /// `empty`, `rescued`, `hook`, `withheld`; more may come.
    pub kind: String,
    /// Where, maybe empty.
    pub path: String,
    /// What it is.
    pub message: String,
}

/// How long one phase took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// How long it took.
    pub duration_ms: u64,
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

    #[test]
    fn a_run_of_a_newer_daemon_is_read() {
        let run: Run = serde_json::from_str(
            r#"{"id":7,"source":"a","verb":"checkpoint","trigger":"webhook","status":"paused","started_at":"2026-01-02T03:04:05.678Z",
                "duration_ms":5,"synced":0,"cached":0,"failed":0,"removed":0,"bytes":0,"colour":"blue"}"#,
        )
        .unwrap();
        assert_eq!(run.verb, Verb::Other("checkpoint".to_owned()));
        assert!(
            run.status.has_ended(),
            "an unknown status must not make a client wait for ever"
        );
    }
}
