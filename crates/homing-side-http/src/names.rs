//! The names that a document lists, as they are read: what is not wanted of them is not kept.

use homing_core::{Problem, ProblemKind, SideError};
use homing_remote::{Problems, Wanted};

use crate::index::Named;
use crate::skills::Packed;

/// So many files of one entry are looked at, even where fewer are taken in all.
const LEAST_FILES: usize = 10_000;

/// What was read so far.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    wanted: Wanted<'a>,
    /// Files that are wanted.
    pub(crate) files: Vec<Named>,
    /// Skills that are archives.
    pub(crate) archives: Vec<Packed>,
    /// What is wrong with entries.
    pub(crate) wrong: Problems,
    /// Whether every entry names the digest of what it stands for.
    pub(crate) is_sealed: bool,
    stop: Option<SideError>,
}

impl<'a> Names<'a> {
    /// Begins with none.
    pub(crate) fn new(wanted: Wanted<'a>) -> Self {
        Self {
            wanted,
            files: Vec::new(),
            archives: Vec::new(),
            wrong: Problems::default(),
            is_sealed: true,
            stop: None,
        }
    }

    /// Returns what the server is called in messages.
    pub(crate) fn place(&self) -> &'a str {
        self.wanted.place
    }

    /// Returns how many files of one entry are looked at.
    pub(crate) fn most_files(&self) -> usize {
        self.wanted.limits.max_files.max(LEAST_FILES)
    }

    /// Takes a file in, if it is wanted.
    pub(crate) fn file(&mut self, name: &str, make: impl FnOnce() -> Named) {
        match self.wanted.key(name.as_bytes()) {
            Ok(Some(key)) if self.wanted.is_concerned(&key) => {
                if self.has_room() {
                    let named = make();
                    self.is_sealed &= named.digest.is_some();
                    self.files.push(named);
                }
            }
            // A wider selection is another fingerprint, under which no revision of now is asked about.
            Ok(_) => {}
            Err(problem) => self.wrong.add(|| problem),
        }
    }

    /// Takes an archive in.
    pub(crate) fn archive(&mut self, packed: Packed) {
        if self.has_room() {
            self.is_sealed &= packed.digest.is_some();
            self.archives.push(packed);
        }
    }

    /// Notes what is wrong with an entry.
    pub(crate) fn wrong(&mut self, message: impl FnOnce() -> String) {
        self.wrong.add(|| Problem {
            kind: ProblemKind::Name,
            path: String::new(),
            message: message(),
        });
    }

    /// Gives the rest up: there are too many.
    pub(crate) fn too_many(&mut self) {
        self.stop = Some(self.wanted.too_many());
    }

    /// Tells whether the rest is not looked at.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_some()
    }

    /// Returns all of them once the document was read; why it could not be is `otherwise` told.
    pub(crate) fn finish(
        mut self,
        read: Result<(), serde_json::Error>,
        otherwise: impl FnOnce(serde_json::Error) -> SideError,
    ) -> Result<Self, SideError> {
        match (self.stop.take(), read) {
            (Some(stop), _) => Err(stop),
            (None, Err(error)) => Err(otherwise(error)),
            (None, Ok(())) => Ok(self),
        }
    }

    fn has_room(&mut self) -> bool {
        let has_room = self.files.len() + self.archives.len() < self.wanted.limits.max_files;
        if !has_room {
            self.too_many();
        }
        has_room
    }
}
