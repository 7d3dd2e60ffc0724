//! Archives, read entry by entry while they arrive; nothing is ever unpacked to a path that an archive names.

mod guard;
mod hostile;
mod tarball;
mod zipped;

use std::io::{self, Read};
use std::path::Path;

use homing_core::{ContentHash, Contents, Limits, SideError};

use crate::answer::Body;
use crate::archive::guard::{Failure, Guard};
use crate::keep::{PipeReader, Witness, pipe};

/// What tells the formats apart is in the first block of a tar.
const BLOCK: usize = 512;

/// How much an archive may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Bytes as it is sent.
    pub max_packed: u64,
    /// Bytes of all entries, wanted or not.
    pub max_unpacked: u64,
    /// Entries, wanted or not.
    pub max_entries: usize,
}

impl From<Limits> for ArchiveLimits {
    /// Returns what holds an archive with as much again that is not wanted, three times over.
    fn from(limits: Limits) -> Self {
        Self {
            max_packed: limits.max_total_size,
            max_unpacked: limits.max_total_size.saturating_mul(4),
            max_entries: limits.max_files.saturating_mul(4),
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic or hard link.
    Link,
    /// A device, a pipe, or what this program does not know.
    Special,
    /// A file that cannot be read, and why.
    Unreadable(String),
}

/// An entry of an archive.
pub struct Entry<'a> {
    /// Its path as it is written there, without `./` at the beginning.
    pub name: &'a [u8],
    /// What it is.
    pub kind: EntryKind,
    /// Bytes, as the archive says.
    pub size: u64,
    /// Whether its owner may execute it.
    pub executable: bool,
    /// Why nobody should unpack the archive that it is of: it leads out of it, or is a device.
    pub hostile: Option<&'static str>,
    content: &'a mut dyn Read,
    failure: Failure,
}

impl Entry<'_> {
    /// Keeps its content, which `witness` sees whole.
    pub fn keep<W: Witness>(
        &mut self,
        contents: &dyn Contents,
        witness: &mut W,
    ) -> Result<ContentHash, SideError> {
        let mut seen = Seen {
            content: (&mut *self.content).take(self.size),
            witness,
        };
        let kept = contents.keep(&mut seen, self.size);
        // The end is where a zip compares its checksum.
        let rest = self.content.read(&mut [0]);
        // The store cannot tell an archive that cannot be read from its own troubles.
        self.failure.check()?;
        let (hash, size) = kept?;
        match rest {
            Ok(0) if size == self.size => Ok(hash),
            Ok(_) => Err(self.failure.corrupt("an entry is not as long as it says")),
            Err(error) => Err(self.failure.io(&error)),
        }
    }
}

struct Seen<'a, R, W> {
    content: R,
    witness: &'a mut W,
}

impl<R: Read, W: Witness> Read for Seen<'_, R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.witness.see(&buffer[..count]);
        Ok(count)
    }
}

/// Takes the entries of an archive, one after the other, on a thread that may block.
pub trait Unpacker: Send + 'static {
    /// Takes one; what it does not read of its content is skipped. An error ends it all.
    fn entry(&mut self, entry: &mut Entry<'_>) -> Result<(), SideError>;
}

