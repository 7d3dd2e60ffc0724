//! All that is at a commit, also where GitHub does not tell it at once.

use std::path::Path;

use homing_core::{Selection, SideError};

use crate::api::{Api, Entry};
use homing_remote::git_id;

/// Trees that are asked for one by one; a real repository needs far fewer.
const MOST_TREES: usize = 2_000;
/// No key is longer, so nothing below such a directory is one.
const LONGEST_PATH: usize = 4_096;

/// What is at a commit.
#[derive(Debug)]
pub(crate) struct Files {
    /// Every entry, or every one below the subdirectory, with its whole path.
    pub(crate) entries: Vec<Entry>,
    /// The bytes of all blobs at the commit, where all were listed.
    pub(crate) whole_bytes: Option<u64>,
}

/// Lists a commit; of one that is too large only what lies in `path` and is not excluded.
pub(crate) async fn files(
    api: &Api,
    commit: &str,
    path: Option<&str>,
    selection: &Selection,
) -> Result<Files, SideError> {
    // One request, whatever `path` is: requests are what is scarce.
    let whole = api.tree(commit, true).await?;
    if !whole.truncated {
        let sizes = whole.tree.iter().filter_map(|entry| entry.size);
        return Ok(Files {
            whole_bytes: Some(sizes.fold(0, u64::saturating_add)),
            entries: whole.tree,
        });
    }
    drop(whole);
    let mut walk = Walk {
        api,
        path,
        selection,
        asked: 0,
        found: Vec::new(),
    };
    if let Some(start) = walk.descend(commit).await? {
        walk.below(start).await?;
    }
    Ok(Files {
        entries: walk.found,
        whole_bytes: None,
    })
}

/// A look at one directory after the other.
struct Walk<'a> {
    api: &'a Api,
    path: Option<&'a str>,
    selection: &'a Selection,
    asked: usize,
    found: Vec<Entry>,
}

/// A directory that is still to be listed.
struct Directory {
    /// With a slash at the end, unless it is the root.
    prefix: String,
    id: String,
}

impl Walk<'_> {
    /// Goes down to `path`, one request for each directory on the way; `None` when it is not there.
    async fn descend(&mut self, commit: &str) -> Result<Option<Directory>, SideError> {
        let mut here = Directory {
            prefix: String::new(),
            id: commit.to_owned(),
        };
        for name in self.path.into_iter().flat_map(|path| path.split('/')) {
            let (entries, truncated) = self.list(&here, false).await?;
            let next = entries
                .into_iter()
                .find(|entry| entry.path == name && entry.kind == "tree");
            let Some(next) = next else {
                // It may be among those that were left out.
                if truncated {
                    return Err(self.too_many_in(&here));
                }
                return Ok(None);
            };
            here = here.child(&next);
        }
        Ok(Some(here))
    }

    async fn below(&mut self, start: Directory) -> Result<(), SideError> {
        // The root is known to be too much for one answer.
        let mut is_too_much = start.prefix.is_empty();
        let mut waiting = vec![start];
        while let Some(here) = waiting.pop() {
            if !is_too_much {
                let (entries, truncated) = self.list(&here, true).await?;
                if !truncated {
                    let whole = entries.into_iter().map(|entry| here.whole(entry));
                    self.found.extend(whole);
                    continue;
                }
            }
            is_too_much = false;
            let (entries, truncated) = self.list(&here, false).await?;
            if truncated {
                return Err(self.too_many_in(&here));
            }
            for entry in entries {
                if entry.kind == "tree" && self.is_wanted(&here, &entry) {
                    waiting.push(here.child(&entry));
                }
                self.found.push(here.whole(entry));
            }
        }
        Ok(())
    }

    fn too_many_in(&self, directory: &Directory) -> SideError {
        SideError::Untrusted {
            message: format!(
                "`{}` has a directory with more entries than GitHub lists: `{}`",
                self.api.place(),
                homing_core::shown(directory.prefix.as_bytes())
            ),
        }
    }

    fn is_wanted(&self, here: &Directory, child: &Entry) -> bool {
        let whole = format!("{}{}", here.prefix, child.path);
        let below = match self.path {
            Some(path) => whole.get(path.len() + 1..).unwrap_or_default(),
            None => &whole,
        };
        whole.len() < LONGEST_PATH && !self.selection.is_excluded(Path::new(below), true)
    }

    async fn list(
        &mut self,
        directory: &Directory,
        recursive: bool,
    ) -> Result<(Vec<Entry>, bool), SideError> {
        if !git_id::is_full(&directory.id) {
            return Err(SideError::Untrusted {
                message: format!(
                    "`{}` has a directory of which GitHub tells no id: `{}`",
                    self.api.place(),
                    homing_core::shown(directory.prefix.as_bytes())
                ),
            });
        }
        self.asked += 1;
        if self.asked > MOST_TREES {
            return Err(SideError::Untrusted {
                message: format!(
                    "`{}` has more directories than are asked for one by one ({MOST_TREES}); narrow `path` or `exclude`",
                    self.api.place()
                ),
            });
        }
        let tree = self.api.tree(&directory.id, recursive).await?;
        Ok((tree.tree, tree.truncated))
    }
}

impl Directory {
    fn child(&self, entry: &Entry) -> Self {
        Self {
            prefix: format!("{}{}/", self.prefix, entry.path),
            id: entry.sha.clone(),
        }
    }

    fn whole(&self, mut entry: Entry) -> Entry {
        entry.path.insert_str(0, &self.prefix);
        entry
    }
}
