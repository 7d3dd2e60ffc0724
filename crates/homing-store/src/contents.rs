//! The content store: small contents in the database, large ones in files.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use homing_core::{ContentHash, ContentReader, Contents, Hasher, SideError};
use jiff::Timestamp;

use crate::pins::Pins;
use crate::store::Inner;
use crate::tables::{NewContent, StoredContent};
use crate::{PinScope, StoreError};

/// Contents of up to this many bytes are in the database.
pub(crate) const SMALL_BYTES: u64 = 1 << 20;
/// How much waits for a transaction before one is made …
const BUFFERED_BYTES: usize = 2 << 20;
/// … and before keepers wait for one that is under way.
const BUFFERED_BYTES_MAX: usize = 6 << 20;
/// How much of what a run kept stays at hand for its publish.
const FRESH_BYTES_MAX: usize = 4 << 20;
/// The histogram of how long it took to make kept contents durable.
const CONTENTS_TIME: &str = "homing_store_contents_duration_seconds";
pub(crate) const COPY_BYTES: usize = 128 << 10;
pub(crate) const TEMPORARY_PREFIX: &str = "tmp-";

/// The content store as sides use it.
///
/// Contents that no row names are pinned while a [`PinScope`] is open that was open when they were kept.
pub struct StoredContents {
    pub(crate) inner: Arc<Inner>,
}

/// The part of the content store that all its handles share.
pub(crate) struct ContentState {
    pub(crate) directory: PathBuf,
    /// How the names of temporary files begin that this handle of the store makes.
    pub(crate) temporary_prefix: String,
    pub(crate) pins: Pins,
    pending: Mutex<Pending>,
    fresh: Mutex<Fresh>,
    flushing: Mutex<()>,
    /// How many contents were marked as lost, and of which count it is known that none is left.
    pub(crate) losses: AtomicU64,
    pub(crate) losses_healed: AtomicU64,
}

#[derive(Default)]
struct Pending {
    /// Kept, not yet handed to the database.
    buffered: HashMap<ContentHash, NewContent>,
    buffered_bytes: usize,
    /// Handed to the database, not yet committed.
    writing: HashMap<ContentHash, NewContent>,
}

/// Small contents that are committed and that whoever kept them will most likely read once more.
#[derive(Default)]
struct Fresh {
    contents: HashMap<ContentHash, Arc<Vec<u8>>>,
    bytes: usize,
}

impl ContentState {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self {
            directory: data_dir.join("contents"),
            temporary_prefix: format!("{TEMPORARY_PREFIX}{:x}-", Timestamp::now().as_nanosecond()),
            pins: Pins::default(),
            pending: Mutex::default(),
            fresh: Mutex::default(),
            flushing: Mutex::default(),
            // An earlier process may have left some.
            losses: AtomicU64::new(1),
            losses_healed: AtomicU64::new(0),
        }
    }

    /// Returns where the bytes of a large content are: `contents/ab/HASH`.
    pub(crate) fn file(&self, hash: &ContentHash) -> PathBuf {
        let name = hash.to_string();
        self.directory.join(&name[..2]).join(name)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // Every change of the maps is one call that does not panic half-way.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of what was kept at hand. Called when no run is under way any more.
    pub(crate) fn drop_fresh(&self) {
        *self.fresh() = Fresh::default();
    }

    pub(crate) fn is_pending(&self, hash: &ContentHash) -> bool {
        let pending = self.pending();
        pending.buffered.contains_key(hash) || pending.writing.contains_key(hash)
    }
}

/// What became of opening a content.
pub(crate) enum Opened {
    /// Its bytes; a file's are not compared with the hash yet.
    Content(ContentReader),
    /// It is not kept.
    Nothing,
    /// It was kept, and its bytes are damaged or gone.
    Lost,
}

impl Opened {
    pub(crate) fn bytes(bytes: Vec<u8>) -> Self {
        Self::Content(ContentReader::Bytes(Cursor::new(bytes)))
    }
}

impl StoredContents {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Opens a scope that protects from the sweep what is kept or pinned while it is open.
    pub fn pin_scope(&self) -> PinScope {
        PinScope::open(Arc::clone(&self.inner))
    }

