//! Listing: what there is, as the server tells it, and all of it that is not at hand yet.

use std::mem;

use homing_core::{
    Capabilities, Item, ItemKey, ListRequest, Listed, Listing, Manifest, ProblemKind, Revision,
    SideError, Unchanged, UnknownReason,
};
use homing_remote::{Gathering, Problems, Session, Wanted};
use url::Url;

use crate::document::{Document, Found};
use crate::fetching::{Fetching, Got};
use crate::index::{self, Named};
use crate::names::Names;
use crate::skills::{self, Packed};
use crate::{Inner, What, identity};

/// What there is, or that it is what it was.
pub(crate) enum Planned {
    /// Nothing changed; what it is to be asked about from now on, if that did.
    Unchanged(Option<Revision>),
    /// All of it.
    Whole(Box<Plan>),
}

/// What there is, before anything of it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Single files.
    pub(crate) files: Vec<Named>,
    /// Archives, each below a name.
    pub(crate) archives: Vec<Packed>,
    /// What is wrong with the list itself.
    pub(crate) wrong: Problems,
    /// What the list is called, if it can be asked about.
    pub(crate) revision: Option<Revision>,
    /// It says nothing of contents, so that it can be asked about only while all that it names is there.
    pub(crate) is_open: bool,
    /// A person listed the files: one that is not there was deleted, not forgotten in the list.
    pub(crate) is_by_hand: bool,
}

impl Plan {
    /// Returns what a document names.
    fn of(names: Names<'_>, document: &Found) -> Self {
        Self {
            revision: names.is_sealed.then(|| document.revision(true)),
            files: names.files,
            archives: names.archives,
            wrong: names.wrong,
            ..Self::default()
        }
    }

    /// Returns what an index names, whose paths are below `base`.
    fn of_index(names: Names<'_>, document: &Found, base: &Url) -> Self {
        // Of such files the names tell everything.
        let is_plain = |file: &Named| *file == Named::below(base, &file.name);
        let is_open = !names.is_sealed && names.files.iter().all(is_plain);
        let plan = Self::of(names, document);
        Self {
            revision: plan
                .revision
                .or_else(|| is_open.then(|| document.revision(false))),
            is_open,
            ..plan
        }
    }

    /// Names its files that are wanted.
    pub(crate) fn wanted(
        &mut self,
        gathering: &mut Gathering<'_>,
    ) -> Result<Vec<(ItemKey, Named)>, SideError> {
        gathering.note_all(mem::take(&mut self.wrong));
        let mut wanted = Vec::new();
        for file in mem::take(&mut self.files) {
            let Some(key) = gathering.file(file.name.as_bytes())? else {
                continue;
            };
            if file.size.is_none_or(|size| gathering.fits(&key, size)) {
                wanted.push((key, file));
            }
        }
        Ok(wanted)
    }
}

impl Inner {
    /// Lists everything, or what the request asks for.
    pub(crate) async fn list(&self, request: &ListRequest) -> Result<Listing, SideError> {
        let session = self.session(&request.progress).await?;
        if self.options.what == What::Archive {
            return self.list_archive(&session, request).await;
        }
        match self.plan(&session, request).await? {
            Planned::Unchanged(revision) => Ok(Listing::Unchanged(Unchanged {
                revision,
                ..Unchanged::default()
            })),
            Planned::Whole(plan) => self
                .carry_out(&session, request, *plan)
                .await
                .map(Listing::from),
        }
    }

    /// Finds out what there is. An archive has no list.
    pub(crate) async fn plan(
        &self,
        session: &Session,
        request: &ListRequest,
    ) -> Result<Planned, SideError> {
        let plan = match &self.options.what {
            What::Archive => Plan::default(),
            What::Files(paths) => Plan {
                files: paths
                    .iter()
                    .map(|path| Named::below(&self.base, path))
                    .collect(),
                is_by_hand: true,
                ..Plan::default()
            },
            What::Index(path) => return self.plan_index(path, session, request).await,
            What::AgentSkills => return self.plan_skills(session, request).await,
        };
        Ok(Planned::Whole(Box::new(plan)))
    }

    async fn plan_index(
        &self,
        path: &str,
        session: &Session,
        request: &ListRequest,
    ) -> Result<Planned, SideError> {
        let url = self.document_url(path)?;
        let known = self.known_files(request);
        let plan = match Document::get(session, &url, request, known.is_some()).await? {
            Document::Unchanged(revision) => return Ok(Planned::Unchanged(revision)),
            Document::SameList(revision) => Plan {
                files: known.unwrap_or_default(),
                revision: Some(revision),
                is_open: true,
                ..Plan::default()
            },
            Document::Whole(found) => {
                let names = Names::new(self.wanted(&request.scope));
                let names = index::read(&found.bytes, &self.base, &found.url, names)?;
                Plan::of_index(names, &found, &self.base)
            }
        };
        Ok(Planned::Whole(Box::new(plan)))
    }

    /// Returns what is known as the files that it came from; `None` if any came from elsewhere.
    fn known_files(&self, request: &ListRequest) -> Option<Vec<Named>> {
        let file = |(key, item): (&ItemKey, &Item)| {
            let file = Named::below(&self.base, &self.full_name(key));
            let is_its = identity::validators(item, file.url.as_ref().ok()?).is_some();
            is_its.then_some(file)
        };
        request.known.iter().map(file).collect()
    }

