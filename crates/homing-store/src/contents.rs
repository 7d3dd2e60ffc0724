//! The content store: small contents in the database, large ones in files.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use homing_core::{ContentHash, ContentReader, Contents, Hasher, SideError};
use jiff::Timestamp;

use crate::pins::Pins;
use crate::store::Inner;
use crate::tables::{NewContent, StoredContent};
use crate::{PinScope, StoreError};

/// Contents of up to this many bytes are in the database.
pub(crate) const SMALL_BYTES: u64 = 1 << 20;
/// How much waits for a transaction before one is made …
const BUFFERED_BYTES: usize = 4 << 20;
/// … and before keepers wait for one that is under way.
const BUFFERED_BYTES_MAX: usize = 16 << 20;
/// How much of what a run kept stays at hand for its publish.
const FRESH_BYTES_MAX: usize = 16 << 20;
const COPY_BYTES: usize = 128 << 10;
pub(crate) const TEMPORARY_PREFIX: &str = "tmp-";

/// The content store as sides use it.
///
/// Contents that no row names are pinned while a [`PinScope`] is open that was open when they were kept.
pub struct StoredContents {
    inner: Arc<Inner>,
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

impl StoredContents {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Opens a scope that protects from the sweep what is kept or pinned while it is open.
    pub fn pin_scope(&self) -> PinScope {
        PinScope::open(Arc::clone(&self.inner))
    }

    /// Reads a content whole and compares it with its hash. `false`: its bytes are damaged.
    pub fn verify_content(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        let mut reader = match self.open_stored(hash) {
            Ok(Some(reader)) => reader,
            Ok(None) => return Err(StoreError::MissingContent(*hash)),
            Err(StoreError::Corrupt { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish() == *hash),
                Ok(count) => hasher.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StoreError::io(self.inner.contents.file(hash), error)),
            }
        }
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

    fn state(&self) -> &ContentState {
        &self.inner.contents
    }

    fn flush_locked(&self, _flushing: &MutexGuard<'_, ()>) -> Result<(), StoreError> {
        let batch: Vec<(ContentHash, NewContent)> = {
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
        let result = self.inner.write(move |writer| writer.put_contents(&batch));
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

    fn open_stored(&self, hash: &ContentHash) -> Result<Option<ContentReader>, StoreError> {
        // Pending first: what leaves there is committed already.
        let pending = {
            let pending = self.state().pending();
            pending
                .buffered
                .get(hash)
                .or_else(|| pending.writing.get(hash))
                .cloned()
        };
        let file_size = match pending {
            Some(NewContent::Bytes(bytes)) => {
                return Ok(Some(ContentReader::Bytes(Cursor::new(
                    Arc::unwrap_or_clone(bytes),
                ))));
            }
            Some(NewContent::File { size }) => size,
            None => match self.inner.read(|reader| reader.stored_content(hash))? {
                Some(StoredContent::Bytes(bytes)) => {
                    return Ok(Some(ContentReader::Bytes(Cursor::new(bytes))));
                }
                Some(StoredContent::File { size }) => size,
                None => return Ok(None),
            },
        };
        let path = self.state().file(hash);
        let file = File::open(&path).map_err(|error| StoreError::io(&path, error))?;
        let length = file
            .metadata()
            .map_err(|error| StoreError::io(&path, error))?
            .len();
        if length != file_size {
            return Err(StoreError::corrupt(format!(
                "content {hash} has {length} bytes, not {file_size}"
            )));
        }
        Ok(Some(ContentReader::File(file)))
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
        let path = self.state().file(&hash);
        let stored = self
            .inner
            .read(|reader| reader.content_size(&hash))?
            .is_some();
        let in_database =
            stored && matches!(self.open_stored(&hash), Ok(Some(ContentReader::Bytes(_))));
        let in_file = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == size);
        if in_database || (in_file && (stored || self.state().is_pending(&hash))) {
            return Ok((hash, size));
        }
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
            Ok(Some(reader)) => Ok(reader),
            Ok(None) => Err(SideError::NotFound {
                message: format!("content {hash} is not kept"),
                source: None,
            }),
            Err(error) => Err(SideError::Storage {
                message: format!("content {hash} cannot be read"),
                source: Some(Box::new(error)),
            }),
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
