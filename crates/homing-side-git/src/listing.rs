//! From a revision to a manifest.

use std::sync::Arc;

use homing_core::{
    Item, ListRequest, Listed, Listing, Manifest, Problem, ProblemKind, Progress, Revision, Scope,
    SideError, Unchanged,
};
use homing_remote::{Gathering, Wanted, git_id};

use crate::GitSide;
use crate::blobs::{self, Brought, Held};
use crate::history;
use crate::mirror::{Mirror, Trouble, Want};
use crate::modules::Module;
use crate::refs::{Found, Wanted as Reference};
use crate::remote::Remote;
use crate::sorting::{Missing, Sorted};

impl GitSide {
    pub(crate) async fn listing(&self, request: &ListRequest) -> Result<Listing, SideError> {
        let progress = &request.progress;
        let Some(found) = self.find(progress).await? else {
            return Ok(self.no_commit().into());
        };
        let since = request.since.as_ref();
        let is_known =
            since.is_some_and(|since| since.name == found.commit && !self.has_lfs_come(since));
        // Keys that count no more are noticed, too.
        if is_known && self.is_verified(&found).await? {
            return Ok(Listing::Unchanged(Unchanged::default()));
        }
        let mirror = self.mirror(progress).await?;
        let seen = mirror
            .ensure(&self.git, &self.remote, self.want(&found, since)?, progress)
            .await?;
        let read = match self.read(&mirror, &found, request, is_known).await {
            Ok(read) => read,
            Err(Trouble::Side(error)) => return Err(error),
            Err(Trouble::Broken(_)) => {
                let want = self.want(&found, since)?;
                mirror
                    .rebuild(&self.git, &self.remote, (want, seen), progress)
                    .await?;
                self.read(&mirror, &found, request, is_known)
                    .await
                    .map_err(|trouble| self.beyond_repair(trouble))?
            }
        };
        let Some((manifest, shortfall)) = read else {
            return Ok(Listing::Unchanged(Unchanged::default()));
        };
        let about = history::about(&self.git, &mirror, &found.commit, progress).await?;
        Ok(Listing::from(Listed {
            revision: Some(Revision {
                name: found.commit,
                validator: self.without_lfs(&manifest),
                about,
            }),
            manifest,
            shortfall,
        }))
    }

    /// Asks the remote which revision is meant; a commit that was named is not asked about. `None` of an empty repository.
    pub(crate) async fn find(&self, progress: &Progress) -> Result<Option<Found>, SideError> {
        if matches!(self.reference, Reference::Commit(_)) {
            return self.reference.choose(&[]);
        }
        let refs = self.remote.refs(&self.reference, progress).await?;
        let found = self
            .reference
            .choose(&refs)
            .map_err(|error| self.in_place(error))?;
        if found.is_none() {
            let others = self.remote.refs(&Reference::Any, progress).await?;
            if !others.is_empty() {
                return Err(self.in_place(SideError::NotFound {
                    message: "its default branch is gone, and it has other branches or tags; set `ref` to one that is there"
                        .to_owned(),
                    source: None,
                }));
            }
        }
        Ok(found)
    }

    pub(crate) async fn mirror(&self, progress: &Progress) -> Result<Arc<Mirror>, SideError> {
        let address = self.remote.address(progress).await?;
        Ok(self.mirrors.of(address.as_str()))
    }

