//! A tree of files in memory, with the rules of a file system.

use std::collections::BTreeMap;

use homing_core::{Capabilities, ContentHash, Identity, Item, Version};

/// A file in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryFile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its executable bit.
    pub executable: bool,
    revision: u64,
}

impl MemoryFile {
    /// Returns the file as an item.
    pub fn item(&self) -> Item {
        Item {
            hash: ContentHash::of(&self.bytes),
            size: self.bytes.len() as u64,
            executable: self.executable,
            identity: Some(Identity::new(&format!("revision {}", self.revision))),
        }
    }

    /// Returns what planning compares.
    pub fn version(&self) -> Version {
        self.item().version()
    }
}

/// Files by path. A directory exists as long as a file is below it.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    files: BTreeMap<String, MemoryFile>,
    revision: u64,
    capabilities: Capabilities,
}

impl MemoryTree {
    /// Begins empty, with these abilities.
    pub fn new(capabilities: Capabilities) -> Self {
        Self {
            capabilities,
            ..Self::default()
        }
    }

    /// Returns what the tree can store.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Returns all files by path.
    pub fn files(&self) -> &BTreeMap<String, MemoryFile> {
        &self.files
    }

    /// Returns the file at `path`, as the file system's rules for names find it.
    pub fn get(&self, path: &str) -> Option<&MemoryFile> {
        self.spelling(path).and_then(|path| self.files.get(&path))
    }

    /// Returns how the file that `path` finds is really spelled.
    pub fn spelling(&self, path: &str) -> Option<String> {
        if self.files.contains_key(path) {
            return Some(path.to_owned());
        }
        let folded = self.capabilities.fold(path);
        self.files
            .keys()
            .find(|other| self.capabilities.fold(other) == folded)
            .cloned()
    }

    /// Puts a file at `path`, in place of what is there.
    pub fn put(&mut self, path: &str, bytes: &[u8], executable: bool) {
        self.revision += 1;
        let path = self.spelling(path).unwrap_or_else(|| path.to_owned());
        let executable = executable && self.capabilities.executable_bit;
        self.files.insert(
            path,
            MemoryFile {
                bytes: bytes.to_vec(),
                executable,
                revision: self.revision,
            },
        );
    }

    /// Takes the file at `path` away.
    pub fn remove(&mut self, path: &str) -> Option<MemoryFile> {
        self.spelling(path)
            .and_then(|path| self.files.remove(&path))
    }

    /// Moves the file at `from` to `to`, in place of what is there.
    pub fn rename(&mut self, from: &str, to: &str) -> bool {
        let Some(file) = self.remove(from) else {
            return false;
        };
        self.remove(to);
        self.files.insert(to.to_owned(), file);
        true
    }

    /// Returns the file that stands where `path` needs a directory.
    pub fn blocker(&self, path: &str) -> Option<String> {
        path.match_indices('/')
            .find_map(|(at, _)| self.spelling(&path[..at]))
    }

    /// Tells whether `path` is a directory.
    pub fn is_directory(&self, path: &str) -> bool {
        let prefix = format!("{}/", self.capabilities.fold(path));
        self.files
            .keys()
            .any(|other| self.capabilities.fold(other).starts_with(&prefix))
    }
}
