//! What is at a commit, sorted into what is known, what is missing and what is no file.

use std::collections::HashMap;

use homing_core::{Item, ItemKey, ProblemKind, Progress, SideError};
use homing_remote::Gathering;

use crate::GitSide;
use crate::mirror::Trouble;
use crate::modules::Module;
use crate::tree::{Entry, Kind};

/// Bytes of a path; no file system has longer ones.
const LONGEST_PATH: usize = 4096;
/// What is shown of one that is longer.
const SHOWN_OF_A_PATH: usize = 100;
/// Bytes of all paths that are kept, several times each.
const MOST_PATH_BYTES: usize = 16 << 20;

/// Files that are not known by their blobs: the blob, where it is, and whether it may be executed there.
pub(crate) type Missing = HashMap<String, Vec<(ItemKey, bool)>>;

/// What of a revision is not known yet.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    pub(crate) missing: Missing,
    /// Submodules.
    pub(crate) links: Vec<Entry>,
}

impl GitSide {
    /// Sorts what is in a repository, as far as it is wanted, into items that are known, problems, blobs that are missing,
    /// and submodules.
    pub(crate) async fn sort(
        &self,
        module: &Module,
        known: &HashMap<&str, &Item>,
        gathering: &mut Gathering<'_>,
        progress: &Progress,
    ) -> Result<Sorted, Trouble> {
        let mut sorting = Sorting::new(known, gathering);
        let take = |entry| sorting.take(entry);
        self.each(module, self.path.as_deref(), progress, take)
            .await?;
        Ok(sorting.sorted)
    }
}

/// Sorts entries that are at hand.
pub(crate) fn sort(
    entries: Vec<Entry>,
    known: &HashMap<&str, &Item>,
    gathering: &mut Gathering<'_>,
) -> Result<Sorted, SideError> {
    let mut sorting = Sorting::new(known, gathering);
    for entry in entries {
        sorting.take(entry)?;
    }
    Ok(sorting.sorted)
}

/// How much room is left for paths.
#[derive(Debug)]
pub(crate) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(MOST_PATH_BYTES)
    }
}

impl Room {
    /// Takes room for a path. [`SideError::Untrusted`] when there is none.
    pub(crate) fn take(&mut self, path: &[u8]) -> Result<(), SideError> {
        match self.0.checked_sub(path.len()) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => Err(SideError::Untrusted {
                message: format!(
                    "the paths of the repository's files have more than {} MiB; narrow `path` or `include`",
                    MOST_PATH_BYTES >> 20
                ),
            }),
        }
    }
}

/// Entries that are sorted as they come.
struct Sorting<'a, 'g> {
    known: &'a HashMap<&'a str, &'a Item>,
    gathering: &'a mut Gathering<'g>,
    sorted: Sorted,
    room: Room,
}

impl<'a, 'g> Sorting<'a, 'g> {
    fn new(known: &'a HashMap<&'a str, &'a Item>, gathering: &'a mut Gathering<'g>) -> Self {
        Self {
            known,
            gathering,
            sorted: Sorted::default(),
            room: Room::default(),
        }
    }

    fn take(&mut self, entry: Entry) -> Result<(), SideError> {
        if entry.path.len() > LONGEST_PATH {
            let beginning = String::from_utf8_lossy(&entry.path[..SHOWN_OF_A_PATH]).into_owned();
            let message = format!(
                "it has a path of {} bytes, which is left out",
                entry.path.len()
            );
            self.gathering
                .problem(ProblemKind::Name, &format!("{beginning}…"), message);
            return Ok(());
        }
        let noted = self.gathering.noted();
        let executable = match entry.kind {
            Kind::File { executable } => executable,
            Kind::Link => {
                self.gathering
                    .not_a_file(&entry.path, ProblemKind::Link, "a symbolic link");
                return self.keep(&entry, noted);
            }
            Kind::Submodule => {
                self.room.take(&entry.path)?;
                self.sorted.links.push(entry);
                return Ok(());
            }
        };
        let Some(key) = self.gathering.file(&entry.path)? else {
            return self.keep(&entry, noted);
        };
        match self.known.get(entry.id.as_str()) {
            Some(item) if self.gathering.fits(&key, item.size) => {
                self.gathering.count(item.size)?;
                let item = Item {
                    executable,
                    ..(*item).clone()
                };
                self.gathering.present(key, item);
            }
            Some(_) => {}
            None => {
                let places = self.sorted.missing.entry(entry.id).or_default();
                places.push((key, executable));
            }
        }
        self.room.take(&entry.path)
    }

    /// Counts what was kept of an entry that is no item.
    fn keep(&mut self, entry: &Entry, noted: usize) -> Result<(), SideError> {
        if self.gathering.noted() > noted {
            self.room.take(&entry.path)?;
        }
        Ok(())
    }
}
