//! Items that come in archives: the whole source, or a skill.

use std::sync::Arc;

use homing_core::{
    ContentHash, Contents, Hasher, Item, ItemKey, ListRequest, Listed, Listing, ProblemKind,
    Revision, Scope, Selection, SideError,
};
use homing_remote::{
    Answer, ArchiveLimits, Entry, EntryKind, Gathering, Request, Session, Unpacker, Validators,
    Wanted, unpack,
};

use crate::fetching::Fetching;
use crate::listing::{Failures, with_capabilities};
use crate::skills::Packed;
use crate::{HttpOptions, Inner, identity};

/// Keeps what is wanted of an archive, and notes the rest.
pub(crate) struct Unpacking {
    wants: Wants,
    /// Where the contents go; `None`: nowhere, they are only counted.
    contents: Option<Arc<dyn Contents>>,
    found: Vec<Found>,
    files: usize,
    bytes: u64,
}

/// What decides which entries are wanted, on a thread of its own.
struct Wants {
    options: HttpOptions,
    selection: Selection,
    scope: Scope,
    place: String,
    /// What comes before each name: the skill and a slash.
    prefix: String,
}

struct Found {
    name: Vec<u8>,
    kind: EntryKind,
    size: u64,
    executable: bool,
    hash: Option<ContentHash>,
}

impl Wants {
    fn key(&self, name: &[u8]) -> Result<Option<ItemKey>, SideError> {
        Gathering::new(Wanted {
            place: &self.place,
            path: self.options.path.as_deref(),
            selection: &self.selection,
            limits: self.options.limits,
            scope: &self.scope,
        })
        .file(name)
    }
}

impl Unpacker for Unpacking {
    fn entry(&mut self, entry: &mut Entry<'_>) -> Result<(), SideError> {
        let name = [self.wants.prefix.as_bytes(), entry.name].concat();
        let mut hash = None;
        if entry.kind == EntryKind::File && self.wants.key(&name)?.is_some() {
            let limits = self.wants.options.limits;
            self.files += 1;
            if entry.size <= limits.max_file_size {
                self.bytes = self.bytes.saturating_add(entry.size);
            }
            // Told with the reason when all names are gathered.
            let is_too_much = self.files > limits.max_files || self.bytes > limits.max_total_size;
            if !is_too_much
                && entry.size <= limits.max_file_size
                && let Some(contents) = &self.contents
            {
                hash = Some(entry.keep(contents.as_ref(), &mut ())?);
            }
        }
        if entry.kind != EntryKind::Directory {
            self.found.push(Found {
                name,
                kind: entry.kind.clone(),
                size: entry.size,
                executable: entry.executable,
                hash,
            });
        }
        Ok(())
    }
}

impl Unpacking {
    /// Begins to look at an archive whose names stand behind `prefix`.
    pub(crate) fn new(
        inner: &Inner,
        scope: &Scope,
        prefix: String,
        contents: Option<Arc<dyn Contents>>,
    ) -> Result<Self, SideError> {
        let options = inner.options.clone();
        Ok(Self {
            wants: Wants {
                selection: Selection::new(&options.include, &options.exclude)?,
                options,
                scope: scope.clone(),
                place: inner.place.clone(),
                prefix,
            },
            contents,
            found: Vec::new(),
            files: 0,
            bytes: 0,
        })
    }

    /// Gathers what was found; returns how many items there are, and their bytes.
    pub(crate) fn gather(
        self,
        gathering: &mut Gathering<'_>,
        revision: &str,
    ) -> Result<(usize, u64), SideError> {
        let mut items = Vec::new();
        let mut bytes = 0;
        for found in self.found {
            match found.kind {
                EntryKind::File => {}
                EntryKind::Directory => continue,
                EntryKind::Link => {
                    gathering.not_a_file(&found.name, ProblemKind::Link, "a link");
                    continue;
                }
                EntryKind::Special => {
                    gathering.not_a_file(&found.name, ProblemKind::SpecialFile, "no regular file");
                    continue;
                }
                EntryKind::Unreadable(why) => {
                    if let Some(key) = gathering.file(&found.name)? {
                        gathering.not_fetched(&key, format!("it cannot be unpacked: {why}"));
                    }
                    continue;
                }
            }
            let Some(key) = gathering.file(&found.name)? else {
                continue;
            };
            if !gathering.fits(&key, found.size) {
                continue;
            }
            gathering.count(found.size)?;
            bytes += found.size;
            items.push((key, found.hash, found.size, found.executable));
        }
        let identity = identity::of_archive(revision, items.len());
        let count = items.len();
        for (key, hash, size, executable) in items {
            if let Some(hash) = hash {
                let item = Item {
                    hash,
                    size,
                    executable,
                    identity: Some(identity.clone()),
                };
                gathering.present(key, item);
            }
        }
        Ok((count, bytes))
    }
}

/// Fails when what should be an archive is a web page.
pub(crate) fn no_page(answer: &Answer) -> Result<(), SideError> {
    if answer.is_a_page_instead_of("archive") {
        return Err(SideError::Permanent {
            message: format!(
                "`{}` answered with an HTML page where an archive is expected; check the URL, and whether it wants a login",
                answer.body.shown()
            ),
            source: None,
        });
    }
    Ok(())
}

