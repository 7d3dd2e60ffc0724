//! What is brought into a mirror: by one request where the remote can, by Git where it cannot.

use std::ffi::OsStr;

use homing_core::{Progress, SideError};

use super::{KEPT, Kept, Mirror, PARTIAL, Seen, Trouble, blocking, files};
use crate::errors;
use crate::git::{Git, Question};
use crate::pack::{self, Depth, Fetched, Order};
use crate::remote::Remote;

/// Blobs that are asked for at once: more would be a longer question than servers take by default.
const MOST_BLOBS: usize = 8192;

/// What is known of the remote in this process.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The remote refused to leave blobs out.
    pub(super) sends_all: bool,
    /// It knows of no depth.
    pub(super) sends_history: bool,
    /// It gives out what its refs lead to, and nothing by its id.
    pub(super) gives_only_refs: bool,
}

/// How the remote is reached.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach<'a> {
    pub(super) git: &'a Git,
    pub(super) remote: &'a Remote,
    pub(super) progress: &'a Progress,
}

/// A revision that is to be in the mirror.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want<'a> {
    /// A commit or an annotated tag.
    pub(crate) id: &'a str,
    /// The ref that leads to it; `None` of a commit that was named itself.
    pub(crate) name: Option<&'a str>,
    /// What it was before: the commits in between are wanted too, where that is one of its ancestors.
    pub(crate) since: Option<&'a str>,
    /// Its blobs may be left out: only some of them will be read.
    pub(crate) may_be_partial: bool,
}

/// What is to be fetched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Errand<'a> {
    pub(super) ids: &'a [String],
    /// They are commits or tags, which are kept; else blobs.
    pub(super) are_commits: bool,
    /// The ref that leads to it, where it is one.
    pub(super) name: Option<&'a str>,
    /// The commits since then are wanted too.
    pub(super) since: Option<u64>,
    /// Blobs may be left out.
    may_be_partial: bool,
}

/// Why nothing came.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: SideError,
    /// Git could not take in what came: the mirror itself may be why.
    pub(super) is_suspect: bool,
}

impl From<SideError> for Failure {
    fn from(error: SideError) -> Self {
        Self {
            is_suspect: matches!(error, SideError::Storage { .. }),
            error,
        }
    }
}

impl Failure {
    pub(super) fn suspect(error: SideError) -> Self {
        Self {
            error,
            is_suspect: true,
        }
    }
}

impl Mirror {
    /// Sees to it that an object, and all that it needs, is there; returns of which mirror that is said.
    pub(crate) async fn ensure(
        &self,
        git: &Git,
        remote: &Remote,
        want: Want<'_>,
        progress: &Progress,
    ) -> Result<Seen, SideError> {
        let made = self.seen();
        if self.has(&want).await? {
            return Ok(made);
        }
        let _waiter = self.waiting.begin(&want);
        let reach = Reach {
            git,
            remote,
            progress,
        };
        let mut state = self.state(progress).await;
        // Whoever waits for it need not be as large.
        Box::pin(self.bring(&mut state, reach, want)).await?;
        Ok(self.seen())
    }

    /// Fetches blobs that a partial fetch left out; where none did, the mirror has lost them.
    pub(crate) async fn bring_blobs(
        &self,
        git: &Git,
        remote: &Remote,
        ids: &[String],
        progress: &Progress,
    ) -> Result<(), Trouble> {
        let reach = Reach {
            git,
            remote,
            progress,
        };
        let mut state = self.state(progress).await;
        if !self.is_partial().await? {
            let some = ids.first().map_or("", String::as_str);
            return Err(Trouble::Broken(format!("it lacks the blob {some}")));
        }
        for ids in ids.chunks(MOST_BLOBS) {
            let errand = Errand {
                ids,
                are_commits: false,
                name: None,
                since: None,
                may_be_partial: false,
            };
            if let Err(failure) = self.fetch(&mut state, reach, &errand).await {
                self.clean().await;
                return Err(self.blame(failure, reach).await);
            }
        }
        Ok(())
    }

