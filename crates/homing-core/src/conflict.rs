//! Words for what both sides changed.

use std::fmt;
use std::str::FromStr;

/// What kind of disagreement a conflict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConflictKind {
    /// Both sides changed the content in overlapping places, or it cannot be merged.
    Content,
    /// One side deleted what the other changed.
    Delete,
    /// Both sides have the path and nothing says that they ever agreed.
    Added,
    /// A file stands where a directory must go, or the other way round, or a link is on the way.
    Structure,
    /// The path now comes from another source, and the file carries an edit.
    Provenance,
}

impl ConflictKind {
    /// Returns the word that the store, the interface and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Delete => "delete",
            Self::Added => "added",
            Self::Structure => "structure",
            Self::Provenance => "provenance",
        }
    }
}

impl fmt::Display for ConflictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of a key that both sides changed. `Ours` always means the local side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Policy {
    /// Merge what does not overlap; leave the rest to a person, with the near side kept.
    #[default]
    Ask,
    /// Merge what does not overlap; take the near side for the rest.
    Ours,
    /// Merge what does not overlap; take the far side for the rest.
    Theirs,
    /// Merge what does not overlap; keep the lines of both for the rest. Not for deletions or binary contents.
    Union,
}

impl Policy {
    /// Returns the word that the configuration and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Union => "union",
        }
    }
}

/// A word that is no policy or conflict kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown word `{0}`")]
pub struct UnknownWord(pub String);

impl FromStr for Policy {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Ask, Self::Ours, Self::Theirs, Self::Union]
            .into_iter()
            .find(|policy| policy.as_str() == word)
            .ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

impl FromStr for ConflictKind {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [
            Self::Content,
            Self::Delete,
            Self::Added,
            Self::Structure,
            Self::Provenance,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == word)
        .ok_or_else(|| UnknownWord(word.to_owned()))
    }
}
