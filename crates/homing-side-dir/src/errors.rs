//! What an error of the operating system means for the engine.

use std::io;

use homing_core::SideError;
use rustix::io::Errno;

/// Returns the decision for `errno`; `what` says what could not be done, and where.
pub(crate) fn side_error(errno: Errno, what: &str) -> SideError {
    let source = || Some(io::Error::from(errno).into());
    match errno {
        Errno::NOSPC => SideError::Storage {
            message: format!("{what}: the disk is full; free some space there and sync again"),
            source: source(),
        },
        Errno::DQUOT => SideError::Storage {
            message: format!(
                "{what}: the disk quota is used up; free some space there and sync again"
            ),
            source: source(),
        },
        // A person must act, as with a mode that forbids it: trying again changes nothing.
        Errno::ROFS => SideError::Auth {
            message: format!(
                "{what}: the file system is read-only; mount it writable and sync again"
            ),
            source: source(),
        },
        Errno::IO | Errno::NXIO | Errno::NODEV => SideError::Storage {
            message: format!(
                "{what}: the disk does not answer as it should; check it, and the kernel's log"
            ),
            source: source(),
        },
        Errno::ACCESS | Errno::PERM => SideError::Auth {
            message: format!(
                "{what}: permission denied; give the user that runs homingd access to it"
            ),
            source: source(),
        },
        Errno::NOENT => SideError::NotFound {
            message: format!("{what}: it does not exist"),
            source: source(),
        },
        Errno::LOOP | Errno::MLINK => SideError::Conflict {
            message: format!("{what}: a symbolic link is on the way, and links are not followed"),
        },
        Errno::NOTDIR => SideError::Conflict {
            message: format!("{what}: a file stands where a directory must be"),
        },
        Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY => SideError::Conflict {
            message: format!("{what}: something else stands there"),
        },
        Errno::INTR
        | Errno::AGAIN
        | Errno::BUSY
        | Errno::TXTBSY
        | Errno::STALE
        | Errno::MFILE
        | Errno::NFILE
        | Errno::NOMEM
        | Errno::TIMEDOUT => SideError::Transient {
            message: what.to_owned(),
            retry_after: None,
            source: source(),
        },
        _ => SideError::Permanent {
            message: what.to_owned(),
            source: source(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_the_machines_trouble_and_says_what_to_do() {
        let error = side_error(Errno::NOSPC, "could not write `a`");
        assert!(
            matches!(&error, SideError::Storage { message, .. } if message.contains("free some space"))
        );
        assert!(
            matches!(error.repeat(), SideError::Storage { message, .. } if message == error.to_string())
        );
    }

    #[test]
    fn each_error_of_the_system_becomes_the_decision_that_mends_it_and_keeps_it_for_every_item() {
        let word = |error: &SideError| match error {
            SideError::Storage { .. } => "storage",
            SideError::Auth { .. } => "auth",
            SideError::NotFound { .. } => "not-found",
            SideError::Conflict { .. } => "conflict",
            SideError::Transient { .. } => "transient",
            SideError::Permanent { .. } => "permanent",
            _ => "another",
        };
        let cases = [
            (Errno::DQUOT, "storage"),
            (Errno::ROFS, "auth"),
            (Errno::IO, "storage"),
            (Errno::PERM, "auth"),
            (Errno::NOENT, "not-found"),
            (Errno::LOOP, "conflict"),
            (Errno::NOTDIR, "conflict"),
            (Errno::ISDIR, "conflict"),
            (Errno::STALE, "transient"),
            (Errno::INVAL, "permanent"),
        ];
        for (errno, expected) in cases {
            let error = side_error(errno, "could not write `a`");
            assert_eq!(word(&error), expected, "{errno}");
            assert!(
                error.to_string().starts_with("could not write `a`"),
                "{error}"
            );
            let again = error.repeat();
            assert_eq!(
                (word(&again), again.to_string()),
                (expected, error.to_string())
            );
        }
    }
    #[test]
    fn what_is_decided_for_a_batch_is_decided_for_every_item() {
        let message = || "the source asks to wait".to_owned();
        for error in [
            SideError::RateLimited {
                message: message(),
                wait: std::time::Duration::from_secs(3),
            },
            SideError::Changed {
                key: "a/b".to_owned(),
            },
            SideError::Untrusted { message: message() },
            SideError::Config { message: message() },
            SideError::Cancelled,
        ] {
            assert_eq!(format!("{:?}", error.repeat()), format!("{error:?}"));
        }
    }
}
