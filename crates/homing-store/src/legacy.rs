//! The database of the agent sync that Homing takes over from, `agent_sync.db`, in both of its schemas. Read, never
//! written.

mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use homing_core::ContentHash;
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};

pub use time::lenient_time;

/// No user has as many rows; a database with more was not written by what it says it was.
const MOST_ROWS: usize = 500_000;
/// No text that is of use is longer.
const MOST_TEXT_BYTES: usize = 16 << 10;

/// What is in such a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentSync {
    /// The places that it synced from.
    pub sources: Vec<AgentSyncSource>,
    /// Rows that make no sense and were passed over, in words.
    pub notes: Vec<String>,
}

/// A place that it synced from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentSyncSource {
    /// Its own name for it.
    pub id: String,
    /// Where it is: what the files' paths are relative to.
    pub url: String,
    /// The commit that was synced last.
    pub last_sha: Option<String>,
    /// The last attempt.
    pub last_sync_time: Option<Timestamp>,
    /// Whether it was synced at all.
    pub enabled: bool,
    /// Its files.
    pub files: Vec<AgentSyncFile>,
    /// Its syncs.
    pub syncs: Vec<AgentSyncRun>,
}

/// A file that it downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSyncFile {
    /// Relative to the source's url.
    pub path: String,
    /// What it had.
    pub hash: ContentHash,
    /// Where it was kept.
    pub local_path: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// The file's own `ETag`.
    pub etag: Option<String>,
}

/// A sync of its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSyncRun {
    /// When it began.
    pub time: Timestamp,
    /// `success`, `partial` or `error`.
    pub status: String,
    /// Files downloaded.
    pub synced: u64,
    /// Files that were as they should be.
    pub cached: u64,
    /// Files that failed.
    pub failed: u64,
    /// Why it failed.
    pub error_message: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum AgentSyncError {
    /// It is no database at all.
    #[error("it is no SQLite database")]
    NoDatabase,
    /// It is damaged.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// It is some other program's.
    #[error("it is a SQLite database, but not one of an agent sync: {0}")]
    Foreign(String),
    /// It has more rows than can be.
    #[error("{0} has more than {MOST_ROWS} rows")]
    TooMany(&'static str),
    /// `SQLite` failed in another way.
    #[error("the database could not be read")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for AgentSyncError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NoDatabase,
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged(error.to_string()),
            _ => Self::Sqlite(error),
        }
    }
}

/// Reads a copy of such a database, with its write-ahead log if one lies beside it. Blocks.
///
/// The copy is the caller's own: `SQLite` replays the log into it.
pub fn read_agent_sync(copy: &Path) -> Result<AgentSync, AgentSyncError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(copy, flags)?;
    // Nothing of its schema runs: neither functions in views and defaults nor triggers.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "query_only", true)?;
    let tables = Tables::read(&connection)?;
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(AgentSyncError::Damaged(check));
    }
    let mut reading = Reading {
        connection: &connection,
        tables: &tables,
        skipped: BTreeMap::new(),
    };
    let sources = if tables.has("sources", &["id", "url"])
        && tables.has("agent_files", &["source_id", "file_path", "content_sha"])
    {
        reading.by_source()?
    } else if tables.has("sync_history", &["source_url", "file_path", "content_hash"]) {
        reading.by_url()?
    } else {
        return Err(AgentSyncError::Foreign(tables.told()));
    };
    let note = |(table, rows): (&str, usize)| {
        format!("{rows} rows of {table} hold what cannot be, and were passed over")
    };
    Ok(AgentSync {
        sources,
        notes: reading.skipped.into_iter().map(note).collect(),
    })
}

/// The tables and their columns.
struct Tables(BTreeMap<String, BTreeSet<String>>);

impl Tables {
    fn read(connection: &Connection) -> Result<Self, AgentSyncError> {
        let mut statement = connection.prepare(
            "SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'",
        )?;
        let mut rows = statement.query([])?;
        let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            tables.entry(row.get(0)?).or_default().insert(row.get(1)?);
        }
        Ok(Self(tables))
    }

    fn has(&self, table: &str, columns: &[&str]) -> bool {
        let known = self.0.get(table);
        known.is_some_and(|known| columns.iter().all(|column| known.contains(*column)))
    }

    fn told(&self) -> String {
        let names: Vec<String> = self
            .0
            .keys()
            .take(8)
            .map(|name| homing_core::shown(name.as_bytes()))
            .collect();
        if names.is_empty() {
            "it has no tables".to_owned()
        } else {
            format!("its tables are {}", names.join(", "))
        }
    }

    /// Returns a query for columns, those that the table lacks as NULL.
    fn select(&self, table: &str, columns: &[&str]) -> String {
        let given = |column: &&str| {
            if self.has(table, &[*column]) {
                format!("\"{column}\"")
            } else {
                "NULL".to_owned()
            }
        };
        let columns: Vec<String> = columns.iter().map(given).collect();
        format!(
            "SELECT {} FROM \"{table}\" ORDER BY rowid",
            columns.join(", ")
        )
    }
}

struct Reading<'a> {
    connection: &'a Connection,
    tables: &'a Tables,
    skipped: BTreeMap<&'static str, usize>,
}

