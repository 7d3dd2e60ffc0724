//! The trait of every place that holds items.

use std::fs::File;
use std::future::Future;
use std::io::{self, Cursor, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::{
    Commits, ContentHash, Examined, Item, ItemKey, ItemState, ListRequest, Listener, Listing,
    Scope, SideError, Version, Watch,
};

/// A boxed future, so that `Side` can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a side can store, found out for its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// `A` and `a` are two files.
    pub case_sensitive: bool,
    /// The two Unicode spellings of `é` are one file.
    pub normalises_unicode: bool,
    /// The executable bit is stored.
    pub executable_bit: bool,
}

impl Default for Capabilities {
    /// Returns what a Linux file system can do.
    fn default() -> Self {
        Self {
            case_sensitive: true,
            normalises_unicode: false,
            executable_bit: true,
        }
    }
}

/// Which directory a root was, so that another one in its place is noticed.
///
/// The inode survives a restart of the machine; the device number need not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootIdentity {
    /// The device number, comparable within one boot only.
    pub device: u64,
    /// The inode number.
    pub inode: u64,
}

/// An item to fetch, as it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// Where it is.
    pub key: ItemKey,
    /// What is expected there.
    pub item: Item,
    /// How long nobody may have written to it: what is younger may not be whole yet ([`SideError::Changed`]). Unless
    /// it is zero, the item is also made durable where it is, so that whoever records it never knows of more than a
    /// power cut leaves there.
    pub settled_for: Duration,
}

impl FetchRequest {
    /// Returns a request for an item as it is.
    pub fn new(key: &ItemKey, item: &Item) -> Self {
        Self {
            key: key.clone(),
            item: item.clone(),
            settled_for: Duration::ZERO,
        }
    }
}

/// What an operation makes of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Create or replace it.
    Write {
        /// What to place; its bytes are in the contents.
        version: Version,
        /// Bytes.
        size: u64,
    },
    /// Delete it. Directories that this leaves empty go too.
    Delete,
    /// Give the item at `from` this key instead: a change of case or of Unicode form only.
    Rename {
        /// The key that it has now.
        from: ItemKey,
    },
}

/// One operation on one key, and what must be there for it to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The key.
    pub key: ItemKey,
    /// What to do.
    pub change: Change,
    /// What must be under the key (for a rename: under `from`) at that moment.
    pub expected: Option<Version>,
    /// The name of the temporary file, in the item's own directory: [`Operation::temporary_name`].
    pub temporary: String,
}

impl Operation {
    /// Returns the temporary name of the `number`th operation of a run: no other operation ever has the same.
    pub fn temporary_name(run: crate::RunId, number: usize) -> String {
        format!(".homing-{run}-{number}")
    }
}

/// How one operation ended.
#[derive(Debug)]
pub enum Outcome {
    /// Done and durable. The item as it is now, with its identity; `None` after a deletion.
    Done(Option<Item>),
    /// Done, but whether it survives a power cut is not known, for the file system could not be synced.
    Placed(Option<Item>),
    /// Something else was there, and is there still. Plan again.
    Changed,
    /// Nothing was done.
    Failed(SideError),
}

/// An operation that was under way when the process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted {
    /// The operation.
    pub operation: Operation,
    /// The machine went down too: a file that is neither old nor new is damage, not an edit.
    pub power_lost: bool,
}

/// What [`Side::recover`] made of an interrupted operation. Its temporary file is gone.
#[derive(Debug)]
pub struct Recovered {
    /// The key.
    pub key: ItemKey,
    /// What is there now.
    pub state: ItemState,
    /// The operation had taken its place: what it expected was found beside the path. Whatever else is there now came
    /// after it.
    pub was_placed: bool,
    /// Bytes that nobody had a copy of: they are in the contents now.
    pub rescued: Vec<ContentHash>,
}

/// Counts steps, bytes, items and requests; whoever watches it sees a stall.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<ProgressCounts>);

#[derive(Debug, Default)]
struct ProgressCounts {
    steps: AtomicU64,
    bytes: AtomicU64,
    done: AtomicU64,
    requests: AtomicU64,
}