    /// Pins contents, kept already or not, while any scope is open that is open now; for good when none is. Waits while
    /// a sweep removes some.
    ///
    /// Never call it, or keep a content, from within a closure that reads or writes the store: the sweep may wait for that.
    pub fn pin<'a>(&self, hashes: impl IntoIterator<Item = &'a ContentHash>) {
        self.inner.contents.pins.pin(hashes);
    }

    /// Makes durable all that was kept, as [`Contents::flush`] does.
    pub(crate) fn flush_pending(&self) -> Result<(), StoreError> {
        let flushing = self
            .state()
            .flushing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.flush_locked(&flushing)
    }

    pub(crate) fn state(&self) -> &ContentState {
        &self.inner.contents
    }

    fn flush_locked(&self, _flushing: &MutexGuard<'_, ()>) -> Result<(), StoreError> {
        let mut batch: Vec<(ContentHash, NewContent)> = {
            let mut pending = self.state().pending();
            pending.buffered_bytes = 0;
            pending.writing = std::mem::take(&mut pending.buffered);
            pending
                .writing
                .iter()
                .map(|(hash, content)| (*hash, content.clone()))
                .collect()
        };
        if batch.is_empty() {
            return Ok(());
        }
        // Neighbours in the index one after the other.
        batch.sort_unstable_by_key(|(hash, _)| *hash);
        let begun = Instant::now();
        let result = self.inner.write(move |writer| writer.put_contents(&batch));
        metrics::histogram!(CONTENTS_TIME).record(begun.elapsed());
        if result.is_ok() && self.state().pins.has_scope() {
            let pending = self.state().pending();
            self.state().fresh().extend(&pending.writing);
        }
        let mut pending = self.state().pending();
        let written = std::mem::take(&mut pending.writing);
        if result.is_err() {
            // Kept for the next flush: they were not written, and somebody may have been told that they are kept.
            for (hash, content) in written {
                pending.insert(hash, content);
            }
        }
        result
    }

    /// Opens a content from wherever it is; one that is found damaged is marked lost.
    pub(crate) fn open_stored(&self, hash: &ContentHash) -> Result<Opened, StoreError> {
        // Pending first: what leaves there is committed already.
        let pending = {
            let pending = self.state().pending();
            pending
                .buffered
                .get(hash)
                .or_else(|| pending.writing.get(hash))
                .cloned()
        };
        match pending {
            Some(NewContent::Bytes(bytes)) => {
                return Ok(Opened::bytes(Arc::unwrap_or_clone(bytes)));
            }
            Some(NewContent::File { size }) => return self.open_file(hash, size),
            None => {}
        }
        let stored = self
            .inner
            .read_statement(|reader| reader.stored_content(hash))?;
        match stored {
            None => Ok(Opened::Nothing),
            Some(StoredContent::Database(Some(bytes))) if ContentHash::of(&bytes) == *hash => {
                Ok(Opened::bytes(bytes))
            }
            Some(StoredContent::Database(bytes)) => {
                let what = match bytes {
                    Some(_) => "its bytes in the database do not have its hash",
                    None => "the database has no bytes of it",
                };
                // Where one page went bad others may have: the next start examines the database whole.
                crate::open::mark_suspect(&self.inner.data_dir);
                Ok(self.lose(hash, what))
            }
            Some(StoredContent::File { size }) => self.open_file(hash, size),
            Some(StoredContent::Lost(bytes)) => self.open_lost(hash, bytes),
        }
    }

    fn open_file(&self, hash: &ContentHash, size: u64) -> Result<Opened, StoreError> {
        let path = self.state().file(hash);
        let failed = |error| StoreError::io(&path, error);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(self.lose(hash, "its file is gone"));
            }
            opened => opened.map_err(failed)?,
        };
        if file.metadata().map_err(failed)?.len() != size {
            return Ok(self.lose(hash, "its file has another length"));
        }
        Ok(Opened::Content(ContentReader::File(file)))
    }

    fn keep_small(&self, bytes: Vec<u8>) -> Result<(ContentHash, u64), StoreError> {
        let hash = ContentHash::of(&bytes);
        let size = bytes.len() as u64;
        self.state().pins.pin([&hash]);
        self.buffer(hash, NewContent::Bytes(Arc::new(bytes)))?;
        Ok((hash, size))
    }

    fn buffer(&self, hash: ContentHash, content: NewContent) -> Result<(), StoreError> {
        let waiting = {
            let mut pending = self.state().pending();
            pending.insert(hash, content);
            pending.buffered_bytes
        };
        if waiting < BUFFERED_BYTES {
            return Ok(());
        }
        match self.state().flushing.try_lock() {
            Ok(flushing) => self.flush_locked(&flushing),
            Err(TryLockError::Poisoned(poisoned)) => self.flush_locked(&poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if waiting < BUFFERED_BYTES_MAX => Ok(()),
            Err(TryLockError::WouldBlock) => self.flush_pending(),
        }
    }

    fn keep_large(&self, bytes: &mut dyn Read) -> Result<(ContentHash, u64), KeepError> {
        let directory = &self.state().directory;
        make_directory(directory)?;
        let mut temporary = tempfile::Builder::new()
            .prefix(&self.state().temporary_prefix)
            .tempfile_in(directory)
            .map_err(|error| StoreError::io(directory, error))?;
        let (hash, size) = copy_hashing(bytes, temporary.as_file_mut(), directory)?;
        // Pinned before it is looked for: from here on no sweep removes what is found.
        self.state().pins.pin([&hash]);
        // What cannot be opened, for whatever reason, is written anew.
        if matches!(self.open_stored(&hash), Ok(Opened::Content(_))) {
            return Ok((hash, size));
        }
        let path = self.state().file(&hash);
        temporary
            .as_file()
            .sync_all()
            .map_err(|error| StoreError::io(temporary.path(), error))?;
        let parent = path.parent().unwrap_or(directory);
        make_directory(parent)?;
        temporary
            .persist(&path)
            .map_err(|error| StoreError::io(&path, error.error))?;
        sync_directory(parent)?;
        self.buffer(hash, NewContent::File { size })?;
        Ok((hash, size))
    }
}

