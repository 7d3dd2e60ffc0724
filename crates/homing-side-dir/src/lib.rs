//! A directory as a side of a sync.
//!
//! Listing never writes and never follows a link below the root. Publishing goes through a temporary file in the same
//! directory and checks what it displaced, so that an edit made meanwhile is put back rather than lost.

/// Ends the process at a named point, when the crash checker asks for it (feature `failpoints`).
///
/// The point `before NAME` comes first: a test that holds a process at a point lets that one say so. `return(PIPE)`
/// holds it until the named pipe is opened.
macro_rules! kill_point {
    ($name:literal) => {
        fail::fail_point!(concat!("before ", $name));
        #[cfg(feature = "failpoints")]
        fail::eval($name, |gate| match gate {
            None => std::process::abort(),
            // A named pipe, which is opened when whoever made it lets the process go on.
            Some(gate) => drop(std::fs::read(gate)),
        });
    };
}
use kill_point;

mod apply;
mod below;
mod capabilities;
mod errors;
mod fetch;
mod inspect;
mod keys;
mod moves;
mod parallel;
mod recover;
mod scan;
mod signature;
mod walk;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use homing_core::{
    BoxFuture, Contents, FetchRequest, Interrupted, ItemKey, Limits, ListRequest, Listener,
    Listing, Manifest, Operation, Outcome, Progress, Recovered, Scope, Selection, Side, SideError,
    Watch,
};

use tokio::sync::Semaphore;

use crate::below::Root;
use crate::capabilities::KnownCapabilities;
use crate::parallel::Cancel;

/// Appended to a temporary name where the file system needs a second one.
const ASIDE: &str = ".old";

/// Which directory a side is, and what of it.
#[derive(Debug, Clone, Default)]
pub struct DirOptions {
    /// The directory; it may be a link, which is resolved anew by every call.
    pub root: PathBuf,
    /// Only this subdirectory of it; no part of it may be a link.
    pub path: Option<String>,
    /// Only files that match one of these, in the syntax of `.gitignore`; empty: all.
    pub include: Vec<String>,
    /// No files that match one of these.
    pub exclude: Vec<String>,
    /// How much is taken.
    pub limits: Limits,
    /// Whether `apply` makes the directory, and its parents, when it is missing.
    pub create_root: bool,
}

/// A directory as a side.
#[derive(Debug, Clone)]
pub struct DirSide {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: DirOptions,
    /// The root and the subdirectory, for messages.
    place: PathBuf,
    selection: Selection,
    capabilities: KnownCapabilities,
    /// Held while something is written: what was given up may still be at its last item when the next call comes.
    writing: Mutex<()>,
}

impl DirSide {
    /// Checks the options; reads nothing. [`SideError::Config`] for malformed patterns and paths.
    pub fn new(options: DirOptions) -> Result<Self, SideError> {
        let selection = Selection::new(&options.include, &options.exclude)?;
        let mut place = options.root.clone();
        if let Some(path) = &options.path {
            let checked = ItemKey::new(path).map_err(|error| SideError::Config {
                message: format!(
                    "`path = \"{}\"` is no subdirectory: {error}",
                    homing_core::shown(path.as_bytes())
                ),
            })?;
            place.push(checked.as_str());
        }
        Ok(Self {
            inner: Arc::new(Inner {
                options,
                place,
                selection,
                capabilities: KnownCapabilities::default(),
                writing: Mutex::default(),
            }),
        })
    }

    /// Returns the directory that holds the items, the subdirectory included.
    pub fn root(&self) -> &Path {
        &self.inner.place
    }
}

impl Side for DirSide {
    fn covers(&self, key: &ItemKey) -> bool {
        self.inner.selection.covers(key.as_str())
    }