    /// Tells whether blobs were left out of anything that is kept.
    pub(super) async fn is_partial(&self) -> Result<bool, SideError> {
        Ok(!self.kept().await?.partial.is_empty())
    }

    pub(super) async fn kept(&self) -> Result<Kept, SideError> {
        let path = self.path.clone();
        blocking(move || Kept::read(&path)).await
    }

    /// Fetches what is wanted, and whatever else is waited for, unless somebody did.
    pub(super) async fn bring(
        &self,
        state: &mut State,
        reach: Reach<'_>,
        want: Want<'_>,
    ) -> Result<(), SideError> {
        if self.has(&want).await? {
            return Ok(());
        }
        let was_there = self.open(reach.git, want.id, reach.progress).await?;
        if let Err(failure) = self.fetch_awaited(state, reach, want).await {
            self.clean().await;
            return match self.blame(failure, reach).await {
                // A mirror that is broken fails every fetch, whatever the remote says.
                Trouble::Broken(_) if was_there => self.remake(state, reach, want).await,
                Trouble::Broken(message) => Err(SideError::Transient {
                    message,
                    retry_after: None,
                    source: None,
                }),
                Trouble::Side(error) => Err(error),
            };
        }
        Ok(())
    }

    /// Takes away what a fetch that failed left behind.
    async fn clean(&self) {
        let path = self.path.clone();
        // What stays is taken away before the next one.
        blocking(move || files::clean(&path))
            .await
            .unwrap_or_default();
    }

    /// Fetches all that is waited for; what is wanted alone, where that cannot be had together.
    async fn fetch_awaited(
        &self,
        state: &mut State,
        reach: Reach<'_>,
        want: Want<'_>,
    ) -> Result<(), Failure> {
        let want = Want {
            may_be_partial: want.may_be_partial && !self.waiting.is_whole_awaited(want.id),
            ..want
        };
        let ids = self.waiting.ids(&want);
        if ids.len() > 1 && !state.gives_only_refs {
            let errand = Errand {
                ids: &ids,
                are_commits: true,
                name: None,
                since: None,
                may_be_partial: want.may_be_partial,
            };
            // What somebody else waits for may be what cannot be had.
            if self.fetch(state, reach, &errand).await.is_ok() && self.has(&want).await? {
                return Ok(());
            }
        }
        self.fetch_alone(state, reach, want).await
    }

    /// Fetches what is wanted, with the commits since what was known.
    pub(super) async fn fetch_alone(
        &self,
        state: &mut State,
        reach: Reach<'_>,
        want: Want<'_>,
    ) -> Result<(), Failure> {
        let since = match want.since {
            Some(since) => self.committed_at(reach, since).await?,
            None => None,
        };
        let errand = Errand {
            ids: &[want.id.to_owned()],
            are_commits: true,
            name: want.name,
            since,
            may_be_partial: want.may_be_partial,
        };
        self.fetch(state, reach, &errand).await
    }

    /// Returns when a commit of the mirror was made; `None` when it is not there.
    async fn committed_at(&self, reach: Reach<'_>, id: &str) -> Result<Option<u64>, SideError> {
        let arguments = ["log", "-1", "--format=%ct", "--end-of-options", id, "--"];
        let question = Question {
            arguments: &arguments.map(OsStr::new),
            input: Vec::new(),
            most: 1024,
        };
        let (answer, ended) = Git::ask(self.reading(reach.git), question, reach.progress).await?;
        let time = String::from_utf8_lossy(&answer).trim().parse().ok();
        Ok(time.filter(|_| ended.status.success()))
    }

