//! What the engine tells: runs, items, conflicts, status.

mod status;

use std::collections::HashMap;
use std::time::Duration;

use homing_core::{Commits, ConflictKind, ItemKey, Problem, RunId, SourceId, TargetId, Version};
use jiff::Timestamp;

pub use status::{
    Condition, EngineStatus, Offline, OfflineSource, SourceStatus, State, TargetStatus,
};

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Take over what the origin changed, and publish.
    Pull,
    /// Take back what was edited here.
    Push,
    /// Pull, then push where the source may.
    Sync,
    /// Publish what the heads hold.
    Publish,
    /// Decide a conflict.
    Resolve,
    /// Put back what a run changed.
    Undo,
    /// Let items follow upstream again.
    Release,
    /// Compare what is published with what was written.
    Verify,
}

/// Why a run exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// Its turn had come.
    Schedule,
    /// The daemon started.
    Startup,
    /// Somebody asked.
    Manual,
    /// Something changed.
    Watch,
    /// Its turn came while the machine slept, or in a pause.
    Resume,
    /// Another program did it, and its history was taken over.
    Import,
}

/// A source whose turn has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The source.
    pub source: SourceId,
    /// Since when.
    pub since: Timestamp,
    /// Why it has come only now.
    pub trigger: Trigger,
}

/// Where a run is, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// It waits for its turn.
    Queued,
    /// It is under way.
    Running,
    /// All was done.
    Success,
    /// Some items failed, or conflicts are open.
    Partial,
    /// The guard stopped the plan.
    Blocked,
    /// It did not do its work.
    Error,
    /// Somebody, or a shutdown, ended it.
    Cancelled,
    /// The process died under it.
    Interrupted,
}

/// What is asked of [`crate::Engine::submit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRequest {
    /// Pull, push or sync.
    pub verb: Verb,
    /// Why.
    pub trigger: Trigger,
    /// Ignore backoff and validators.
    pub force: bool,
    /// Continue exactly the plan that the guard blocked.
    pub accept_deletions: bool,
    /// The root is another directory than before, and that is meant.
    pub accept_root: bool,
    /// Only items whose key matches one of these; gitignore syntax, empty for all.
    pub filter: Vec<String>,
}

impl RunRequest {
    /// Returns a plain request.
    pub fn new(verb: Verb, trigger: Trigger) -> Self {
        Self {
            verb,
            trigger,
            force: false,
            accept_deletions: false,
            accept_root: false,
            filter: Vec::new(),
        }
    }
}

/// How one item of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ItemAction {
    /// It was made.
    Created,
    /// Its content or mode was replaced.
    Updated,
    /// It was merged with an edit.
    Merged,
    /// It was deleted.
    Removed,
    /// It was taken into the head from a target.
    Captured,
    /// It was written to the origin.
    Pushed,
    /// It equals the user's own file.
    Adopted,
    /// A person must decide.
    Conflict,
    /// It failed, for the reason given.
    Failed,
}

/// One item of a run or of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemReport {
    /// The source that it belongs to.
    pub source: SourceId,
    /// The target, when it was about one.
    pub target: Option<TargetId>,
    /// Its key in the source.
    pub key: ItemKey,
    /// Its path there.
    pub path: ItemKey,
    /// What became of it.
    pub action: ItemAction,
    /// What was there.
    pub before: Option<Version>,
    /// What is there.
    pub after: Option<Version>,
    /// Why it failed, or what kind of conflict it is.
    pub reason: Option<String>,
}

/// An error with its causes and its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `auth`, `not-found`, `storage`, `untrusted`, `guard`, …: one of [`crate::FAILURE_KINDS`].
    pub kind: &'static str,
    /// What failed.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// How to mend it.
    pub hint: Option<String>,
}

impl Failure {
    /// Has the remedy name the source: consent for one must not be taken as consent for all.
    #[must_use]
    pub fn of(mut self, source: &SourceId) -> Self {
        let named = |text: &str| {
            let accept = format!("`homing sync {source} --accept");
            let unpin = format!("`homing source unpin {source}`");
            text.replace("`homing sync --accept", &accept)
                .replace("`homing source unpin NAME`", &unpin)
        };
        self.hint = self.hint.as_deref().map(named);
        self.message = named(&self.message);
        self
    }
}

