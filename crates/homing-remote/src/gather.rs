//! From the names that a remote system sends to a manifest: which of them are items, and which cannot be.

mod wanted;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use homing_core::{
    Capabilities, Item, ItemKey, Manifest, Problem, ProblemKind, Scope, SideError, UnknownReason,
};

use self::wanted::any_below;
pub use self::wanted::{Wanted, key_of};

/// A file system that cannot tell anything apart: what collides there may collide somewhere.
const STRICTEST: Capabilities = Capabilities {
    case_sensitive: false,
    normalises_unicode: true,
    executable_bit: true,
};
/// Names that cannot be items are told one by one up to here.
const MOST_PROBLEMS: usize = 1000;

/// A manifest that comes into being name by name.
#[derive(Debug)]
pub struct Gathering<'a> {
    wanted: Wanted<'a>,
    manifest: Manifest,
    seen: BTreeSet<ItemKey>,
    bytes: u64,
    untold: usize,
}

/// Problems that were found while names were read; those beyond what is shown are only counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems {
    told: Vec<Problem>,
    untold: usize,
}

impl Problems {
    /// Adds one, which is only made if it will be shown.
    pub fn add(&mut self, problem: impl FnOnce() -> Problem) {
        if self.told.len() < MOST_PROBLEMS {
            self.told.push(problem());
        } else {
            self.untold += 1;
        }
    }

    /// Returns those that are shown.
    pub fn told(&self) -> &[Problem] {
        &self.told
    }
}

impl<'a> Gathering<'a> {
    /// Begins with nothing.
    pub fn new(wanted: Wanted<'a>) -> Self {
        Self {
            wanted,
            manifest: Manifest::default(),
            seen: BTreeSet::new(),
            bytes: 0,
            untold: 0,
        }
    }

    /// Takes a file's name in and returns its key; `None` when it is not wanted, or cannot be an item, which is noted.
    ///
    /// What is returned must be told of with [`Self::present`] or [`Self::cannot_tell`]. [`SideError::Untrusted`] when
    /// there are too many.
    pub fn file(&mut self, name: &[u8]) -> Result<Option<ItemKey>, SideError> {
        match self.wanted.key(name) {
            Ok(None) => Ok(None),
            Ok(Some(key)) => Ok(self.file_at(&key)?.then_some(key)),
            Err(problem) => {
                self.note(problem);
                Ok(None)
            }
        }
    }

    /// Does the same for a key; tells whether it is wanted.
    pub fn file_at(&mut self, key: &ItemKey) -> Result<bool, SideError> {
        self.note_directories(key);
        if !self.wanted.wants(key) {
            return Ok(false);
        }
        if !self.seen.insert(key.clone()) {
            self.problem(
                ProblemKind::Collision,
                key.as_str(),
                "it is there twice; the first is taken".to_owned(),
            );
            return Ok(false);
        }
        if self.seen.len() > self.wanted.limits.max_files {
            return Err(self.wanted.too_many());
        }
        Ok(true)
    }

    /// Notes something that is no file: a link, a device, a submodule. It is not followed.
    pub fn not_a_file(&mut self, name: &[u8], kind: ProblemKind, what: &'static str) {
        // What cannot be a key blocks nothing.
        if let Ok(Some(key)) = self.wanted.key(name) {
            self.not_a_file_at(&key, kind, what);
        }
    }

    /// Does the same for a key.
    pub fn not_a_file_at(&mut self, key: &ItemKey, kind: ProblemKind, what: &'static str) {
        if !self.wanted.is_in_scope(key) {
            return;
        }
        let reason = UnknownReason::NotAFile(what);
        if self.wanted.selection.covers(key.as_str()) {
            self.cannot_tell(key, kind, reason);
        } else if !self
            .wanted
            .selection
            .is_excluded(Path::new(key.as_str()), false)
        {
            // It may stand where a directory was, so what was below it must not look deleted.
            self.manifest
                .unknown
                .insert(key.as_str().to_owned(), reason);
        }
    }

    /// Tells whether a file of this size is taken; one that is too large is noted.
    pub fn fits(&mut self, key: &ItemKey, size: u64) -> bool {
        if size <= self.wanted.limits.max_file_size {
            return true;
        }
        self.too_long(key, Some(size));
        false
    }

    /// Notes that a file is larger than is taken of one, with its size where that is known.
    pub fn too_long(&mut self, key: &ItemKey, size: Option<u64>) {
        let most = self.wanted.limits.max_file_size;
        let reason = match size {
            Some(size) => format!("it has {size} bytes, more than `max_file_size` allows ({most})"),
            None => format!("it has more bytes than `max_file_size` allows ({most})"),
        };
        self.cannot_tell(key, ProblemKind::Limit, UnknownReason::OverLimit(reason));
    }

