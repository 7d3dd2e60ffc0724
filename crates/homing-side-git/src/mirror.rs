//! Bare mirrors, and how they are kept: one for each repository, however many sources read it.

mod fetching;

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use homing_core::{ContentHash, Progress, SideError};
use tokio::process::Command;
use tokio::sync::Mutex as Turn;

use crate::git::{Git, Question};

use fetching::State;
pub(crate) use fetching::Want;

/// Where the refs are that keep what was fetched.
const KEPT: &str = "refs/homing/";
/// What marks a directory as whole: it is written last.
const MADE: &str = "homing-mirror";

/// The mirrors of one data directory.
#[derive(Debug, Clone)]
pub struct Mirrors {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    open: Mutex<HashMap<String, Arc<Mirror>>>,
}

impl Mirrors {
    /// Keeps mirrors below `root`, which need not be there yet.
    pub fn new(root: PathBuf) -> Self {
        Self {
            inner: Arc::new(Inner {
                root,
                open: Mutex::default(),
            }),
        }
    }

    /// Returns the mirror of the repository at `address`.
    pub(crate) fn of(&self, address: &str) -> Arc<Mirror> {
        self.named(&Self::name(address))
    }

    /// Returns the name of the mirror of the repository at `address`.
    pub(crate) fn name(address: &str) -> String {
        let mut name = ContentHash::of(address.as_bytes()).to_string();
        name.truncate(32);
        name
    }

    /// Returns the mirror of a name.
    pub(crate) fn named(&self, name: &str) -> Arc<Mirror> {
        let mut open = self
            .inner
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mirror = open.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(Mirror {
                path: self.inner.root.join(format!("{name}.git")),
                turn: Turn::default(),
                wanted: Mutex::default(),
                changes: AtomicU64::default(),
            })
        });
        Arc::clone(mirror)
    }

    /// Returns where they are.
    pub(crate) fn root(&self) -> &Path {
        &self.inner.root
    }
}

/// One repository's mirror.
#[derive(Debug)]
pub(crate) struct Mirror {
    path: PathBuf,
    /// Held by the one that fetches.
    turn: Turn<State>,
    /// What somebody waits for; whoever fetches next takes all of it along.
    wanted: Mutex<BTreeSet<String>>,
    /// How often it began to be made anew, and was.
    changes: AtomicU64,
}

/// What went wrong with a mirror.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The mirror is not whole: another one is to be made.
    Broken(String),
    /// Anything else.
    Side(SideError),
}

impl From<SideError> for Trouble {
    fn from(error: SideError) -> Self {
        Self::Side(error)
    }
}

impl Mirror {
    /// Returns where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until nobody fetches, and keeps it so for as long as the answer is held.
    pub(crate) async fn turn(&self) -> impl Sized + '_ {
        self.turn.lock().await
    }

    /// Throws it away.
    pub(crate) async fn discard(&self) -> Result<(), SideError> {
        let _turn = self.turn.lock().await;
        self.remove().await
    }

    /// Returns a command that reads it, and reaches nobody.
    pub(crate) fn reading(&self, git: &Git) -> Command {
        git.command(Some(&self.path))
    }

    async fn remove(&self) -> Result<(), SideError> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        let path = self.path.clone();
        blocking(move || remove(&path)).await
    }

    /// Tells whether all commits and directories that were fetched can be reached.
    pub(crate) async fn is_sound(&self, git: &Git, progress: &Progress) -> Result<bool, SideError> {
        let question = Question {
            // Blobs may have been left out.
            arguments: &[
                "rev-list",
                "--objects",
                "--filter=blob:none",
                "--quiet",
                "--all",
            ]
            .map(OsStr::new),
            input: Vec::new(),
            most: 1 << 20,
        };
        let (_, ended) = Git::ask(self.reading(git), question, progress).await?;
        Ok(ended.status.success())
    }

    /// Makes it if it is not there, and tells whether it was; takes away what an ended process left behind.
    async fn open(&self, git: &Git, id: &str, progress: &Progress) -> Result<bool, SideError> {
        let path = self.path.clone();
        let format = if id.len() == 64 { "sha256" } else { "sha1" };
        let is_made = blocking({
            let path = path.clone();
            move || {
                let made = fs::read_to_string(path.join(MADE)).unwrap_or_default();
                let parts = ["objects", "refs"].map(|part| path.join(part));
                if made.trim_end() == format && parts.iter().all(|part| part.is_dir()) {
                    // Whoever left a lock here is no more.
                    unlock(&path)?;
                    return Ok(true);
                }
                // Another kind of ids, never finished, or no mirror any more.
                remove(&path)?;
                let parent = path.parent().unwrap_or(Path::new("/"));
                fs::create_dir_all(parent)?;
                private(parent)?;
                Ok(false)
            }
        })
        .await?;
        if !is_made {
            let object_format = format!("--object-format={format}");
            Git::run(
                git.command(None),
                &[
                    // Refs are files, which are read without a process.
                    OsStr::new("-c"),
                    OsStr::new("init.defaultRefFormat=files"),
                    OsStr::new("init"),
                    OsStr::new("--quiet"),
                    OsStr::new("--bare"),
                    OsStr::new("--template="),
                    OsStr::new("--initial-branch=none"),
                    OsStr::new(&object_format),
                    OsStr::new("--"),
                    path.as_os_str(),
                ],
                progress,
                "making a mirror",
            )
            .await?;
            blocking(move || {
                let mut mark = tempfile::NamedTempFile::new_in(&path)?;
                writeln!(mark, "{format}")?;
                mark.as_file().sync_all()?;
                mark.persist(path.join(MADE)).map_err(|error| error.error)?;
                Ok(())
            })
            .await?;
        }
        Ok(is_made)
    }

    /// Tells whether an object was fetched, with all that it needs.
    async fn has(&self, id: &str) -> Result<bool, SideError> {
        let name = self.path.join(KEPT).join(id);
        let kept = blocking(move || match fs::read_to_string(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            other => Ok(other.unwrap_or_default()),
        });
        Ok(kept.await?.trim_end() == id)
    }
}

/// Removes the locks of processes that are no more: nobody else writes here.
fn unlock(mirror: &Path) -> io::Result<()> {
    let mut waiting = vec![mirror.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            if entry.file_type()?.is_dir() {
                // Packs and objects have no locks of this kind, and are many.
                if name != b"objects" {
                    waiting.push(entry.path());
                }
            } else if name.ends_with(b".lock") {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// Removes a mirror, first from its place.
fn remove(mirror: &Path) -> io::Result<()> {
    let mut aside = mirror.as_os_str().to_owned();
    aside.push(".old");
    let aside = PathBuf::from(aside);
    clear(&aside)?;
    match fs::rename(mirror, &aside) {
        Ok(()) => clear(&aside),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes whatever is at a path.
fn clear(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, SideError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_ended| SideError::Cancelled)?
        .map_err(|error| SideError::Storage {
            message: format!("the mirror of the repository cannot be written: {error}"),
            source: Some(Box::new(error)),
        })
}
