//! What the file system of a root can store, found out without writing.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use homing_core::{Capabilities, RootIdentity};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{CWD, Dir};

use crate::below::{Root, entries, stat_name};

/// What was found out of the root that was seen last.
#[derive(Debug, Default)]
pub(crate) struct KnownCapabilities(Mutex<Option<(RootIdentity, Capabilities)>>);

impl KnownCapabilities {
    /// Returns what the file system of `root` can store.
    pub(crate) fn of(&self, root: &Root, path: &Path) -> Capabilities {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((identity, capabilities)) = *known
            && identity == root.identity
        {
            return capabilities;
        }
        let (capabilities, proven) = find_out(root, path);
        // An empty root proves little; the next look may find an entry to try.
        *known = proven.then_some((root.identity, capabilities));
        capabilities
    }
}

/// How a file system treats names and modes, as far as its kind says.
struct Kind {
    ignores_case: bool,
    normalises_unicode: bool,
    executable_bit: bool,
}

fn find_out(root: &Root, path: &Path) -> (Capabilities, bool) {
    let kind = kind(root.fd());
    let flipped = try_entry(root.fd());
    let case_sensitive = match flipped {
        Some(case_sensitive) => case_sensitive,
        None => !kind.ignores_case && !own_name_ignores_case(root, path),
    };
    let capabilities = Capabilities {
        case_sensitive,
        normalises_unicode: kind.normalises_unicode,
        executable_bit: kind.executable_bit,
    };
    (capabilities, flipped.is_some())
}

#[cfg(target_os = "linux")]
fn kind(root: BorrowedFd<'_>) -> Kind {
    use rustix::fs::{fstatfs, ioctl_getflags};
    const FAT: u32 = 0x4d44;
    const EXFAT: u32 = 0x2011_bab0;
    const NTFS: u32 = 0x5346_544e;
    const NTFS3: u32 = 0x7366_746e;
    const CIFS: u32 = 0xff53_4d42;
    const SMB: u32 = 0x517b;
    const SMB2: u32 = 0xfe53_4d42;
    const HFS_PLUS: u32 = 0x482b;
    /// `FS_CASEFOLD_FL`: an ext4 or f2fs directory that folds case and Unicode forms.
    const CASEFOLD: u32 = 0x4000_0000;

    let magic = fstatfs(root).map_or(0, |statfs| truncated(statfs.f_type));
    let casefold = ioctl_getflags(root).is_ok_and(|flags| flags.bits() & CASEFOLD != 0);
    let foreign = matches!(magic, FAT | EXFAT | NTFS | NTFS3 | CIFS | SMB | SMB2);
    Kind {
        ignores_case: casefold || foreign || magic == HFS_PLUS,
        normalises_unicode: casefold || magic == HFS_PLUS,
        executable_bit: !foreign,
    }
}

/// The type of the number differs between architectures; the kernel's magic numbers have 32 bits.
#[cfg(target_os = "linux")]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unnecessary_cast,
    reason = "the magic numbers have 32 bits on every architecture"
)]
fn truncated(magic: rustix::fs::FsWord) -> u32 {
    magic as u32
}

#[cfg(not(target_os = "linux"))]
fn kind(_: BorrowedFd<'_>) -> Kind {
    Kind {
        ignores_case: false,
        normalises_unicode: true,
        executable_bit: true,
    }
}

/// Looks for an entry of the root under its name with the case turned round; `None` when there is none to try.
fn try_entry(root: BorrowedFd<'_>) -> Option<bool> {
    let tried = Dir::read_from(root)
        .ok()?
        .filter_map(Result::ok)
        .find_map(|entry| {
            let name = entry.file_name().to_owned();
            flip_case(name.as_bytes()).map(|flipped| (name, flipped))
        });
    let (name, flipped) = tried?;
    let entry = stat_name(root, name.as_c_str()).ok()??;
    match stat_name(root, flipped.as_c_str()).ok()? {
        None => Some(true),
        // Two entries, maybe two links of one file: then the flipped name is in the directory too.
        Some(other) if other.st_ino != entry.st_ino => Some(true),
        Some(_) => Some(entries(root).ok()?.iter().any(|(name, _)| *name == flipped)),
    }
}

fn own_name_ignores_case(root: &Root, path: &Path) -> bool {
    let flipped = path.file_name().and_then(|name| flip_case(name.as_bytes()));
    let (Some(parent), Some(flipped)) = (path.parent(), flipped) else {
        return false;
    };
    let Ok(parent) = rustix::fs::openat(
        CWD,
        parent,
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    ) else {
        return false;
    };
    stat_name(parent.as_fd(), flipped.as_c_str()).is_ok_and(|stat| {
        stat.is_some_and(|stat| {
            stat.st_ino == root.identity.inode && stat.st_dev == root.identity.device
        })
    })
}

/// Returns the name with the case of its ASCII letters turned round, `None` when it has none.
fn flip_case(name: &[u8]) -> Option<CString> {
    if !name.iter().any(u8::is_ascii_alphabetic) {
        return None;
    }
    let flipped = name.iter().map(|byte| {
        if byte.is_ascii_alphabetic() {
            byte ^ 0x20
        } else {
            *byte
        }
    });
    CString::new(flipped.collect::<Vec<_>>()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_of_a_name_is_turned_round() {
        assert_eq!(flip_case(b"aB-1").as_deref(), Some(c"Ab-1"));
        assert_eq!(flip_case(b"123"), None);
    }

    #[test]
    fn two_links_of_one_file_are_not_taken_for_one_name() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::File::create(directory.path().join("aaa")).unwrap();
        std::fs::hard_link(directory.path().join("aaa"), directory.path().join("AAA")).unwrap();
        let root = Root::open(directory.path(), None).unwrap();
        assert_eq!(try_entry(root.fd()), Some(true));
    }
}