impl Progress {
    /// Counts one step towards an item, of `bytes` bytes.
    pub fn advance(&self, bytes: u64) {
        self.0.steps.fetch_add(1, Ordering::Relaxed);
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts one item that needs nothing more; a step too.
    pub fn finish_item(&self) {
        self.advance(0);
        self.0.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that was sent to the far side; a step too.
    pub fn count_request(&self) {
        self.advance(0);
        self.0.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the requests that were sent so far.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// Returns the items that were finished so far.
    pub fn finished_items(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// Returns steps and bytes so far.
    pub fn counts(&self) -> (u64, u64) {
        (
            self.0.steps.load(Ordering::Relaxed),
            self.0.bytes.load(Ordering::Relaxed),
        )
    }
}

/// The bytes of a content.
#[derive(Debug)]
pub enum ContentReader {
    /// A small one, whole.
    Bytes(Cursor<Vec<u8>>),
    /// A large one, opened.
    File(File),
}

impl Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bytes(bytes) => bytes.read(buffer),
            Self::File(file) => file.read(buffer),
        }
    }
}

/// The content store as sides see it. Every call blocks; none is made from an async worker.
pub trait Contents: Send + Sync {
    /// Opens a content. [`SideError::NotFound`] when it is not kept, or damaged; [`SideError::Storage`] when it cannot
    /// be read. The bytes of a [`ContentReader::File`] are not compared with the hash: whoever reads them does that.
    fn open(&self, hash: &ContentHash) -> Result<ContentReader, SideError>;

    /// Says that the bytes which [`Contents::open`] gave do not have their hash, so that they are fetched again.
    fn report_damaged(&self, _hash: &ContentHash) {}

    /// Keeps all that `bytes` yields and returns its hash and size. `size_hint` tells small from large.
    ///
    /// Durable only after [`Contents::flush`].
    fn keep(&self, bytes: &mut dyn Read, size_hint: u64) -> Result<(ContentHash, u64), SideError>;

    /// Makes durable all that was kept.
    fn flush(&self) -> Result<(), SideError>;
}

/// A place that holds items.
///
/// All methods may be called at the same time for different keys. Dropping a future cancels the work at the next item.
pub trait Side: Send + Sync {
    /// Tells whether an item of this key would be listed by [`Side::list`] of [`Scope::Whole`].
    fn covers(&self, _key: &ItemKey) -> bool {
        true
    }

    /// Lists what is there, without writing anything anywhere but contents into the request's intake.
    ///
    /// An `Err` means that nothing is known of the whole side ([`SideError::NotFound`]: its root is missing).
    fn list(&self, request: ListRequest) -> BoxFuture<'_, Result<Listing, SideError>>;

    /// Fetches contents into `contents`, each verified against the item's hash ([`SideError::Changed`] if it differs).
    ///
    /// Returns one result for each request, in order.
    fn fetch(
        &self,
        requests: Vec<FetchRequest>,
        contents: Arc<dyn Contents>,
        progress: Progress,
    ) -> BoxFuture<'_, Vec<Result<(), SideError>>>;

    /// Carries out operations, in order as far as one may depend on another, and makes them durable together.
    ///
    /// Never overwrites or deletes what an operation did not expect. Returns one outcome for each operation. A side that
    /// cannot be written fails them all.
    fn apply(
        &self,
        operations: Vec<Operation>,
        _contents: Arc<dyn Contents>,
        _progress: Progress,
    ) -> BoxFuture<'_, Vec<Outcome>> {
        let refused = |_: &Operation| {
            Outcome::Failed(SideError::Permanent {
                message: "a source of this kind cannot be written".to_owned(),
                source: None,
            })
        };
        let outcomes = operations.iter().map(refused).collect();
        Box::pin(async { outcomes })
    }

    /// Repairs what a killed process left behind: each path is old or new again, temporary files are gone, and bytes
    /// that nobody has a copy of are kept. Running it twice does no harm. A side that cannot be written has nothing to
    /// repair.
    fn recover(
        &self,
        _interrupted: Vec<Interrupted>,
        _contents: Arc<dyn Contents>,
    ) -> BoxFuture<'_, Result<Vec<Recovered>, SideError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Looks at what a first run would take, without taking any of it.
    ///
    /// A side whose listing brings contents counts in another way; any other lists itself.
    fn examine(&self) -> BoxFuture<'_, Result<Examined, SideError>> {
        Box::pin(async {
            let listing = self.list(ListRequest::new(Scope::Whole)).await?;
            let manifest = listing.whole()?.manifest;
            Ok(Examined {
                files: manifest.items.len() as u64,
                bytes: Some(manifest.items.values().map(|item| item.size).sum()),
                problems: manifest.problems,
                notes: Vec::new(),
            })
        })
    }

    /// Tells whether contents come over a network, so that a listing that changed nothing proves nothing of what is kept.
    fn is_remote(&self) -> bool {
        false
    }

    /// Returns the commits between two revisions of its own, at most `most` by name; `None` where it has no commits.
    ///
    /// Tells what is known here and asks nobody.
    fn commits<'a>(
        &'a self,
        _since: &'a str,
        _until: &'a str,
        _most: usize,
    ) -> BoxFuture<'a, Result<Option<Commits>, SideError>> {
        Box::pin(async { Ok(None) })
    }

    /// Begins to watch the whole side; `None` when it cannot tell by itself that something changed.
    fn watch(
        &self,
        _listener: Listener,
    ) -> BoxFuture<'_, Result<Option<Arc<dyn Watch>>, SideError>> {
        Box::pin(async { Ok(None) })
    }
}
