//! What is brought into a mirror: by one request where the remote can, by Git where it cannot.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use homing_core::{Progress, SideError};
use homing_remote::git_id;

use super::{KEPT, Mirror, blocking, unlock};
use crate::errors;
use crate::git::{Git, Question};
use crate::pack::{self, Depth, Fetched, Order};
use crate::remote::Remote;

/// What is known of the remote in this process.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The remote refused to leave blobs out.
    sends_all: bool,
}

/// Which of the mirrors it was that have been in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen(u64);

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

impl Mirror {
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

    /// Throws the mirror that was seen away and makes it anew.
    pub(crate) async fn rebuild(
        &self,
        git: &Git,
        remote: &Remote,
        (want, seen): (Want<'_>, Seen),
        progress: &Progress,
    ) -> Result<(), SideError> {
        self.note(want.id);
        let mut state = self.turn.lock().await;
        // Whoever reads what somebody else has just made anew is not to lose it.
        if self.seen() == seen {
            self.remove().await?;
        }
        let result = self.bring(&mut state, git, remote, want, progress).await;
        self.changes.fetch_add(1, Ordering::SeqCst);
        locked(&self.wanted).remove(want.id);
        result
    }

    /// Returns which mirror it is now; to be asked before it is read.
    pub(crate) fn seen(&self) -> Seen {
        Seen(self.changes.load(Ordering::SeqCst))
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
