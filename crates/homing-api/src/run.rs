//! Runs, as they are told.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Item;
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
        /// Another program did it, and Homing has taken its history over.
        Import = "import",
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
    /// Requests that were sent to the far side.
    #[serde(default)]
    pub requests: u64,
    /// Why it failed, when it did.
    #[serde(default)]
    pub error: Option<Failure>,
    /// What a person should hear about.
    #[serde(default)]
    pub problems: Vec<Notice>,
    /// Time by phase, in order.
    #[serde(default)]
    pub phases: Vec<Phase>,
    /// The source's revision after it, where it has one: only of a run that has ended, as the history tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The commits since the revision of the run before, where these are commits: `GET /v1/runs/{id}` tells them with the
    /// first page of items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commits: Option<crate::Commits>,
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
    /// A word: `link`, `special-file`, `name`, `collision`, `unreadable`, `changing`, `limit`, `active`, `finding`, `shadowed`,
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

#[cfg(test)]
mod tests {
    use super::*;

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
