//! Bare mirrors, and how they are kept: one for each repository, however many sources read it.

mod by_git;
mod fetching;
pub(crate) mod files;
mod rebuilding;
mod waiting;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use homing_core::{ContentHash, Progress, SideError};
use homing_remote::git_id;
use tokio::process::Command;
use tokio::sync::{Mutex as Turn, MutexGuard};

use crate::git::Git;

use fetching::State;
pub(crate) use fetching::Want;
pub(crate) use files::blocking;
use waiting::Waiting;

/// Where the refs are that keep what was fetched.
const KEPT: &str = "refs/homing/";
/// Where those are whose blobs were left out: what is told of them to a server must not make it leave out more.
const PARTIAL: &str = "refs/homing/partial/";
/// Whoever waits says so this often.
const STILL_THERE: Duration = Duration::from_millis(250);
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
        let mirror = open
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Mirror::at(self.inner.root.join(format!("{name}.git")))));
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
    /// What is waited for; whoever fetches next takes all of it along.
    waiting: Waiting,
    /// How many were here before.
    changes: AtomicU64,
}

/// Which of the mirrors that had a place one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen(u64);

/// What a mirror keeps by name.
#[derive(Debug, Default)]
struct Kept {
    /// Commits and tags with all that they need.
    whole: Vec<String>,
    /// Those whose blobs were left out.
    partial: Vec<String>,
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

impl Kept {
    fn read(mirror: &Path) -> io::Result<Self> {
        let names = |place: &str| -> io::Result<Vec<String>> {
            let entries = match fs::read_dir(mirror.join(place)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                other => other?,
            };
            let mut names = Vec::new();
            for entry in entries {
                let name = entry?.file_name().into_string();
                names.extend(name.into_iter().filter(|name| git_id::is_full(name)));
            }
            Ok(names)
        };
        Ok(Self {
            whole: names(KEPT)?,
            partial: names(PARTIAL)?,
        })
    }
}

impl Mirror {
    fn at(path: PathBuf) -> Self {
        Self {
            path,
            turn: Turn::default(),
            waiting: Waiting::default(),
            changes: AtomicU64::default(),
        }
    }

    /// Returns where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until nobody fetches, and keeps it so for as long as the answer is held.
    pub(crate) async fn turn(&self) -> impl Sized + '_ {
        self.turn.lock().await
    }

    /// Waits for the turn to fetch; whoever has it has limits of its own.
    async fn state(&self, progress: &Progress) -> MutexGuard<'_, State> {
        patiently(progress, self.turn.lock()).await
    }

    /// Returns which one it is; what is read may be of this one or of a later one.
    pub(crate) fn seen(&self) -> Seen {
        Seen(self.changes.load(Ordering::SeqCst))
    }

    /// Throws it away.
    pub(crate) async fn discard(&self) -> Result<(), SideError> {
        let _turn = self.turn().await;
        self.give_up().await
    }

    /// Throws it away; the turn is held.
    pub(crate) async fn give_up(&self) -> Result<(), SideError> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.remove().await
    }

    /// Takes away what an ended process put beside it; the turn is held.
    pub(crate) async fn clear_beside(&self) -> Result<(), SideError> {
        let paths = [".old", ".new"].map(|ending| files::beside(&self.path, ending));
        blocking(move || paths.iter().try_for_each(|path| files::clear(path))).await
    }

    /// Returns a command that reads it, and reaches nobody.
    pub(crate) fn reading(&self, git: &Git) -> Command {
        git.command(Some(&self.path))
    }

    async fn remove(&self) -> Result<(), SideError> {
        let path = self.path.clone();
        blocking(move || files::remove(&path)).await
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
                    files::clean(&path)?;
                    return Ok(true);
                }
                // Another kind of ids, never finished, or no mirror any more.
                files::remove(&path)?;
                let parent = path.parent().unwrap_or(Path::new("/"));
                fs::create_dir_all(parent)?;
                files::private(parent)?;
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

    /// Tells whether what is wanted was fetched.
    async fn has(&self, want: &Want<'_>) -> Result<bool, SideError> {
        let mut names = vec![self.path.join(KEPT).join(want.id)];
        if want.may_be_partial {
            names.push(self.path.join(PARTIAL).join(want.id));
        }
        let id = want.id.to_owned();
        blocking(move || {
            for name in names {
                match fs::read_to_string(name) {
                    Ok(kept) if kept.trim_end() == id => return Ok(true),
                    // What stands in the way is seen by whoever fetches.
                    _ => {}
                }
            }
            Ok(false)
        })
        .await
    }
}

/// Waits for something that has limits of its own, which is no stall of whoever waits.
pub(crate) async fn patiently<T>(progress: &Progress, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        match tokio::time::timeout(STILL_THERE, &mut work).await {
            Ok(done) => return done,
            Err(_elapsed) => progress.advance(0),
        }
    }
}
