//! Reading a file so that a change meanwhile is noticed.

use homing_core::{ContentHash, Hasher, Progress, Version};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::{Errno, read, retry_on_intr};
use rustix::path::Arg;

use crate::below::{file_type, not_a_file, stat_name};
use crate::signature::Signature;

/// Read calls ask for this much.
pub(crate) const BUFFER_BYTES: usize = 128 * 1024;

/// A regular file that was read as a whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Hash and executable bit.
    pub(crate) version: Version,
    /// As it was before and after reading.
    pub(crate) signature: Signature,
    /// The permission bits.
    pub(crate) mode: u32,
}

/// What stands under a name.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing.
    Absent,
    /// A regular file.
    File(Seen),
    /// It changed while it was read, twice.
    Changing,
    /// Something else, in words.
    Other(&'static str),
}

/// Looks under `name` and hashes the file that is there.
pub(crate) fn inspect(
    directory: BorrowedFd<'_>,
    name: &str,
    executable_bit: bool,
    progress: &Progress,
) -> Result<Found, Errno> {
    let mut buffer = Vec::new();
    for _ in 0..2 {
        let Some(stat) = stat_name(directory, name)? else {
            return Ok(Found::Absent);
        };
        if file_type(&stat) != FileType::RegularFile {
            return Ok(Found::Other(not_a_file(file_type(&stat))));
        }
        match hash_file(directory, name, &stat, &mut buffer, progress) {
            Ok(Some(hash)) => {
                let version = Version {
                    hash,
                    executable: executable_bit && is_executable(&stat),
                };
                return Ok(Found::File(Seen {
                    version,
                    signature: Signature::of(&stat),
                    mode: permissions(&stat),
                }));
            }
            Ok(None) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(Found::Changing)
}

/// Hashes the file under `name`; `None` when it is not, or does not stay, what `stat` says.
pub(crate) fn hash_file<P: Arg>(
    directory: BorrowedFd<'_>,
    name: P,
    stat: &Stat,
    buffer: &mut Vec<u8>,
    progress: &Progress,
) -> Result<Option<ContentHash>, Errno> {
    let Some(file) = open_file(directory, name)? else {
        return Ok(None);
    };
    let signature = Signature::of(stat);
    buffer.resize(BUFFER_BYTES, 0);
    let mut hasher = Hasher::default();
    let mut taken = 0_u64;
    // A file that grows is caught by the second look; reading on to its end might never end.
    while taken < signature.size {
        let count = retry_on_intr(|| read(&file, buffer.as_mut_slice()))?;
        if count == 0 {
            return Ok(None);
        }
        hasher.update(&buffer[..count]);
        taken += count as u64;
        progress.advance(count as u64);
    }
    crate::kill_point!("dir::file_read");
    if taken != signature.size || Signature::of(&fstat(&file)?) != signature {
        return Ok(None);
    }
    Ok(Some(hasher.finish()))
}

/// Opens a regular file for reading; `None` when something else is there. Never waits, for a pipe's writer least of all.
pub(crate) fn open_file<P: Arg>(
    directory: BorrowedFd<'_>,
    name: P,
) -> Result<Option<OwnedFd>, Errno> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = match openat(directory, name, flags, Mode::empty()) {
        Err(Errno::LOOP | Errno::MLINK | Errno::NXIO) => return Ok(None),
        other => other?,
    };
    Ok((file_type(&fstat(file.as_fd())?) == FileType::RegularFile).then_some(file))
}

/// Tells whether the owner may execute it.
pub(crate) fn is_executable(stat: &Stat) -> bool {
    permissions(stat) & 0o100 != 0
}

/// Returns the permission bits.
pub(crate) fn permissions(stat: &Stat) -> u32 {
    #[allow(
        clippy::useless_conversion,
        reason = "its width differs between systems"
    )]
    let mode = u32::from(stat.st_mode);
    mode & 0o777
}
