//! Many blobs at once, out of the archive of a commit.

use std::collections::HashMap;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use homing_core::{ContentHash, Contents, Progress, SideError};
use homing_remote::{PipeReader, Witness, pipe};
use tar::EntryType;

use crate::blobs::{Blob, Brought, Harvest, Plan};
use crate::git_id::BlobCheck;

/// Files up to this size are checked before they are kept, others while.
const SMALL_BYTES: u64 = 64 << 10;
/// What an archive has beside its files' bytes: for each entry headers, a long name and padding.
const OVERHEAD_OF_ENTRY: u64 = 8 << 10;
/// And at its end, and for what `export-subst` puts in.
const OVERHEAD: u64 = 1 << 20;

/// Fetches an archive and takes the blobs out of it that are in it as they are.
///
/// Files that Git changes for archives (`export-ignore`, `export-subst`, line ends) are not among them. Why it broke off
/// is the harvest's shortfall; an `Err` is this machine's.
pub(crate) async fn bring(
    plan: &Plan<'_>,
    blobs: &[Blob],
    harvest: &mut Harvest,
) -> Result<(), SideError> {
    let answer = match plan.api.archive(plan.archive_of).await {
        Ok(answer) => answer,
        Err(error) => {
            harvest.shortfall = Some(error);
            return Ok(());
        }
    };
    let mut body = answer.body;
    let (sender, reader) = pipe();
    let unpacking = Unpacking {
        wanted: wanted(blobs),
        contents: Arc::clone(plan.contents),
        progress: plan.api.session().progress().clone(),
        brought: HashMap::new(),
    };
    let most = plan
        .archive_entries
        .saturating_mul(OVERHEAD_OF_ENTRY)
        .saturating_add(plan.archive_bytes)
        .saturating_add(OVERHEAD);
    let unpacked = tokio::task::spawn_blocking(move || unpacking.run(reader, most));
    let mut broken = None;
    loop {
        match body.chunk().await {
            Ok(Some(chunk)) => {
                // Whoever has all that is wanted reads no more.
                if !sender.send(chunk).await {
                    break;
                }
                body.refresh();
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
    let (brought, failed) = unpacked.await.map_err(|_ended| SideError::Cancelled)?;
    harvest.brought.extend(brought);
    match failed {
        Some(Failure::Storage(error)) => return Err(error),
        Some(Failure::Archive(why)) => {
            let message = format!("the archive of `{}` {why}", plan.api.place());
            harvest.shortfall = Some(broken.unwrap_or(SideError::Transient {
                message,
                retry_after: None,
                source: None,
            }));
        }
        None => {}
    }
    Ok(())
}

/// Blobs by their paths in the repository.
fn wanted(blobs: &[Blob]) -> HashMap<String, (String, u64)> {
    let paths = |blob: &Blob| {
        let (id, size) = (blob.id.clone(), blob.size);
        let paths = blob.paths.clone().into_iter();
        paths.map(move |path| (path, (id.clone(), size)))
    };
    blobs.iter().flat_map(paths).collect()
}

/// Why an archive was not read to its end.
enum Failure {
    /// It is this machine's fault.
    Storage(SideError),
    /// It is the archive's.
    Archive(String),
}

struct Unpacking {
    /// By path: id and size.
    wanted: HashMap<String, (String, u64)>,
    contents: Arc<dyn Contents>,
    progress: Progress,
    brought: HashMap<String, Brought>,
}

impl Unpacking {
    fn run(mut self, reader: PipeReader, most: u64) -> (HashMap<String, Brought>, Option<Failure>) {
        let capped = Capped {
            inner: MultiGzDecoder::new(reader),
            left: most,
        };
        let failed = self.read(tar::Archive::new(capped)).err();
        (self.brought, failed)
    }

    fn read<R: Read>(&mut self, mut archive: tar::Archive<R>) -> Result<(), Failure> {
        let broken = |error: io::Error| Failure::Archive(format!("cannot be read: {error}"));
        for entry in archive.entries().map_err(broken)? {
            if self.wanted.is_empty() {
                return Ok(());
            }
            let mut entry = entry.map_err(broken)?;
            if entry.header().entry_type() != EntryType::Regular {
                continue;
            }
            let Some((id, size)) = self.take(&entry.path_bytes(), entry.size()) else {
                continue;
            };
            if let Some(brought) = self.keep(&mut entry, &id, size)? {
                self.brought.insert(id, brought);
                self.progress.finish_item();
            }
        }
        Ok(())
    }

    /// Returns what is wanted at a path of the archive, once. Another size is another content.
    fn take(&mut self, path: &[u8], size: u64) -> Option<(String, u64)> {
        let path = String::from_utf8_lossy(path);
        let (_top, below) = path.split_once('/')?;
        let wanted = self.wanted.remove(below)?;
        (wanted.1 == size && !self.brought.contains_key(&wanted.0)).then_some(wanted)
    }

    /// Keeps a file if its bytes are those of the blob.
    fn keep(&self, entry: &mut impl Read, id: &str, size: u64) -> Result<Option<Brought>, Failure> {
        let mut check = BlobCheck::new(id, size);
        if size <= SMALL_BYTES {
            let mut bytes = Vec::new();
            entry
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::Archive(format!("cannot be read: {error}")))?;
            check.see(&bytes);
            return match check.finish(id) {
                None => Ok(None),
                Some(checked) if checked.is_pointer => Ok(Some(Brought::Pointer)),
                Some(_) => self.store(&mut Cursor::new(bytes), size).map(Some),
            };
        }
        let mut tee = Tee {
            inner: entry,
            check: &mut check,
            broken: None,
        };
        let kept = self.store(&mut tee, size);
        if let Some(error) = tee.broken {
            return Err(Failure::Archive(format!("cannot be read: {error}")));
        }
        let kept = kept?;
        Ok(check.finish(id).map(|_| kept))
    }

    fn store(&self, bytes: &mut dyn Read, size: u64) -> Result<Brought, Failure> {
        let kept: Result<(ContentHash, u64), SideError> = self.contents.keep(bytes, size);
        let (hash, size) = kept.map_err(Failure::Storage)?;
        Ok(Brought::Kept { hash, size })
    }
}

/// Reads no more than so many bytes, however small their archive is.
struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("it is far larger than its files"));
        }
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.inner.read(&mut buffer[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Shows what is read to a check, and remembers an error that is the archive's, not the store's.
struct Tee<'a, R> {
    inner: &'a mut R,
    check: &'a mut BlobCheck,
    broken: Option<io::Error>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(count) => {
                self.check.see(&buffer[..count]);
                Ok(count)
            }
            Err(error) => {
                let told = io::Error::new(error.kind(), error.to_string());
                self.broken = Some(error);
                Err(told)
            }
        }
    }
}
