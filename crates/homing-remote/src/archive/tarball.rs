//! Entries of a tar. Long names are read here, not by the library, which would read one of any length.

use std::io::Read;

use homing_core::SideError;
use tar::{Archive, EntryType, PaxExtensions};

use super::guard::Failure;
use super::{ArchiveLimits, Entry, EntryKind, Unpacker, count, without_dot};

/// No name, and no further header, is longer.
const MOST_HEADER_BYTES: u64 = 64 << 10;

/// Reads all entries of a tar.
pub(super) fn read(
    reader: &mut dyn Read,
    limits: ArchiveLimits,
    unpacker: &mut dyn Unpacker,
    failure: &Failure,
) -> Result<(), SideError> {
    let io = |error: std::io::Error| failure.io(&error);
    let mut archive = Archive::new(reader);
    let mut entries = 0;
    let mut long_name: Option<Vec<u8>> = None;
    for entry in archive.entries().map_err(io)?.raw(true) {
        let mut entry = entry.map_err(io)?;
        count(&mut entries, limits, failure)?;
        let size = entry.size();
        let entry_type = entry.header().entry_type();
        let is_header = entry_type.is_gnu_longname()
            || entry_type.is_gnu_longlink()
            || entry_type.is_pax_local_extensions()
            || entry_type.is_pax_global_extensions();
        if is_header {
            if size > MOST_HEADER_BYTES {
                return Err(failure.corrupt("a header in it is too long"));
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(io)?;
            if entry_type.is_gnu_longname() {
                let end = bytes.iter().position(|byte| *byte == 0);
                bytes.truncate(end.unwrap_or(bytes.len()));
                long_name = Some(bytes);
            } else if entry_type.is_pax_local_extensions() {
                long_name = pax_name(&bytes, failure)?.or(long_name);
            }
            continue;
        }
        let name = long_name
            .take()
            .unwrap_or_else(|| entry.path_bytes().into_owned());
        let executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
        unpacker.entry(&mut Entry {
            name: without_dot(&name),
            kind: kind(entry_type, &name),
            size,
            executable,
            content: &mut entry,
            failure: failure.clone(),
        })?;
        failure.check()?;
    }
    Ok(())
}

fn kind(entry_type: EntryType, name: &[u8]) -> EntryKind {
    match entry_type {
        // Before POSIX a slash at the end made a directory.
        EntryType::Regular if name.ends_with(b"/") => EntryKind::Directory,
        EntryType::Regular | EntryType::Continuous => EntryKind::File,
        EntryType::Directory => EntryKind::Directory,
        EntryType::Symlink | EntryType::Link => EntryKind::Link,
        _ => EntryKind::Special,
    }
}

/// Returns the name in the further headers of an entry, if there is one.
fn pax_name(bytes: &[u8], failure: &Failure) -> Result<Option<Vec<u8>>, SideError> {
    let mut name = None;
    for extension in PaxExtensions::new(bytes) {
        let extension = extension.map_err(|error| failure.io(&error))?;
        match extension.key_bytes() {
            b"path" => name = Some(extension.value_bytes().to_owned()),
            // Over 8 GiB; then what follows is not where the plain header says.
            b"size" => return Err(failure.corrupt("an entry has its size in a further header")),
            _ => {}
        }
    }
    Ok(name)
}
