//! What is in a memory side, and the rules by which its user is judged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use homing_core::{
    Change, ContentReader, Contents, FetchRequest, Interrupted, ItemKey, ItemState, ListRequest,
    Manifest, Operation, Outcome, Problem, Progress, Recovered, RootIdentity, Scope, SideError,
    UnknownReason, Version,
};

use crate::memory_side::Verb;
use crate::memory_tree::{MemoryFile, MemoryTree};

#[derive(Debug, Default)]
/// What is in a memory side, and what its user did so far.
#[allow(
    clippy::struct_excessive_bools,
    reason = "switches that tests turn one by one"
)]
pub(crate) struct MemoryState {
    pub(crate) tree: MemoryTree,
    pub(crate) unavailable: Option<String>,
    pub(crate) unknown: BTreeMap<String, UnknownReason>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) root: Option<RootIdentity>,
    pub(crate) failures: BTreeMap<(Verb, String), VecDeque<SideError>>,
    pub(crate) meanwhile: VecDeque<(Verb, Meanwhile)>,
    pub(crate) hangs: BTreeMap<Verb, usize>,
    pub(crate) shown: BTreeMap<ItemKey, Option<Version>>,
    pub(crate) shown_whole: bool,
    pub(crate) racy: bool,
    pub(crate) unsynced: bool,
    pub(crate) temporaries: BTreeSet<String>,
    pub(crate) applied: Vec<Operation>,
    pub(crate) calls: BTreeMap<Verb, usize>,
    pub(crate) fetched: Vec<ItemKey>,
    pub(crate) violations: Vec<String>,
}

