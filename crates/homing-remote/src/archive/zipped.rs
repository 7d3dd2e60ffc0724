//! Entries of a zip, whose list is at its end: it is spooled to a temporary file without a name first.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use homing_core::SideError;
use zip::ZipArchive;
use zip::result::ZipError;

use super::guard::{Failure, Guard};
use super::{ArchiveLimits, Entry, EntryKind, Unpacker, count, hostile, too_many, without_dot};

/// A smaller one stays in memory.
const SPOOL_BYTES: usize = 1 << 20;
/// How much of a zip is read before its entries are: so much, and so much for each entry that is taken.
const OPENING_BYTES: u64 = 4 << 20;
const OPENING_BYTES_OF_ENTRY: u64 = 512;
/// The record at the end, with the longest comment, and what is before it in a large zip.
const END: usize = 22;
const MOST_END: u64 = END as u64 + 0xffff + 20;
/// The bits of a Unix mode that tell a link, and all that are of the type.
const LINK: u32 = 0o120_000;
const TYPE: u32 = 0o170_000;
/// Bytes of a link's target that are looked at.
const LONGEST_TARGET: u64 = 4096;

/// Reads all entries of a zip.
pub(super) fn read(
    reader: &mut dyn Read,
    limits: ArchiveLimits,
    unpacker: &mut dyn Unpacker,
    failure: &Failure,
    directory: Option<&Path>,
) -> Result<(), SideError> {
    // The place for temporary files is often memory.
    let mut spool = match directory.filter(|directory| directory.is_dir()) {
        Some(directory) => tempfile::spooled_tempfile_in(SPOOL_BYTES, directory),
        None => tempfile::spooled_tempfile(SPOOL_BYTES),
    };
    let packed = io::copy(reader, &mut spool).map_err(|error| match failure.check() {
        Err(broken) => broken,
        Ok(()) => SideError::Storage {
            message: "a zip could not be written to a temporary file".to_owned(),
            source: Some(error.into()),
        },
    })?;
    let io_error = |error: io::Error| failure.io(&error);
    let said = entries_said(&mut spool).map_err(io_error)?;
    if said.is_some_and(|said| said > limits.max_entries as u64) {
        return Err(too_many(limits, failure));
    }
    spool.rewind().map_err(io_error)?;
    let zip_error = |error: ZipError| {
        failure
            .check()
            .err()
            .unwrap_or_else(|| failure.corrupt(&error.to_string()))
    };
    let most = (limits.max_entries as u64).saturating_mul(OPENING_BYTES_OF_ENTRY);
    let left = Arc::new(AtomicU64::new(most.saturating_add(OPENING_BYTES)));
    let opening = Opening {
        spool,
        left: Arc::clone(&left),
    };
    let mut archive = ZipArchive::new(opening).map_err(zip_error)?;
    left.store(u64::MAX, Ordering::Relaxed);
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
                    hostile: hostile::of_name(&name),
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
        let hostile = match (&kind, mode.map(|mode| mode & TYPE)) {
            (EntryKind::Link, _) => {
                let mut target = Vec::new();
                let content = all.followed_by(&mut file);
                content
                    .take(LONGEST_TARGET)
                    .read_to_end(&mut target)
                    .map_err(io_error)?;
                hostile::of_link(&name, &target)
            }
            (_, Some(0o020_000 | 0o060_000)) => Some(hostile::DEVICE),
            _ => None,
        };
        unpacker.entry(&mut Entry {
            name: without_dot(&name),
            kind,
            size,
            executable: mode.is_some_and(|mode| mode & 0o100 != 0),
            hostile: hostile::of_name(&name).or(hostile),
            content: &mut all.followed_by(&mut file),
            failure: failure.clone(),
        })?;
        failure.check()?;
    }
    Ok(())
}

/// Returns how many entries a zip says it has, for a message before they are read; `None` where that cannot be told.
fn entries_said(spool: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    let length = spool.seek(SeekFrom::End(0))?;
    let begin = length.saturating_sub(MOST_END);
    spool.seek(SeekFrom::Start(begin))?;
    let mut tail = Vec::new();
    spool.take(MOST_END).read_to_end(&mut tail)?;
    let Some(at) = tail
        .windows(END)
        .rposition(|one| one.starts_with(b"PK\x05\x06"))
    else {
        return Ok(None);
    };
    let count = u16::from_le_bytes([tail[at + 10], tail[at + 11]]);
    // With more entries than the field holds, another record has the count; before this one is where that is.
    let large = at.checked_sub(20).map(|locator| &tail[locator..at]);
    let Some(locator) = large.filter(|locator| locator.starts_with(b"PK\x06\x07")) else {
        return Ok(Some(u64::from(count)));
    };
    spool.seek(SeekFrom::Start(number(&locator[8..16])))?;
    let mut record = Vec::new();
    spool.take(40).read_to_end(&mut record)?;
    let is_record = record.len() == 40 && record.starts_with(b"PK\x06\x06");
    Ok(is_record.then(|| number(&record[32..40])))
}

/// Reads a number of eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A zip whose list of entries is read: all of it becomes memory, so it must not be endless.
struct Opening<R> {
    spool: R,
    left: Arc<AtomicU64>,
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.spool.read(buffer)?;
        let take = |left: u64| match left {
            u64::MAX => Some(left),
            left => left.checked_sub(count as u64),
        };
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .map_err(|_left| io::Error::other("the list of its entries is too long"))?;
        Ok(count)
    }
}

impl<R: Seek> Seek for Opening<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.spool.seek(position)
    }
}
