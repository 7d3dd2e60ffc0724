//! From a revision to a manifest.

use std::collections::HashMap;
use std::sync::Arc;

use homing_core::{
    Item, ItemKey, ListRequest, Listed, Listing, Manifest, Problem, ProblemKind, Progress,
    Revision, Scope, SideError, UnknownReason,
};
use homing_remote::{Gathering, Wanted, git_id};

use crate::GitSide;
use crate::blobs::{self, Brought, Held};
use crate::history;
use crate::mirror::{Mirror, Trouble, Want};
use crate::refs::{Found, Wanted as Reference};
use crate::tree::{self, Entry, Kind};

/// Bytes of a path; no file system has longer ones.
const LONGEST_PATH: usize = 4096;
/// What is shown of one that is longer.
const SHOWN_OF_A_PATH: usize = 100;
/// Bytes of all paths that are kept, several times each.
const MOST_PATH_BYTES: usize = 16 << 20;
/// What stands where a file's content should be.
const POINTER: &str = "a Git LFS pointer";

/// Files that are not known by their blobs: the blob, where it is, and whether it may be executed there.
type Missing = HashMap<String, Vec<(ItemKey, bool)>>;

impl GitSide {
    pub(crate) async fn listing(&self, request: &ListRequest) -> Result<Listing, SideError> {
        let progress = &request.progress;
        let Some(found) = self.find(progress).await? else {
            return Ok(self.no_commit().into());
        };
        let since = request.since.as_ref();
        let is_known = since.is_some_and(|since| since.name == found.commit);
        // Keys that count no more are noticed, too.
        if is_known && self.is_verified(&found).await? {
            return Ok(Listing::Unchanged(Vec::new()));
        }
        let mirror = self.mirror(progress).await?;
        mirror
            .ensure(&self.git, &self.remote, self.want(&found, since)?, progress)
            .await?;
        let read = match self.read(&mirror, &found, request, is_known).await {
            Ok(read) => read,
            Err(Trouble::Side(error)) => return Err(error),
            Err(Trouble::Broken(_)) => {
                mirror
                    .rebuild(&self.git, &self.remote, self.want(&found, since)?, progress)
                    .await?;
                self.read(&mirror, &found, request, is_known)
                    .await
                    .map_err(|trouble| self.beyond_repair(trouble))?
            }
        };
        let Some(manifest) = read else {
            return Ok(Listing::Unchanged(Vec::new()));
        };
        let about = history::about(&self.git, &mirror, &found.commit, progress).await?;
        Ok(Listing::from(Listed {
            manifest,
            revision: Some(Revision {
                name: found.commit,
                validator: None,
                about,
            }),
            shortfall: None,
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
            let branches = self.remote.refs(&Reference::AnyBranch, progress).await?;
            if !branches.is_empty() {
                return Err(self.in_place(SideError::NotFound {
                    message: "its default branch is gone, and it has others; set `ref` to one that is there"
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
            since: since.map(|since| since.name.as_str()),
            may_be_partial: self.path.is_some(),
        })
    }

    /// Verifies who signed it and reads what is there; `None` of what is known.
    async fn read(
        &self,
        mirror: &Mirror,
        found: &Found,
        request: &ListRequest,
        is_known: bool,
    ) -> Result<Option<Manifest>, Trouble> {
        let progress = &request.progress;
        self.verify(mirror, found, progress).await?;
        if is_known {
            return Ok(None);
        }
        let known = git_id::known_blobs(request);
        let mut gathering = self.gathering(&request.scope);
        let missing = self
            .sort(mirror, &found.commit, &known, &mut gathering, progress)
            .await?;
        self.take_in(mirror, missing, &mut gathering, request)
            .await?;
        Ok(Some(gathering.finish()))
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

    /// Sorts what is at a commit into items that are known, problems, and blobs that are missing.
    pub(crate) async fn sort(
        &self,
        mirror: &Mirror,
        commit: &str,
        known: &HashMap<&str, &Item>,
        gathering: &mut Gathering<'_>,
        progress: &Progress,
    ) -> Result<Missing, Trouble> {
        let mut sorting = Sorting {
            known,
            gathering,
            missing: Missing::new(),
            bytes: 0,
        };
        let take = |entry| sorting.take(entry);
        tree::each(
            &self.git,
            mirror,
            commit,
            self.path.as_deref(),
            progress,
            take,
        )
        .await?;
        Ok(sorting.missing)
    }

    /// Takes in the contents that are not known.
    async fn take_in(
        &self,
        mirror: &Mirror,
        missing: Missing,
        gathering: &mut Gathering<'_>,
        request: &ListRequest,
    ) -> Result<(), Trouble> {
        let progress = &request.progress;
        let (ids, places): (Vec<String>, Vec<_>) = missing.into_iter().unzip();
        let sizes = self.sizes(mirror, &ids, progress).await?;
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
            return Ok(());
        }
        request.intake.begin(wanted.len() as u64, bytes).await?;
        let contents = request.intake.contents();
        let brought = blobs::bring(&self.git, mirror, wanted.clone(), contents, progress).await?;
        for ((id, places), brought) in wanted.iter().zip(wanted_places).zip(brought) {
            for (key, executable) in places {
                match brought {
                    Brought::Kept { hash, size } => {
                        let item = Item {
                            hash,
                            size,
                            executable,
                            identity: Some(git_id::identity(id)),
                        };
                        gathering.present(key, item);
                    }
                    Brought::Pointer => {
                        let reason = UnknownReason::NotAFile(POINTER);
                        gathering.cannot_tell(&key, ProblemKind::Link, reason);
                    }
                }
            }
        }
        Ok(())
    }

    /// Tells how long blobs are; those that a partial fetch left out are fetched.
    pub(crate) async fn sizes(
        &self,
        mirror: &Mirror,
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
            .bring_blobs(&self.git, &self.remote, &missing, progress)
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

/// Entries that are sorted as they come.
struct Sorting<'a, 'g> {
    known: &'a HashMap<&'a str, &'a Item>,
    gathering: &'a mut Gathering<'g>,
    missing: Missing,
    /// Of the paths that are kept.
    bytes: usize,
}

impl Sorting<'_, '_> {
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
                self.gathering
                    .not_a_file(&entry.path, ProblemKind::SpecialFile, "a submodule");
                return self.keep(&entry, noted);
            }
        };
        let Some(key) = self.gathering.file(&entry.path)? else {
            return self.keep(&entry, noted);
        };
        self.bytes += entry.path.len();
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
            None => self
                .missing
                .entry(entry.id)
                .or_default()
                .push((key, executable)),
        }
        self.check()
    }

    /// Counts what was kept of an entry that is no item.
    fn keep(&mut self, entry: &Entry, noted: usize) -> Result<(), SideError> {
        if self.gathering.noted() > noted {
            self.bytes += entry.path.len();
        }
        self.check()
    }

    fn check(&self) -> Result<(), SideError> {
        if self.bytes <= MOST_PATH_BYTES {
            return Ok(());
        }
        Err(SideError::Untrusted {
            message: format!(
                "the paths of the repository's files have more than {} MiB; narrow `path` or `include`",
                MOST_PATH_BYTES >> 20
            ),
        })
    }
}