    /// Fetches by ids: the refs may have moved since they were told.
    async fn fetch(
        &self,
        state: &mut State,
        reach: Reach<'_>,
        errand: &Errand<'_>,
    ) -> Result<(), Failure> {
        let is_partial = errand.may_be_partial && !state.sends_all;
        let depth = errand.are_commits.then_some(Depth::One);
        // Where a server cannot do the one, it may do the other; the last is what each of them can.
        let mut ways = vec![(depth, false)];
        if is_partial {
            ways.insert(0, (depth, true));
        }
        if let Some(since) = errand.since {
            ways.insert(0, (Some(Depth::Since(since)), is_partial));
        }
        for way in ways {
            if self.fetch_at_once(reach, errand, way).await? {
                let (_, came_partial) = way;
                state.sends_all |= is_partial && !came_partial;
                return Ok(());
            }
        }
        self.fetch_by_git(state, reach, errand).await
    }

    /// Fetches with one request, over HTTP; `false` where Git should try.
    async fn fetch_at_once(
        &self,
        reach: Reach<'_>,
        errand: &Errand<'_>,
        (depth, is_partial): (Option<Depth>, bool),
    ) -> Result<bool, Failure> {
        let path = self.path.clone();
        let shallow = blocking(move || pack::shallow_commits(&path));
        let told = Told::of(errand, is_partial, self.kept().await?, shallow.await?);
        // What is here may be less than its names say.
        for Told { haves, shallow } in [told, Told::default()] {
            let knows_some = !haves.is_empty();
            let mut index_pack = self.reading(reach.git);
            index_pack.args(["index-pack", "-v", "--stdin", "--fix-thin"]);
            let order = Order {
                wants: errand.ids,
                haves: &haves,
                shallow: &shallow,
                depth,
                without_blobs: is_partial,
                format: (errand.ids[0].len() == 64).then_some("sha256"),
                ceilings: reach.git.ceilings(),
            };
            let remote = reach.remote;
            let fetched = remote.fetch_over_http(&order, index_pack, reach.progress);
            match fetched.await? {
                Fetched::Whole { shallow, unshallow } => {
                    if errand.are_commits {
                        let path = self.path.clone();
                        blocking(move || pack::note_shallow(&path, &shallow, &unshallow)).await?;
                        self.keep(reach, errand.ids, is_partial).await?;
                    }
                    return Ok(true);
                }
                Fetched::Surprise => return Ok(false),
                Fetched::Refused { lacks_bases, .. } if lacks_bases && knows_some => {}
                Fetched::Refused { error, .. } => return Err(Failure::suspect(error)),
            }
        }
        Ok(false)
    }

    /// Names what was fetched.
    pub(super) async fn keep(
        &self,
        reach: Reach<'_>,
        ids: &[String],
        is_partial: bool,
    ) -> Result<(), Failure> {
        let place = if is_partial { PARTIAL } else { KEPT };
        let named = ids.iter().map(|id| format!("update {place}{id} {id}\n"));
        let mut lines: String = named.collect();
        if !is_partial {
            let partial = self.kept().await?.partial.into_iter();
            let outdone = partial.filter(|id| ids.contains(id));
            lines.extend(outdone.map(|id| format!("delete {PARTIAL}{id}\n")));
        }
        let question = Question {
            arguments: &["update-ref", "--stdin"].map(OsStr::new),
            input: lines.into_bytes(),
            most: 1 << 20,
        };
        let (_, ended) = Git::ask(self.reading(reach.git), question, reach.progress).await?;
        if ended.status.success() {
            return Ok(());
        }
        let error = errors::of_git("keeping what was fetched", &ended);
        Err(Failure::suspect(error))
    }
}

/// What a server is told of what is here.
#[derive(Debug, Default)]
struct Told {
    haves: Vec<String>,
    shallow: Vec<String>,
}

impl Told {
    /// Tells only of what has everything that the server would leave out then.
    fn of(errand: &Errand<'_>, is_partial: bool, kept: Kept, mut shallow: Vec<String>) -> Self {
        if !errand.are_commits {
            return Self::default();
        }
        let mut haves = kept.whole;
        if is_partial {
            haves.extend(kept.partial);
        } else {
            // The end of a history that becomes longer counts as something that is here.
            shallow.retain(|id| !kept.partial.contains(id));
        }
        if haves.is_empty() {
            shallow.clear();
        }
        Self { haves, shallow }
    }
}
