//! Many blobs at once, out of the archive of a commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use homing_core::{Contents, Progress, SideError};
use homing_remote::{ArchiveLimits, Entry, EntryKind, Unpacker, unpack};

use crate::blobs::{Blob, Brought, Harvest, Plan};
use crate::tree::Files;
use homing_remote::git_id::BlobCheck;

/// What an archive has beside its files' bytes: for each entry headers, a long name and padding.
const OVERHEAD_OF_ENTRY: u64 = 4 << 10;
/// And at its end, and for what `export-subst` puts in.
const OVERHEAD: u64 = 1 << 20;
/// Each entry may have headers that are entries too.
const HEADERS_OF_ENTRY: usize = 3;

/// How an archive ended.
pub(crate) enum Ending {
    /// What is in it as it is was taken.
    Read,
    /// It did not come, or broke off: the next attempt may bring it.
    Broken(SideError),
    /// It came and is of no use: it is corrupt, or unpacks to far more than the files.
    Useless(SideError),
}

/// Returns how much the archive of a tree may be, when all of the tree was listed.
pub(crate) fn limits(files: &Files) -> Option<ArchiveLimits> {
    let count = files.entries.len();
    let overhead = OVERHEAD_OF_ENTRY.saturating_mul(count as u64) + OVERHEAD;
    let most = files.whole_bytes?.saturating_add(overhead);
    Some(ArchiveLimits {
        max_packed: most,
        max_unpacked: most,
        max_entries: (count + 2) * HEADERS_OF_ENTRY,
    })
}

/// Fetches an archive and takes the blobs out of it that are in it as they are.
///
/// Files that Git changes for archives (`export-ignore`, `export-subst`, line ends) are not among them. An `Err` is this
/// machine's.
pub(crate) async fn bring(
    plan: &Plan<'_>,
    blobs: &[Blob],
    harvest: &mut Harvest,
) -> Result<Ending, SideError> {
    let answer = match plan.api.archive(plan.archive_of).await {
        Ok(answer) => answer,
        Err(error) => return Ok(Ending::Broken(error)),
    };
    let brought: Arc<Mutex<HashMap<String, Brought>>> = Arc::default();
    let sieve = Sieve {
        wanted: wanted(blobs),
        contents: Arc::clone(plan.contents),
        progress: plan.api.session().progress().clone(),
        brought: Arc::clone(&brought),
    };
    let ended = unpack(answer.body, plan.archive_limits, sieve, &mut ()).await;
    // What was taken before it broke off counts: each blob was checked by itself.
    harvest.brought.extend(std::mem::take(&mut *lock(&brought)));
    match ended {
        Ok(_) => Ok(Ending::Read),
        Err(error @ SideError::Storage { .. }) => Err(error),
        Err(_stopped) if harvest.brought.len() == blobs.len() => Ok(Ending::Read),
        Err(error @ SideError::Untrusted { .. }) => Ok(Ending::Useless(error)),
        Err(error) => Ok(Ending::Broken(error)),
    }
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the blobs that are wanted out of an archive.
struct Sieve {
    /// By path: id and size.
    wanted: HashMap<String, (String, u64)>,
    contents: Arc<dyn Contents>,
    progress: Progress,
    brought: Arc<Mutex<HashMap<String, Brought>>>,
}

impl Unpacker for Sieve {
    fn entry(&mut self, entry: &mut Entry<'_>) -> Result<(), SideError> {
        if self.wanted.is_empty() {
            // The rest of the archive need not come.
            return Err(SideError::Cancelled);
        }
        if entry.kind != EntryKind::File {
            return Ok(());
        }
        let Some((id, size)) = self.take(entry) else {
            return Ok(());
        };
        let mut check = BlobCheck::new(&id, size);
        let hash = entry.keep(self.contents.as_ref(), &mut check)?;
        if let Some(checked) = check.finish(&id) {
            let brought = if checked.is_pointer {
                Brought::Pointer
            } else {
                Brought::Kept { hash, size }
            };
            lock(&self.brought).insert(id, brought);
            self.progress.finish_item();
        }
        Ok(())
    }
}

impl Sieve {
    /// Returns what is wanted at a path of the archive, once. Another size is another content.
    fn take(&mut self, entry: &Entry<'_>) -> Option<(String, u64)> {
        let path = String::from_utf8_lossy(entry.name);
        let (_top, below) = path.split_once('/')?;
        let (id, size) = self.wanted.remove(below)?;
        let is_new = size == entry.size && !lock(&self.brought).contains_key(&id);
        is_new.then_some((id, size))
    }
}
