//! The words that the store, the interface and the command line use for the engine's enums.

use std::str::FromStr;

use homing_core::UnknownWord;
use homing_store::Hop;

use crate::events::NoticeKind;
use crate::report::{Drift, ItemAction, RunStatus, State, Trigger, Verb};

macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            /// Returns the word for it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $type {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord(word.to_owned())),
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(Verb {
    Pull = "pull",
    Push = "push",
    Sync = "sync",
    Publish = "publish",
    Resolve = "resolve",
    Undo = "undo",
    Release = "release",
    Verify = "verify",
});

words!(Trigger {
    Schedule = "schedule",
    Startup = "startup",
    Manual = "manual",
    Watch = "watch",
    Resume = "resume",
    Import = "import",
});

words!(RunStatus {
    Queued = "queued",
    Running = "running",
    Success = "success",
    Partial = "partial",
    Blocked = "blocked",
    Error = "error",
    Cancelled = "cancelled",
    Interrupted = "interrupted",
});

words!(ItemAction {
    Created = "created",
    Updated = "updated",
    Merged = "merged",
    Removed = "removed",
    Captured = "captured",
    Pushed = "pushed",
    Adopted = "adopted",
    Conflict = "conflict",
    Failed = "failed",
});

words!(State {
    Synced = "synced",
    Modified = "modified",
    Outdated = "outdated",
    Conflict = "conflict",
    Held = "held",
});

words!(NoticeKind {
    ConfigReloaded = "config-reloaded",
    ConfigRejected = "config-rejected",
    Paused = "paused",
    Resumed = "resumed",
    ShuttingDown = "shutting-down",
});

words!(Drift { Edited = "edited", Missing = "missing", Unreadable = "unreadable", Repaired = "repaired" });

/// Returns the word for a hop.
pub(crate) fn hop(hop: Hop) -> &'static str {
    match hop {
        Hop::Pull => "pull",
        Hop::Push => "push",
        Hop::Capture => "capture",
        Hop::Publish => "publish",
    }
}