    /// Counts bytes that are to come; [`SideError::Untrusted`] when all together are too many.
    pub fn count(&mut self, bytes: u64) -> Result<(), SideError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.wanted.limits.max_total_size {
            return Err(self.wanted.too_much(&format!(
                "more than {} bytes in all; raise `max_total_size`",
                self.wanted.limits.max_total_size
            )));
        }
        Ok(())
    }

    /// Takes in what is under a key.
    pub fn present(&mut self, key: ItemKey, item: Item) {
        self.manifest.items.insert(key, item);
    }

    /// Notes that nothing can be said of a key, and tells a person why.
    pub fn cannot_tell(&mut self, key: &ItemKey, kind: ProblemKind, reason: UnknownReason) {
        self.problem(kind, key.as_str(), reason.to_string());
        self.manifest
            .unknown
            .insert(key.as_str().to_owned(), reason);
    }

    /// Notes that the content of a key could not be had.
    pub fn not_fetched(&mut self, key: &ItemKey, why: String) {
        self.manifest
            .unknown
            .insert(key.as_str().to_owned(), UnknownReason::NotFetched(why));
    }

    /// Notes that nothing at or below a path could be had; `""` is everything.
    pub fn not_fetched_below(&mut self, path: &str, why: String) {
        self.manifest
            .unknown
            .insert(path.to_owned(), UnknownReason::NotFetched(why));
    }

    /// Tells a person of something.
    pub fn problem(&mut self, kind: ProblemKind, path: &str, message: String) {
        self.note(Problem {
            kind,
            path: path.to_owned(),
            message,
        });
    }

    /// Tells a person of a problem.
    pub fn note(&mut self, problem: Problem) {
        if self.manifest.problems.len() < MOST_PROBLEMS {
            self.manifest.problems.push(problem);
        } else {
            self.untold += 1;
        }
    }

    /// Tells a person of a list of problems, as far as it was kept, and of how many were not.
    pub fn note_all(&mut self, problems: Problems) {
        self.untold += problems.untold;
        problems.told.into_iter().for_each(|one| self.note(one));
    }

    /// Returns how much was noted so far of what is not taken in, or not as it is.
    pub fn noted(&self) -> usize {
        self.manifest.problems.len() + self.untold + self.manifest.unknown.len()
    }

    /// Returns how many files were taken in.
    pub fn files(&self) -> usize {
        self.seen.len()
    }

    /// Returns what a person should hear about names that were looked at, and of which nothing was taken in.
    pub fn finish_examined(mut self, is_any: bool) -> Vec<Problem> {
        let mut problems = std::mem::take(&mut self.manifest.problems);
        if !is_any {
            problems.extend(self.finish().problems);
        }
        problems.sort();
        problems
    }

    /// Returns the manifest.
    pub fn finish(mut self) -> Manifest {
        self.blocked();
        self.collisions();
        let is_empty = self.manifest.items.is_empty() && self.manifest.unknown.is_empty();
        if is_empty && *self.wanted.scope == Scope::Whole {
            self.problem(
                ProblemKind::Empty,
                "",
                format!(
                    "nothing in {} matches what is asked for; check path, include and exclude",
                    self.wanted.place
                ),
            );
        }
        let mut manifest = self.manifest;
        manifest.problems.sort();
        manifest.problems.dedup();
        if self.untold > 0 {
            manifest.problems.push(Problem {
                kind: ProblemKind::Name,
                path: String::new(),
                message: format!(
                    "{} further problems of this kind are not listed",
                    self.untold
                ),
            });
        }
        manifest
    }

    /// A directory at a key that was asked for is no file, unless what is in it was asked for too: then it may go.
    fn note_directories(&mut self, key: &ItemKey) {
        if let Scope::Keys(keys) = self.wanted.scope {
            for way in key.ancestors() {
                if keys.contains(way) && !any_below(keys, way) {
                    let reason = UnknownReason::NotAFile("a directory");
                    self.manifest.unknown.insert(way.to_owned(), reason);
                }
            }
        }
    }

    /// A file and something below it cannot both be there; the file is taken.
    fn blocked(&mut self) {
        let items = &self.manifest.items;
        let blocked: Vec<(ItemKey, String)> = items
            .keys()
            .filter_map(|key| {
                let file = key.ancestors().find(|way| items.contains_key(*way))?;
                Some((key.clone(), file.to_owned()))
            })
            .collect();
        for (key, file) in blocked {
            self.manifest.items.remove(&key);
            // The key itself is not unknown: it is below a file, so it is not there.
            self.problem(
                ProblemKind::Collision,
                key.as_str(),
                format!("`{file}` is a file, so nothing can be below it; it is left out"),
            );
        }
    }

    /// Reports names that a file system which folds case or Unicode forms takes for one.
    fn collisions(&mut self) {
        let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for key in self.manifest.items.keys() {
            for path in key.ancestors().chain([key.as_str()]) {
                let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
                names.entry(parent).or_default().insert(name);
            }
        }
        let mut found = Vec::new();
        for (parent, names) in names {
            let mut folded: HashMap<Cow<'_, str>, &str> = HashMap::with_capacity(names.len());
            for name in names {
                if let Some(first) = folded.insert(STRICTEST.fold(name), name) {
                    let path = if parent.is_empty() {
                        name.to_owned()
                    } else {
                        format!("{parent}/{name}")
                    };
                    let message = format!(
                        "its name and `{first}` are one on file systems that ignore case or Unicode forms"
                    );
                    found.push((path, message));
                }
            }
        }
        for (path, message) in found {
            self.problem(ProblemKind::Collision, &path, message);
        }
    }
}

#[cfg(test)]
mod tests;
