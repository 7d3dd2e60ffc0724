//! How connections are set up.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use r2d2::Pool;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};
use scheduled_thread_pool::ScheduledThreadPool;

use crate::StoreError;

const READERS: u32 = 4;
/// What a connection keeps of the database, in KiB. The system keeps it, too, so a reader needs little.
const WRITER_CACHE: i32 = 2048;
const READER_CACHE: i32 = 512;
const STATEMENTS: usize = 64;

/// Only `homing-store` writes, through one connection; everything else reads from the pool.
pub(crate) fn open_writer(database: &Path, busy: Duration) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(database, flags).map_err(|error| unopened(error, database))?;
    connection.busy_timeout(busy)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // 16 KiB: seven contents of 2 KiB fit into a page where one fits into 4 KiB. No effect on an existing database.
    connection.pragma_update(None, "page_size", 16384)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::ReadOnly {
            path: database.to_owned(),
        });
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE)?;
    // The writer thread checkpoints after its answers are out, so that no commit waits for it.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", 8 << 20)?;
    Ok(connection)
}

// A directory that may not be written shows up as "unable to open" when SQLite makes its files.
fn unopened(error: rusqlite::Error, database: &Path) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::CannotOpen) => StoreError::ReadOnly {
            path: database.to_owned(),
        },
        _ => StoreError::from(error),
    }
}

/// Makes the pool of reading connections. None is opened before it is needed.
pub(crate) fn reader_pool(database: &Path, busy: Duration) -> Pool<SqliteConnectionManager> {
    let manager = SqliteConnectionManager::file(database)
        .with_flags(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .with_init(move |connection| {
            connection.busy_timeout(busy)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
            connection.pragma_update(None, "query_only", true)?;
            connection.pragma_update(None, "cache_size", -READER_CACHE)?;
            connection.pragma_update(None, "temp_store", "MEMORY")?;
            Ok(())
        });
    Pool::builder()
        .max_size(READERS)
        .min_idle(Some(0))
        .test_on_check_out(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connection_timeout(Duration::from_secs(30))
        .thread_pool(Arc::new(
            ScheduledThreadPool::builder()
                .num_threads(1)
                .thread_name_pattern("homing-store-pool")
                .build(),
        ))
        .build_unchecked(manager)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(connection: &Connection, pragma: &str) -> String {
        let value: rusqlite::types::Value = connection
            .pragma_query_value(None, pragma, |row| row.get(0))
            .unwrap();
        match value {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{pragma} is {other:?}"),
        }
    }

    #[test]
    fn connections_are_set_up_so_that_what_is_committed_is_durable_and_sound() {
        let home = tempfile::tempdir().unwrap();
        let database = home.path().join("state.db");
        let busy = Duration::from_millis(1234);
        let writer = open_writer(&database, busy).unwrap();
        for (pragma, expected) in [
            ("journal_mode", "wal"),
            // FULL: a commit is on the disk when it returns, also through a power cut.
            ("synchronous", "2"),
            ("foreign_keys", "1"),
            ("busy_timeout", "1234"),
            ("page_size", "16384"),
            ("wal_autocheckpoint", "0"),
        ] {
            assert_eq!(asked(&writer, pragma), expected, "writer: {pragma}");
        }
        writer.execute_batch("CREATE TABLE one (a)").unwrap();

        let reader = reader_pool(&database, busy).get().unwrap();
        for (pragma, expected) in [
            ("journal_mode", "wal"),
            ("busy_timeout", "1234"),
            ("query_only", "1"),
        ] {
            assert_eq!(asked(&reader, pragma), expected, "reader: {pragma}");
        }
        assert!(reader.execute_batch("INSERT INTO one VALUES (1)").is_err());
    }
}
