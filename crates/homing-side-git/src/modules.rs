//! Submodules that are followed: each at the commit that its parent names, from where `.gitmodules` says.

mod attempts;
mod listed;
mod named;
mod nearness;
mod used;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use homing_core::{Progress, SideError};

use crate::GitSide;
use crate::address::Address;
use crate::mirror::{Mirror, Trouble, Want};
use crate::remote::Remote;
use crate::sorting::Room;
use crate::tree::{self, Entry, Kind};

use attempts::Attempts;
pub(crate) use nearness::Nearness;
pub(crate) use used::{NOTES, forget_outdated, used};

/// Submodules of submodules of …
const DEEPEST: usize = 5;

/// A repository at one of its commits, and where its files are.
#[derive(Debug, Clone)]
pub(crate) struct Module {
    pub(crate) mirror: Arc<Mirror>,
    pub(crate) remote: Arc<Remote>,
    pub(crate) commit: String,
    /// Where it is in the source's own repository, with a slash at the end; that itself is nowhere.
    prefix: Vec<u8>,
    /// How many there are above it.
    depth: usize,
}

/// What came of the submodules of a revision.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// Those that are here, with all that is in them, as paths of the source's own repository.
    pub(crate) modules: Vec<(Arc<Module>, Vec<Entry>)>,
    /// Those that are not, and why.
    pub(crate) lost: Vec<(Box<[u8]>, Loss)>,
}

/// Why a submodule is not here.
#[derive(Debug)]
pub(crate) enum Loss {
    /// It is not to be followed.
    Refused(String),
    /// It could not be had.
    Failed(SideError),
}

/// A submodule that is to be followed.
struct Waiting {
    parent: Arc<Module>,
    link: Entry,
    /// Where its parent says it is.
    address: Result<Address, Loss>,
}

impl Module {
    /// Returns the source's own repository.
    pub(crate) fn top(mirror: &Arc<Mirror>, remote: &Arc<Remote>, commit: &str) -> Arc<Self> {
        Arc::new(Self {
            mirror: Arc::clone(mirror),
            remote: Arc::clone(remote),
            commit: commit.to_owned(),
            prefix: Vec::new(),
            depth: 0,
        })
    }
}

impl Loss {
    /// Returns it unless it is one of this machine, which has nothing to do with a submodule.
    fn unless_ours(self) -> Result<Self, SideError> {
        match self {
            Self::Failed(error @ (SideError::Cancelled | SideError::Storage { .. })) => Err(error),
            other => Ok(other),
        }
    }
}

impl From<SideError> for Loss {
    fn from(error: SideError) -> Self {
        Self::Failed(error)
    }
}

impl GitSide {
    /// Sees to it that the submodules of a revision are here, beginning with `links`.
    ///
    /// An error is one of this machine; whatever else becomes of a submodule is told with it.
    pub(crate) async fn follow(
        &self,
        top: Arc<Module>,
        links: Vec<Entry>,
        progress: &Progress,
    ) -> Result<Followed, SideError> {
        let mut followed = Followed::default();
        let mut waiting = VecDeque::new();
        let (mut room, mut attempts) = (Room::default(), Attempts::default());
        let near = Nearness::of(top.remote.configured(), &self.git, progress).await?;
        self.queue(&top, links, &mut waiting, progress).await?;
        while let Some(one) = waiting.pop_front() {
            let Waiting {
                parent,
                link,
                address,
            } = one;
            let begun = address.and_then(|address| {
                attempts.begin(&address)?;
                Ok(address)
            });
            let reached = match begun {
                Ok(address) => {
                    let place = (&address, near);
                    let reached =
                        Box::pin(self.reach(&parent, &link, place, &mut room, progress)).await;
                    attempts.end(&address, reached.as_ref().err());
                    reached
                }
                Err(loss) => Err(loss),
            };
            match reached {
                Ok((module, mut entries)) => {
                    let links = entries.extract_if(.., |entry| entry.kind == Kind::Submodule);
                    let links = links.collect();
                    self.queue(&module, links, &mut waiting, progress).await?;
                    followed.modules.push((module, entries));
                }
                Err(loss) => followed.lost.push((link.path, loss.unless_ours()?)),
            }
        }
        Ok(followed)
    }

    /// Has the submodules of a repository wait, with what that says of where they are.
    async fn queue(
        &self,
        parent: &Arc<Module>,
        links: Vec<Entry>,
        waiting: &mut VecDeque<Waiting>,
        progress: &Progress,
    ) -> Result<(), SideError> {
        let links: Vec<Entry> = links
            .into_iter()
            .filter(|link| !self.is_excluded(&link.path))
            .collect();
        if links.is_empty() {
            return Ok(());
        }
        let named = self.named(parent, progress).await;
        for link in links {
            let local = link.path.get(parent.prefix.len()..).unwrap_or_default();
            let address = match &named {
                Err(error) => Err(Loss::Failed(error.repeat()).unless_ours()?),
                Ok(named) => named::address(parent.remote.configured(), named.get(local))
                    .map_err(Loss::Refused),
            };
            waiting.push_back(Waiting {
                parent: Arc::clone(parent),
                link,
                address,
            });
        }
        Ok(())
    }