impl Inner {
    /// Lists a source that is one archive.
    pub(crate) async fn list_archive(
        &self,
        session: &Session,
        request: &ListRequest,
    ) -> Result<Listing, SideError> {
        let since = request
            .since
            .as_ref()
            .filter(|_| request.scope == Scope::Whole);
        let validators = since.and_then(|since| Validators::parse(since.validator.as_deref()?));
        let asked = Request::get(self.base.clone()).unless(validators.as_ref());
        let Some(mut answer) = session.get(asked).await? else {
            return Ok(Listing::Unchanged);
        };
        no_page(&answer)?;
        let bytes = answer.body.size_hint().unwrap_or(0);
        let turn = request.intake.begin(0, bytes);
        answer.body.aside(turn).await?;
        let validators = Validators::of(&answer.headers);
        let contents = Arc::clone(request.intake.contents());
        let unpacking = Unpacking::new(self, &request.scope, String::new(), Some(contents))?;
        let limits = ArchiveLimits::from(self.options.limits);
        let mut hasher = Hasher::default();
        let unpacked = unpack(answer.body, limits, unpacking, &mut hasher).await?;
        let digest = hasher.finish().to_string();
        let mut gathering = self.gathering(&request.scope);
        unpacked.gather(&mut gathering, &digest)?;
        Ok(Listing::from(Listed {
            manifest: with_capabilities(gathering.finish(), true),
            revision: Some(Revision {
                name: format!("sha256:{digest}"),
                validator: validators.map(|validators| validators.to_text()),
            }),
            shortfall: None,
        }))
    }

    /// Gathers a skill that is an archive; returns how many items it has. What is wrong with it is its own alone.
    pub(crate) async fn skill(
        &self,
        fetching: &Fetching<'_>,
        packed: &Packed,
        gathering: &mut Gathering<'_>,
        failures: &mut Failures,
    ) -> Result<usize, SideError> {
        let Some(prefix) = self.prefix(&packed.name, gathering)? else {
            return Ok(0);
        };
        if let Some(digest) = &packed.digest
            && let Some(count) = self.known_skill(fetching.request, digest, gathering)?
        {
            return Ok(count);
        }
        let taken = self.take_skill(fetching, packed).await;
        fetching.request.progress.finish_item();
        match taken {
            Ok((unpacked, revision)) => Ok(unpacked.gather(gathering, &revision)?.0),
            Err(error) => {
                gathering.not_fetched_below(&prefix, error.to_string());
                failures.note(error)?;
                Ok(0)
            }
        }
    }

    /// Returns what the items of a skill have in common; `None` when none is wanted, or it has no name.
    fn prefix(
        &self,
        name: &str,
        gathering: &mut Gathering<'_>,
    ) -> Result<Option<String>, SideError> {
        if ItemKey::new(name).is_err() {
            // Says what is wrong with it.
            gathering.file(format!("{name}/SKILL.md").as_bytes())?;
            return Ok(None);
        }
        Ok(match self.options.path.as_deref() {
            None => Some(name.to_owned()),
            Some(path) if path == name || path.starts_with(&format!("{name}/")) => {
                Some(String::new())
            }
            Some(_) => None,
        })
    }

    /// Gathers a skill whose archive is known and all of whose items are kept; returns how many.
    fn known_skill(
        &self,
        request: &ListRequest,
        digest: &ContentHash,
        gathering: &mut Gathering<'_>,
    ) -> Result<Option<usize>, SideError> {
        let digest = digest.to_string();
        let known = request.known.iter();
        let known: Vec<(&ItemKey, &Item)> = known
            .filter(|(_, item)| identity::is_of_archive(item, &digest))
            .collect();
        let whole = identity::of_archive(&digest, known.len());
        let is_whole = !known.is_empty()
            && request.scope == Scope::Whole
            && known
                .iter()
                .all(|(_, item)| item.identity.as_ref() == Some(&whole));
        if !is_whole {
            return Ok(None);
        }
        for (key, item) in &known {
            let name = match &self.options.path {
                Some(path) => format!("{path}/{key}"),
                None => key.as_str().to_owned(),
            };
            if let Some(key) = gathering.file(name.as_bytes())? {
                gathering.count(item.size)?;
                gathering.present(key, (*item).clone());
            }
        }
        Ok(Some(known.len()))
    }

    async fn take_skill(
        &self,
        fetching: &Fetching<'_>,
        packed: &Packed,
    ) -> Result<(Unpacking, String), SideError> {
        let request = fetching.request;
        let url = packed.url.as_ref().map_err(|why| SideError::Untrusted {
            message: why.clone(),
        })?;
        fetching.go_on()?;
        let answer = fetching.session.get(Request::get(url.clone())).await;
        let mut answer = answer
            .map_err(|error| fetching.failed(error))?
            .ok_or_else(|| SideError::Permanent {
                message: "the server says that what it was not asked about did not change"
                    .to_owned(),
                source: None,
            })?;
        no_page(&answer)?;
        fetching.begin_for(&mut answer).await?;
        let contents = Arc::clone(request.intake.contents());
        let prefix = format!("{}/", packed.name);
        let unpacking = Unpacking::new(self, &request.scope, prefix, Some(contents))?;
        let limits = ArchiveLimits::from(self.options.limits);
        let mut hasher = Hasher::default();
        let unpacked = unpack(answer.body, limits, unpacking, &mut hasher)
            .await
            .map_err(|error| fetching.failed(error))?;
        let found = hasher.finish();
        if let Some(digest) = packed.digest.filter(|digest| *digest != found) {
            return Err(SideError::Untrusted {
                message: format!("its archive's SHA-256 is {found}, and the index says {digest}"),
            });
        }
        Ok((unpacked, found.to_string()))
    }
}
