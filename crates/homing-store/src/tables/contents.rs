//! `contents` and `content_bytes`: what is kept.

use std::sync::Arc;

use homing_core::ContentHash;
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, params};

use crate::columns::{collect, first, int};
use crate::rows::ContentRow;
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "contents";
const IN_DATABASE: i64 = 0;
const IN_FILE: i64 = 1;
/// Its bytes are damaged or gone. The row stays, for others name it, and so does what is left of the bytes.
const LOST: i64 = 2;
/// In `schema_metadata` while there may be lost contents, so that nobody looks through all of them in vain.
const LOST_KEY: &str = "lost_contents";

/// A content that was kept and has no row yet.
#[derive(Debug, Clone)]
pub(crate) enum NewContent {
    /// To be stored in the database.
    Bytes(Arc<Vec<u8>>),
    /// Stored in its file already, which is durable.
    File {
        /// Bytes.
        size: u64,
    },
}

/// Where the bytes of a kept content are, not yet compared with its hash.
pub(crate) enum StoredContent {
    /// In the database; `None` when they are not there.
    Database(Option<Vec<u8>>),
    File {
        size: u64,
    },
    /// They were found damaged; these are in the database still.
    Lost(Option<Vec<u8>>),
}

impl Reader<'_> {
    /// Returns the size of a content, when it is kept and durable. A lost one is kept as a name only.
    pub fn content_size(&self, hash: &ContentHash) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT size FROM contents WHERE hash = ?1";
        first(self.connection, TABLE, sql, [hash.as_bytes()], |row| {
            row.count(0, "size")
        })
    }

    /// Returns those of `hashes` that are not kept or are lost, in their order.
    ///
    /// Pin them first ([`crate::StoredContents::pin`]), or a sweep may remove what was found to be there.
    pub fn missing_contents(&self, hashes: &[ContentHash]) -> Result<Vec<ContentHash>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT encoding FROM contents WHERE hash = ?1")?;
        let mut missing = Vec::new();
        for hash in hashes {
            let encoding: Option<i64> = statement
                .query_row([hash.as_bytes()], |row| row.get(0))
                .optional()?;
            if encoding.is_none_or(|encoding| encoding == LOST) {
                missing.push(*hash);
            }
        }
        Ok(missing)
    }

    /// Returns the contents that were kept and found damaged or gone, by the order in which they came.
    pub fn lost_contents(&self) -> Result<Vec<ContentHash>, StoreError> {
        if self.metadata(LOST_KEY)?.is_none() {
            return Ok(Vec::new());
        }
        let sql = "SELECT hash FROM contents WHERE encoding = ?1 ORDER BY id";
        collect(self.connection, TABLE, sql, [LOST], |row| {
            row.hash(0, "hash")
        })
    }

    /// Returns every content that is kept, lost ones too, by the order in which it came.
    pub fn all_contents(&self) -> Result<Vec<ContentRow>, StoreError> {
        collect(
            self.connection,
            TABLE,
            "SELECT hash, size FROM contents ORDER BY id",
            [],
            |row| {
                Ok(ContentRow {
                    hash: row.hash(0, "hash")?,
                    size: row.count(1, "size")?,
                })
            },
        )
    }

    pub(crate) fn stored_content(
        &self,
        hash: &ContentHash,
    ) -> Result<Option<StoredContent>, StoreError> {
        // One statement, so that it needs no transaction around it to be of one snapshot.
        let sql = "SELECT c.size, c.encoding, b.bytes FROM contents c LEFT JOIN content_bytes b ON b.id = c.id
            WHERE c.hash = ?1";
        first(self.connection, TABLE, sql, [hash.as_bytes()], |row| {
            let bytes = || row.opt_bytes(2, "bytes");
            match row.int(1, "encoding")? {
                IN_DATABASE => Ok(StoredContent::Database(bytes()?)),
                IN_FILE => Ok(StoredContent::File {
                    size: row.count(0, "size")?,
                }),
                LOST => Ok(StoredContent::Lost(bytes()?)),
                other => Err(row.invalid("encoding", &other.to_string())),
            }
        })
    }

    /// Tells of each content whether its bytes are in the database and have its hash. Whatever else it may be is `false`.
    pub(crate) fn are_sound(&self, hashes: &[ContentHash]) -> Result<Vec<bool>, StoreError> {
        let sql = "SELECT b.bytes FROM contents c JOIN content_bytes b ON b.id = c.id
            WHERE c.hash = ?1 AND c.encoding = 0";
        let mut statement = self.connection.prepare_cached(sql)?;
        let is_sound = |hash: &ContentHash| {
            let mut rows = statement.query([hash.as_bytes()])?;
            let bytes = rows.next()?.map(|row| row.get_ref(0)).transpose()?;
            Ok(matches!(bytes, Some(ValueRef::Blob(bytes)) if ContentHash::of(bytes) == *hash))
        };
        hashes.iter().map(is_sound).collect()
    }

    /// Returns the contents that are in files.
    pub(crate) fn contents_in_files(&self) -> Result<Vec<ContentRow>, StoreError> {
        let sql = "SELECT hash, size FROM contents WHERE encoding = 1 ORDER BY id";
        collect(self.connection, TABLE, sql, [], |row| {
            Ok(ContentRow {
                hash: row.hash(0, "hash")?,
                size: row.count(1, "size")?,
            })
        })
    }

    /// Returns up to `limit` contents with a number above `after` that no row names.
    pub(crate) fn unnamed_contents(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<Vec<UnnamedContent>, StoreError> {
        let sql = "SELECT id, hash, size, encoding FROM contents c WHERE id > ?1
            AND NOT EXISTS (SELECT 1 FROM agent_files WHERE content = c.id)
            AND NOT EXISTS (SELECT 1 FROM agent_files WHERE base = c.id)
            AND NOT EXISTS (SELECT 1 FROM target_files WHERE written = c.id)
            AND NOT EXISTS (SELECT 1 FROM target_files WHERE base = c.id)
            AND NOT EXISTS (SELECT 1 FROM journal WHERE before = c.id)
            AND NOT EXISTS (SELECT 1 FROM journal WHERE base_before = c.id)
            AND NOT EXISTS (SELECT 1 FROM journal WHERE after = c.id)
            AND NOT EXISTS (SELECT 1 FROM journal WHERE base_after = c.id)
            AND NOT EXISTS (SELECT 1 FROM holds WHERE held = c.id)
            AND NOT EXISTS (SELECT 1 FROM holds WHERE refused = c.id)
            AND NOT EXISTS (SELECT 1 FROM conflicts WHERE base = c.id)
            AND NOT EXISTS (SELECT 1 FROM conflicts WHERE near = c.id)
            AND NOT EXISTS (SELECT 1 FROM conflicts WHERE far = c.id)
            ORDER BY id LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        collect(self.connection, TABLE, sql, [after, limit], |row| {
            Ok(UnnamedContent {
                id: row.int(0, "id")?,
                hash: row.hash(1, "hash")?,
                size: row.count(2, "size")?,
                in_file: row.int(3, "encoding")? != IN_DATABASE,
            })
        })
    }
}

