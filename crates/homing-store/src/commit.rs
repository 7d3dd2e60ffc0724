//! The writer thread: many closures, one transaction, one sync of the disk.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::store::TRANSACTION_TIME;
use crate::writer::ContentIds;
use crate::{StoreError, Writer};

/// How many closures share a transaction at most.
const BATCH: usize = 256;
/// Write-ahead log sizes at which the log is copied back: when nothing came for a while, and in any case.
const CHECKPOINT_IDLE_BYTES: u64 = 4 << 20;
const CHECKPOINT_BUSY_BYTES: u64 = 64 << 20;
/// That while: longer than a run mostly takes between its writes, which would wait for the copying.
const QUIET: Duration = Duration::from_secs(1);

type Reply<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// A write that waits for its transaction. It is answered after the commit, never before.
trait Job: Send {
    /// Runs the closure; `Err` when its changes must be undone.
    fn run(&mut self, writer: &Writer<'_>) -> Result<(), StoreError>;
    /// Answers. `failure` is why the transaction as a whole did not come to be.
    fn answer(self: Box<Self>, failure: Option<&StoreError>);
}

struct TypedJob<T, F> {
    closure: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: Reply<T>,
}

impl<T, F> Job for TypedJob<T, F>
where
    T: Send,
    F: FnOnce(&Writer<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, writer: &Writer<'_>) -> Result<(), StoreError> {
        let Some(closure) = self.closure.take() else {
            return Ok(());
        };
        let result = catch_unwind(AssertUnwindSafe(|| closure(writer)))
            .unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(panic.as_ref()))));
        let outcome = result.as_ref().map(|_| ()).map_err(Clone::clone);
        self.result = Some(result);
        outcome
    }

    fn answer(self: Box<Self>, failure: Option<&StoreError>) {
        let result = match (self.result, failure) {
            (Some(Err(error)), _) => Err(error),
            (_, Some(error)) => Err(error.clone()),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(StoreError::Closed),
        };
        (self.reply)(result);
    }
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// Work that no transaction may be around.
type Apart = Box<dyn FnOnce(&Connection) + Send>;

enum Message {
    Job(Box<dyn Job>),
    Apart(Apart),
    Close(SyncSender<()>),
}

/// The handle of the writer thread. The thread ends with it.
pub(crate) struct CommitThread {
    commits: Arc<AtomicU64>,
    sender: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl CommitThread {
    pub(crate) fn start(
        connection: Connection,
        database: PathBuf,
        busy: Duration,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let commits = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&commits);
        let thread = std::thread::Builder::new()
            .name("homing-store".to_owned())
            .spawn(move || {
                Committer {
                    connection,
                    receiver,
                    database,
                    busy,
                    content_ids: ContentIds::default(),
                    commits: counted,
                }
                .run();
            })?;
        Ok(Self {
            commits,
            sender: Some(sender),
            thread: Some(thread),
        })
    }

    /// Returns how many transactions were committed: while it stays the same, so does the database.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Acquire)
    }

    /// Queues a closure; `reply` is called with its result once that is durable.
    pub(crate) fn submit<T, F>(&self, closure: F, reply: Reply<T>)
    where
        T: Send + 'static,
        F: FnOnce(&Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let job = Message::Job(Box::new(TypedJob {
            closure: Some(closure),
            result: None,
            reply,
        }));
        let Some(sender) = &self.sender else { return };
        if let Err(unsent) = sender.send(job)
            && let Message::Job(job) = unsent.0
        {
            job.answer(Some(&StoreError::Closed));
        }
    }

    /// Queues work that no transaction may be around. It is dropped when the thread has ended.
    pub(crate) fn submit_apart(&self, work: Apart) {
        if let Some(sender) = &self.sender {
            // Whoever waits for it hears of the drop.
            sender.send(Message::Apart(work)).unwrap_or_default();
        }
    }

    /// Waits for all that is queued, copies the log back and closes the connection.
    pub(crate) fn close(&self) {
        let (done, closed) = sync_channel(1);
        let Some(sender) = &self.sender else { return };
        if sender.send(Message::Close(done)).is_ok() {
            // An error means that the thread has ended already, which is as well.
            closed.recv().ok();
        }
    }
}

impl Drop for CommitThread {
    fn drop(&mut self) {
        self.sender = None;
        let Some(thread) = self.thread.take() else {
            return;
        };
        // The last handle may be dropped by a closure that runs on the thread itself.
        if thread.thread().id() != std::thread::current().id() {
            thread.join().ok();
        }
    }
}

struct Committer {
    connection: Connection,
    receiver: Receiver<Message>,
    database: PathBuf,
    busy: Duration,
    content_ids: ContentIds,
    commits: Arc<AtomicU64>,
}

