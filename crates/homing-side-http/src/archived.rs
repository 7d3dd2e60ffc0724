//! Items that come in archives: the whole source, or a skill.

use std::sync::Arc;

use homing_core::{
    ContentHash, Hasher, Item, ItemKey, ListRequest, Listed, Listing, Revision, Scope, SideError,
    Unchanged,
};
use homing_remote::{Answer, ArchiveLimits, Gathering, Request, Session, Validators, unpack};

use crate::fetching::Fetching;
use crate::listing::{Failures, with_capabilities};
use crate::skills::Packed;
use crate::unpacking::Unpacking;
use crate::{Inner, identity};

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
            return Ok(Listing::Unchanged(Unchanged::default()));
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
        unpacked.gather(&mut gathering, |_count| identity::of_archive(&digest))?;
        Ok(Listing::from(Listed {
            manifest: with_capabilities(gathering.finish(), true),
            revision: Some(Revision {
                name: format!("sha256:{digest}"),
                validator: validators.map(|validators| validators.to_text()),
                about: None,
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
            && let Some(count) = self.known_skill(fetching.request, packed, digest, gathering)?
        {
            return Ok(count);
        }
        let taken = self.take_skill(fetching, packed).await;
        fetching.request.progress.finish_item();
        match taken {
            Ok((unpacked, digest)) => {
                let tag = self.tag(&packed.name);
                let called = |count| identity::of_skill(&digest, &tag, count);
                Ok(unpacked.gather(gathering, called)?.count)
            }
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

    /// Returns what decides, beside a skill's archive, which items it has.
    fn tag(&self, name: &str) -> String {
        let options = &self.options;
        let decides = (
            name,
            &options.path,
            &options.include,
            &options.exclude,
            options.limits.max_file_size,
        );
        let mut tag = ContentHash::of(format!("{decides:?}").as_bytes()).to_string();
        tag.truncate(16);
        tag
    }

    /// Gathers a skill whose archive is known and all of whose items are kept; returns how many.
    fn known_skill(
        &self,
        request: &ListRequest,
        packed: &Packed,
        digest: &ContentHash,
        gathering: &mut Gathering<'_>,
    ) -> Result<Option<usize>, SideError> {
        let (digest, tag) = (digest.to_string(), self.tag(&packed.name));
        let below = format!("{}/", packed.name);
        let known: Vec<(String, &Item)> = request
            .known
            .iter()
            .filter(|(_, item)| identity::is_of_skill(item, &digest, &tag))
            .map(|(key, item)| (self.full_name(key), item))
            .filter(|(name, _)| name.starts_with(&below))
            .collect();
        let whole = identity::of_skill(&digest, &tag, Some(known.len()));
        let is_whole = !known.is_empty()
            && request.scope == Scope::Whole
            && known
                .iter()
                .all(|(_, item)| item.identity.as_ref() == Some(&whole));
        if !is_whole {
            return Ok(None);
        }
        for (name, item) in &known {
            if let Some(key) = gathering.file(name.as_bytes())? {
                gathering.count(item.size)?;
                gathering.present(key, (*item).clone());
            }
        }
        Ok(Some(known.len()))
    }

    /// Returns what a key is called where `path` leads to.
    pub(crate) fn full_name(&self, key: &ItemKey) -> String {
        match &self.options.path {
            Some(path) => format!("{path}/{key}"),
            None => key.as_str().to_owned(),
        }
    }

    async fn take_skill(
        &self,
        fetching: &Fetching<'_>,
        packed: &Packed,
    ) -> Result<(Unpacking, String), SideError> {
        let request = fetching.request;
        let untrusted = |message: String| SideError::Untrusted { message };
        let url = packed.url.as_ref().map_err(|why| untrusted(why.clone()))?;
        fetching.may_lead_to(url).map_err(untrusted)?;
        fetching.go_on(url)?;
        let answer = fetching.session.get(Request::get(url.clone())).await;
        let mut answer = answer
            .map_err(|error| fetching.failed(url, error))?
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
            .map_err(|error| fetching.failed(url, error))?;
        let found = hasher.finish();
        if let Some(digest) = packed.digest.filter(|digest| *digest != found) {
            return Err(SideError::Untrusted {
                message: format!("its archive's SHA-256 is {found}, and the index says {digest}"),
            });
        }
        Ok((unpacked, found.to_string()))
    }
}
