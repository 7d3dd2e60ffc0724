//! Looking after the database file: what it takes, and giving back what it no longer needs.

use std::path::Path;

use rusqlite::Connection;

use crate::aside::{self, Aside};
use crate::columns::first;
use crate::store::Store;
use crate::{Reader, StoreError};

/// What the store takes on disk, in bytes unless it says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// The database.
    pub database: u64,
    /// Of that, pages that hold nothing any more: what a vacuum gives back.
    pub free: u64,
    /// The write-ahead log.
    pub log: u64,
    /// How many contents are in the database.
    pub contents: u64,
    /// Their bytes.
    pub content_bytes: u64,
    /// How many contents have a file of their own.
    pub content_files: u64,
    /// Their bytes.
    pub content_file_bytes: u64,
    /// How many runs the history has.
    pub runs: u64,
    /// How many databases were set aside: replaced by a backup, or damaged.
    pub set_aside: u64,
    /// Their bytes.
    pub set_aside_bytes: u64,
}

impl StoreSize {
    /// Returns the bytes of database, log, files and what was set aside.
    pub fn total(&self) -> u64 {
        self.database + self.log + self.content_file_bytes + self.set_aside_bytes
    }

    /// Tells whether a vacuum is worth rewriting the database: over 1 MB, a quarter of it free.
    pub fn wants_vacuum(&self) -> bool {
        self.database > 1_000_000 && self.free >= self.database / 4
    }
}

/// What a vacuum did, in bytes of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vacuumed {
    /// Before it.
    pub before: u64,
    /// After it.
    pub after: u64,
}

impl Store {
    /// Returns what the store takes on disk.
    pub async fn size(&self) -> Result<StoreSize, StoreError> {
        let files = Files::in_directory(&self.inner().data_dir);
        self.read(move |reader| reader.size(files)).await
    }

    /// Writes the database anew without the room that it no longer needs, and has `SQLite` look at its indexes again.
    ///
    /// Writes wait meanwhile, reads do not. [`StoreError::Full`]: it needs as much room again; nothing was changed.
    pub async fn vacuum(&self) -> Result<Vacuumed, StoreError> {
        self.apart(|connection| {
            let before = database_bytes(connection)?;
            connection.execute_batch("VACUUM; PRAGMA analysis_limit = 1000; ANALYZE;")?;
            let after = database_bytes(connection)?;
            // The log holds the whole new database now.
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            Ok(Vacuumed { before, after })
        })
        .await
    }
}

/// What lies beside the database.
#[derive(Clone, Copy)]
struct Files {
    log: u64,
    set_aside: u64,
    set_aside_bytes: u64,
}

impl Files {
    fn in_directory(data_dir: &Path) -> Self {
        let aside = aside::databases(data_dir);
        Self {
            log: crate::open::log_bytes(data_dir),
            set_aside: aside.len() as u64,
            set_aside_bytes: aside.iter().map(Aside::bytes).sum(),
        }
    }
}

impl Reader<'_> {
    fn size(&self, files: Files) -> Result<StoreSize, StoreError> {
        let contents = |encoding: i64| {
            let sql = "SELECT count(*), coalesce(sum(size), 0) FROM contents WHERE encoding = ?1";
            let found = first(self.connection, "contents", sql, [encoding], |row| {
                Ok((row.count(0, "count")?, row.count(1, "size")?))
            })?;
            Ok::<_, StoreError>(found.unwrap_or_default())
        };
        let (contents_kept, content_bytes) = contents(0)?;
        let (content_files, content_file_bytes) = contents(1)?;
        let runs = first(
            self.connection,
            "sync_history",
            "SELECT count(*) FROM sync_history",
            [],
            |row| row.count(0, "count"),
        )?;
        Ok(StoreSize {
            database: database_bytes(self.connection)?,
            free: pragma(self.connection, "freelist_count")?
                * pragma(self.connection, "page_size")?,
            log: files.log,
            contents: contents_kept,
            content_bytes,
            content_files,
            content_file_bytes,
            runs: runs.unwrap_or_default(),
            set_aside: files.set_aside,
            set_aside_bytes: files.set_aside_bytes,
        })
    }
}

fn database_bytes(connection: &Connection) -> Result<u64, StoreError> {
    Ok(pragma(connection, "page_count")? * pragma(connection, "page_size")?)
}

fn pragma(connection: &Connection, name: &str) -> Result<u64, StoreError> {
    let value: i64 = connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?;
    Ok(value.unsigned_abs())
}
