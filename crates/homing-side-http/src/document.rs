//! The document that lists what there is: asked for on condition, and judged as a whole.

use bytes::Bytes;
use homing_core::{ContentHash, ListRequest, Revision, Scope, SideError};
use homing_remote::{Request, Session, Validators};
use url::Url;

use crate::identity;

/// No list of names is longer.
const MOST_BYTES: usize = 16 << 20;
/// What begins a validator of a list that names the digest of everything: unless it changed, nothing did.
const SEALED: &str = "sealed ";
/// What begins that of a list of paths alone, all of which came: unless it changed, they are what there is.
const OPEN: &str = "open ";

/// A list, or that it is what it was.
pub(crate) enum Document {
    /// Nothing changed since the revision that was asked about; how to ask from now on, if that did.
    Unchanged(Option<Revision>),
    /// The list did not change, and what it names may have.
    SameList(Revision),
    /// It as it is.
    Whole(Box<Found>),
}

/// A list that came.
pub(crate) struct Found {
    /// Its bytes.
    pub(crate) bytes: Bytes,
    /// Where it was in the end.
    pub(crate) url: Url,
    /// What it can be asked about the next time, and at which URL.
    asked: Url,
    validators: Option<Validators>,
}

impl Document {
    /// Gets it. `since` is what a whole listing was made of; `is_known`: what an open list names can be told without it.
    pub(crate) async fn get(
        session: &Session,
        url: &Url,
        request: &ListRequest,
        is_known: bool,
    ) -> Result<Self, SideError> {
        let since = since(request);
        let is_sealed = since.is_some_and(|since| begins(since, SEALED));
        let is_open = is_known && since.is_some_and(|since| begins(since, OPEN));
        let begin = if is_sealed { SEALED } else { OPEN };
        let validators = since
            .filter(|_| is_sealed || is_open)
            .and_then(|since| since.validator.as_deref()?.strip_prefix(begin))
            // Those of another place's list mean nothing here, even where they are the same.
            .and_then(|text| text.strip_prefix(&identity::tag(url))?.strip_prefix(' '))
            .and_then(Validators::parse);
        let asked = Request::get(url.clone())
            .accept("application/json, */*;q=0.5")
            .unless(validators.as_ref());
        let Some(answer) = session.get(asked).await? else {
            return Ok(match since {
                Some(since) if is_open => Self::SameList(since.clone()),
                _ => Self::Unchanged(None),
            });
        };
        if answer.is_a_page_instead_of("index.json") {
            return Err(SideError::Permanent {
                message: format!(
                    "`{}` answered with an HTML page where a list in JSON is expected; check the URL, and whether it wants a login",
                    homing_remote::ShownUrl::of(url)
                ),
                source: None,
            });
        }
        let validators = Validators::of(&answer.headers);
        let (asked, url) = (url.clone(), answer.url.clone());
        let bytes = answer.body.collect(MOST_BYTES).await?;
        let found = Found {
            bytes,
            url,
            asked,
            validators,
        };
        let revision = found.revision(true);
        if is_sealed && since.is_some_and(|since| since.name == revision.name) {
            return Ok(Self::Unchanged(Some(revision)));
        }
        Ok(Self::Whole(Box::new(found)))
    }
}

impl Found {
    /// Returns what the list is to be called, and asked about. It is sealed if it names the digest of everything.
    pub(crate) fn revision(&self, is_sealed: bool) -> Revision {
        let begin = if is_sealed { SEALED } else { OPEN };
        let validators = self.validators.as_ref().map(Validators::to_text);
        Revision {
            name: name(&self.bytes),
            validator: Some(format!(
                "{begin}{} {}",
                identity::tag(&self.asked),
                validators.unwrap_or_default()
            )),
            about: None,
        }
    }
}

fn since(request: &ListRequest) -> Option<&Revision> {
    request
        .since
        .as_ref()
        .filter(|_| request.scope == Scope::Whole)
}

fn begins(revision: &Revision, with: &str) -> bool {
    let validator = revision.validator.as_deref();
    validator.is_some_and(|text| text.starts_with(with))
}

/// Without validators the bytes themselves tell whether they are the same.
fn name(bytes: &[u8]) -> String {
    format!("sha256:{}", ContentHash::of(bytes))
}
