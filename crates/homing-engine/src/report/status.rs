//! What the engine tells of itself, its sources and its targets at a glance.

use crate::spec::Served;
use homing_core::{SourceId, TargetId};
use jiff::Timestamp;

use super::{Failure, RunReport};
use crate::pause::Pause;

/// States of a source or target; several may hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// All sides agree.
    Synced,
    /// Something was edited here.
    Modified,
    /// Something upstream is not here yet.
    Outdated,
    /// A person must decide.
    Conflict,
    /// An undo holds.
    Held,
}

/// A condition of a source or target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// `Ready`, `Paused`, `Syncing`, `Stale`, `Stalled`, `Unwatched`, `Conflicted`, `Blocked`.
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// A word for why.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// Since when, where known.
    pub since: Option<Timestamp>,
}

/// One source at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceStatus {
    /// Its name.
    pub id: SourceId,
    /// Its kind.
    pub kind: String,
    /// Where it comes from.
    pub url: String,
    /// Whether it is synced at all.
    pub enabled: bool,
    /// Its priority.
    pub priority: u16,
    /// Its states.
    pub states: Vec<State>,
    /// Its conditions.
    pub conditions: Vec<Condition>,
    /// The origin's revision, where it has one.
    pub revision: Option<String>,
    /// What that revision says of itself.
    pub about: Option<homing_core::About>,
    /// Items in its head.
    pub files: u64,
    /// The last attempt.
    pub last_attempt: Option<Timestamp>,
    /// The last success.
    pub last_success: Option<Timestamp>,
    /// The next one by schedule.
    pub next_due: Option<Timestamp>,
    /// Its own pause.
    pub paused: Option<Pause>,
    /// Open conflicts.
    pub conflicts: u64,
    /// The last run, without items.
    pub last_run: Option<RunReport>,
    /// The run under way, without items.
    pub current_run: Option<RunReport>,
}

/// One target at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetStatus {
    /// Its name.
    pub id: TargetId,
    /// Where it is.
    pub path: String,
    /// Its sources.
    pub from: Vec<SourceId>,
    /// Sources whose items its tool reads in the directory of another target.
    pub served: Vec<Served>,
    /// Its states.
    pub states: Vec<State>,
    /// Paths that Homing answers for.
    pub files: u64,
    /// Open conflicts.
    pub conflicts: u64,
    /// What the guard keeps from leaving it, by source.
    pub conditions: Vec<Condition>,
    /// Why the last publish failed, when it did.
    pub error: Option<Failure>,
}

/// No far side can be reached: the machine is offline, or each of them is down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offline {
    /// When one of them was last reached.
    pub reached: Option<Timestamp>,
    /// The sources that wait for them.
    pub sources: Vec<OfflineSource>,
}

/// A source that waits for the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineSource {
    /// Its name.
    pub id: SourceId,
    /// Since when what is published of it is stale.
    pub last_success: Option<Timestamp>,
    /// What could not be reached.
    pub reason: String,
    /// It is tried again without anybody asking.
    pub comes_again: bool,
}

/// The whole engine at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineStatus {
    /// Every configured source, by name.
    pub sources: Vec<SourceStatus>,
    /// Every configured target, by name.
    pub targets: Vec<TargetStatus>,
    /// The pause of everything.
    pub paused: Option<Pause>,
    /// Whether repairs after the last stop are done.
    pub recovered: bool,
    /// A database that was moved aside, until the rebuild is accepted.
    pub quarantined: Option<String>,
    /// When the backup was made that was restored, until that is accepted.
    pub restored: Option<String>,
    /// Whether the network is away.
    pub offline: Option<Offline>,
}
