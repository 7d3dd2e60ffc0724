//! From a commit to a manifest.

use std::collections::HashMap;
use std::mem;

use homing_core::{
    Item, ItemKey, ListRequest, Listed, Listing, Manifest, Problem, ProblemKind, Revision, Scope,
    SideError, Unchanged, UnknownReason,
};
use homing_remote::{Gathering, Wanted};

use crate::GithubSide;
use crate::api::{Api, Entry, Head};
use crate::archive;
use crate::blobs::{self, Blob, Brought, Harvest};
use crate::tree::{self, Files};
use homing_remote::git_id;

/// A commit's items as far as they are known without reading, and what is to be read for the others.
pub(crate) struct Survey<'a> {
    pub(crate) gathering: Gathering<'a>,
    /// What is missing, by the blob's id.
    missing: HashMap<String, Missing>,
    /// The bytes of all that was taken in.
    pub(crate) bytes: u64,
}

/// A blob that is not known.
struct Missing {
    blob: Blob,
    /// Where it is, and whether it may be executed there.
    keys: Vec<(ItemKey, bool)>,
}

impl Survey<'_> {
    /// Returns the problems that show without reading anything.
    pub(crate) fn finish_unread(mut self) -> Vec<Problem> {
        for missing in self.missing.into_values() {
            for (key, _) in missing.keys {
                self.gathering.not_fetched(&key, String::new());
            }
        }
        self.gathering.finish().problems
    }
}

impl GithubSide {
    pub(crate) async fn listing(&self, request: &ListRequest) -> Result<Listing, SideError> {
        let pin = self.pin();
        let since = request.since.as_ref();
        if pin.is_some() && since.map(|since| since.name.as_str()) == pin {
            return Ok(Listing::Unchanged(Unchanged::default()));
        }
        let mut api = self.api(&request.progress).await?;
        let revision = match api.head(self.reference.as_deref(), since).await? {
            Head::Unchanged(revision) => {
                let problems = self.new_name(&api).await.into_iter().collect();
                return Ok(Listing::Unchanged(Unchanged { problems, revision }));
            }
            Head::Empty => return Ok(self.no_commit().into()),
            Head::At(revision) => revision,
        };
        let files = self.files(&api, &revision).await?;
        let mut survey = self.survey(&files.entries, Some(request), &request.scope)?;
        let shortfall = self
            .take_in(&api, &mut survey, &files, &revision, request)
            .await?;
        let mut manifest = survey.gathering.finish();
        manifest.problems.extend(self.new_name(&api).await);
        Ok(Listing::from(Listed {
            manifest,
            revision: Some(revision),
            shortfall,
        }))
    }

    pub(crate) async fn files(&self, api: &Api, at: &Revision) -> Result<Files, SideError> {
        tree::files(api, &at.name, self.path.as_deref(), &self.selection).await
    }

