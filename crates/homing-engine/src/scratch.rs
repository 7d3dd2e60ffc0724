//! Contents that nobody keeps, for a dry run.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use homing_core::{ContentHash, ContentReader, Contents, Hasher, SideError};

use crate::shared::locked;

/// So many bytes are held in memory; what is more goes to a temporary file without a name.
const IN_MEMORY: usize = 8 << 20;

/// Contents over those of the store, so that a dry run can list and merge without keeping anything.
pub(crate) struct Scratch {
    below: Arc<dyn Contents>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    contents: HashMap<ContentHash, Place>,
    in_memory: usize,
    spilled: Option<File>,
    spilled_bytes: u64,
}

enum Place {
    Memory(Vec<u8>),
    File { offset: u64, size: usize },
}

impl Scratch {
    pub(crate) fn over(below: Arc<dyn Contents>) -> Self {
        Self {
            below,
            kept: Mutex::default(),
        }
    }
}

impl Kept {
    fn insert(&mut self, hash: ContentHash, bytes: Vec<u8>) -> io::Result<()> {
        if self.contents.contains_key(&hash) {
            return Ok(());
        }
        let size = bytes.len();
        let place = if self.in_memory + size <= IN_MEMORY {
            self.in_memory += size;
            Place::Memory(bytes)
        } else {
            let file = match &mut self.spilled {
                Some(file) => file,
                none => none.insert(tempfile::tempfile()?),
            };
            file.write_all(&bytes)?;
            let offset = self.spilled_bytes;
            self.spilled_bytes += size as u64;
            Place::File { offset, size }
        };
        self.contents.insert(hash, place);
        Ok(())
    }

    fn read(&self, hash: &ContentHash) -> Option<io::Result<Vec<u8>>> {
        Some(match self.contents.get(hash)? {
            Place::Memory(bytes) => Ok(bytes.clone()),
            Place::File { offset, size } => {
                let mut bytes = vec![0; *size];
                let file = self.spilled.as_ref()?;
                file.read_exact_at(&mut bytes, *offset).map(|()| bytes)
            }
        })
    }
}

impl Contents for Scratch {
    fn open(&self, hash: &ContentHash) -> Result<ContentReader, SideError> {
        let kept = locked(&self.kept).read(hash);
        match kept {
            Some(bytes) => Ok(ContentReader::Bytes(Cursor::new(bytes.map_err(failed)?))),
            None => self.below.open(hash),
        }
    }

    fn report_damaged(&self, hash: &ContentHash) {
        self.below.report_damaged(hash);
    }

    fn keep(&self, bytes: &mut dyn Read, _size_hint: u64) -> Result<(ContentHash, u64), SideError> {
        let mut kept = Vec::new();
        bytes
            .read_to_end(&mut kept)
            .map_err(|error| SideError::Transient {
                message: "an item could not be read to its end".to_owned(),
                retry_after: None,
                source: Some(Box::new(error)),
            })?;
        let mut hasher = Hasher::default();
        hasher.update(&kept);
        let (hash, size) = (hasher.finish(), kept.len() as u64);
        locked(&self.kept).insert(hash, kept).map_err(failed)?;
        Ok((hash, size))
    }

    fn flush(&self) -> Result<(), SideError> {
        Ok(())
    }
}

fn failed(error: io::Error) -> SideError {
    SideError::Storage {
        message: "a temporary file, for what a dry run has to look at, could not be used"
            .to_owned(),
        source: Some(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_memory_should_hold_is_there_all_the_same() {
        let scratch = Scratch::over(Arc::new(testkit::MemoryContents::default()));
        let bytes = |at: u8| vec![at; (3 << 20) + usize::from(at)];
        let hashes: Vec<_> = (0..6)
            .map(|at| scratch.keep(&mut bytes(at).as_slice(), 0).unwrap().0)
            .collect();
        assert!(locked(&scratch.kept).spilled.is_some());
        for (at, hash) in (0..).zip(&hashes) {
            let mut read = Vec::new();
            scratch.open(hash).unwrap().read_to_end(&mut read).unwrap();
            assert!(read == bytes(at), "{at}");
        }
    }
}
