//! The store: one writer, some readers, the contents.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use r2d2::{Pool, PooledConnection};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::commit::{CommitThread, panic_text};
use crate::contents::{ContentState, StoredContents};
use crate::{StoreError, Writer, open};

/// The histogram of what transactions take, in seconds; label `kind`: `read` or `write`.
pub(crate) const TRANSACTION_TIME: &str = "homing_store_transaction_duration_seconds";

/// Where the store lives.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The directory of `state.db` and `contents/`; made with mode 0700 when it is missing.
    pub data_dir: PathBuf,
}

/// The state database and the content store. Clones are handles of the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) data_dir: PathBuf,
    pub(crate) contents: ContentState,
    database: PathBuf,
    busy: Duration,
    pool: Pool<SqliteConnectionManager>,
    /// One for each connection of the pool: who waits for one must not hold a thread meanwhile.
    reading: Semaphore,
    commits: CommitThread,
    /// Held while a backup is made.
    pub(crate) backups: Mutex<()>,
    closed: AtomicBool,
    suspected: AtomicBool,
}

/// Reads within one snapshot of the database.
pub struct Reader<'c> {
    pub(crate) connection: &'c Connection,
}

impl Store {
    /// Opens the store and brings its schema up to date. Blocks.
    ///
    /// [`StoreError::NewerSchema`]: nothing was touched. A damaged database is moved aside and a new one made: see
    /// [`Store::quarantined`].
    pub fn open(options: StoreOptions) -> Result<Self, StoreError> {
        Self::open_waiting(&options, Duration::from_secs(5))
    }

    /// Opens the store, waiting at most `busy` for another process that holds the database.
    pub(crate) fn open_waiting(options: &StoreOptions, busy: Duration) -> Result<Self, StoreError> {
        let data_dir = options.data_dir.clone();
        let database = open::database_path(&data_dir);
        let connection =
            open::prepare(&data_dir, busy).map_err(|error| error.located(&database, busy))?;
        let commits = CommitThread::start(connection, database.clone(), busy)
            .map_err(|error| StoreError::io(&database, error))?;
        let pool = crate::connection::reader_pool(&database, busy);
        let inner = Inner {
            contents: ContentState::new(&data_dir),
            reading: Semaphore::new(pool.max_size() as usize),
            pool,
            commits,
            data_dir,
            database,
            busy,
            backups: Mutex::new(()),
            closed: AtomicBool::new(false),
            suspected: AtomicBool::new(false),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Returns the damaged database that was moved aside, until the rebuild is accepted.
    pub fn quarantined(&self) -> Option<PathBuf> {
        let name = self.while_rebuilding("rebuilt_from")?;
        Some(self.inner.data_dir.join(name))
    }

    /// Returns when the backup was made that was restored, until that is accepted.
    pub fn restored(&self) -> Option<String> {
        self.while_rebuilding("restored_from")
    }

    fn while_rebuilding(&self, key: &str) -> Option<String> {
        let value = self.read_blocking(|reader| {
            let pending = reader.metadata("rebuild_pending")?;
            if pending.as_deref() == Some("1") {
                reader.metadata(key)
            } else {
                Ok(None)
            }
        });
        value.ok().flatten()
    }

    /// Returns how many transactions were committed since the start: while it stays the same, so does what reads return.
    pub fn commits(&self) -> u64 {
        self.inner.commits.commits()
    }

    /// Returns the bytes of the database and its log on the disk, without the contents that are files.
    pub fn database_bytes(&self) -> u64 {
        let mut log = self.inner.database.clone().into_os_string();
        log.push("-wal");
        [self.inner.database.clone(), log.into()]
            .iter()
            .filter_map(|path| std::fs::metadata(path).ok())
            .map(|found| found.len())
            .sum()
    }

    /// Reads in one transaction on a pooled connection, off the async workers.
    pub async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Reader<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let _turn = self.inner.reading.acquire().await;
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || inner.read(read)).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => Err(StoreError::Panicked(panic_text(
                error.into_panic().as_ref(),
            ))),
            Err(_) => Err(StoreError::Closed),
        }
    }

    /// Writes in a transaction that it may share with others. Durable when it returns.
    ///
    /// An error or a panic of `write` undoes what it wrote and nothing else. `write` must not call the store again.
    pub async fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.inner.commits.submit(
            write,
            Box::new(move |result| {
                // Nobody waits any more when the caller was cancelled; the write stands.
                sender.send(result).ok();
            }),
        );
        let result = receiver.await.unwrap_or_else(|_| Err(StoreError::Closed));
        self.inner.inspect(result)
    }

    /// Does what [`Store::read`] does, for callers outside the async runtime.
    pub fn read_blocking<T>(
        &self,
        read: impl FnOnce(&Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.inner.read(read)
    }

    /// Does what [`Store::write`] does, for callers outside the async runtime.
    pub fn write_blocking<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.inner.write(write)
    }

    /// Works on the writing connection while no transaction is open on it. Writes wait meanwhile.
    pub(crate) async fn apart<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.inner.commits.submit_apart(Box::new(move |connection| {
            let result = catch_unwind(AssertUnwindSafe(|| work(connection)))
                .unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(panic.as_ref()))));
            // Nobody waits any more when the caller was cancelled; what was done stands.
            sender.send(result).ok();
        }));
        let result = receiver.await.unwrap_or_else(|_| Err(StoreError::Closed));
        self.inner.inspect(result)
    }

    /// Returns the content store.
    pub fn contents(&self) -> Arc<StoredContents> {
        Arc::new(StoredContents::new(Arc::clone(&self.inner)))
    }

    /// Finishes what is queued, makes kept contents durable and closes the database. Later calls answer `Closed`.
    pub async fn close(self) {
        // A panic or a runtime that shuts down leaves the database to its write-ahead log, which is safe.
        tokio::task::spawn_blocking(move || self.close_blocking())
            .await
            .ok();
    }

    /// Does what [`Store::close`] does, for callers outside the async runtime.
    pub fn close_blocking(self) {
        if let Err(error) = self.contents().flush_pending() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "contents that were kept last are lost"
            );
        }
        self.inner.closed.store(true, Ordering::Release);
        self.inner.commits.close();
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

