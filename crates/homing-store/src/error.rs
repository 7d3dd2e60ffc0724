//! Errors of the store: a variant for each thing that a caller can do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use homing_core::{ContentHash, SideError, SourceId};
use rusqlite::ErrorCode;

/// Why the store could not do something. Cloned to every writer that shared a commit.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A newer Homing wrote the database. Nothing was touched.
    #[error(
        "the state database has schema {found} and this homingd knows schema {known} at most; nothing was changed: \
         start the newer homingd again"
    )]
    NewerSchema {
        /// The schema of the database.
        found: i64,
        /// The newest schema that this build knows.
        known: i64,
    },
    /// The database is damaged. The next start moves it aside and makes a new one.
    #[error(
        "the state database is damaged ({what}); restart homingd: it moves the database aside and rebuilds it"
    )]
    Corrupt {
        /// What was found.
        what: String,
    },
    /// No space is left.
    #[error("no space is left for {path}; free some space, then try again", path = .path.display())]
    Full {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// The database or its directory may not be written.
    #[error(
        "{path} cannot be written (read-only, or not yours); make the directory and its files writable, or set another \
         `data_dir`",
        path = .path.display()
    )]
    ReadOnly {
        /// The file or directory.
        path: PathBuf,
    },
    /// Another process holds the database.
    #[error(
        "another process holds the state database and did not let go within {waited_ms} ms; stop the other process \
         (another homingd, an open `sqlite3`), then try again"
    )]
    Locked {
        /// How long it was waited for.
        waited_ms: u64,
    },
    /// No such source is registered.
    #[error("no source `{0}` is registered; register it first")]
    UnknownSource(SourceId),
    /// A row would name a content that is not kept.
    #[error("content {0} is not in the content store; keep it before a row names it")]
    MissingContent(ContentHash),
    /// What was to be restored is no whole backup. Nothing was changed.
    #[error("this is no whole backup of Homing's state: {what}; nothing was changed")]
    NoBackup {
        /// What is wrong with it.
        what: String,
    },
    /// `SQLite` failed in another way.
    #[error("the state database failed")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// A file of the store could not be read or written.
    #[error("{path} could not be read or written", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// The store was closed.
    #[error("the store is closed; homingd is shutting down")]
    Closed,
    /// A column holds something that Homing never writes there.
    #[error("{table}.{column} holds {value}, which is not valid there; run `homing db check`")]
    Invalid {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What stands there, shortened.
        value: String,
    },
    /// A closure that was handed to the store panicked. What it had written is undone.
    #[error(
        "a bug in homingd: a database task panicked ({0}); its changes were undone, please report it"
    )]
    Panicked(String),
}

impl StoreError {
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { path }
            }
            _ => Self::Io {
                path,
                source: Arc::new(source),
            },
        }
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    /// Tells whether the database, not the request, is to blame, so that it is examined whole at the next start.
    pub(crate) fn suspects_database(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Invalid { .. })
    }

    /// Fills in what only the owner of the database knows: its path and how long it waits.
    pub(crate) fn located(self, database: &std::path::Path, busy: std::time::Duration) -> Self {
        match self {
            Self::Full { path } if path.as_os_str().is_empty() => Self::Full {
                path: database.into(),
            },
            Self::ReadOnly { path } if path.as_os_str().is_empty() => Self::ReadOnly {
                path: database.into(),
            },
            Self::Locked { .. } => Self::Locked {
                waited_ms: u64::try_from(busy.as_millis()).unwrap_or(u64::MAX),
            },
            other => other,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(cause, _) = &error else {
            return Self::Sqlite(Arc::new(error));
        };
        match cause.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                Self::corrupt(error.to_string())
            }
            ErrorCode::DiskFull => Self::Full {
                path: PathBuf::new(),
            },
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Self::ReadOnly {
                path: PathBuf::new(),
            },
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Locked { waited_ms: 0 },
            _ => Self::Sqlite(Arc::new(error)),
        }
    }
}

impl From<StoreError> for SideError {
    fn from(error: StoreError) -> Self {
        Self::Storage {
            message: "the content store failed".to_owned(),
            source: Some(Box::new(error)),
        }
    }
}