    fn list(&self, request: ListRequest) -> BoxFuture<'_, Result<Listing, SideError>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            blocking(move |cancel| inner.list(&request, cancel))
                .await
                .unwrap_or(Err(SideError::Cancelled))
                .map(Listing::from)
        })
    }

    fn fetch(
        &self,
        requests: Vec<FetchRequest>,
        contents: Arc<dyn Contents>,
        progress: Progress,
    ) -> BoxFuture<'_, Vec<Result<(), SideError>>> {
        let inner = self.inner.clone();
        let count = requests.len();
        Box::pin(async move {
            blocking(move |cancel| inner.fetch(&requests, &contents, &progress, cancel))
                .await
                .unwrap_or_else(|| (0..count).map(|_| Err(SideError::Cancelled)).collect())
        })
    }

    fn apply(
        &self,
        operations: Vec<Operation>,
        contents: Arc<dyn Contents>,
        progress: Progress,
    ) -> BoxFuture<'_, Vec<Outcome>> {
        let inner = self.inner.clone();
        let count = operations.len();
        Box::pin(async move {
            blocking(move |cancel| inner.apply(&operations, &contents, &progress, cancel))
                .await
                .unwrap_or_else(|| {
                    (0..count)
                        .map(|_| Outcome::Failed(SideError::Cancelled))
                        .collect()
                })
        })
    }

    fn recover(
        &self,
        interrupted: Vec<Interrupted>,
        contents: Arc<dyn Contents>,
    ) -> BoxFuture<'_, Result<Vec<Recovered>, SideError>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            blocking(move |cancel| inner.recover(&interrupted, &contents, cancel))
                .await
                .unwrap_or(Err(SideError::Cancelled))
        })
    }

    fn watch(
        &self,
        listener: Listener,
    ) -> BoxFuture<'_, Result<Option<Arc<dyn Watch>>, SideError>> {
        let inner = self.inner.clone();
        Box::pin(async move {
            blocking(move |_| watch::watch(inner, listener))
                .await
                .unwrap_or(Err(SideError::Cancelled))
                .map(Some)
        })
    }
}

impl Inner {
    fn open(&self) -> Result<Root, SideError> {
        Root::open(&self.options.root, self.options.path.as_deref())
    }

    fn list(&self, request: &ListRequest, cancel: &Cancel) -> Result<Manifest, SideError> {
        let now = SystemTime::now();
        let root = self.open()?;
        let scan = scan::Scan {
            root: &root,
            selection: &self.selection,
            limits: &self.options.limits,
            capabilities: self.capabilities.of(&root, &self.place),
            known: &request.known,
            progress: &request.progress,
            cancel,
            now,
        };
        match &request.scope {
            Scope::Whole => scan.whole(),
            Scope::Keys(keys) => scan.keys(keys),
        }
    }

    fn fetch(
        &self,
        requests: &[FetchRequest],
        contents: &Arc<dyn Contents>,
        progress: &Progress,
        cancel: &Cancel,
    ) -> Vec<Result<(), SideError>> {
        match self.open() {
            Ok(root) => fetch::Fetch {
                root: &root,
                contents,
                progress,
                cancel,
            }
            .run(requests),
            Err(error) => requests.iter().map(|_| Err(error.repeat())).collect(),
        }
    }

    fn apply(
        &self,
        operations: &[Operation],
        contents: &Arc<dyn Contents>,
        progress: &Progress,
        cancel: &Cancel,
    ) -> Vec<Outcome> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let root = match self.open() {
            Err(SideError::NotFound { .. }) if self.options.create_root => {
                Root::open_or_create(&self.options.root, self.options.path.as_deref())
            }
            other => other,
        };
        match root {
            Ok(root) => {
                let executable_bit = self.capabilities.of(&root, &self.place).executable_bit;
                apply::Batch {
                    root: &root,
                    contents,
                    progress,
                    cancel,
                    executable_bit,
                }
                .run(operations)
            }
            Err(error) => operations
                .iter()
                .map(|_| Outcome::Failed(error.repeat()))
                .collect(),
        }
    }

    fn recover(
        &self,
        interrupted: &[Interrupted],
        contents: &Arc<dyn Contents>,
        cancel: &Cancel,
    ) -> Result<Vec<Recovered>, SideError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let root = self.open()?;
        let executable_bit = self.capabilities.of(&root, &self.place).executable_bit;
        recover::Recovery {
            root: &root,
            contents,
            cancel,
            executable_bit,
        }
        .run(interrupted)
    }
}

/// Directories that are worked on at the same time: a hundred threads would be no faster, and each costs memory.
static TURNS: Semaphore = Semaphore::const_new(16);

/// Runs blocking work off the async workers and tells it when nobody waits any more; `None` when the runtime ends.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&Cancel) -> T + Send + 'static,
) -> Option<T> {
    struct CancelOnDrop(Cancel);
    impl Drop for CancelOnDrop {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    // Who waits holds no thread. A turn ends with whoever waits for the work, so a file system that hangs cannot keep all
    // of them for longer than runs may take.
    let _turn = TURNS.acquire().await;
    let cancel = Cancel::default();
    let _guard = CancelOnDrop(cancel.clone());
    match tokio::task::spawn_blocking(move || work(&cancel)).await {
        Ok(result) => Some(result),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_ended) => None,
    }
}
