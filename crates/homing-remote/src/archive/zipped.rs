//! Entries of a zip, whose list is at its end: it is spooled to a temporary file without a name first.

use std::io::{self, Read, Seek};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use homing_core::SideError;
use zip::ZipArchive;
use zip::result::ZipError;

use super::guard::{Failure, Guard};
use super::{ArchiveLimits, Entry, EntryKind, Unpacker, count, without_dot};

/// A smaller one stays in memory.
const SPOOL_BYTES: usize = 1 << 20;
/// The bits of a Unix mode that tell a link, and all that are of the type.
const LINK: u32 = 0o120_000;
const TYPE: u32 = 0o170_000;

/// Reads all entries of a zip.
pub(super) fn read(
    reader: &mut dyn Read,
    limits: ArchiveLimits,
    unpacker: &mut dyn Unpacker,
    failure: &Failure,
) -> Result<(), SideError> {
    let mut spool = tempfile::spooled_tempfile(SPOOL_BYTES);
    let packed = io::copy(reader, &mut spool).map_err(|error| match failure.check() {
        Err(broken) => broken,
        Ok(()) => SideError::Storage {
            message: "a zip could not be written to the directory for temporary files".to_owned(),
            source: Some(error.into()),
        },
    })?;
    spool.rewind().map_err(|error| failure.io(&error))?;
    let zip_error = |error: ZipError| {
        failure
            .check()
            .err()
            .unwrap_or_else(|| failure.corrupt(&error.to_string()))
    };
    let mut archive = ZipArchive::new(spool).map_err(zip_error)?;
    let packed = Arc::new(AtomicU64::new(packed));
    // One count for all entries: they may share their bytes.
    let all = Guard::unpacked(io::empty(), failure, packed, limits.max_unpacked);
    let mut entries = 0;
    for at in 0..archive.len() {
        count(&mut entries, limits, failure)?;
        let listed = archive.by_index_raw(at).map_err(zip_error)?;
        let name = listed.name_raw().to_owned();
        drop(listed);
        let mut file = match archive.by_index(at) {
            Ok(file) => file,
            Err(ZipError::UnsupportedArchive(why)) => {
                unpacker.entry(&mut Entry {
                    name: without_dot(&name),
                    kind: EntryKind::Unreadable(why.to_string()),
                    size: 0,
                    executable: false,
                    content: &mut io::empty(),
                    failure: failure.clone(),
                })?;
                continue;
            }
            Err(error) => return Err(zip_error(error)),
        };
        let mode = file.unix_mode();
        let kind = match mode.map(|mode| mode & TYPE) {
            _ if name.ends_with(b"/") => EntryKind::Directory,
            Some(LINK) => EntryKind::Link,
            Some(0 | 0o100_000) | None => EntryKind::File,
            Some(0o040_000) => EntryKind::Directory,
            Some(_) => EntryKind::Special,
        };
        let size = file.size();
        unpacker.entry(&mut Entry {
            name: without_dot(&name),
            kind,
            size,
            executable: mode.is_some_and(|mode| mode & 0o100 != 0),
            content: &mut all.followed_by(&mut file),
            failure: failure.clone(),
        })?;
        failure.check()?;
    }
    Ok(())
}