impl Reading<'_> {
    /// Reads the schema with a table of sources.
    fn by_source(&mut self) -> Result<Vec<AgentSyncSource>, AgentSyncError> {
        const SOURCE: &[&str] = &["id", "url", "last_sha", "last_sync_time", "enabled"];
        const FILE: &[&str] = &[
            "source_id",
            "file_path",
            "content_sha",
            "local_path",
            "file_size",
        ];
        let mut sources = self.rows("sources", SOURCE, |row| {
            Some(AgentSyncSource {
                id: text(row, 0)?,
                url: text(row, 1)?,
                last_sha: text(row, 2),
                last_sync_time: time(row, 3),
                // What is not said is the default of its schema.
                enabled: count(row, 4).is_none_or(|enabled| enabled != 0),
                ..AgentSyncSource::default()
            })
        })?;
        let files = self.rows("agent_files", FILE, |row| {
            let file = AgentSyncFile {
                path: text(row, 1)?,
                hash: text(row, 2)?.to_ascii_lowercase().parse().ok()?,
                local_path: text(row, 3),
                size: count(row, 4),
                etag: None,
            };
            Some((text(row, 0)?, file))
        })?;
        let syncs = self.syncs()?;
        let places: BTreeMap<String, usize> = sources
            .iter()
            .enumerate()
            .map(|(at, source)| (source.id.clone(), at))
            .collect();
        for (id, file) in files {
            match places.get(&id) {
                Some(at) => sources[*at].files.push(file),
                None => *self.skipped.entry("agent_files").or_default() += 1,
            }
        }
        for (id, sync) in syncs {
            // Of a source that is gone nobody can say where it was.
            if let Some(at) = places.get(&id) {
                sources[*at].syncs.push(sync);
            }
        }
        Ok(sources)
    }

    fn syncs(&mut self) -> Result<Vec<(String, AgentSyncRun)>, AgentSyncError> {
        const SYNC: &[&str] = &[
            "source_id",
            "sync_time",
            "status",
            "files_synced",
            "files_cached",
            "files_failed",
            "error_message",
            "duration_ms",
        ];
        if !self
            .tables
            .has("sync_history", &["source_id", "sync_time", "status"])
        {
            return Ok(Vec::new());
        }
        self.rows("sync_history", SYNC, |row| {
            let status = text(row, 2)?;
            if !["success", "partial", "error"].contains(&status.as_str()) {
                return None;
            }
            let sync = AgentSyncRun {
                time: time(row, 1)?,
                status,
                synced: count(row, 3).unwrap_or(0),
                cached: count(row, 4).unwrap_or(0),
                failed: count(row, 5).unwrap_or(0),
                error_message: text(row, 6),
                duration_ms: count(row, 7).unwrap_or(0),
            };
            Some((text(row, 0)?, sync))
        })
    }

    /// Reads the schema that names sources by their url alone.
    fn by_url(&mut self) -> Result<Vec<AgentSyncSource>, AgentSyncError> {
        const FILE: &[&str] = &["source_url", "file_path", "content_hash", "etag"];
        const SOURCE: &[&str] = &["source_url", "last_commit_sha", "last_sync_at"];
        let mut sources: BTreeMap<String, AgentSyncSource> = BTreeMap::new();
        let named = |url: String| AgentSyncSource {
            id: url.clone(),
            url,
            enabled: true,
            ..AgentSyncSource::default()
        };
        if self.tables.has("source_metadata", &["source_url"]) {
            let known = self.rows("source_metadata", SOURCE, |row| {
                Some(AgentSyncSource {
                    last_sha: text(row, 1),
                    last_sync_time: time(row, 2),
                    ..named(text(row, 0)?)
                })
            })?;
            sources.extend(known.into_iter().map(|source| (source.url.clone(), source)));
        }
        let files = self.rows("sync_history", FILE, |row| {
            let file = AgentSyncFile {
                path: text(row, 1)?,
                hash: text(row, 2)?.to_ascii_lowercase().parse().ok()?,
                local_path: None,
                size: None,
                etag: text(row, 3),
            };
            Some((text(row, 0)?, file))
        })?;
        for (url, file) in files {
            let source = sources
                .entry(url)
                .or_insert_with_key(|url| named(url.clone()));
            source.files.push(file);
        }
        Ok(sources.into_values().collect())
    }

    fn rows<T>(
        &mut self,
        table: &'static str,
        columns: &[&str],
        mut read: impl FnMut(&Row<'_>) -> Option<T>,
    ) -> Result<Vec<T>, AgentSyncError> {
        let mut statement = self
            .connection
            .prepare(&self.tables.select(table, columns))?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            if found.len() >= MOST_ROWS {
                return Err(AgentSyncError::TooMany(table));
            }
            match read(row) {
                Some(value) => found.push(value),
                None => *self.skipped.entry(table).or_default() += 1,
            }
        }
        Ok(found)
    }
}

/// Returns a text that is not empty; anything else counts as nothing.
fn text(row: &Row<'_>, at: usize) -> Option<String> {
    let ValueRef::Text(bytes) = row.get_ref(at).ok()? else {
        return None;
    };
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && text.len() <= MOST_TEXT_BYTES).then(|| text.to_owned())
}

fn count(row: &Row<'_>, at: usize) -> Option<u64> {
    let ValueRef::Integer(number) = row.get_ref(at).ok()? else {
        return None;
    };
    u64::try_from(number).ok()
}

fn time(row: &Row<'_>, at: usize) -> Option<Timestamp> {
    lenient_time(&text(row, at)?)
}
