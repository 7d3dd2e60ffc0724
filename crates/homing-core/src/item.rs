//! What a side holds under a key.

use std::sync::Arc;

use crate::ContentHash;

/// A side's own name for the content under a key: a stat signature, a Git blob id, an `ETag`, a row version.
///
/// Opaque: equal identities of one side mean equal content, unequal ones mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(Arc<str>);

impl Identity {
    /// Wraps a side's own text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One item as a side holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// SHA-256 of the bytes.
    pub hash: ContentHash,
    /// Bytes.
    pub size: u64,
    /// Whether its owner may execute it; always `false` where a side cannot tell.
    pub executable: bool,
    /// The side's name for this content; `None` when it cannot vouch for it (a file that changed just now).
    pub identity: Option<Identity>,
}

impl Item {
    /// Returns what planning compares.
    pub fn version(&self) -> Version {
        Version {
            hash: self.hash,
            executable: self.executable,
        }
    }
}

/// What planning compares: two items with one version are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// SHA-256 of the bytes.
    pub hash: ContentHash,
    /// Whether its owner may execute it.
    pub executable: bool,
}

/// Why a side cannot say what is under a key. It never produces an operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownReason {
    /// The side refused to read it, or a directory on the way.
    #[error("it could not be read: {0}")]
    Unreadable(String),
    /// It changed while it was read.
    #[error("it changed while it was read")]
    Changing,
    /// Something that is no regular file stands there: a link, a directory, a socket, a device.
    #[error("it is {0}, which is not followed")]
    NotAFile(&'static str),
    /// A Git LFS pointer stands for it, and what it points to was not fetched.
    #[error("it is a Git LFS pointer, which is not followed")]
    Pointer,
    /// Two names that this or another file system cannot tell apart.
    #[error("its name collides with `{0}`")]
    Collides(String),
    /// Over a limit of the configuration.
    #[error("{0}")]
    OverLimit(String),
    /// It is there, and its content could not be had.
    #[error("{0}")]
    NotFetched(String),
}

/// What is known of a key on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemState {
    /// It is there.
    Present(Item),
    /// It was looked for and is not there.
    Absent,
    /// Nobody can say.
    Unknown(UnknownReason),
}

impl ItemState {
    /// Returns the item, when it is known to be there.
    pub fn item(&self) -> Option<&Item> {
        match self {
            Self::Present(item) => Some(item),
            Self::Absent | Self::Unknown(_) => None,
        }
    }
}
