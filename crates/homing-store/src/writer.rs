//! A writer: a reader that may change things.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Deref;

use homing_core::{ContentHash, SourceId, Version};
use rusqlite::{Connection, OptionalExtension};

use crate::columns::{FIRST_EXECUTABLE, SECOND_EXECUTABLE, SECOND_IS_FIRST, StoredPair};
use crate::{Reader, StoreError};

/// Reads and writes within one transaction. It sees its own changes.
pub struct Writer<'c> {
    reader: Reader<'c>,
    // A content is named by head, ledger and journal of one run: its number is looked up once.
    content_ids: RefCell<HashMap<ContentHash, i64>>,
}

impl<'c> Deref for Writer<'c> {
    type Target = Reader<'c>;

    fn deref(&self) -> &Reader<'c> {
        &self.reader
    }
}

impl<'c> Writer<'c> {
    pub(crate) fn new(connection: &'c Connection) -> Self {
        Self {
            reader: Reader { connection },
            content_ids: RefCell::default(),
        }
    }

    /// Returns the number of a kept content.
    pub(crate) fn content_id(&self, hash: &ContentHash) -> Result<i64, StoreError> {
        if let Some(id) = self.content_ids.borrow().get(hash) {
            return Ok(*id);
        }
        let id = self
            .connection
            .prepare_cached("SELECT id FROM contents WHERE hash = ?1")?
            .query_row([hash.as_bytes()], |row| row.get(0))
            .optional()?
            .ok_or(StoreError::MissingContent(*hash))?;
        self.content_ids.borrow_mut().insert(*hash, id);
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