    /// Sorts what is at a commit into items, problems, and blobs that are missing.
    pub(crate) fn survey<'a>(
        &'a self,
        entries: &[Entry],
        request: Option<&ListRequest>,
        scope: &'a Scope,
    ) -> Result<Survey<'a>, SideError> {
        let known = request.map(git_id::known_blobs).unwrap_or_default();
        let mut survey = Survey {
            gathering: Gathering::new(Wanted {
                place: &self.shown_place,
                path: self.path.as_deref(),
                selection: &self.selection,
                limits: self.limits,
                scope,
            }),
            missing: HashMap::new(),
            bytes: 0,
        };
        for entry in entries {
            let name = entry.path.as_bytes();
            let gathering = &mut survey.gathering;
            match (entry.kind.as_str(), entry.mode.as_str()) {
                ("tree", _) => {}
                ("commit", _) => {
                    gathering.not_a_file(name, ProblemKind::SpecialFile, "a submodule");
                }
                ("blob", "120000") => {
                    gathering.not_a_file(name, ProblemKind::Link, "a symbolic link");
                }
                ("blob", _) => self.survey_blob(entry, &known, &mut survey)?,
                _ => gathering.not_a_file(name, ProblemKind::SpecialFile, "no file"),
            }
        }
        Ok(survey)
    }

    fn survey_blob(
        &self,
        entry: &Entry,
        known: &HashMap<&str, &Item>,
        survey: &mut Survey<'_>,
    ) -> Result<(), SideError> {
        let gathering = &mut survey.gathering;
        let Some(key) = gathering.file(entry.path.as_bytes())? else {
            return Ok(());
        };
        let id = entry.sha.as_str();
        let Some(size) = entry.size.filter(|_| git_id::is_full(id)) else {
            gathering.not_fetched(&key, "GitHub tells no id or size of it".to_owned());
            return Ok(());
        };
        if self.pointers.has(id) {
            pointer(gathering, &key);
            return Ok(());
        }
        if !gathering.fits(&key, size) {
            return Ok(());
        }
        gathering.count(size)?;
        survey.bytes = survey.bytes.saturating_add(size);
        let executable = entry.mode == "100755";
        if let Some(item) = known.get(id) {
            gathering.present(key, with_mode(item, executable));
            return Ok(());
        }
        let missing = survey.missing.entry(id.to_owned());
        let missing = missing.or_insert_with(|| Missing {
            blob: Blob {
                id: id.to_owned(),
                size,
                paths: Vec::new(),
            },
            keys: Vec::new(),
        });
        missing.blob.paths.push(entry.path.clone());
        missing.keys.push((key, executable));
        Ok(())
    }

    /// Fetches what is missing; returns why some of it could not be had.
    async fn take_in(
        &self,
        api: &Api,
        survey: &mut Survey<'_>,
        files: &Files,
        revision: &Revision,
        request: &ListRequest,
    ) -> Result<Option<SideError>, SideError> {
        let missing = mem::take(&mut survey.missing);
        if missing.is_empty() {
            return Ok(None);
        }
        let (blobs, keys): (Vec<Blob>, Vec<_>) = missing
            .into_values()
            .map(|missing| (missing.blob, missing.keys))
            .unzip();
        let bytes = blobs.iter().map(|blob| blob.size).sum();
        request.intake.begin(blobs.len() as u64, bytes).await?;
        let plan = blobs::Plan {
            api,
            contents: request.intake.contents(),
            archive_of: &revision.name,
            archive_limits: archive::limits(files).unwrap_or_else(|| self.limits.into()),
            max_file_size: self.limits.max_file_size,
        };
        let mut harvest = plan.bring(&blobs).await?;
        let gathering = &mut survey.gathering;
        for (blob, keys) in blobs.iter().zip(keys) {
            let brought = harvest.brought.remove(&blob.id);
            for (key, executable) in keys {
                match &brought {
                    Some(Brought::Kept { hash, size }) => {
                        let item = Item {
                            hash: *hash,
                            size: *size,
                            executable,
                            identity: Some(git_id::identity(&blob.id)),
                        };
                        gathering.present(key, item);
                    }
                    Some(Brought::Pointer) => {
                        self.pointers.add(&blob.id);
                        pointer(gathering, &key);
                    }
                    None => gathering.not_fetched(&key, why_not(&harvest, &blob.id)),
                }
            }
        }
        Ok(harvest.shortfall)
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

    /// A renamed repository works as long as GitHub leads to it; somebody else may take the old name.
    pub(crate) async fn new_name(&self, api: &Api) -> Option<Problem> {
        if !api.was_renamed() {
            return None;
        }
        // Everything else has worked; a name that cannot be told is no reason to fail.
        let message = match api.about().await {
            Ok(about) => {
                let name = crate::refusal::plain(&about.full_name);
                format!(
                    "{} is called `{name}` now: set `url = \"{}{name}\"`, for somebody else may take the old name",
                    self.shown_place,
                    self.place.host()
                )
            }
            Err(_untold) => format!(
                "{} has another name now: set `url` to it, for somebody else may take the old name",
                self.shown_place
            ),
        };
        Some(Problem {
            kind: ProblemKind::Renamed,
            path: String::new(),
            message,
        })
    }
}

fn with_mode(item: &Item, executable: bool) -> Item {
    Item {
        executable,
        ..item.clone()
    }
}

fn pointer(gathering: &mut Gathering<'_>, key: &ItemKey) {
    gathering.cannot_tell(key, ProblemKind::Link, UnknownReason::Pointer);
}

fn why_not(harvest: &Harvest, id: &str) -> String {
    let own = harvest.failed.get(id);
    own.or(harvest.shortfall.as_ref()).map_or_else(
        || "its content was not fetched".to_owned(),
        |error| error.to_string(),
    )
}
