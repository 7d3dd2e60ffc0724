//! A content store in memory.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use homing_core::{ContentHash, ContentReader, Contents, Hasher, SideError};

/// Contents in memory, which can be damaged and made to fail.
#[derive(Debug, Default)]
pub struct MemoryContents {
    kept: Mutex<BTreeMap<ContentHash, Vec<u8>>>,
    full: AtomicBool,
    unflushed: AtomicUsize,
    reported: Mutex<Vec<ContentHash>>,
}

impl MemoryContents {
    /// Keeps `bytes` and returns their hash.
    pub fn add(&self, bytes: &[u8]) -> ContentHash {
        let hash = ContentHash::of(bytes);
        self.lock().insert(hash, bytes.to_vec());
        hash
    }

    /// Returns the bytes of a content.
    pub fn get(&self, hash: &ContentHash) -> Option<Vec<u8>> {
        self.lock().get(hash).cloned()
    }

    /// Tells whether a content is kept.
    pub fn has(&self, hash: &ContentHash) -> bool {
        self.lock().contains_key(hash)
    }

    /// Loses a content.
    pub fn forget(&self, hash: &ContentHash) {
        self.lock().remove(hash);
    }

    /// Returns how many contents are kept.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Tells whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts other bytes under a hash, as a failing disk would.
    pub fn damage(&self, hash: &ContentHash, bytes: &[u8]) {
        self.lock().insert(*hash, bytes.to_vec());
    }

    /// Makes [`Contents::keep`] fail from now on, or no longer.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// Returns how many contents were kept since the last flush.
    pub fn unflushed(&self) -> usize {
        self.unflushed.load(Ordering::Relaxed)
    }

    /// Returns the contents that were called damaged.
    pub fn reported(&self) -> Vec<ContentHash> {
        self.reported
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ContentHash, Vec<u8>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents for MemoryContents {
    fn open(&self, hash: &ContentHash) -> Result<ContentReader, SideError> {
        match self.get(hash) {
            Some(bytes) => Ok(ContentReader::Bytes(Cursor::new(bytes))),
            None => Err(SideError::NotFound {
                message: format!("the content {hash} is not kept"),
                source: None,
            }),
        }
    }

    fn report_damaged(&self, hash: &ContentHash) {
        self.reported
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(*hash);
    }

    fn keep(&self, bytes: &mut dyn Read, size_hint: u64) -> Result<(ContentHash, u64), SideError> {
        let storage = |message: &str, source: Option<io::Error>| SideError::Storage {
            message: message.to_owned(),
            source: source.map(Into::into),
        };
        if self.full.load(Ordering::Relaxed) {
            return Err(storage("the content store is full", None));
        }
        let mut kept = Vec::with_capacity(usize::try_from(size_hint.min(1 << 20)).unwrap_or(0));
        let mut hasher = Hasher::default();
        bytes
            .read_to_end(&mut kept)
            .map_err(|error| storage("a content could not be read", Some(error)))?;
        hasher.update(&kept);
        let (hash, size) = (hasher.finish(), kept.len() as u64);
        self.lock().insert(hash, kept);
        self.unflushed.fetch_add(1, Ordering::Relaxed);
        Ok((hash, size))
    }

    fn flush(&self) -> Result<(), SideError> {
        self.unflushed.store(0, Ordering::Relaxed);
        Ok(())
    }
}