    async fn plan_skills(
        &self,
        session: &Session,
        request: &ListRequest,
    ) -> Result<Planned, SideError> {
        let url = self.document_url(skills::PATH)?;
        let document = match Document::get(session, &url, request, false).await {
            Err(SideError::NotFound { message, .. }) => {
                let url = self.document_url(skills::OLD_PATH)?;
                Document::get(session, &url, request, false)
                    .await
                    .map_err(|error| match error {
                        SideError::NotFound { message: old, .. } => SideError::NotFound {
                            message: format!(
                                "{message}, and {old}: no agent skills are offered there"
                            ),
                            source: None,
                        },
                        other => other,
                    })?
            }
            other => other?,
        };
        let found = match document {
            Document::Whole(found) => found,
            Document::Unchanged(revision) => return Ok(Planned::Unchanged(revision)),
            Document::SameList(revision) => return Ok(Planned::Unchanged(Some(revision))),
        };
        let names = Names::new(self.wanted(&request.scope));
        let names = skills::read(&found.bytes, &found.url, names)?;
        Ok(Planned::Whole(Box::new(Plan::of(names, &found))))
    }

    fn document_url(&self, path: &str) -> Result<Url, SideError> {
        self.base.join(path).map_err(|error| SideError::Config {
            message: format!("`{path}` is no path below {}: {error}", self.place),
        })
    }

    /// Returns what begins to gather the items that a request asks for.
    pub(crate) fn gathering<'a>(&'a self, scope: &'a homing_core::Scope) -> Gathering<'a> {
        Gathering::new(self.wanted(scope))
    }

    /// Returns what of the server a request asks for.
    pub(crate) fn wanted<'a>(&'a self, scope: &'a homing_core::Scope) -> Wanted<'a> {
        Wanted {
            place: &self.place,
            path: self.options.path.as_deref(),
            selection: &self.selection,
            limits: self.options.limits,
            scope,
        }
    }

    async fn carry_out(
        &self,
        session: &Session,
        request: &ListRequest,
        mut plan: Plan,
    ) -> Result<Listed, SideError> {
        let mut gathering = self.gathering(&request.scope);
        let wanted = plan.wanted(&mut gathering)?;
        let asked = wanted.len();
        let fetching = Fetching::new(self, session, request, &wanted, &plan.archives);
        let mut failures = Failures::default();
        let (mut present, mut missing) = (0, 0);
        fetching
            .each(wanted, |key, got| {
                match got {
                    Ok(Got::Item(item)) => {
                        gathering.count(item.size)?;
                        gathering.present(key, item);
                        present += 1;
                    }
                    Ok(Got::TooLong) => gathering.too_long(&key, None),
                    Ok(Got::Refused(why)) => gathering.not_fetched(&key, why),
                    Ok(Got::Missing) if plan.is_by_hand => {
                        missing += 1;
                        gathering.problem(
                            ProblemKind::Unreadable,
                            key.as_str(),
                            "the server has no such file".to_owned(),
                        );
                    }
                    Ok(Got::Missing) => gathering.not_fetched(
                        &key,
                        "it is listed, and the server does not have it".to_owned(),
                    ),
                    Err(error) => {
                        gathering.not_fetched(&key, error.to_string());
                        failures.note(error)?;
                    }
                }
                Ok(())
            })
            .await?;
        if missing > 0 && missing == asked && request.scope == homing_core::Scope::Whole {
            return Err(SideError::NotFound {
                message: format!(
                    "{} has none of the {missing} files that are listed",
                    self.place
                ),
                source: None,
            });
        }
        for packed in &plan.archives {
            present += self
                .skill(&fetching, packed, &mut gathering, &mut failures)
                .await?;
        }
        if present == 0
            && let Some(error) = failures.first
        {
            return Err(error);
        }
        let manifest = gathering.finish();
        let is_missing = |reason: &UnknownReason| matches!(reason, UnknownReason::NotFetched(_));
        let is_whole = if plan.is_open {
            manifest.unknown.is_empty() && manifest.problems.is_empty()
        } else {
            !manifest.unknown.values().any(is_missing)
        };
        Ok(Listed {
            manifest: with_capabilities(manifest, !plan.archives.is_empty()),
            revision: plan.revision.filter(|_| is_whole),
            shortfall: failures.shortfall,
        })
    }
}

/// A server tells of no executable bit; an archive does.
pub(crate) fn with_capabilities(mut manifest: Manifest, executable_bit: bool) -> Manifest {
    manifest.capabilities = Capabilities {
        executable_bit,
        ..Capabilities::default()
    };
    manifest
}

/// What went wrong with single items.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// The first of them, for when nothing else came.
    pub(crate) first: Option<SideError>,
    /// The one that says when to come again.
    pub(crate) shortfall: Option<SideError>,
}

impl Failures {
    /// Notes one; what ends the whole listing is returned.
    pub(crate) fn note(&mut self, error: SideError) -> Result<(), SideError> {
        let rank = |error: &SideError| match error {
            SideError::RateLimited { .. } => 3,
            SideError::Unreachable { .. } => 2,
            SideError::Transient { .. } => 1,
            _ => 0,
        };
        if matches!(error, SideError::Storage { .. } | SideError::Cancelled) {
            return Err(error);
        }
        if rank(&error) > self.shortfall.as_ref().map_or(0, rank) {
            self.shortfall = Some(error.repeat());
        }
        self.first.get_or_insert(error);
        Ok(())
    }
}
