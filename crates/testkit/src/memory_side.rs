//! A side in memory that is strict, in order to catch bugs of whoever uses it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use homing_core::{
    BoxFuture, Capabilities, Contents, FetchRequest, Interrupted, ItemKey, ListRequest, Listing,
    Operation, Outcome, Problem, Progress, Recovered, RootIdentity, Side, SideError, UnknownReason,
};

use crate::memory_state::{Meanwhile, MemoryState};
use crate::memory_tree::MemoryTree;

/// What a side is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// [`Side::list`].
    List,
    /// [`Side::fetch`].
    Fetch,
    /// [`Side::apply`].
    Apply,
    /// [`Side::recover`].
    Recover,
}

/// A side in memory. It notes whatever its user must never do, in [`MemorySide::violations`].
///
/// A violation is: an operation on a key that the last listing did not show, or showed otherwise; one on an unknown
/// key or an unavailable side; two operations on one key; a temporary name used twice; an operation that changes
/// nothing; a content that is not kept, or has another size; a path below a file; a name that collides.
#[derive(Debug, Default)]
pub struct MemorySide {
    state: Mutex<MemoryState>,
}

impl MemorySide {
    /// Begins empty, with these abilities.
    pub fn new(capabilities: Capabilities) -> Self {
        let side = Self::default();
        side.lock().tree = MemoryTree::new(capabilities);
        side.lock().root = Some(RootIdentity {
            device: 1,
            inode: 1,
        });
        side
    }

    /// Changes the files as a user would, and returns what `edit` returns.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut MemoryTree) -> T) -> T {
        edit(&mut self.lock().tree)
    }

    /// Puts a file as a user would.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        self.edit(|tree| tree.put(path, bytes, false));
    }

    /// Removes a file as a user would.
    pub fn remove(&self, path: &str) {
        self.edit(|tree| tree.remove(path));
    }

    /// Returns the bytes at `path`.
    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        self.edit(|tree| tree.get(path).map(|file| file.bytes.clone()))
    }

    /// Returns all files with their bytes, temporary ones included.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.edit(|tree| {
            tree.files()
                .iter()
                .map(|(path, file)| (path.clone(), file.bytes.clone()))
                .collect()
        })
    }

    /// Makes the whole side unavailable (its root is missing), or available again.
    pub fn set_available(&self, available: bool) {
        self.lock().unavailable = (!available).then(|| "the memory side is unavailable".to_owned());
    }

    /// Makes `prefix` unknown, or known again.
    pub fn set_unknown(&self, prefix: &str, reason: Option<UnknownReason>) {
        let mut state = self.lock();
        match reason {
            Some(reason) => state.unknown.insert(prefix.to_owned(), reason),
            None => state.unknown.remove(prefix),
        };
    }

    /// Adds a problem to every listing.
    pub fn add_problem(&self, problem: Problem) {
        self.lock().problems.push(problem);
    }

    /// Changes which directory the root is.
    pub fn set_root(&self, root: Option<RootIdentity>) {
        self.lock().root = root;
    }

    /// Makes listings vouch for no identity, as for files that changed just now.
    pub fn set_racy(&self, racy: bool) {
        self.lock().racy = racy;
    }

    /// Makes operations end as placed instead of done.
    pub fn set_unsynced(&self, unsynced: bool) {
        self.lock().unsynced = unsynced;
    }

    /// Makes the next `verb` fail with `error`: for `key`, or (`None`) as a whole.
    pub fn fail_next(&self, verb: Verb, key: Option<&str>, error: SideError) {
        self.lock()
            .failures
            .entry((verb, key.unwrap_or("").to_owned()))
            .or_default()
            .push_back(error);
    }

    /// Lets something happen right before the next `verb` looks at the files.
    pub fn before_next(&self, verb: Verb, change: impl FnOnce(&mut MemoryTree) + Send + 'static) {
        self.lock()
            .meanwhile
            .push_back((verb, Meanwhile(Box::new(change))));
    }

    /// Makes the next `verb` hang for ever after `items` of its items, as if the process were killed there.
    pub fn hang_next(&self, verb: Verb, items: usize) {
        self.lock().hangs.insert(verb, items);
    }

    /// Returns what was done that must never be done.
    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// Returns every operation that was carried out.
    pub fn applied(&self) -> Vec<Operation> {
        self.lock().applied.clone()
    }

    /// Returns every key that was fetched.
    pub fn fetched(&self) -> Vec<ItemKey> {
        self.lock().fetched.clone()
    }

    /// Returns how often `verb` was called.
    pub fn calls(&self, verb: Verb) -> usize {
        self.lock().calls.get(&verb).copied().unwrap_or(0)
    }

    /// Forgets what listings showed and which temporary names were used, as a new process does.
    pub fn restart(&self) {
        let mut state = self.lock();
        state.shown.clear();
        state.shown_whole = false;
        state.hangs.clear();
    }

    fn lock(&self) -> MutexGuard<'_, MemoryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Side for MemorySide {
    fn list(&self, request: ListRequest) -> BoxFuture<'_, Result<Listing, SideError>> {
        Box::pin(async move {
            let hangs = self.lock().hangs(Verb::List, 0);
            if hangs {
                std::future::pending::<()>().await;
            }
            self.lock().list(&request).map(Listing::from)
        })
    }

    fn fetch(
        &self,
        requests: Vec<FetchRequest>,
        contents: Arc<dyn Contents>,
        progress: Progress,
    ) -> BoxFuture<'_, Vec<Result<(), SideError>>> {
        Box::pin(async move {
            if let Err(error) = self.lock().begin(Verb::Fetch) {
                return requests.iter().map(|_| Err(error.repeat())).collect();
            }
            let mut results = Vec::with_capacity(requests.len());
            for (done, request) in requests.iter().enumerate() {
                let hangs = self.lock().hangs(Verb::Fetch, done);
                if hangs {
                    std::future::pending::<()>().await;
                }
                results.push(self.lock().fetch(request, &*contents, &progress));
            }
            results
        })
    }

    fn apply(
        &self,
        operations: Vec<Operation>,
        contents: Arc<dyn Contents>,
        progress: Progress,
    ) -> BoxFuture<'_, Vec<Outcome>> {
        Box::pin(async move {
            self.lock().examine(&operations);
            if let Err(error) = self.lock().begin(Verb::Apply) {
                return operations
                    .iter()
                    .map(|_| Outcome::Failed(error.repeat()))
                    .collect();
            }
            let mut outcomes = Vec::with_capacity(operations.len());
            for (done, operation) in operations.iter().enumerate() {
                let hangs = self.lock().hangs(Verb::Apply, done);
                if hangs {
                    std::future::pending::<()>().await;
                }
                outcomes.push(self.lock().apply(operation, &*contents));
                progress.finish_item();
            }
            outcomes
        })
    }

    fn recover(
        &self,
        interrupted: Vec<Interrupted>,
        contents: Arc<dyn Contents>,
    ) -> BoxFuture<'_, Result<Vec<Recovered>, SideError>> {
        Box::pin(async move {
            let mut state = self.lock();
            state.begin(Verb::Recover)?;
            interrupted
                .iter()
                .map(|one| state.recover(one, &*contents))
                .collect()
        })
    }
}