/// A content that no row names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnnamedContent {
    pub(crate) id: i64,
    pub(crate) hash: ContentHash,
    pub(crate) size: u64,
    /// Whether there may be a file of it.
    pub(crate) in_file: bool,
}

impl Writer<'_> {
    /// Stores contents; those that are there already are not written again unless they are lost.
    pub(crate) fn put_contents(
        &self,
        contents: &[(ContentHash, NewContent)],
    ) -> Result<(), StoreError> {
        let mut name = self.connection.prepare_cached(
            "INSERT INTO contents(hash, size, encoding) VALUES (?1, ?2, ?3) ON CONFLICT(hash) DO NOTHING",
        )?;
        let mut store = self
            .connection
            .prepare_cached("INSERT INTO content_bytes(id, bytes) VALUES (?1, ?2)")?;
        let mut healed = false;
        for (hash, content) in contents {
            let (size, encoding) = match content {
                NewContent::Bytes(bytes) => (bytes.len() as u64, IN_DATABASE),
                NewContent::File { size } => (*size, IN_FILE),
            };
            let inserted = name.execute(params![hash.as_bytes(), int(size), encoding])?;
            let id = if inserted > 0 {
                self.connection.last_insert_rowid()
            } else if let Some(id) = self.heal(hash, size, encoding)? {
                healed = true;
                id
            } else {
                continue;
            };
            self.content_ids.remember(*hash, id);
            if let NewContent::Bytes(bytes) = content {
                store.execute(params![id, bytes.as_slice()])?;
            }
        }
        if healed {
            self.forget_healed()?;
        }
        Ok(())
    }

    /// Marks a content whose bytes are damaged or gone.
    pub(crate) fn set_lost(&self, hash: &ContentHash) -> Result<(), StoreError> {
        let marked = self
            .connection
            .prepare_cached("UPDATE contents SET encoding = ?2 WHERE hash = ?1 AND encoding <> ?2")?
            .execute(params![hash.as_bytes(), LOST])?;
        if marked > 0 {
            self.set_metadata(LOST_KEY, "1")?;
        }
        Ok(())
    }

    /// Takes away the mark of a lost content and the bytes that were damaged; `None` when it is not lost.
    fn heal(
        &self,
        hash: &ContentHash,
        size: u64,
        encoding: i64,
    ) -> Result<Option<i64>, StoreError> {
        let sql = "UPDATE contents SET size = ?2, encoding = ?3 WHERE hash = ?1 AND encoding = ?4
            RETURNING id";
        let values = params![hash.as_bytes(), int(size), encoding, LOST];
        let mut statement = self.connection.prepare_cached(sql)?;
        let id: Option<i64> = statement.query_row(values, |row| row.get(0)).optional()?;
        if let Some(id) = id {
            self.connection
                .prepare_cached("DELETE FROM content_bytes WHERE id = ?1")?
                .execute([id])?;
        }
        Ok(id)
    }

    /// Takes note that no content is lost any more, if that is so.
    pub(crate) fn forget_healed(&self) -> Result<(), StoreError> {
        let sql = "DELETE FROM schema_metadata WHERE key = ?1
            AND NOT EXISTS (SELECT 1 FROM contents WHERE encoding = ?2)";
        self.connection
            .prepare_cached(sql)?
            .execute(params![LOST_KEY, LOST])?;
        Ok(())
    }

    /// Removes a content's row. Fails while any row names it.
    pub(crate) fn delete_content(&self, id: i64) -> Result<(), StoreError> {
        self.content_ids.forget_all();
        self.connection
            .prepare_cached("DELETE FROM contents WHERE id = ?1")?
            .execute([id])?;
        Ok(())
    }
}
