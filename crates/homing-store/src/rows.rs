//! The rows of the state database as the engine sees them.

use homing_core::{
    About, ConflictKind, ContentHash, Identity, ItemKey, RootIdentity, RunId, SourceId, TargetId,
    Version,
};
use jiff::Timestamp;

/// What the store remembers of a source beside its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// Its name in the configuration.
    pub id: SourceId,
    /// `dir`, …
    pub kind: String,
    /// Where it comes from, without user info and query.
    pub url: String,
    /// The origin's revision at the last success.
    pub revision: Option<String>,
    /// What that revision says of itself.
    pub about: Option<About>,
    /// Fingerprint of url, ref, path and filters: another one means another selection.
    pub selection: Option<String>,
    /// The last attempt.
    pub last_sync_time: Option<Timestamp>,
    /// The last success.
    pub last_success_time: Option<Timestamp>,
    /// When it is due next.
    pub next_due: Option<Timestamp>,
    /// Validator of the origin as a whole.
    pub etag: Option<String>,
    /// Whether it is synced at all.
    pub enabled: bool,
    /// Failures in a row.
    pub failures: u32,
    /// No attempt by schedule before this.
    pub backoff_until: Option<Timestamp>,
    /// Why it waits for a person, when it does.
    pub stalled: Option<String>,
    /// Which directory the root was.
    pub root: Option<StoredRoot>,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// When this row last changed.
    pub updated_at: Timestamp,
}

/// A root identity and the boot in which its device number holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRoot {
    /// Device and inode.
    pub identity: RootIdentity,
    /// The kernel's boot id at the time.
    pub boot_id: String,
}

/// What to change of a source's row; `None` leaves a column as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceUpdate {
    /// See [`SourceRow::revision`]; `Some(None)` clears it.
    pub revision: Option<Option<String>>,
    /// See [`SourceRow::about`]. A new revision without it has none.
    pub about: Option<About>,
    /// See [`SourceRow::selection`].
    pub selection: Option<String>,
    /// See [`SourceRow::last_sync_time`].
    pub last_sync_time: Option<Timestamp>,
    /// See [`SourceRow::last_success_time`].
    pub last_success_time: Option<Timestamp>,
    /// See [`SourceRow::next_due`]; `Some(None)` clears it.
    pub next_due: Option<Option<Timestamp>>,
    /// See [`SourceRow::etag`]; `Some(None)` clears it.
    pub etag: Option<Option<String>>,
    /// See [`SourceRow::failures`].
    pub failures: Option<u32>,
    /// See [`SourceRow::backoff_until`]; `Some(None)` clears it.
    pub backoff_until: Option<Option<Timestamp>>,
    /// See [`SourceRow::stalled`]; `Some(None)` clears it.
    pub stalled: Option<Option<String>>,
    /// See [`SourceRow::root`].
    pub root: Option<StoredRoot>,
}

/// One item of a source's head. A row without head and base does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRow {
    /// The key.
    pub key: ItemKey,
    /// What Homing holds for it; `None`: deleted here, the origin has it still.
    pub head: Option<Version>,
    /// What head and origin last agreed on; `None`: new here.
    pub base: Option<Version>,
    /// Bytes of `head` (of `base` when there is no head).
    pub size: u64,
    /// The origin's identity for `base`.
    pub identity: Option<Identity>,
    /// What `head` is; `None`: not examined. A row that is put without facts keeps those of the same content.
    pub facts: Option<Facts>,
}

/// What the content of a head's item was found to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The number of its kind.
    pub kind: u8,
    /// The name that it goes by; other files than agents, skills and commands have none.
    pub name: Option<String>,
    /// The version that it gives itself.
    pub version: Option<String>,
    /// What is to be said against it, as JSON text; `None`: nothing.
    pub findings: Option<String>,
}

/// One row of a target's ledger: a path that Homing answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// The source that owns the path.
    pub source: SourceId,
    /// The item's key in that source.
    pub key: ItemKey,
    /// The path in the target.
    pub path: ItemKey,
    /// The catalog content last taken in.
    pub base: Option<Version>,
    /// The bytes and mode last placed.
    pub written: Option<Version>,
    /// Bytes of `written`.
    pub size: u64,
    /// The target's identity for `written`.
    pub identity: Option<Identity>,
    /// The user had the same file before Homing came: it is never deleted.
    pub adopted: bool,
    /// The user deleted it and it stays away.
    pub tombstone: bool,
}

/// An undo that holds: the catalog shows `held` for the key while the head is still `refused`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRow {
    /// The source.
    pub source: SourceId,
    /// The key.
    pub key: ItemKey,
    /// What the catalog shows; `None`: nothing.
    pub held: Option<Version>,
    /// Bytes of `held`.
    pub size: u64,
    /// What was undone; `None`: a deletion.
    pub refused: Option<Version>,
    /// The run that was undone.
    pub run: RunId,
    /// Since when.
    pub since: Timestamp,
}

