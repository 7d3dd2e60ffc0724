//! The commits that lie between two revisions.

use crate::About;

/// How one revision follows on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// It was made on top of it.
    Onward,
    /// It is an earlier one.
    Back,
    /// Neither was made on top of the other: the history was rewritten, or is another one.
    Rewritten,
    /// What is known of the history does not lead from one to the other.
    Unknown,
}

/// A commit, as a list of them tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its full id.
    pub id: String,
    /// What it says of itself.
    pub about: About,
}

/// The commits between two revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commits {
    /// The revision before.
    pub since: String,
    /// The revision after.
    pub until: String,
    /// How the one follows on the other.
    pub course: Course,
    /// The newest of them: those that came; of [`Course::Back`] those that are taken back.
    pub newest: Vec<Commit>,
    /// So many more are known.
    pub more: u64,
}
