//! How much a repository may cost: bytes of a pack, and memory for taking it in.

use std::fmt::Display;
use std::os::unix::process::ExitStatusExt;

use homing_core::{Limits, SideError};
use homing_process::{Conversation, Ended, Most};

/// A repository holds more than what is selected of it, and some history.
const PACK_FOR_SELECTED: u64 = 4;
/// Any pack may be so long, however little is selected.
const LEAST_PACK: u64 = 256 << 20;
/// So much any pack may take: Git holds its list of objects, and what differences are applied to.
const LEAST_MEMORY: u64 = 512 << 20;

/// What one fetch may cost at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ceilings {
    /// Bytes of a pack, and of whatever else comes with it.
    pub(crate) pack: u64,
    /// Bytes of memory of each process.
    pub(crate) memory: u64,
}

impl Ceilings {
    /// Returns what a source with these limits may cost.
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            pack: limits
                .max_total_size
                .saturating_mul(PACK_FOR_SELECTED)
                .max(LEAST_PACK),
            // An object and what it is made of are held whole.
            memory: limits
                .max_file_size
                .saturating_mul(2)
                .saturating_add(LEAST_MEMORY),
        }
    }

    /// Holds a process and those that it will start to this, where the system can do that.
    pub(crate) fn hold(self, talk: &Conversation) {
        let most = Most {
            file: self.pack,
            memory: self.memory,
        };
        // Its end is told by its status, and then there is nothing to hold.
        talk.limit(most).unwrap_or_default();
    }

    /// Returns what it means that a process ended, where that is because it was held.
    pub(crate) fn exceeded(self, place: impl Display, ended: &Ended) -> Option<SideError> {
        const FILE_TOO_LONG: i32 = rustix::process::Signal::XFSZ.as_raw();
        let said = &ended.complaints;
        if ended.status.signal() == Some(FILE_TOO_LONG)
            || said.contains(&format!("died of signal {FILE_TOO_LONG}"))
        {
            return Some(self.too_long(place));
        }
        // What the server says of itself is its own trouble.
        let mut own = said.lines().filter(|line| !line.contains("remote: "));
        let is_out = own.any(|line| line.contains("ut of memory"));
        is_out.then(|| SideError::Untrusted {
            message: format!(
                "`{place}` sends what takes more than {} MiB of memory to unpack; if it is to be trusted, raise `max_file_size`: there is room for two such files",
                self.memory >> 20
            ),
        })
    }

    /// Returns what is said of a pack that does not end.
    pub(crate) fn too_long(self, place: impl Display) -> SideError {
        SideError::Untrusted {
            message: format!(
                "`{place}` sends more than {} MiB in one pack; if it is to be trusted, raise `max_total_size`: a pack may have {PACK_FOR_SELECTED} times that",
                self.pack >> 20
            ),
        }
    }
}

impl Default for Ceilings {
    fn default() -> Self {
        Self::of(&Limits::default())
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn whoever_was_held_is_told_from_whoever_failed() {
        let told = |status: i32, complaints: &str| {
            let ended = Ended {
                status: ExitStatus::from_raw(status),
                complaints: complaints.to_owned(),
            };
            let error = Ceilings::default().exceeded("there", &ended);
            error.map(|error| error.to_string()).unwrap_or_default()
        };
        let long = told(rustix::process::Signal::XFSZ.as_raw(), "");
        assert!(long.contains("max_total_size"), "{long}");
        assert_eq!(told(128 << 8, "error: index-pack died of signal 25"), long);
        let memory = told(128 << 8, "fatal: Out of memory, malloc failed");
        assert!(memory.contains("max_file_size"), "{memory}");
        for other in ["remote: fatal: Out of memory", "fatal: early EOF"] {
            assert_eq!(told(128 << 8, other), "");
        }
    }

    #[test]
    fn what_is_selected_decides_and_little_is_not_too_little() {
        let of = |max_file_size, max_total_size| {
            Ceilings::of(&Limits {
                max_file_size,
                max_total_size,
                max_files: 1,
            })
        };
        assert_eq!(Ceilings::default().pack, 4 << 30);
        assert_eq!(of(1, 1).pack, 256 << 20);
        assert_eq!(of(100 << 20, 1 << 40).memory, 712 << 20);
        assert_eq!(of(u64::MAX, u64::MAX).pack, u64::MAX);
    }
}