impl Inner {
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        let begun = Instant::now();
        let result = self.connection().and_then(|connection| {
            let transaction = connection.unchecked_transaction()?;
            read(&Reader {
                connection: &transaction,
            })
        });
        metrics::histogram!(TRANSACTION_TIME, "kind" => "read").record(begun.elapsed());
        self.inspect(result)
    }

    /// Reads with a single statement, which needs no transaction to be of one snapshot.
    pub(crate) fn read_statement<T>(
        &self,
        read: impl FnOnce(&Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        let result = self.connection().and_then(|connection| {
            read(&Reader {
                connection: &connection,
            })
        });
        self.inspect(result)
    }

    fn connection(&self) -> Result<PooledConnection<SqliteConnectionManager>, StoreError> {
        self.pool.get().map_err(|error| {
            // The pool gives text only. It gives up after its timeout when SQLite cannot open the file.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "no reading connection"
            );
            StoreError::Locked { waited_ms: 30_000 }
        })
    }

    pub(crate) fn write<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = sync_channel(1);
        self.commits.submit(
            write,
            Box::new(move |result| {
                sender.send(result).ok();
            }),
        );
        let result = receiver.recv().unwrap_or(Err(StoreError::Closed));
        self.inspect(result)
    }

    /// Completes an error, and has the database examined whole at the next start when it looks damaged.
    fn inspect<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        result.map_err(|error| {
            if error.suspects_database() && !self.suspected.swap(true, Ordering::AcqRel) {
                open::mark_suspect(&self.data_dir);
            }
            error.located(&self.database, self.busy)
        })
    }
}