impl Contents for StoredContents {
    fn open(&self, hash: &ContentHash) -> Result<ContentReader, SideError> {
        let fresh = self.state().fresh().contents.get(hash).cloned();
        if let Some(bytes) = fresh {
            return Ok(ContentReader::Bytes(Cursor::new(Arc::unwrap_or_clone(
                bytes,
            ))));
        }
        match self.open_stored(hash) {
            Ok(Opened::Content(reader)) => Ok(reader),
            Ok(Opened::Nothing) => Err(SideError::NotFound {
                message: format!("content {hash} is not kept"),
                source: None,
            }),
            Ok(Opened::Lost) => Err(SideError::NotFound {
                message: format!(
                    "content {hash} in Homing's store is damaged; the next sync fetches it again where a source or target \
                     still has it"
                ),
                source: None,
            }),
            Err(error) => Err(SideError::Storage {
                message: format!("content {hash} cannot be read"),
                source: Some(Box::new(error)),
            }),
        }
    }

    fn report_damaged(&self, hash: &ContentHash) {
        if let Err(error) = self.verify_content(hash) {
            tracing::warn!(
                content = %hash,
                error = &error as &dyn std::error::Error,
                "a content that was called damaged could not be examined"
            );
        }
    }

    fn keep(&self, bytes: &mut dyn Read, size_hint: u64) -> Result<(ContentHash, u64), SideError> {
        if size_hint > SMALL_BYTES {
            return Ok(self.keep_large(bytes)?);
        }
        let mut start = Vec::with_capacity(usize::try_from(size_hint).unwrap_or(0) + 1);
        bytes
            .take(SMALL_BYTES + 1)
            .read_to_end(&mut start)
            .map_err(KeepError::Input)?;
        if start.len() as u64 > SMALL_BYTES {
            return Ok(self.keep_large(&mut Cursor::new(start).chain(bytes))?);
        }
        Ok(self.keep_small(start)?)
    }

    fn flush(&self) -> Result<(), SideError> {
        Ok(self.flush_pending()?)
    }
}

impl Pending {
    fn insert(&mut self, hash: ContentHash, content: NewContent) {
        if self.writing.contains_key(&hash) || self.buffered.contains_key(&hash) {
            return;
        }
        // A content in a file weighs a row.
        self.buffered_bytes += match &content {
            NewContent::Bytes(bytes) => bytes.len() + 64,
            NewContent::File { .. } => 64,
        };
        self.buffered.insert(hash, content);
    }
}

impl Fresh {
    fn extend(&mut self, written: &HashMap<ContentHash, NewContent>) {
        for (hash, content) in written {
            let NewContent::Bytes(bytes) = content else {
                continue;
            };
            if self.bytes + bytes.len() > FRESH_BYTES_MAX {
                return;
            }
            if self.contents.insert(*hash, Arc::clone(bytes)).is_none() {
                self.bytes += bytes.len();
            }
        }
    }
}

/// Whether the bytes that were to be kept or the store itself failed.
enum KeepError {
    Input(io::Error),
    Store(StoreError),
}

impl From<StoreError> for KeepError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<KeepError> for SideError {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Input(error) => Self::Transient {
                message: "the content could not be read to its end".to_owned(),
                retry_after: None,
                source: Some(Box::new(error)),
            },
            KeepError::Store(error) => error.into(),
        }
    }
}

fn copy_hashing(
    from: &mut dyn Read,
    to: &mut File,
    near: &Path,
) -> Result<(ContentHash, u64), KeepError> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; COPY_BYTES];
    let mut size = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finish(), size)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(KeepError::Input(error)),
        };
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count])
            .map_err(|error| StoreError::io(near, error))?;
        size += count as u64;
    }
}

/// Makes a directory, and its name durable, unless it is there.
fn make_directory(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_directory),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::io(path, error)),
    }
}

/// Makes durable which names a directory holds.
pub(crate) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| StoreError::io(path, error))
}