/// A run that changed something in a target, which the target's hook has not been told yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingHook {
    /// The target.
    pub target: TargetId,
    /// The run.
    pub run: RunId,
    /// Since when.
    pub since: Timestamp,
}

/// Between which sides something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hop {
    /// Origin to head.
    Pull,
    /// Head to origin.
    Push,
    /// Target to head.
    Capture,
    /// Catalog to target.
    Publish,
}

/// An open conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictRow {
    /// Its number; 0 in rows that are not stored yet.
    pub id: i64,
    /// Where it stands in the way.
    pub hop: Hop,
    /// The source.
    pub source: SourceId,
    /// The target, for `Capture` and `Publish`.
    pub target: Option<TargetId>,
    /// The item's key (for `Publish`: the path in the target).
    pub key: ItemKey,
    /// What kind.
    pub kind: ConflictKind,
    /// What both sides last agreed on.
    pub base: Option<Version>,
    /// The near side's version.
    pub near: Option<Version>,
    /// The far side's version.
    pub far: Option<Version>,
    /// More about it: what stands in the way.
    pub detail: Option<String>,
    /// Since when it has been open.
    pub since: Timestamp,
}

/// A run as history keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Its number.
    pub id: RunId,
    /// The source, unless the run is a target's own.
    pub source: Option<SourceId>,
    /// The target, when the run is a target's own.
    pub target: Option<TargetId>,
    /// `pull`, `push`, `sync`, `publish`, `undo`, …
    pub verb: String,
    /// `schedule`, `startup`, `manual`, …
    pub trigger: String,
    /// `running`, `success`, `partial`, `blocked`, `error`, `cancelled`, `interrupted`.
    pub status: String,
    /// When it began.
    pub started_at: Timestamp,
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
    /// Requests made of the origin.
    pub requests: u64,
    /// The kind of the error that ended it.
    pub error_kind: Option<String>,
    /// The error, with its causes.
    pub error_message: Option<String>,
    /// Wall-clock milliseconds.
    pub duration_ms: u64,
    /// Milliseconds by phase, in order.
    pub phases: Vec<(String, u64)>,
    /// The fingerprint of a plan that the guard blocked.
    pub plan_digest: Option<String>,
    /// Things that a person should hear about, each as JSON text.
    pub problems: Vec<String>,
    /// The source's revision after it, where the source has one.
    pub revision: Option<String>,
    /// The boot in which it ran.
    pub boot_id: String,
}

/// How far an operation of the journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JournalState {
    /// Intended.
    Planned,
    /// Done, maybe not durable.
    Placed,
    /// Done and durable.
    Durable,
    /// Not done, for the reason given.
    Failed,
}

/// One item of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Its number, ascending in the order of the run; 0 in rows that are not stored yet.
    pub id: i64,
    /// The run.
    pub run: RunId,
    /// Which hop.
    pub hop: Hop,
    /// The source that owns the item.
    pub source: SourceId,
    /// The target, for `Capture` and `Publish`.
    pub target: Option<TargetId>,
    /// The item's key in the source.
    pub key: ItemKey,
    /// The path on the side that was written; equal to `key` for a push and for the head.
    pub path: ItemKey,
    /// What was there; `None`: nothing.
    pub before: Option<Version>,
    /// What is there now; `None`: nothing.
    pub after: Option<Version>,
    /// For a publish: the ledger's base before …
    pub base_before: Option<Version>,
    /// … and after.
    pub base_after: Option<Version>,
    /// The temporary name on the side.
    pub temporary: Option<String>,
    /// How far it is.
    pub state: JournalState,
    /// Why it failed.
    pub reason: Option<String>,
}

/// One content that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRow {
    /// SHA-256 of the bytes.
    pub hash: ContentHash,
    /// Bytes.
    pub size: u64,
}

/// Which conflicts [`crate::Writer::replace_conflicts`] speaks for; `None` stands for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictScope {
    /// The hop.
    pub hop: Hop,
    /// The source.
    pub source: Option<SourceId>,
    /// The target.
    pub target: Option<TargetId>,
}

/// Which runs of the history are asked for; `None` stands for any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Runs of this source.
    pub source: Option<SourceId>,
    /// Runs of this target's own.
    pub target: Option<TargetId>,
    /// Runs that are in this status.
    pub status: Option<String>,
    /// Runs before this one.
    pub before: Option<RunId>,
    /// Only runs of Homing's own, none that were imported: those have new numbers and are older.
    pub own: bool,
    /// How many at most, the newest first.
    pub limit: usize,
}