/// Something that happens behind the back of the side's user.
pub(crate) struct Meanwhile(pub(crate) Box<dyn FnOnce(&mut MemoryTree) + Send>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl MemoryState {
    /// Begins a call: counts it, lets happen what was to happen, and fails as was asked for.
    pub(crate) fn begin(&mut self, verb: Verb) -> Result<(), SideError> {
        *self.calls.entry(verb).or_default() += 1;
        let (now, later) = std::mem::take(&mut self.meanwhile)
            .into_iter()
            .partition(|(when, _)| *when == verb);
        self.meanwhile = later;
        let now: VecDeque<(Verb, Meanwhile)> = now;
        for (_, Meanwhile(change)) in now {
            change(&mut self.tree);
        }
        if let Some(error) = self.failure(verb, "") {
            return Err(error);
        }
        match &self.unavailable {
            Some(message) => Err(SideError::NotFound {
                message: message.clone(),
                source: None,
            }),
            None => Ok(()),
        }
    }

    fn failure(&mut self, verb: Verb, key: &str) -> Option<SideError> {
        self.failures.get_mut(&(verb, key.to_owned()))?.pop_front()
    }

    /// Tells whether the call hangs at this item.
    pub(crate) fn hangs(&mut self, verb: Verb, done: usize) -> bool {
        if self.hangs.get(&verb) == Some(&done) {
            self.hangs.remove(&verb);
            return true;
        }
        false
    }

    fn violation(&mut self, message: String) {
        self.violations.push(message);
    }

    fn is_unknown(&self, key: &ItemKey) -> bool {
        self.unknown.keys().any(|prefix| key.is_within(prefix))
    }

    /// Lists as the side's trait says.
    pub(crate) fn list(&mut self, request: &ListRequest) -> Result<Manifest, SideError> {
        self.begin(Verb::List)?;
        let mut manifest = Manifest {
            unknown: self.unknown.clone(),
            problems: self.problems.clone(),
            root: self.root,
            capabilities: self.tree.capabilities(),
            ..Manifest::default()
        };
        let mut take = |path: &str, key: ItemKey, tree: &MemoryTree| {
            if let Some(file) = tree.get(path) {
                let mut item = file.item();
                if let Some(known) = request.known.get(&key)
                    && item.identity == known.identity
                {
                    item.hash = known.hash;
                }
                if self.racy {
                    item.identity = None;
                }
                manifest.items.insert(key, item);
                request.progress.finish_item();
            }
        };
        match &request.scope {
            Scope::Whole => {
                self.shown.clear();
                for path in self.tree.files().keys() {
                    if let Ok(key) = ItemKey::new(path) {
                        take(path, key, &self.tree);
                    }
                }
            }
            Scope::Keys(keys) => {
                for key in keys {
                    take(key.as_str(), key.clone(), &self.tree);
                    if let Some(blocker) = self
                        .tree
                        .blocker(key.as_str())
                        .and_then(|path| ItemKey::new(&path).ok())
                    {
                        take(blocker.as_str(), blocker.clone(), &self.tree);
                    }
                    if self.tree.is_directory(key.as_str())
                        && !keys
                            .iter()
                            .any(|other| other != key && other.is_within(key.as_str()))
                    {
                        manifest.unknown.insert(
                            key.as_str().to_owned(),
                            UnknownReason::NotAFile("a directory"),
                        );
                    }
                }
            }
        }
        let unknown = manifest.unknown.clone();
        manifest
            .items
            .retain(|key, _| !unknown.keys().any(|prefix| key.is_within(prefix)));
        self.shown_whole |= request.scope == Scope::Whole;
        if let Scope::Keys(keys) = &request.scope {
            self.shown
                .extend(keys.iter().map(|key| (key.clone(), None)));
        }
        self.shown.extend(
            manifest
                .items
                .iter()
                .map(|(key, item)| (key.clone(), Some(item.version()))),
        );
        Ok(manifest)
    }

    /// Fetches one item.
    pub(crate) fn fetch(
        &mut self,
        request: &FetchRequest,
        contents: &dyn Contents,
        progress: &Progress,
    ) -> Result<(), SideError> {
        let key = request.key.as_str();
        if let Some(error) = self.failure(Verb::Fetch, key) {
            return Err(error);
        }
        if self.shown.get(&request.key) != Some(&Some(request.item.version())) {
            self.violation(format!("fetch of `{key}` as it was not listed"));
        }
        self.fetched.push(request.key.clone());
        let changed = || SideError::Changed {
            key: key.to_owned(),
        };
        let file = self.tree.get(key).ok_or_else(changed)?;
        let (hash, size) = contents.keep(&mut file.bytes.as_slice(), file.bytes.len() as u64)?;
        progress.advance(size);
        progress.finish_item();
        if hash == request.item.hash {
            Ok(())
        } else {
            Err(changed())
        }
    }

    /// Notes what is wrong with a batch whatever the files are.
    pub(crate) fn examine(&mut self, operations: &[Operation]) {
        let mut keys = BTreeSet::new();
        for operation in operations {
            let key = &operation.key;
            // A rename may be followed by an update of the new name.
            let renames = matches!(operation.change, Change::Rename { .. });
            if !renames && !keys.insert(key.clone()) {
                self.violation(format!("two operations on `{key}` in one batch"));
            }
            if !operation.temporary.starts_with(".homing-") {
                self.violation(format!("`{}` is no temporary name", operation.temporary));
            }
            if !self.temporaries.insert(operation.temporary.clone()) {
                self.violation(format!(
                    "the temporary name `{}` was used before",
                    operation.temporary
                ));
            }
            if self.is_unknown(key) {
                self.violation(format!("an operation on `{key}`, which is unknown"));
            }
            let at = if let Change::Rename { from } = &operation.change {
                from
            } else {
                key
            };
            let shown = self.shown.get(at).copied();
            match (shown, operation.expected) {
                (None, expected) if !self.shown_whole || expected.is_some() => {
                    self.violation(format!("an operation on `{at}`, which was not listed"));
                }
                (Some(shown), expected) if shown != expected => {
                    self.violation(format!(
                        "an operation that expects `{at}` otherwise than it was listed"
                    ));
                }
                _ => {}
            }
            match (&operation.change, operation.expected) {
                (Change::Delete, None) => {
                    self.violation(format!("a deletion of `{key}`, which is not there"));
                }
                (Change::Rename { .. }, None) => {
                    self.violation(format!("a rename to `{key}` of nothing"));
                }
                (Change::Write { version, .. }, Some(expected)) if *version == expected => {
                    self.violation(format!("an operation that changes nothing at `{key}`"));
                }
                _ => {}
            }
        }
    }

    /// Carries out one operation.
    pub(crate) fn apply(&mut self, operation: &Operation, contents: &dyn Contents) -> Outcome {
        let key = operation.key.as_str();
        if let Some(error) = self.failure(Verb::Apply, key) {
            return Outcome::Failed(error);
        }
        let from = match &operation.change {
            Change::Rename { from } => from.as_str(),
            Change::Write { .. } | Change::Delete => key,
        };
        if self.tree.get(from).map(MemoryFile::version) != operation.expected {
            return Outcome::Changed;
        }
        if let Some(blocker) = self.tree.blocker(key) {
            self.violation(format!("`{key}` lies below the file `{blocker}`"));
            return Outcome::Failed(SideError::Conflict {
                message: format!("`{blocker}` is a file"),
            });
        }
        match &operation.change {
            Change::Delete => {
                self.tree.remove(key);
            }
            Change::Rename { from } => {
                if self
                    .tree
                    .spelling(key)
                    .is_some_and(|other| other != from.as_str())
                {
                    return Outcome::Changed;
                }
                self.tree.rename(from.as_str(), key);
            }
            Change::Write { version, size } => {
                if self.tree.is_directory(key) {
                    self.violation(format!("`{key}` is a directory"));
                    return Outcome::Failed(SideError::Conflict {
                        message: format!("`{key}` is a directory"),
                    });
                }
                if self.tree.spelling(key).is_some_and(|other| other != key) {
                    self.violation(format!("the name of `{key}` collides"));
                    return Outcome::Failed(SideError::Conflict {
                        message: format!("`{key}` collides"),
                    });
                }
                let bytes = match read(contents, version) {
                    Ok(bytes) if bytes.len() as u64 == *size => bytes,
                    Ok(_) => {
                        self.violation(format!("the size of `{key}` is wrong"));
                        return Outcome::Failed(SideError::Storage {
                            message: "wrong size".to_owned(),
                            source: None,
                        });
                    }
                    Err(error) => {
                        self.violation(format!("the content of `{key}` is not kept"));
                        return Outcome::Failed(error);
                    }
                };
                self.tree.put(key, &bytes, version.executable);
            }
        }
        self.applied.push(operation.clone());
        let item = self.tree.get(key).map(MemoryFile::item);
        if from != key {
            self.shown.insert(
                ItemKey::new(from).unwrap_or_else(|_| operation.key.clone()),
                None,
            );
        }
        self.shown.insert(
            operation.key.clone(),
            item.as_ref().map(homing_core::Item::version),
        );
        if self.unsynced {
            Outcome::Placed(item)
        } else {
            Outcome::Done(item)
        }
    }

    /// Repairs one operation.
    pub(crate) fn recover(
        &mut self,
        interrupted: &Interrupted,
        contents: &dyn Contents,
    ) -> Result<Recovered, SideError> {
        let operation = &interrupted.operation;
        let key = operation.key.as_str();
        let temporary = match operation.key.parent() {
            Some(parent) => format!("{parent}/{}", operation.temporary),
            None => operation.temporary.clone(),
        };
        let after = match &operation.change {
            Change::Write { version, .. } => Some(*version),
            Change::Delete => None,
            Change::Rename { .. } => operation.expected,
        };
        let mut rescued = Vec::new();
        let mut was_placed = false;
        if let Some(file) = self.tree.remove(&temporary) {
            was_placed = operation.expected == Some(file.version()) && operation.expected != after;
            let is_ours = [operation.expected, after]
                .into_iter()
                .flatten()
                .any(|known| known == file.version());
            let at_path = self.tree.get(key).map(MemoryFile::version);
            let is_rename = matches!(operation.change, Change::Rename { .. });
            let is_half_written =
                matches!(operation.change, Change::Write { .. }) && at_path == operation.expected;
            if is_rename && at_path.is_none() {
                self.tree.put(key, &file.bytes, file.executable);
            } else if !is_ours && !is_half_written {
                rescued.push(
                    contents
                        .keep(&mut file.bytes.as_slice(), file.bytes.len() as u64)?
                        .0,
                );
                if at_path == after {
                    self.tree.put(key, &file.bytes, file.executable);
                }
            }
        }
        let state = match self.tree.get(key) {
            None => ItemState::Absent,
            Some(file) => {
                let version = file.version();
                let is_known = [operation.expected, after]
                    .into_iter()
                    .flatten()
                    .any(|known| known.hash == version.hash);
                if interrupted.power_lost && !is_known {
                    rescued.push(
                        contents
                            .keep(&mut file.bytes.as_slice(), file.bytes.len() as u64)?
                            .0,
                    );
                }
                ItemState::Present(file.item())
            }
        };
        rescued.dedup();
        contents.flush()?;
        Ok(Recovered {
            key: operation.key.clone(),
            state,
            was_placed,
            rescued,
        })
    }
}

fn read(contents: &dyn Contents, version: &Version) -> Result<Vec<u8>, SideError> {
    let mut reader: ContentReader = contents.open(&version.hash)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut bytes).map_err(|error| SideError::Storage {
        message: "the kept content cannot be read".to_owned(),
        source: Some(error.into()),
    })?;
    if homing_core::ContentHash::of(&bytes) == version.hash {
        Ok(bytes)
    } else {
        contents.report_damaged(&version.hash);
        Err(SideError::NotFound {
            message: "the kept content is damaged".to_owned(),
            source: None,
        })
    }
}
