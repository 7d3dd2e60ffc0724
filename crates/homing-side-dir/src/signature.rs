//! The stat signature of a file: its identity, where it can be vouched for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use homing_core::Identity;
use rustix::fs::Stat;

/// A change within this time of another one may leave the same time stamp (a kernel tick is at most 10 ms).
const FINE_MARGIN: Duration = Duration::from_millis(50);

/// The same for file systems that store whole seconds, or two of them.
const COARSE_MARGIN: Duration = Duration::from_secs(2);

/// What tells one content of a file from another without reading it. The device is not part of it: its number may
/// change with a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signature {
    /// Bytes.
    pub(crate) size: u64,
    modified: (i64, u64),
    changed: (i64, u64),
    /// The inode number.
    pub(crate) inode: u64,
}

impl Signature {
    /// Takes the signature out of what `stat` answered.
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_sign_loss,
        clippy::useless_conversion,
        reason = "the widths and signs of these fields differ between systems"
    )]
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u64),
            inode: stat.st_ino as u64,
        }
    }

    /// Returns the identity when the file was last changed safely before `now`; else a later change could hide behind
    /// the same time stamps, as Git knows it from its index.
    pub(crate) fn identity(&self, now: SystemTime) -> Option<Identity> {
        self.is_settled(now).then(|| Identity::new(&self.text()))
    }

    /// Tells whether both time stamps are safely older than `now`.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        is_older(self.modified, now) && is_older(self.changed, now)
    }

    /// Tells whether only the inode's own change time, which a rename moves too, tells the two apart.
    pub(crate) fn same_content_as(&self, other: &Self) -> bool {
        (self.size, self.modified, self.inode) == (other.size, other.modified, other.inode)
    }

    /// Writes the identity's text to the end of `text`.
    pub(crate) fn write(&self, text: &mut String) {
        for number in [
            self.size,
            self.modified.0.cast_unsigned(),
            self.modified.1,
            self.changed.0.cast_unsigned(),
            self.changed.1,
            self.inode,
        ] {
            push_hex(text, number);
            text.push('.');
        }
    }

    fn text(&self) -> String {
        let mut text = String::with_capacity(64);
        self.write(&mut text);
        text
    }
}

/// `write!` takes ten times as long, and a scan does this six times a file.
fn push_hex(text: &mut String, number: u64) {
    let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let nibble = u32::try_from(number >> (digit * 4) & 0xf).unwrap_or(0);
        text.push(char::from_digit(nibble, 16).unwrap_or('0'));
    }
}

fn is_older((seconds, nanoseconds): (i64, u64), now: SystemTime) -> bool {
    let Ok(seconds) = u64::try_from(seconds) else {
        return true; // before 1970
    };
    let Ok(now) = now.duration_since(UNIX_EPOCH) else {
        return false;
    };
    let margin = if nanoseconds == 0 {
        COARSE_MARGIN
    } else {
        FINE_MARGIN
    };
    Duration::from_secs(seconds)
        .checked_add(Duration::from_nanos(nanoseconds))
        .and_then(|stamp| stamp.checked_add(margin))
        .is_some_and(|safe| safe < now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(modified: (i64, u64), changed: (i64, u64)) -> Signature {
        Signature {
            size: 3,
            modified,
            changed,
            inode: 7,
        }
    }

    fn at(seconds: u64, nanoseconds: u32) -> SystemTime {
        UNIX_EPOCH + Duration::new(seconds, nanoseconds)
    }

    #[test]
    fn a_file_that_changed_just_now_has_no_identity() {
        let fresh = signature((100, 5), (100, 5));
        assert_eq!(fresh.identity(at(100, 40_000_000)), None);
        assert!(fresh.identity(at(100, 60_000_000)).is_some());
    }

    #[test]
    fn a_change_of_the_inode_alone_counts_too() {
        assert_eq!(
            signature((1, 5), (100, 5)).identity(at(100, 40_000_000)),
            None
        );
    }

    #[test]
    fn a_coarse_clock_needs_two_seconds() {
        let coarse = signature((100, 0), (100, 0));
        assert_eq!(coarse.identity(at(101, 999_999_999)), None);
        assert!(coarse.identity(at(102, 1)).is_some());
    }

    #[test]
    fn a_time_stamp_from_the_future_is_not_trusted() {
        assert_eq!(signature((500, 5), (1, 5)).identity(at(100, 0)), None);
    }

    #[test]
    fn every_part_is_in_the_text() {
        let base = Signature {
            size: 1,
            modified: (2, 3),
            changed: (4, 5),
            inode: 6,
        };
        let others = [
            Signature { size: 9, ..base },
            Signature {
                modified: (9, 3),
                ..base
            },
            Signature {
                modified: (2, 9),
                ..base
            },
            Signature {
                changed: (9, 5),
                ..base
            },
            Signature {
                changed: (4, 9),
                ..base
            },
            Signature { inode: 9, ..base },
        ];
        assert_eq!(base.text(), "1.2.3.4.5.6.");
        assert!(others.iter().all(|other| other.text() != base.text()));
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for number in [0, 1, 15, 16, 0xdead_beef, u64::MAX] {
            let mut text = String::new();
            push_hex(&mut text, number);
            assert_eq!(text, format!("{number:x}"));
        }
    }
}
