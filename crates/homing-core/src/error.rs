//! Errors whose variants are decisions: the engine acts on the variant alone.

use std::error::Error;
use std::time::Duration;

type Cause = Box<dyn Error + Send + Sync>;

/// Why a side, or the work around it, could not do something.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// It may work later by itself.
    #[error("{message}")]
    Transient {
        /// What failed.
        message: String,
        /// How long the far side asks to wait.
        retry_after: Option<Duration>,
        /// Why.
        #[source]
        source: Option<Cause>,
    },
    /// Nothing answers at all: the machine may be offline, and it works again when the network does.
    #[error("{message}")]
    Unreachable {
        /// What could not be reached.
        message: String,
        /// Why.
        #[source]
        source: Option<Cause>,
    },
    /// Permission or credentials are missing: a person must mend it.
    #[error("{message}")]
    Auth {
        /// What failed.
        message: String,
        /// Why.
        #[source]
        source: Option<Cause>,
    },
    /// What was asked for is not there. Of a root: the whole side is unknown.
    #[error("{message}")]
    NotFound {
        /// What is missing.
        message: String,
        /// Why.
        #[source]
        source: Option<Cause>,
    },
    /// The far side will not answer before `until` has passed.
    #[error("{message}")]
    RateLimited {
        /// What failed.
        message: String,
        /// How long to wait.
        wait: Duration,
    },
    /// Something else stands where the operation would go (a link, a directory, a file on the way).
    #[error("{message}")]
    Conflict {
        /// What stands where.
        message: String,
    },
    /// The item is not what the operation expected; nothing was done to it.
    #[error("`{key}` changed meanwhile")]
    Changed {
        /// The item.
        key: String,
    },
    /// The source sent what it must not send.
    #[error("{message}")]
    Untrusted {
        /// What it sent, and the rule.
        message: String,
    },
    /// What it offers is not signed as the configuration wants it; the next thing that it offers may be.
    #[error("{message}")]
    Unverified {
        /// What is not, by which key, and why.
        message: String,
    },
    /// The disk is full, read-only or failing on this machine.
    #[error("{message}")]
    Storage {
        /// What failed.
        message: String,
        /// Why.
        #[source]
        source: Option<Cause>,
    },
    /// The configuration asks for what cannot be.
    #[error("{message}")]
    Config {
        /// What, and where.
        message: String,
    },
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// It will fail again in the same way.
    #[error("{message}")]
    Permanent {
        /// What failed.
        message: String,
        /// Why.
        #[source]
        source: Option<Cause>,
    },
}

impl SideError {
    /// Repeats an error of a whole batch for one of its items; the cause stays with the original.
    #[must_use]
    pub fn repeat(&self) -> Self {
        let message = self.to_string();
        match self {
            Self::Transient { retry_after, .. } => Self::Transient {
                message,
                retry_after: *retry_after,
                source: None,
            },
            Self::Unreachable { .. } => Self::Unreachable {
                message,
                source: None,
            },
            Self::Auth { .. } => Self::Auth {
                message,
                source: None,
            },
            Self::NotFound { .. } => Self::NotFound {
                message,
                source: None,
            },
            Self::RateLimited { wait, .. } => Self::RateLimited {
                message,
                wait: *wait,
            },
            Self::Conflict { .. } => Self::Conflict { message },
            Self::Changed { key } => Self::Changed { key: key.clone() },
            Self::Untrusted { .. } => Self::Untrusted { message },
            Self::Unverified { .. } => Self::Unverified { message },
            Self::Storage { .. } => Self::Storage {
                message,
                source: None,
            },
            Self::Config { .. } => Self::Config { message },
            Self::Cancelled => Self::Cancelled,
            Self::Permanent { .. } => Self::Permanent {
                message,
                source: None,
            },
        }
    }
}

/// What a problem is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// A symbolic link, which is not followed.
    Link,
    /// A socket, device or pipe.
    SpecialFile,
    /// A name that cannot be a key.
    Name,
    /// A far side that is reached at the place that is configured, and has another name now.
    Renamed,
    /// Two names that cannot live in one directory everywhere.
    Collision,
    /// Something that could not be read.
    Unreadable,
    /// Something that changed while it was read.
    Changing,
    /// A limit of the configuration.
    Limit,
    /// A file that a tool would run or obey, blocked by the target.
    Active,
    /// A blocking finding in an item.
    Finding,
    /// A skill of which not every file could be had.
    Incomplete,
    /// Two sources offer one path or name; one lost.
    Shadowed,
    /// An item that its target writes in another form: what has no place in it, or why it cannot be.
    Rendering,
    /// A tool that lists items twice, for it reads two of the directories where they are.
    ReadTwice,
    /// Nothing matched the selection.
    Empty,
    /// Bytes that were found beside a half-done operation and kept.
    Rescued,
    /// A command that was to run afterwards and did not do its work.
    Hook,
    /// The guard keeps the files of another source, which is out of service.
    Withheld,
}

/// Something that a person should hear about and that does not end a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// What it is about.
    pub kind: ProblemKind,
    /// Where: a path as it can be shown (control characters escaped), maybe empty.
    pub path: String,
    /// What it is, in a sentence without a full stop.
    pub message: String,
}
