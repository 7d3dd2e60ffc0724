//! Contents in memory, for a dry run.

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::sync::{Arc, Mutex};

use homing_core::{ContentHash, ContentReader, Contents, Hasher, SideError};

use crate::shared::locked;

/// Contents in memory over those of the store, so that a dry run can merge without keeping anything.
pub(crate) struct Scratch {
    below: Arc<dyn Contents>,
    kept: Mutex<HashMap<ContentHash, Vec<u8>>>,
}

impl Scratch {
    pub(crate) fn over(below: Arc<dyn Contents>) -> Self {
        Self {
            below,
            kept: Mutex::default(),
        }
    }
}

impl Contents for Scratch {
    fn open(&self, hash: &ContentHash) -> Result<ContentReader, SideError> {
        match locked(&self.kept).get(hash) {
            Some(bytes) => Ok(ContentReader::Bytes(Cursor::new(bytes.clone()))),
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
        locked(&self.kept).insert(hash, kept);
        Ok((hash, size))
    }

    fn flush(&self) -> Result<(), SideError> {
        Ok(())
    }
}