impl Committer {
    fn run(self) {
        let mut closing = None;
        while closing.is_none() {
            let Some(message) = self.next() else {
                break;
            };
            let mut batch = VecDeque::new();
            let mut next = Some(message);
            let mut apart = None;
            while let Some(message) = next.take() {
                match message {
                    Message::Job(job) => batch.push_back(job),
                    Message::Apart(work) => {
                        apart = Some(work);
                        break;
                    }
                    Message::Close(done) => {
                        closing = Some(done);
                        break;
                    }
                }
                if batch.len() < BATCH {
                    next = self.receiver.try_recv().ok();
                }
            }
            while !batch.is_empty() {
                self.commit(&mut batch);
            }
            if let Some(work) = apart {
                work(&self.connection);
            }
        }
        if let Err(error) = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the state database's log was not copied back"
            );
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the state database was not closed cleanly"
            );
        }
        // Whatever was sent after the close is answered when the receiver goes: its reply says `Closed`.
        for message in self.receiver.try_iter() {
            match message {
                Message::Job(job) => job.answer(Some(&StoreError::Closed)),
                Message::Apart(work) => drop(work),
                Message::Close(done) => drop(done),
            }
        }
        if let Some(done) = closing {
            done.send(()).ok();
        }
    }

    /// Waits for a message; `None` when nobody can send one any more. When none comes for a while, a log that has become
    /// long is copied back, and memory that was needed for the work is given back.
    fn next(&self) -> Option<Message> {
        let length = self.log_length();
        if length >= CHECKPOINT_BUSY_BYTES {
            self.checkpoint("RESTART");
        }
        match self.receiver.recv_timeout(QUIET) {
            Err(RecvTimeoutError::Timeout) => {}
            received => return received.ok(),
        }
        if (CHECKPOINT_IDLE_BYTES..CHECKPOINT_BUSY_BYTES).contains(&length) {
            self.checkpoint("PASSIVE");
        }
        self.content_ids.forget_all();
        if let Err(error) = self.connection.execute_batch("PRAGMA shrink_memory") {
            tracing::debug!(%error, "the state database's cache was not emptied");
        }
        self.receiver.recv().ok()
    }

    /// Runs jobs from the front of `batch` in one transaction and answers them.
    fn commit(&self, batch: &mut VecDeque<Box<dyn Job>>) {
        let begun = Instant::now();
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            for job in batch.drain(..) {
                job.answer(Some(&error));
            }
            return;
        }
        let alone = batch.len() == 1;
        let mut done = Vec::with_capacity(batch.len());
        let mut failure = None;
        while let Some(mut job) = batch.pop_front() {
            let outcome = if alone {
                self.run_alone(job.as_mut())
            } else {
                self.run_in_savepoint(job.as_mut())
            };
            done.push(job);
            if let Err(error) = outcome {
                failure = Some(error);
                break;
            }
        }
        if failure.is_none()
            && !self.connection.is_autocommit()
            && let Err(error) = self.execute("COMMIT")
        {
            failure = Some(error);
        }
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            failure.get_or_insert(error);
        }
        if failure.is_some() {
            self.content_ids.forget_all();
        }
        metrics::histogram!(TRANSACTION_TIME, "kind" => "write").record(begun.elapsed());
        // Before anybody hears of the change.
        self.commits.fetch_add(1, Ordering::AcqRel);
        for job in done {
            job.answer(failure.as_ref());
        }
    }

    /// Runs the only job of a transaction: its failure undoes the whole.
    fn run_alone(&self, job: &mut dyn Job) -> Result<(), StoreError> {
        match job.run(&Writer::new(&self.connection, &self.content_ids)) {
            Ok(()) if self.connection.is_autocommit() => Err(lost()),
            outcome => outcome,
        }
    }

    /// Runs one job of several. `Err` only when the transaction is lost for all of them.
    fn run_in_savepoint(&self, job: &mut dyn Job) -> Result<(), StoreError> {
        self.execute("SAVEPOINT job")?;
        let outcome = job.run(&Writer::new(&self.connection, &self.content_ids));
        // A full disk or a failing one ends the transaction, and with it what the jobs before had written.
        if self.connection.is_autocommit() {
            return Err(outcome.err().unwrap_or_else(lost));
        }
        if outcome.is_err() {
            self.content_ids.forget_all();
            self.execute("ROLLBACK TO job")?;
        }
        self.execute("RELEASE job")
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(|_| ())
            .map_err(|error| StoreError::from(error).located(&self.database, self.busy))
    }

    fn log_length(&self) -> u64 {
        let mut log = self.database.clone().into_os_string();
        log.push("-wal");
        std::fs::metadata(&log).map_or(0, |metadata| metadata.len())
    }

    /// Copies the log back. A log that was copied is written from its start again but keeps its length until then: asking
    /// for a checkpoint that has nothing to do costs microseconds.
    fn checkpoint(&self, mode: &str) {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        if let Err(error) = self.connection.query_row(&sql, [], |_| Ok(())) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the state database's log was not copied back"
            );
        }
    }
}

fn lost() -> StoreError {
    StoreError::Sqlite(std::sync::Arc::new(rusqlite::Error::InvalidQuery))
}
