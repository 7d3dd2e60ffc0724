//! Why the engine refuses a request or ends a run, and what a person can do about it.

use std::error::Error;
use std::time::Duration;

use homing_core::{RunId, SideError, SourceId, TargetId};
use homing_store::StoreError;

use crate::report::Failure;

/// Every kind that a [`Failure`] may have.
pub const FAILURE_KINDS: &[&str] = &[
    "transient",
    "unreachable",
    "auth",
    "not-found",
    "rate-limited",
    "conflict",
    "changed",
    "untrusted",
    "storage",
    "config",
    "cancelled",
    "permanent",
    "guard",
    "root-changed",
    "root-empty",
    "stalled",
    "timeout",
    "busy",
    "disabled",
    "shutting-down",
    "rejected",
    "nothing-to-undo",
    "rebuild-pending",
    "unknown-source",
    "unknown-target",
    "unknown-run",
    "unknown-conflict",
    "unknown-path",
    "internal",
];

/// Why the engine refuses a request or ends a run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No source has this name.
    #[error("there is no source `{0}`")]
    UnknownSource(SourceId),
    /// No target has this name.
    #[error("there is no target `{0}`")]
    UnknownTarget(TargetId),
    /// No run has this number.
    #[error("there is no run {0}")]
    UnknownRun(RunId),
    /// No open conflict has this number.
    #[error("there is no open conflict {0}")]
    UnknownConflict(i64),
    /// Nothing is published under this path.
    #[error("no target holds `{0}`")]
    UnknownPath(String),
    /// Too many requests wait for this source.
    #[error("source `{0}` has {1} runs waiting already")]
    Busy(SourceId, usize),
    /// The source is disabled.
    #[error("source `{0}` is disabled")]
    Disabled(SourceId),
    /// The daemon is stopping.
    #[error("homingd is shutting down")]
    ShuttingDown,
    /// No run changed anything that could be put back.
    #[error("there is nothing to undo")]
    NothingToUndo,
    /// Of no run that is kept anything can be put back any more; this is the last that changed something.
    #[error(
        "there is nothing to undo: what run {0} and those before it changed was changed since, or is no longer kept"
    )]
    NothingLeftToUndo(RunId),
    /// The request makes no sense in this state.
    #[error("{message}")]
    Rejected {
        /// What is refused.
        message: String,
        /// What to do instead.
        hint: String,
    },
    /// The guard stopped the plan.
    #[error("the plan would delete {deletions} of {of} items of {side}")]
    Guard {
        /// Deletions planned.
        deletions: usize,
        /// Items there.
        of: usize,
        /// Which side, in words.
        side: String,
    },
    /// The root is another directory than before.
    #[error("{0} is another directory than at the last run")]
    RootChanged(String),
    /// The configuration names another path for a target than before.
    #[error("{message}")]
    PathChanged {
        /// From where to where, and what stays behind.
        message: String,
        /// The command that goes on.
        hint: String,
    },
    /// The root is empty, and it was not before.
    #[error("{0} is empty, and it was not at the last run")]
    RootEmpty(String),
    /// The root is missing, and it was there before.
    #[error("{0} is gone")]
    RootGone(String),
    /// The run did not move.
    #[error("no progress for {} seconds", .0.as_secs())]
    Stalled(Duration),
    /// The run took too long.
    #[error("not done after {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// Somebody, or a shutdown, ended the run.
    #[error("cancelled")]
    Cancelled,
    /// The database was rebuilt and nobody has looked yet.
    #[error("the database was rebuilt, so deletions and pushes wait: {0}")]
    RebuildPending(usize),
    /// The state database or the content store failed.
    #[error("the state database could not be used")]
    Store(#[source] StoreError),
    /// A side failed.
    #[error(transparent)]
    Side(#[from] SideError),
    /// The run met a mistake in Homing itself.
    #[error("a mistake in Homing ended the run: {0}")]
    Panicked(String),
    /// A task of the engine died.
    #[error("a task of the daemon died")]
    Task(#[from] tokio::task::JoinError),
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl EngineError {
    /// Returns the error as it is told: kind, message, causes, remedy.
    pub fn failure(&self) -> Failure {
        let mut causes = Vec::new();
        let mut cause = self.source();
        if let Self::Side(side) = self {
            cause = side.source();
        }
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        Failure {
            kind: self.kind(),
            message: self.to_string(),
            causes,
            hint: self.hint(),
        }
    }

    /// Returns it as it is told of a source that comes again by itself.
    pub(crate) fn failure_on_the_way(&self) -> Failure {
        let failure = self.failure();
        match self {
            Self::Side(error) => Failure {
                hint: side_hint(error, Again::ByItself),
                ..failure
            },
            _ => failure,
        }
    }

    /// Returns what the guard refused, with the whole command that goes on: without the root's word the next run could
    /// stop before it comes here.
    pub(crate) fn blocked(&self, source: &SourceId, verb: &str, accept_root: bool) -> Failure {
        let root = if accept_root { "--accept-root " } else { "" };
        Failure {
            hint: Some(format!(
                "look at `homing diff {source}`; then `homing {verb} {source} {root}--accept-deletions` goes on with exactly this plan, and no other"
            )),
            ..self.failure()
        }
    }

    /// Returns the stable word for the kind of error.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnknownSource(_) => "unknown-source",
            Self::UnknownTarget(_) => "unknown-target",
            Self::UnknownRun(_) => "unknown-run",
            Self::UnknownConflict(_) => "unknown-conflict",
            Self::UnknownPath(_) => "unknown-path",
            Self::Busy(..) => "busy",
            Self::Disabled(_) => "disabled",
            Self::ShuttingDown => "shutting-down",
            Self::NothingToUndo | Self::NothingLeftToUndo(_) => "nothing-to-undo",
            Self::Rejected { .. } => "rejected",
            Self::Guard { .. } => "guard",
            Self::RootChanged(_) | Self::PathChanged { .. } => "root-changed",
            Self::RootEmpty(_) => "root-empty",
            Self::RootGone(_) => "not-found",
            Self::Stalled(_) => "stalled",
            Self::TimedOut(_) => "timeout",
            Self::Cancelled => "cancelled",
            Self::RebuildPending(_) => "rebuild-pending",
            Self::Store(_) => "storage",
            Self::Side(error) => side_kind(error),
            Self::Task(_) | Self::Panicked(_) => "internal",
        }
    }

    /// Makes an error of a caught panic.
    pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Self::Panicked(text.unwrap_or_else(|| "it panicked".to_owned()))
    }

    /// Tells whether a person must act before another attempt makes sense.
    ///
    /// A directory that is missing may be mounted again; what a far side does not have, nobody brings back by waiting.
    pub(crate) fn needs_a_person(&self, is_far: bool) -> bool {
        match self {
            Self::Side(SideError::NotFound { .. }) => is_far,
            Self::RootChanged(_) | Self::PathChanged { .. } | Self::Guard { .. } => true,
            Self::Side(error) => {
                matches!(
                    error,
                    SideError::Auth { .. } | SideError::Config { .. } | SideError::Untrusted { .. }
                )
            }
            _ => false,
        }
    }

    /// Returns how long the far side asked to be left alone.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Side(SideError::Transient { retry_after, .. }) => *retry_after,
            Self::Side(SideError::RateLimited { wait, .. }) => Some(*wait),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnknownSource(_) | Self::UnknownTarget(_) => "`homing status` lists the names",
            Self::UnknownRun(_) => "`homing history` lists the runs that are kept",
            Self::UnknownConflict(_) => "`homing conflicts` lists what is open",
            Self::UnknownPath(_) => {
                "give the path of a published file, or one relative to a target"
            }
            Self::Busy(..) => "wait for them, or cancel one with `homing run cancel ID`",
            Self::Disabled(source) => {
                return Some(format!(
                    "`homing source enable {source}` puts it in service again; `homing source disable {source}` takes what is left of its files out of the targets"
                ));
            }
            Self::ShuttingDown => "try again when homingd is back",
            Self::NothingLeftToUndo(run) => {
                return Some(format!(
                    "`homing undo {run}` tells file by file why; `homing history` lists the runs"
                ));
            }
            Self::NothingToUndo => "`homing history` lists the runs and what they changed",
            Self::Rejected { hint, .. } | Self::PathChanged { hint, .. } => hint,
            Self::Guard { .. } => {
                "look at `homing diff`; then `homing sync --accept-deletions` goes on with exactly this plan, and no other"
            }
            Self::RootEmpty(place) if !place.starts_with("`/") => {
                "look at what is there now, and at `ref` and `path`; if that is meant, run `homing sync --accept-root`"
            }
            Self::RootChanged(_) | Self::RootEmpty(_) => {
                "if that is meant, run `homing sync --accept-root`; if a file system is not mounted, mount it"
            }
            Self::RootGone(_) => {
                "mount or restore it; if it was removed on purpose, create it again and run `homing sync --accept-root`"
            }
            Self::Stalled(_) | Self::TimedOut(_) => {
                "check that the file system answers; `stall_timeout` and `run_timeout` in [daemon] set the limits"
            }
            Self::RebuildPending(_) => {
                "look at `homing status` and `homing diff`, then run `homing db accept-rebuild` to allow them"
            }
            Self::Store(_) => {
                "check free space and permissions of the data directory, then run `homing db check` (`homingd --check-store` while no homingd runs)"
            }
            Self::Side(error) => return side_hint(error, Again::ByHand),
            Self::Cancelled => return None,
            Self::Task(_) | Self::Panicked(_) => {
                "look at the daemon's log; nothing that was recorded is lost"
            }
        };
        Some(hint.to_owned())
    }
}

