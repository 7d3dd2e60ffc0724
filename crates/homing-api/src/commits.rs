//! The commits between two revisions of a source.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::words::words;

/// The commits between two revisions of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Commits {
    /// The revision before.
    pub since: String,
    /// The revision after.
    pub until: String,
    /// How the one follows on the other.
    pub course: Course,
    /// The newest of them, the newest first: those that came or, of `back`, those that are taken back.
    pub newest: Vec<Commit>,
    /// So many more are known.
    pub more: u64,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Commit {
    /// Its full id.
    pub id: String,
    /// When it was committed.
    pub time: String,
    /// The first line of its message, without what a terminal obeys or nobody sees.
    pub subject: String,
}

words! {
    /// How one revision follows on another.
    Course {
        /// It was made on top of it.
        Onward = "onward",
        /// It is an earlier one.
        Back = "back",
        /// Neither was made on top of the other: the history was rewritten, or is another one.
        Rewritten = "rewritten",
        /// What was fetched of the history does not lead from one to the other.
        Unknown = "unknown",
    }
}
