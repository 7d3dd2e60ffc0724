//! Entries of a tar. Long names are read here, not by the library, which would read one of any length.

use std::io::Read;

use homing_core::SideError;
use tar::{Archive, EntryType, PaxExtensions};

use super::guard::Failure;
use super::{ArchiveLimits, Entry, EntryKind, Unpacker, count, hostile, without_dot};

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
    let (mut long_name, mut long_link): (Option<Vec<u8>>, Option<Vec<u8>>) = (None, None);
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
            if entry_type.is_pax_local_extensions() {
                let further = further(&bytes, failure)?;
                long_name = further.name.or(long_name);
                long_link = further.link.or(long_link);
            } else if !entry_type.is_pax_global_extensions() {
                let end = bytes.iter().position(|byte| *byte == 0);
                bytes.truncate(end.unwrap_or(bytes.len()));
                if entry_type.is_gnu_longname() {
                    long_name = Some(bytes);
                } else {
                    long_link = Some(bytes);
                }
            }
            continue;
        }
        let name = long_name
            .take()
            .unwrap_or_else(|| entry.path_bytes().into_owned());
        let link = long_link
            .take()
            .or_else(|| Some(entry.link_name_bytes()?.into_owned()))
            .unwrap_or_default();
        let hostile = match entry_type {
            EntryType::Symlink => hostile::of_link(&name, &link),
            EntryType::Link => hostile::of_hard_link(&link),
            EntryType::Char | EntryType::Block => Some(hostile::DEVICE),
            _ => None,
        };
        let executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
        unpacker.entry(&mut Entry {
            name: without_dot(&name),
            kind: kind(entry_type, &name),
            size,
            executable,
            hostile: hostile::of_name(&name).or(hostile),
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

/// What the further headers of an entry say.
#[derive(Default)]
struct Further {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

fn further(bytes: &[u8], failure: &Failure) -> Result<Further, SideError> {
    let mut further = Further::default();
    for extension in PaxExtensions::new(bytes) {
        let extension = extension.map_err(|error| failure.io(&error))?;
        match extension.key_bytes() {
            b"path" => further.name = Some(extension.value_bytes().to_owned()),
            b"linkpath" => further.link = Some(extension.value_bytes().to_owned()),
            // Over 8 GiB; then what follows is not where the plain header says.
            b"size" => return Err(failure.corrupt("an entry has its size in a further header")),
            _ => {}
        }
    }
    Ok(further)
}
