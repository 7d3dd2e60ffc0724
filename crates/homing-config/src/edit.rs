//! Edits of the configuration in place: comments, order and line ends stay, and nothing is written that is not valid.

mod diff;
mod document;
mod files;

use std::io;
use std::path::{Path, PathBuf};

use crate::texts::{TextFile, Texts};
use crate::{Config, ConfigError, Env, Locations};

pub use diff::DiffLine;
use document::Document;
pub use document::{Section, Setting};
use files::EditLock;

/// Why an edit was not made. Nothing was written then, except where [`EditError::Write`] says so.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The configuration cannot be read, or is no TOML.
    #[error("the configuration cannot be edited as it is")]
    Unreadable(#[source] ConfigError),
    /// What would be written is not valid; lines are those of the file as it would be.
    #[error("the configuration would not be valid, so nothing was written")]
    Invalid(#[source] ConfigError),
    /// There is a section of this name.
    #[error("{section} is in {} already", file.display())]
    Exists {
        /// As in `[sources.team]`.
        section: String,
        /// Where it is.
        file: PathBuf,
    },
    /// There is none.
    #[error("there is no {section} in the configuration")]
    Unknown {
        /// As in `[sources.team]`.
        section: String,
        /// The names that there are.
        names: Vec<String>,
    },
    /// Somebody else edits at this moment.
    #[error("another program is editing {}", dir.display())]
    Busy {
        /// The directory of the configuration.
        dir: PathBuf,
    },
    /// A file could not be written; those in `written` were.
    #[error("{} could not be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What was written before.
        written: Vec<PathBuf>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The files were edited meanwhile: begin again.
    #[error("the configuration was changed by somebody else meanwhile")]
    Changed,
}

/// One file that an edit changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The file.
    pub path: PathBuf,
    /// What is in it now; empty when it is not there.
    pub before: String,
    /// What will be in it.
    pub after: String,
}

impl FileChange {
    /// Returns what changes, line by line, with a line of what stays above and below.
    pub fn diff(&self) -> Vec<DiffLine> {
        diff::lines(&self.before, &self.after)
    }
}

/// An edit under way. Nothing is written before [`Edit::write`].
#[derive(Debug)]
pub struct Edit {
    original: Texts,
    documents: Vec<Document>,
    locations: Locations,
    env: Env,
}