/// Returns the stable word for the kind of a side's error.
pub(crate) fn side_kind(error: &SideError) -> &'static str {
    match error {
        SideError::Transient { .. } => "transient",
        SideError::Unreachable { .. } => "unreachable",
        SideError::Auth { .. } => "auth",
        SideError::NotFound { .. } => "not-found",
        SideError::RateLimited { .. } => "rate-limited",
        SideError::Conflict { .. } => "conflict",
        SideError::Changed { .. } => "changed",
        SideError::Untrusted { .. } | SideError::Unverified { .. } => "untrusted",
        SideError::Storage { .. } => "storage",
        SideError::Config { .. } => "config",
        SideError::Cancelled => "cancelled",
        SideError::Permanent { .. } => "permanent",
    }
}

/// Who makes the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// The source's schedule.
    ByItself,
    /// Whoever reads this.
    ByHand,
}

fn side_hint(error: &SideError, again: Again) -> Option<String> {
    let hint = match (error, again) {
        (SideError::Transient { .. } | SideError::RateLimited { .. }, Again::ByItself) => {
            "it is tried again by itself"
        }
        (SideError::Transient { .. } | SideError::RateLimited { .. }, Again::ByHand) => {
            "try it again later"
        }
        (SideError::Unreachable { .. }, Again::ByItself) => {
            "check the network, the name in `url` and any proxy; it is tried again by itself"
        }
        (SideError::Unreachable { .. }, Again::ByHand) => {
            "check the network, the name in `url` and any proxy, then try it again"
        }
        (SideError::Auth { .. }, _) => {
            "give the user that runs homingd access to it: a mode or a writable mount for files, a `token` that is valid and allows it for a server"
        }
        (SideError::NotFound { .. }, _) => {
            "check that it exists: a path must be there and mounted, a `url` and what is below it spelt right"
        }
        (SideError::Conflict { .. }, _) => "move what stands in the way, then sync again",
        (SideError::Changed { .. }, _) => "sync again when nothing writes to it",
        (SideError::Untrusted { .. }, _) => {
            "look at what the source holds there, and at the address and the limits in its section of config.toml"
        }
        (SideError::Unverified { .. }, again) => {
            return Some(format!(
                "have it signed by a key that `allowed_signers` or `keyring` names, or add the key there if you trust it; what is published stays{}",
                match again {
                    Again::ByItself => ", and it is asked again by itself",
                    Again::ByHand => "",
                }
            ));
        }
        (SideError::Storage { .. }, _) => {
            "make sure that the disk has free space and can be read and written, then sync again"
        }
        (SideError::Config { .. }, _) => {
            "mend config.toml: homingd takes it over as soon as it is valid"
        }
        (SideError::Cancelled | SideError::Permanent { .. }, _) => return None,
    };
    Some(hint.to_owned())
}

/// Renders a side's error with its causes in one line, for an item's reason.
pub(crate) fn reason(error: &SideError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
