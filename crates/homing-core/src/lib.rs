//! The pure heart of Homing: items, plans, order, merges.
//!
//! Nothing here reads a file, a clock or a socket. A *side* holds items; a *plan* says what must change for two
//! sides and their base to agree; *order* makes a plan safe to carry out one operation after the other.

mod commits;
mod conflict;
mod cron;
mod error;
mod fold;
mod guard;
mod hash;
mod ids;
mod item;
mod key;
mod limits;
mod listing;
mod manifest;
mod merge;
mod order;
mod patch;
mod plan;
mod reference;
mod selection;
mod side;
mod watch;

pub use commits::{Commit, Commits, Course};
pub use conflict::{ConflictKind, Policy, UnknownWord};
pub use cron::{Cron, CronError};
pub use error::{Problem, ProblemKind, SideError};
pub use guard::{GUARD, Guard, GuardVerdict};
pub use hash::{ContentHash, Hasher, ParseHashError};
pub use ids::{IdError, RunId, SourceId, TargetId};
pub use item::{Identity, Item, ItemState, UnknownReason, Version};
pub use key::{ItemKey, KeyError, shown};
pub use limits::Limits;
pub use listing::{
    About, Examined, Gate, Intake, ListRequest, Listed, Listing, Revision, Scope, Unchanged,
};
pub use manifest::Manifest;
pub use merge::{
    MERGE_LIMIT_BYTES, MERGE_LIMIT_LINES, MergeInput, MergeOutcome, merge, merge_executable,
};
pub use order::{Ordered, Step, order};
pub use patch::{PATCH_LIMIT_BYTES, PatchSide, patch};
pub use plan::{Decision, Direction, PlanInput, PlannedItem, decide, plan};
pub use reference::is_reference_name;
pub use selection::{Covered, Selection};
pub use side::{
    BoxFuture, Capabilities, Change, ContentReader, Contents, FetchRequest, Interrupted, Operation,
    Outcome, Progress, Recovered, RootIdentity, Side,
};
pub use watch::{Listener, Notice, Watch};
