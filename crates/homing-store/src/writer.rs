//! A writer: a reader that may change things.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Deref;

use homing_core::{ContentHash, SourceId, Version};
use rusqlite::{Connection, OptionalExtension};

use crate::columns::{FIRST_EXECUTABLE, SECOND_EXECUTABLE, SECOND_IS_FIRST, StoredPair};
use crate::{Reader, StoreError};

/// More numbers than this are not remembered.
const REMEMBERED: usize = 1 << 14;

/// The numbers of contents that were written or named lately: head, journal and ledger of one run name the same.
///
/// Whatever may take a content away, be it a deletion or a write that is undone, must forget all.
#[derive(Default)]
pub(crate) struct ContentIds(RefCell<HashMap<ContentHash, i64>>);

impl ContentIds {
    pub(crate) fn get(&self, hash: &ContentHash) -> Option<i64> {
        self.0.borrow().get(hash).copied()
    }

    pub(crate) fn remember(&self, hash: ContentHash, id: i64) {
        let mut ids = self.0.borrow_mut();
        if ids.len() >= REMEMBERED {
            ids.clear();
        }
        ids.insert(hash, id);
    }

    pub(crate) fn forget_all(&self) {
        self.0.take();
    }
}

/// Reads and writes within one transaction. It sees its own changes.
pub struct Writer<'c> {
    reader: Reader<'c>,
    pub(crate) content_ids: &'c ContentIds,
}

impl<'c> Deref for Writer<'c> {
    type Target = Reader<'c>;

    fn deref(&self) -> &Reader<'c> {
        &self.reader
    }
}

impl<'c> Writer<'c> {
    pub(crate) fn new(connection: &'c Connection, content_ids: &'c ContentIds) -> Self {
        Self {
            reader: Reader { connection },
            content_ids,
        }
    }

    /// Returns the number of a kept content.
    pub(crate) fn content_id(&self, hash: &ContentHash) -> Result<i64, StoreError> {
        if let Some(id) = self.content_ids.get(hash) {
            return Ok(id);
        }
        let id = self
            .connection
            .prepare_cached("SELECT id FROM contents WHERE hash = ?1")?
            .query_row([hash.as_bytes()], |row| row.get(0))
            .optional()?
            .ok_or(StoreError::MissingContent(*hash))?;
        self.content_ids.remember(*hash, id);
        Ok(id)
    }

    pub(crate) fn version_id(&self, version: Option<Version>) -> Result<Option<i64>, StoreError> {
        version
            .map(|version| self.content_id(&version.hash))
            .transpose()
    }

    /// Packs two versions of a row into two columns and some bits.
    pub(crate) fn pack_pair(
        &self,
        first: Option<Version>,
        second: Option<Version>,
    ) -> Result<StoredPair, StoreError> {
        let executable = |version: Option<Version>, bit| {
            if version.is_some_and(|version| version.executable) {
                bit
            } else {
                0
            }
        };
        let mut mode = executable(first, FIRST_EXECUTABLE) | executable(second, SECOND_EXECUTABLE);
        let same =
            matches!((first, second), (Some(first), Some(second)) if first.hash == second.hash);
        if same {
            mode |= SECOND_IS_FIRST;
        }
        Ok(StoredPair {
            first: self.version_id(first)?,
            second: if same { None } else { self.version_id(second)? },
            mode,
        })
    }

    /// Refuses a source that is not registered.
    pub(crate) fn require_source(&self, source: &SourceId) -> Result<(), StoreError> {
        let known = self
            .connection
            .prepare_cached("SELECT 1 FROM sources WHERE id = ?1")?
            .exists([source.as_str()])?;
        if known {
            Ok(())
        } else {
            Err(StoreError::UnknownSource(source.clone()))
        }
    }
}