    /// Fetches a submodule, and lists what is in it.
    async fn reach(
        &self,
        parent: &Module,
        link: &Entry,
        (address, near): (&Address, Nearness),
        room: &mut Room,
        progress: &Progress,
    ) -> Result<(Arc<Module>, Vec<Entry>), Loss> {
        if parent.depth == DEEPEST {
            return Err(Loss::Refused(format!(
                "it lies in more than {DEEPEST} others"
            )));
        }
        let is_allowed =
            near == Nearness::Machine || Nearness::of(address, &self.git, progress).await? <= near;
        if !is_allowed {
            return Err(Loss::Refused(format!(
                "`{address}` is an address of this machine or its network, and `{}` is not: a repository elsewhere may not lead there; to have it, add it as a source of its own",
                parent.remote.configured()
            )));
        }
        let remote = Arc::new(self.remote.elsewhere(address.clone()));
        let followed = remote.address(progress).await?;
        let mirror = self.mirrors.of(followed.as_str());
        let prefix = [&link.path, &b"/"[..]].concat();
        let within = self.path.as_deref().map(str::as_bytes);
        let within = within.and_then(|path| path.strip_prefix(prefix.as_slice()));
        let within = within.and_then(|path| std::str::from_utf8(path).ok());
        let module = Arc::new(Module {
            mirror,
            remote,
            commit: link.id.clone(),
            prefix,
            depth: parent.depth + 1,
        });
        let (mirror, remote) = (&module.mirror, &module.remote);
        let want = Want {
            id: &link.id,
            name: None,
            since: None,
            may_be_partial: within.is_some(),
        };
        let seen = match mirror.ensure(&self.git, remote, want, progress).await {
            Ok(seen) => seen,
            Err(error) => {
                attempts::forget_if_empty(mirror).await?;
                return Err(error.into());
            }
        };
        let mut entries = match self.entries(&module, within, room, progress).await {
            Err(Trouble::Broken(_)) => {
                mirror
                    .rebuild(&self.git, remote, (want, seen), progress)
                    .await?;
                let again = self.entries(&module, within, room, progress).await;
                again.map_err(|trouble| self.beyond_repair(trouble))?
            }
            Err(Trouble::Side(error)) => return Err(error.into()),
            Ok(entries) => entries,
        };
        for entry in &mut entries {
            entry.path = [module.prefix.as_slice(), &entry.path].concat().into();
        }
        Ok((module, entries))
    }

    /// Lists what is in a repository, as [`Self::each`] gives it.
    async fn entries(
        &self,
        module: &Module,
        path: Option<&str>,
        room: &mut Room,
        progress: &Progress,
    ) -> Result<Vec<Entry>, Trouble> {
        let mut entries = Vec::new();
        let take = |entry: Entry| {
            room.take(&entry.path)?;
            entries.push(entry);
            Ok(())
        };
        self.each(module, path, progress, take).await?;
        Ok(entries)
    }

    /// Gives `take` all that is in a repository, below `path` alone if there is one; a submodule on the way there is all
    /// that is.
    pub(crate) async fn each(
        &self,
        module: &Module,
        path: Option<&str>,
        progress: &Progress,
        mut take: impl FnMut(Entry) -> Result<(), SideError>,
    ) -> Result<(), Trouble> {
        let (mirror, commit) = (&module.mirror, &module.commit);
        let mut is_empty = true;
        let seen = |entry| {
            is_empty = false;
            take(entry)
        };
        tree::each(&self.git, mirror, commit, path, progress, seen).await?;
        if let (true, Some(path)) = (is_empty && self.submodules, path) {
            let link = tree::link_on_the_way(&self.git, mirror, commit, path, progress).await?;
            link.map_or(Ok(()), take)?;
        }
        Ok(())
    }

    /// Tells whether nothing in a submodule is wanted.
    fn is_excluded(&self, path: &[u8]) -> bool {
        let Ok(path) = std::str::from_utf8(path) else {
            return false;
        };
        let key = match &self.path {
            None => path,
            Some(wanted) => match path.strip_prefix(wanted.as_str()) {
                Some(below) => below.trim_start_matches('/'),
                // It is on the way to what is wanted.
                None => return false,
            },
        };
        if key.is_empty() {
            return false;
        }
        let mut covered = self.selection.root();
        for end in key.match_indices('/').map(|(at, _)| at).chain([key.len()]) {
            let Some(below) = (self.selection).directory(covered, Path::new(&key[..end])) else {
                return true;
            };
            covered = below;
        }
        false
    }
}
