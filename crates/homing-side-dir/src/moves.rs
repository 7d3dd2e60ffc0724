//! Renames that overwrite nothing, also where the kernel or the file system does not offer them.

use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, RenameFlags, linkat, renameat, renameat_with, unlinkat};
use rustix::io::Errno;

use crate::below::stat_name;

/// Renames `from` to `to` in one directory; `EEXIST` when `to` is there.
pub(crate) fn rename_new(directory: BorrowedFd<'_>, from: &str, to: &str) -> Result<(), Errno> {
    rename_new_between(directory, from, directory, to)
}

/// Renames `from` in `source` to `to` in `goal`; `EEXIST` when `to` is there.
pub(crate) fn rename_new_between(
    source: BorrowedFd<'_>,
    from: &str,
    goal: BorrowedFd<'_>,
    to: &str,
) -> Result<(), Errno> {
    match no_replace(source, from, goal, to) {
        Err(errno) if is_unsupported(errno) => {}
        other => return other,
    }
    match link(source, from, goal, to) {
        Ok(()) => return unlinkat(source, from, AtFlags::empty()),
        Err(errno) if is_unsupported(errno) || matches!(errno, Errno::PERM | Errno::MLINK) => {}
        Err(errno) => return Err(errno),
    }
    // Neither is there (some network and phone file systems): the moment between these two calls stays open.
    if stat_name(goal, to)?.is_some() {
        return Err(Errno::EXIST);
    }
    renameat(source, from, goal, to)
}

/// Exchanges two names of one directory; an error for which [`is_unsupported`] holds where that cannot be done.
pub(crate) fn exchange(directory: BorrowedFd<'_>, one: &str, other: &str) -> Result<(), Errno> {
    fail::fail_point!("dir::no_exchange", |_| Err(Errno::INVAL));
    renameat_with(directory, one, directory, other, RenameFlags::EXCHANGE)
}

/// Gives the file under `from` a second name; `EEXIST` when `to` is there.
pub(crate) fn link(
    source: BorrowedFd<'_>,
    from: &str,
    goal: BorrowedFd<'_>,
    to: &str,
) -> Result<(), Errno> {
    fail::fail_point!("dir::no_link", |_| Err(Errno::PERM));
    linkat(source, from, goal, to, AtFlags::empty())
}

/// Tells whether an error means that the file system does not offer the call.
pub(crate) fn is_unsupported(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

fn no_replace(
    source: BorrowedFd<'_>,
    from: &str,
    goal: BorrowedFd<'_>,
    to: &str,
) -> Result<(), Errno> {
    fail::fail_point!("dir::no_noreplace", |_| Err(Errno::INVAL));
    renameat_with(source, from, goal, to, RenameFlags::NOREPLACE)
}