impl RunReport {
    /// Notes why the run failed; the first reason stands.
    pub(crate) fn fail(&mut self, failure: Failure) {
        if self.error.is_none() {
            self.error = Some(match &self.source {
                Some(source) => failure.of(source),
                None => failure,
            });
        }
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunReport {
    /// Its number.
    pub id: RunId,
    /// The source, unless it is a target's own.
    pub source: Option<SourceId>,
    /// The target, when it is a target's own.
    pub target: Option<TargetId>,
    /// What it does.
    pub verb: Verb,
    /// The run that it took back, where items were asked for.
    pub undone: Option<RunId>,
    /// Why it exists.
    pub trigger: Trigger,
    /// Where it is.
    pub status: RunStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took so far.
    pub duration: Duration,
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
    pub requests: u64,
    /// Why it failed, when it did.
    pub error: Option<Failure>,
    /// What a person should hear about.
    pub problems: Vec<Problem>,
    /// Time by phase, in order.
    pub phases: Vec<(String, Duration)>,
    /// The source's revision after it, where it has one; of runs that the history tells.
    pub revision: Option<String>,
    /// Where it is, while it is under way.
    pub progress: Option<RunProgress>,
    /// Its items, where they were asked for; items that were as they should be are not among them.
    pub items: Vec<ItemReport>,
}

/// Which items of a run [`crate::Engine::items`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemsRequest {
    /// Only those that failed or are in conflict.
    pub failed_only: bool,
    /// Only those after this one: [`ItemsReport::next`].
    pub after: i64,
    /// At most so many.
    pub limit: usize,
}

/// Items of a run, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemsReport {
    /// The items.
    pub items: Vec<ItemReport>,
    /// Where the next ones begin, when there are more.
    pub next: Option<i64>,
}

/// Which items of a head [`crate::Engine::files`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesRequest {
    /// Only this one, what lies below it, or what matches it; gitignore syntax, from the root.
    pub path: Option<String>,
    /// Only the newest so many, newest first.
    pub recent: Option<usize>,
    /// Only those after this one.
    pub after: Option<ItemKey>,
    /// At most so many, unless `recent` says so.
    pub limit: usize,
}

/// Items of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesReport {
    /// By key, or the newest first.
    pub files: Vec<FileReport>,
    /// After which key the next ones begin, when there are more.
    pub next: Option<ItemKey>,
}

/// One item of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Its key.
    pub key: ItemKey,
    /// Its content and mode.
    pub version: Version,
    /// Bytes.
    pub size: u64,
    /// Whether it carries an edit that the origin does not have.
    pub modified: bool,
    /// Whether an undo keeps what upstream has from the targets.
    pub held: bool,
    /// When it was last taken over or edited; of what upstream has no more, since when it is held.
    pub synced_at: Timestamp,
}

/// Where a run under way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunProgress {
    /// The phase.
    pub phase: &'static str,
    /// Items done in this phase.
    pub items: u64,
    /// Items to do in this phase, where known.
    pub items_total: Option<u64>,
    /// Bytes moved in this phase.
    pub bytes: u64,
    /// Bytes to move in this phase, where known.
    pub bytes_total: Option<u64>,
}

/// What a sync would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiffReport {
    /// The commits that would come, where the source has commits.
    pub commits: Option<Commits>,
    /// The changes by item, in path order.
    pub items: Vec<ItemReport>,
    /// How their contents change, where that was asked for and can be told: a unified diff for each.
    pub patches: HashMap<(Option<TargetId>, ItemKey, ItemAction), String>,
    /// Edits that stay where they are: the path in the target or source, and where.
    pub modified: Vec<ModifiedItem>,
    /// What the guard would say, when it would block.
    pub blocked: Option<String>,
    /// Items that an undo keeps as they are.
    pub held: usize,
    /// What a person should hear about.
    pub problems: Vec<Problem>,
}

/// An edit that stays where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModifiedItem {
    /// The source.
    pub source: SourceId,
    /// The target, unless the edit is in the head.
    pub target: Option<TargetId>,
    /// Its path there.
    pub path: ItemKey,
}

/// An open conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictReport {
    /// Its number.
    pub id: i64,
    /// `pull`, `push`, `capture` or `publish`.
    pub hop: &'static str,
    /// The source.
    pub source: SourceId,
    /// The target, when it is in one.
    pub target: Option<TargetId>,
    /// The path.
    pub path: ItemKey,
    /// What kind.
    pub kind: ConflictKind,
    /// More about it.
    pub detail: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// How a published path differs from what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Drift {
    /// It carries an edit.
    Edited,
    /// It is gone.
    Missing,
    /// Something that is no regular file stands there, or it cannot be read.
    Unreadable,
    /// It was missing or damaged and is back.
    Repaired,
}

/// What [`crate::Engine::verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// The target.
    pub target: TargetId,
    /// Paths compared.
    pub checked: u64,
    /// Paths that differ.
    pub drifted: Vec<(ItemKey, Drift, String)>,
}

/// Which source put a file where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyReport {
    /// The target that the path is in.
    pub target: TargetId,
    /// The path in the target.
    pub path: ItemKey,
    /// Who offers it, the winner first.
    pub candidates: Vec<WhyCandidate>,
    /// What the file is now: a word such as `published`, `edited`, `held`, `adopted`, `deleted`, `conflict`, `own`,
    /// `shadowed`, `blocked`.
    pub state: &'static str,
}

/// One source that offers a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyCandidate {
    /// The source.
    pub source: SourceId,
    /// The key there.
    pub key: ItemKey,
    /// Its priority.
    pub priority: u16,
    /// What it offers.
    pub version: Version,
    /// The origin's revision.
    pub revision: Option<String>,
    /// Why it won or lost.
    pub reason: String,
}

/// How a conflict is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The local side stays.
    Ours,
    /// The other side is taken.
    Theirs,
    /// The lines of both.
    Union,
    /// These bytes.
    Content(Vec<u8>),
}