impl Edit {
    /// Reads the configuration, drop-ins included. What is wrong with its values may be mended by the edit; its syntax
    /// must be right.
    pub fn begin(locations: &Locations, env: &Env) -> Result<Self, EditError> {
        // A file that was named and does not exist is made.
        let original =
            Texts::read(&locations.config_file, false, env.uid).map_err(EditError::Unreadable)?;
        let documents = original
            .files()
            .iter()
            .map(|file| Document::parse(&file.path, &file.text))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| EditError::Unreadable(unreadable(&original)))?;
        Ok(Self {
            original,
            documents,
            locations: locations.clone(),
            env: env.clone(),
        })
    }

    /// Begins with a configuration in which nothing is; for a text, not to be written.
    pub fn of_nothing(locations: &Locations, env: &Env) -> Self {
        let path = &locations.config_file;
        Self {
            original: Texts::only(path, ""),
            documents: Document::parse(path, "").into_iter().collect(),
            locations: locations.clone(),
            env: env.clone(),
        }
    }

    /// Returns the configuration file as it would be, without drop-ins.
    pub fn text(&self) -> String {
        let files = self.would_be().into_files();
        files
            .into_iter()
            .next()
            .map(|file| file.text)
            .unwrap_or_default()
    }

    /// Makes sure that some file has the section.
    pub fn require(&self, section: Section, name: &str) -> Result<(), EditError> {
        if self
            .documents
            .iter()
            .any(|document| document.has(section, name))
        {
            Ok(())
        } else {
            Err(self.unknown(section, name))
        }
    }

    /// Tells whether some file has a key of the section.
    pub fn has_key(&self, section: Section, name: &str, key: &str) -> bool {
        self.documents
            .iter()
            .any(|document| document.has_key(section, name, key))
    }

    /// Returns the names of all sections of a kind, in the order of the alphabet.
    pub fn names(&self, section: Section) -> Vec<String> {
        let mut names: Vec<String> = self
            .documents
            .iter()
            .flat_map(|document| document.names(section))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Adds a section at the end of the configuration file. [`EditError::Exists`] when some file has it.
    pub fn add(
        &mut self,
        section: Section,
        name: &str,
        settings: &[(&str, Setting)],
    ) -> Result<(), EditError> {
        if let Some(document) = self
            .documents
            .iter()
            .find(|document| document.has(section, name))
        {
            return Err(EditError::Exists {
                section: section.title(name),
                file: document.path.clone(),
            });
        }
        self.documents[0].append(section, name, settings);
        Ok(())
    }

    /// Sets a key: in the file whose value counts, else where the section was begun.
    pub fn set(
        &mut self,
        section: Section,
        name: &str,
        key: &str,
        setting: &Setting,
    ) -> Result<(), EditError> {
        let with_key = self
            .documents
            .iter()
            .rposition(|document| document.has_key(section, name, key));
        let begun = || {
            self.documents
                .iter()
                .position(|document| document.has(section, name))
        };
        let at = with_key
            .or_else(begun)
            .ok_or_else(|| self.unknown(section, name))?;
        self.documents[at].set(section, name, key, setting);
        Ok(())
    }

    /// Removes a section from every file that has a part of it.
    pub fn remove(&mut self, section: Section, name: &str) -> Result<(), EditError> {
        if !self
            .documents
            .iter()
            .any(|document| document.has(section, name))
        {
            return Err(self.unknown(section, name));
        }
        for document in &mut self.documents {
            document.remove(section, name);
        }
        Ok(())
    }

    /// Removes a key from every file; tells whether some file had it.
    pub fn unset(&mut self, section: Section, name: &str, key: &str) -> bool {
        let mut had = false;
        for document in &mut self.documents {
            had |= document.unset(section, name, key);
        }
        had
    }

    /// Adds an entry to a list, in the file whose list counts. An entry that is there is left alone.
    pub fn push(
        &mut self,
        section: Section,
        name: &str,
        key: &str,
        entry: &str,
    ) -> Result<(), EditError> {
        let with_key = self
            .documents
            .iter()
            .rposition(|document| document.has_key(section, name, key));
        match with_key {
            Some(at) => self.documents[at].push(section, name, key, entry),
            None => return self.set(section, name, key, &Setting::Texts(vec![entry.to_owned()])),
        }
        Ok(())
    }

    /// Takes an entry out of a list, in every file.
    pub fn pull(&mut self, section: Section, name: &str, key: &str, entry: &str) {
        for document in &mut self.documents {
            document.pull(section, name, key, entry);
        }
    }

    /// Returns the file that begins a section, and the line of its header.
    pub fn place(&self, section: Section, name: &str) -> Option<(&Path, usize)> {
        let begins = |document: &&Document| document.has(section, name);
        let document = self.documents.iter().find(begins)?;
        Some((&document.path, document.line(section, name)?))
    }

    /// Judges the configuration as it would be.
    pub fn judge(&self) -> Result<Config, EditError> {
        Config::judge(&self.would_be(), &self.locations, &self.env).map_err(EditError::Invalid)
    }

    /// Returns the files that change.
    pub fn changes(&self) -> Vec<FileChange> {
        let pairs = self
            .original
            .files()
            .iter()
            .zip(self.would_be().into_files());
        pairs
            .filter(|(before, after)| before.text != after.text)
            .map(|(before, after)| FileChange {
                path: after.path,
                before: before.text.clone(),
                after: after.text,
            })
            .collect()
    }

    /// Writes what changes, if it is valid as a whole; each file becomes the new one at once and keeps its mode, and a
    /// link is followed.
    ///
    /// Waits some seconds for others that write. [`EditError::Changed`] when the files are not as they were read.
    pub fn write(self) -> Result<Vec<FileChange>, EditError> {
        self.judge()?;
        let changes = self.changes();
        if changes.is_empty() {
            return Ok(changes);
        }
        let _lock = EditLock::take(&self.locations.config_file)?;
        let now = Texts::read(&self.locations.config_file, false, self.env.uid)
            .map_err(EditError::Unreadable)?;
        if now != self.original {
            return Err(EditError::Changed);
        }
        let mut written = Vec::new();
        for change in self.in_order(changes.clone()) {
            files::replace(&change.path, &change.after).map_err(|source| EditError::Write {
                path: change.path.clone(),
                written: written.clone(),
                source,
            })?;
            written.push(change.path);
        }
        Ok(changes)
    }

    /// Orders the files so that, where possible, the configuration is valid after each of them: a kill in between, or
    /// a daemon that looks, finds one that it can take.
    fn in_order(&self, mut changes: Vec<FileChange>) -> Vec<FileChange> {
        let mut texts = self.original.clone();
        let mut ordered = Vec::new();
        while !changes.is_empty() {
            let valid_with = |change: &FileChange| {
                let texts = texts.clone().with(&change.path, &change.after);
                Config::judge(&texts, &self.locations, &self.env).is_ok()
            };
            let at = changes.iter().position(valid_with).unwrap_or(0);
            let change = changes.remove(at);
            texts = texts.with(&change.path, &change.after);
            ordered.push(change);
        }
        ordered
    }

    fn would_be(&self) -> Texts {
        let files = self.original.files().iter().zip(&self.documents);
        Texts::new(
            files
                .map(|(file, document)| TextFile {
                    path: file.path.clone(),
                    text: document.render(&file.text),
                })
                .collect(),
        )
    }

    fn unknown(&self, section: Section, name: &str) -> EditError {
        EditError::Unknown {
            section: section.title(name),
            names: self.names(section),
        }
    }
}

/// Returns what is wrong with the syntax.
fn unreadable(texts: &Texts) -> ConfigError {
    let mut complaints = crate::diagnostic::Complaints::default();
    texts.complain(&texts.document(), &mut complaints);
    ConfigError::Invalid {
        diagnostics: complaints.locate(texts),
    }
}

impl EditError {
    /// Returns how to mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable(error) | Self::Invalid(error) => error.hint(),
            Self::Exists { .. } => Some("choose another name, or edit that section".to_owned()),
            Self::Unknown { section, names } => {
                let name = section.rsplit_once('.').map_or("", |(_, name)| name);
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let name = name.trim_end_matches(']');
                Some(crate::section::suggest(name, &names, "there are"))
            }
            Self::Busy { .. } => Some("wait until it has ended, and try again".to_owned()),
            Self::Write { path, .. } => {
                let dir = path.parent().unwrap_or(path);
                Some(format!(
                    "make `{}` writable for you, and see that the disk is not full",
                    dir.display()
                ))
            }
            Self::Changed => Some("try again".to_owned()),
        }
    }
}