/// Gives the entries of an archive to `unpacker` while it arrives; `witness` sees the archive's own bytes, all of them.
///
/// A tar, plain or compressed with gzip or zstd, or a zip; which, its first bytes tell. [`SideError::Untrusted`] for what
/// is none of them, is corrupt, or unpacks to more than is taken.
pub async fn unpack<U: Unpacker, W: Witness>(
    mut body: Body,
    limits: ArchiveLimits,
    unpacker: U,
    witness: &mut W,
) -> Result<U, SideError> {
    let place = format!("the archive `{}`", body.shown());
    let too_long = || SideError::Untrusted {
        message: format!(
            "{place} has more than {} bytes; raise `max_total_size`",
            limits.max_packed
        ),
    };
    if body
        .size_hint()
        .is_some_and(|size| size > limits.max_packed)
    {
        return Err(too_long());
    }
    let (sender, reader) = pipe();
    let name = place.clone();
    let directory = body.directory();
    let unpacking = tokio::task::spawn_blocking(move || {
        unpack_blocking(reader, limits, unpacker, name, directory.as_deref())
    });
    let mut packed = 0;
    let mut broken = None;
    loop {
        match body.chunk().await {
            Ok(Some(chunk)) => {
                packed += chunk.len() as u64;
                if packed > limits.max_packed {
                    broken = Some(too_long());
                    break;
                }
                witness.see(&chunk);
                if !body.meanwhile(sender.send(chunk)).await {
                    break;
                }
            }
            Ok(None) => {
                sender.end().await;
                break;
            }
            Err(error) => {
                broken = Some(error);
                break;
            }
        }
    }
    drop(sender);
    let unpacked = unpacking.await.map_err(|_ended| SideError::Cancelled)?;
    match broken {
        Some(error) => Err(error),
        None => unpacked,
    }
}

fn unpack_blocking<U: Unpacker>(
    mut reader: PipeReader,
    limits: ArchiveLimits,
    mut unpacker: U,
    place: String,
    directory: Option<&Path>,
) -> Result<U, SideError> {
    let failure = Failure::of(place);
    let mut first = Vec::new();
    (&mut reader)
        .take(BLOCK as u64)
        .read_to_end(&mut first)
        .map_err(|error| failure.io(&error))?;
    let mut packed = Guard::packed(io::Cursor::new(&first).chain(&mut reader), &failure);
    let counter = packed.counter();
    let unguarded = match Format::of(&first) {
        Some(Format::Zip) => {
            zipped::read(&mut packed, limits, &mut unpacker, &failure, directory)?;
            return Ok(unpacker);
        }
        Some(Format::Gzip) => {
            Box::new(flate2::read::MultiGzDecoder::new(&mut packed)) as Box<dyn Read + '_>
        }
        Some(Format::Zstd) => {
            let decoder = zstd::stream::read::Decoder::new(&mut packed);
            Box::new(decoder.map_err(|error| failure.io(&error))?)
        }
        Some(Format::Tar) => Box::new(&mut packed),
        None => return Err(failure.corrupt("it is neither a tar nor a zip")),
    };
    let mut unpacked = Guard::unpacked(unguarded, &failure, counter, limits.max_unpacked);
    tarball::read(&mut unpacked, limits, &mut unpacker, &failure)?;
    // The checksum of a compressed one is at its end.
    io::copy(&mut unpacked, &mut io::sink()).map_err(|error| failure.io(&error))?;
    drop(unpacked);
    // Whoever hashes what was sent wants all of it.
    io::copy(&mut packed, &mut io::sink()).map_err(|error| failure.io(&error))?;
    Ok(unpacker)
}

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Tar,
    Gzip,
    Zstd,
    Zip,
}

impl Format {
    /// Returns the format of an archive that begins like this.
    fn of(first: &[u8]) -> Option<Self> {
        match first {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Self::Zip),
            _ if first.get(257..262) == Some(b"ustar") => Some(Self::Tar),
            // An empty one, or one of the time before POSIX.
            _ if first.len() == BLOCK && first.iter().all(|byte| *byte == 0) => Some(Self::Tar),
            _ => None,
        }
    }
}

/// Takes `./` away from the beginning of a name: archives are often made of `.`.
fn without_dot(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"./") {
        name = rest;
    }
    name
}

/// Counts an entry; [`SideError::Untrusted`] when there are too many.
fn count(entries: &mut usize, limits: ArchiveLimits, failure: &Failure) -> Result<(), SideError> {
    *entries += 1;
    if *entries > limits.max_entries {
        return Err(too_many(limits, failure));
    }
    Ok(())
}

fn too_many(limits: ArchiveLimits, failure: &Failure) -> SideError {
    failure.untrusted(&format!(
        "has more than {} entries; raise `max_files`",
        limits.max_entries
    ))
}
