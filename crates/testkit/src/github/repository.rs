//! A repository that is served: its names, its settings and what its refs name.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use anyhow::Result;
use serde_json::Value;

use super::git::{Git, Object};
use super::lock;

/// A repository that is served.
pub(crate) struct Repository {
    pub(crate) id: u64,
    pub(crate) git: Git,
    /// The current name last.
    names: Mutex<Vec<String>>,
    settings: Mutex<Settings>,
}

/// What a test can set.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) private: bool,
    pub(crate) default_branch: Option<String>,
    pub(crate) truncate_after: Option<usize>,
    pub(crate) directories_after: Option<usize>,
    pub(crate) extra_entries: Vec<Value>,
}

impl Repository {
    pub(crate) fn open(id: u64, name: &str, directory: &Path) -> Result<Self> {
        Ok(Self {
            id,
            git: Git::open(directory)?,
            names: Mutex::new(vec![name.to_owned()]),
            settings: Mutex::default(),
        })
    }

    pub(crate) fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    pub(crate) fn rename(&self, to: &str) {
        lock(&self.names).push(to.to_owned());
    }

    /// Returns the current name.
    pub(crate) fn name(&self) -> String {
        let names = lock(&self.names);
        names.last().expect("there is one from the start").clone()
    }

    /// GitHub's names know no case.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name)
    }

    pub(crate) fn was_called(&self, name: &str) -> bool {
        lock(&self.names)
            .iter()
            .any(|each| each.eq_ignore_ascii_case(name))
    }

    pub(crate) fn default_branch(&self) -> Result<String> {
        let chosen = self.settings().default_branch.clone();
        chosen.map_or_else(|| self.git.head_branch(), Ok)
    }

    /// Finds the commit of a branch, a tag or an id, whole or abbreviated, in the order in which GitHub looks.
    pub(crate) fn commit(&self, reference: &str) -> Result<Option<Object>> {
        let mut candidates = Vec::new();
        if reference == "HEAD" {
            candidates.push(format!("refs/heads/{}", self.default_branch()?));
        } else if let Some(full) = reference.strip_prefix("refs/") {
            candidates.push(format!("refs/{full}"));
        } else {
            if is_id(reference) {
                candidates.push(reference.to_owned());
            }
            candidates.push(format!("refs/heads/{reference}"));
            candidates.push(format!("refs/tags/{reference}"));
            candidates.push(format!("refs/{reference}"));
        }
        for candidate in candidates {
            if let Some(found) = self.git.find(&format!("{candidate}^{{commit}}"))? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn is_id(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