    /// Returns what of a revision is to be in the mirror.
    pub(crate) fn want<'a>(
        &self,
        found: &'a Found,
        since: Option<&'a Revision>,
    ) -> Result<Want<'a>, SideError> {
        Ok(Want {
            id: self.subject(found)?,
            name: found.name.as_deref(),
            since: since.map(|since| since.name.as_str()),
            may_be_partial: self.path.is_some(),
        })
    }

    /// Verifies who signed it and reads what is there, and why some of it could not be had; `None` of what is known.
    async fn read(
        &self,
        mirror: &Arc<Mirror>,
        found: &Found,
        request: &ListRequest,
        is_known: bool,
    ) -> Result<Option<(Manifest, Option<SideError>)>, Trouble> {
        let progress = &request.progress;
        self.verify(mirror, found, progress).await?;
        if is_known {
            return Ok(None);
        }
        let top = Module::top(mirror, &self.remote, &found.commit);
        let known = git_id::known_blobs(request);
        let mut gathering = self.gathering(&request.scope);
        let Sorted { missing, links } = self.sort(&top, &known, &mut gathering, progress).await?;
        let own = self.take_in(&top, missing, &mut gathering, request).await?;
        let shortfall = self
            .take_in_submodules(&top, links, &known, &mut gathering, request)
            .await?;
        Ok(Some((gathering.finish(), own.or(shortfall))))
    }

    pub(crate) fn gathering<'a>(&'a self, scope: &'a Scope) -> Gathering<'a> {
        Gathering::new(Wanted {
            place: &self.shown_place,
            path: self.path.as_deref(),
            selection: &self.selection,
            limits: self.limits,
            scope,
        })
    }

    /// Takes in the contents that are not known; returns why some could not be had.
    pub(crate) async fn take_in(
        &self,
        module: &Module,
        missing: Missing,
        gathering: &mut Gathering<'_>,
        request: &ListRequest,
    ) -> Result<Option<SideError>, Trouble> {
        let progress = &request.progress;
        let (ids, places): (Vec<String>, Vec<_>) = missing.into_iter().unzip();
        let Module { mirror, remote, .. } = module;
        let sizes = self.sizes(mirror, remote, &ids, progress).await?;
        let (mut wanted, mut wanted_places, mut bytes) = (Vec::new(), Vec::new(), 0);
        for ((id, places), held) in ids.into_iter().zip(places).zip(sizes) {
            let Held::Size(size) = held else {
                return Err(Trouble::Broken(format!("it lacks the blob {id}")));
            };
            let mut fitting = Vec::new();
            for (key, executable) in places {
                if gathering.fits(&key, size) {
                    gathering.count(size)?;
                    fitting.push((key, executable));
                }
            }
            if !fitting.is_empty() {
                bytes += size;
                wanted.push(id);
                wanted_places.push(fitting);
            }
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        request.intake.begin(wanted.len() as u64, bytes).await?;
        let contents = request.intake.contents();
        let brought = blobs::bring(&self.git, mirror, wanted.clone(), contents, progress).await?;
        let mut pointed = Vec::new();
        for ((id, places), brought) in wanted.into_iter().zip(wanted_places).zip(brought) {
            match brought {
                Brought::Kept { hash, size } => {
                    for (key, executable) in places {
                        let item = Item {
                            hash,
                            size,
                            executable,
                            identity: Some(git_id::identity(&id)),
                        };
                        gathering.present(key, item);
                    }
                }
                Brought::Pointer(pointer) => pointed.push((id, places, pointer)),
            }
        }
        let shortfall = self.take_in_pointed(module, pointed, gathering, request);
        Ok(shortfall.await?)
    }

    /// Tells how long blobs are; those that a partial fetch left out are fetched.
    pub(crate) async fn sizes(
        &self,
        mirror: &Mirror,
        remote: &Remote,
        ids: &[String],
        progress: &Progress,
    ) -> Result<Vec<Held>, Trouble> {
        let sizes = blobs::sizes(&self.git, mirror, ids.to_vec(), progress).await?;
        let missing = ids.iter().zip(&sizes);
        let missing: Vec<String> = missing
            .filter(|(_, held)| **held == Held::Missing)
            .map(|(id, _)| id.clone())
            .collect();
        if missing.is_empty() {
            return Ok(sizes);
        }
        mirror
            .bring_blobs(&self.git, remote, &missing, progress)
            .await?;
        blobs::sizes(&self.git, mirror, ids.to_vec(), progress).await
    }

    /// A repository without a commit holds nothing, and says why.
    pub(crate) fn no_commit(&self) -> Manifest {
        Manifest {
            problems: vec![Problem {
                kind: ProblemKind::Empty,
                path: String::new(),
                message: format!("{} is empty: it has no commit", self.shown_place),
            }],
            ..Manifest::default()
        }
    }

    /// Says of which repository an error tells.
    fn in_place(&self, error: SideError) -> SideError {
        match error {
            SideError::NotFound { message, source } => SideError::NotFound {
                message: format!("{}: {message}", self.shown_place),
                source,
            },
            other => other,
        }
    }

    /// What is to be said of a mirror that is broken although it was just made.
    pub(crate) fn beyond_repair(&self, trouble: Trouble) -> SideError {
        match trouble {
            Trouble::Side(error) => error,
            Trouble::Broken(why) => SideError::Transient {
                message: format!(
                    "what {} sends cannot be read, also after fetching it anew: {why}",
                    self.shown_place
                ),
                retry_after: None,
                source: None,
            },
        }
    }
}
