//! Bare mirrors: one for each repository, however many sources read it.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use homing_core::{ContentHash, Progress, SideError};
use homing_remote::git_id;
use tokio::process::Command;
use tokio::sync::Mutex as Turn;

use crate::errors;
use crate::git::{Git, Question};
use crate::pack::{self, Depth, Fetched, Order};
use crate::remote::Remote;

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
}

/// What is known of the remote in this process.
#[derive(Debug, Default)]
struct State {
    /// The remote refused to leave blobs out.
    sends_all: bool,
}

/// A revision that is to be in the mirror.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want<'a> {
    /// A commit or an annotated tag.
    pub(crate) id: &'a str,
    /// What it was before: the commits in between are wanted too, where that is one of its ancestors.
    pub(crate) since: Option<&'a str>,
    /// Its blobs may be left out: only some of them will be read.
    pub(crate) may_be_partial: bool,
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

    /// Sees to it that an object, and all that it needs, is there.
    pub(crate) async fn ensure(
        &self,
        git: &Git,
        remote: &Remote,
        want: Want<'_>,
        progress: &Progress,
    ) -> Result<(), SideError> {
        self.note(want.id);
        let mut state = self.turn.lock().await;
        let result = self.bring(&mut state, git, remote, want, progress).await;
        locked(&self.wanted).remove(want.id);
        result
    }

    /// Fetches blobs that a partial fetch left out.
    pub(crate) async fn bring_blobs(
        &self,
        git: &Git,
        remote: &Remote,
        ids: &[String],
        progress: &Progress,
    ) -> Result<(), SideError> {
        let mut state = self.turn.lock().await;
        let errand = Errand {
            ids,
            are_commits: false,
            since: None,
            may_be_partial: false,
        };
        self.fetch(&mut state, git, remote, &errand, progress).await
    }

    /// Throws the mirror away and makes it anew.
    pub(crate) async fn rebuild(
        &self,
        git: &Git,
        remote: &Remote,
        want: Want<'_>,
        progress: &Progress,
    ) -> Result<(), SideError> {
        self.note(want.id);
        let mut state = self.turn.lock().await;
        self.remove().await?;
        let result = self.bring(&mut state, git, remote, want, progress).await;
        locked(&self.wanted).remove(want.id);
        result
    }

    fn note(&self, id: &str) {
        locked(&self.wanted).insert(id.to_owned());
    }

    async fn bring(
        &self,
        state: &mut State,
        git: &Git,
        remote: &Remote,
        want: Want<'_>,
        progress: &Progress,
    ) -> Result<(), SideError> {
        let was_there = self.open(git, want.id, progress).await?;
        if self.has(want.id).await? {
            return Ok(());
        }
        let wanted: Vec<String> = locked(&self.wanted).iter().cloned().collect();
        let alone = [want.id.to_owned()];
        let since = match want.since {
            Some(since) if wanted == alone => self.committed_at(git, since, progress).await?,
            _ => None,
        };
        let errand = |ids| Errand {
            ids,
            are_commits: true,
            since,
            may_be_partial: want.may_be_partial,
        };
        // What somebody else waits for may be what cannot be had.
        let mut fetched = self
            .fetch(state, git, remote, &errand(&wanted), progress)
            .await;
        if fetched.is_err() && wanted != alone {
            fetched = self
                .fetch(state, git, remote, &errand(&alone), progress)
                .await;
        }
        // A mirror that is broken fails every fetch, whatever the remote says.
        if fetched.is_err() && was_there && !self.is_sound(git, progress).await? {
            self.remove().await?;
            self.open(git, want.id, progress).await?;
            fetched = self
                .fetch(state, git, remote, &errand(&alone), progress)
                .await;
        }
        fetched
    }

    async fn remove(&self) -> Result<(), SideError> {
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

    /// Returns when a commit of the mirror was made; `None` when it is not there.
    async fn committed_at(
        &self,
        git: &Git,
        id: &str,
        progress: &Progress,
    ) -> Result<Option<u64>, SideError> {
        let arguments = ["log", "-1", "--format=%ct", "--end-of-options", id, "--"];
        let question = Question {
            arguments: &arguments.map(OsStr::new),
            input: Vec::new(),
            most: 1024,
        };
        let (answer, ended) = Git::ask(self.reading(git), question, progress).await?;
        let time = String::from_utf8_lossy(&answer).trim().parse().ok();
        Ok(time.filter(|_| ended.status.success()))
    }

    /// Fetches by ids: the refs may have moved since they were told.
    async fn fetch(
        &self,
        state: &mut State,
        git: &Git,
        remote: &Remote,
        order: &Errand<'_>,
        progress: &Progress,
    ) -> Result<(), SideError> {
        if order.ids.is_empty() {
            return Ok(());
        }
        let is_partial = order.may_be_partial && !state.sends_all;
        let depth = order.are_commits.then_some(Depth::One);
        // Where a server cannot do the one, it may do the other; the last is what each of them can.
        let mut ways = vec![(depth, false)];
        if is_partial {
            ways.insert(0, (depth, true));
        }
        if let Some(since) = order.since {
            ways.insert(0, (Some(Depth::Since(since)), is_partial));
        }
        for (depth, is_partial) in ways {
            if self
                .fetch_at_once(git, remote, order, depth, is_partial, progress)
                .await?
            {
                return Ok(());
            }
            state.sends_all |= is_partial && depth == Some(Depth::One);
        }
        if order.since.is_some() {
            let fetched = self.fetch_by_git(remote, order, progress).await;
            // Some servers cannot, and none can where nothing is as young as what was known.
            if !matches!(fetched, Err(SideError::Transient { .. })) {
                return fetched;
            }
        }
        let order = Errand {
            since: None,
            ..*order
        };
        self.fetch_by_git(remote, &order, progress).await
    }

    /// Fetches with one request, over HTTP; `false` where Git should try.
    async fn fetch_at_once(
        &self,
        git: &Git,
        remote: &Remote,
        errand: &Errand<'_>,
        depth: Option<Depth>,
        is_partial: bool,
        progress: &Progress,
    ) -> Result<bool, SideError> {
        let mut index_pack = self.reading(git);
        index_pack.args(["index-pack", "--stdin", "--fix-thin"]);
        let path = self.path.clone();
        let (shallow, kept) = blocking(move || {
            let kept = fs::read_dir(path.join(KEPT)).into_iter().flatten();
            let kept = kept.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            let kept: Vec<String> = kept.filter(|name| git_id::is_full(name)).collect();
            Ok((pack::shallow_commits(&path)?, kept))
        })
        .await?;
        let order = Order {
            wants: errand.ids,
            haves: if errand.are_commits { &kept } else { &[] },
            shallow: &shallow,
            depth,
            without_blobs: is_partial && errand.are_commits,
            format: (errand.ids[0].len() == 64).then_some("sha256"),
        };
        let fetched = remote.fetch_over_http(&order, index_pack, progress).await?;
        let Fetched::Whole { shallow, unshallow } = fetched else {
            return Ok(false);
        };
        if !errand.are_commits {
            return Ok(true);
        }
        let path = self.path.clone();
        blocking(move || pack::note_shallow(&path, &shallow, &unshallow)).await?;
        let lines = errand.ids.iter();
        let lines: String = lines
            .map(|id| ["update ", KEPT, id, " ", id, "\n"].concat())
            .collect();
        let question = Question {
            arguments: &["update-ref", "--stdin"].map(OsStr::new),
            input: lines.into_bytes(),
            most: 1 << 20,
        };
        let (_, ended) = Git::ask(self.reading(git), question, progress).await?;
        if ended.status.success() {
            return Ok(true);
        }
        Err(errors::of_git("keeping what was fetched", &ended))
    }

    /// Has Git fetch, however it reaches the remote.
    async fn fetch_by_git(
        &self,
        remote: &Remote,
        errand: &Errand<'_>,
        progress: &Progress,
    ) -> Result<(), SideError> {
        let address = remote.address(progress).await?;
        let mut command = remote.command(Some(&self.path), progress).await?;
        let depth = match errand.since {
            Some(time) => format!("--shallow-since={time}"),
            None => "--depth=1".to_owned(),
        };
        let mut arguments: Vec<OsString> = [
            "fetch",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--progress",
            "--force",
            &depth,
            "--",
            address.as_str(),
        ]
        .map(OsString::from)
        .to_vec();
        arguments.extend(errand.ids.iter().map(|id| {
            OsString::from(if errand.are_commits {
                format!("{id}:{KEPT}{id}")
            } else {
                id.clone()
            })
        }));
        command.args(&arguments);
        progress.count_request();
        let doing = format!("fetching from `{address}`");
        let talk = Git::begin(command, progress)?;
        let ended = talk.end().await.map_err(|error| SideError::Storage {
            message: format!("{doing} failed: {error}"),
            source: None,
        })?;
        if ended.status.success() {
            return Ok(());
        }
        // What it left unfinished has no name and does no harm; its locks would.
        let path = self.path.clone();
        blocking(move || unlock(&path)).await?;
        Err(errors::of_git(&doing, &ended))
    }
}

/// What is to be fetched.
#[derive(Debug, Clone, Copy)]
struct Errand<'a> {
    ids: &'a [String],
    /// They are commits or tags, which are kept; else blobs.
    are_commits: bool,
    /// The commits since then are wanted too.
    since: Option<u64>,
    /// Blobs may be left out.
    may_be_partial: bool,
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

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
