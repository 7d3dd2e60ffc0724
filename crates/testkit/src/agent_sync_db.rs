//! Databases of the agent sync that Homing takes over from, in both of its schemas.

use std::path::Path;

use anyhow::Result;
use rusqlite::Connection;

/// As the newest release makes it: with a table of sources.
pub const WITH_SOURCES: &str = "
CREATE TABLE sources (id TEXT PRIMARY KEY, url TEXT NOT NULL, last_sha TEXT, last_sync_time TEXT, etag TEXT,
    enabled INTEGER DEFAULT 1, created_at TEXT DEFAULT CURRENT_TIMESTAMP, updated_at TEXT DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE agent_files (source_id TEXT NOT NULL, file_path TEXT NOT NULL, content_sha TEXT NOT NULL, local_path TEXT,
    synced_at TEXT NOT NULL, file_size INTEGER, PRIMARY KEY (source_id, file_path),
    FOREIGN KEY (source_id) REFERENCES sources(id) ON DELETE CASCADE);
CREATE TABLE sync_history (id INTEGER PRIMARY KEY AUTOINCREMENT, source_id TEXT NOT NULL, sync_time TEXT NOT NULL,
    status TEXT NOT NULL, files_synced INTEGER DEFAULT 0, files_cached INTEGER DEFAULT 0, files_failed INTEGER DEFAULT 0,
    error_message TEXT, duration_ms INTEGER, FOREIGN KEY (source_id) REFERENCES sources(id) ON DELETE CASCADE);
CREATE TABLE schema_metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO schema_metadata VALUES ('version', '1');
";

/// As its developers' guide has it: files by the URL of their source.
pub const BY_URL: &str = "
CREATE TABLE sync_history (id INTEGER PRIMARY KEY AUTOINCREMENT, source_url TEXT NOT NULL, file_path TEXT NOT NULL,
    content_hash TEXT NOT NULL, etag TEXT, synced_at TEXT NOT NULL, UNIQUE(source_url, file_path));
CREATE TABLE source_metadata (source_url TEXT PRIMARY KEY, last_commit_sha TEXT, last_sync_at TEXT, total_files INTEGER);
";

/// Makes a database: one of the schemas, and its rows as `INSERT`s.
pub fn create(path: &Path, schema: &str, rows: &str) -> Result<()> {
    let connection = Connection::open(path)?;
    // As in the programs that write it, nobody looks whether its references hold.
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.execute_batch(schema)?;
    connection.execute_batch(rows)?;
    Ok(())
}
