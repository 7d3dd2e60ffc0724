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

/// A list, or that it is what it was.
pub(crate) enum Document {
    /// Nothing changed since the revision that was asked about.
    Unchanged,
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
    /// Gets it. `since` is what a whole listing was made of.
    pub(crate) async fn get(
        session: &Session,
        url: &Url,
        request: &ListRequest,
    ) -> Result<Self, SideError> {
        let since = since(request);
        let validators = since
            .and_then(|since| since.validator.as_deref()?.strip_prefix(SEALED))
            // Those of another place's list mean nothing here, even where they are the same.
            .and_then(|text| text.strip_prefix(&identity::tag(url))?.strip_prefix(' '))
            .and_then(Validators::parse);
        let asked = Request::get(url.clone())
            .accept("application/json, */*;q=0.5")
            .unless(validators.as_ref());
        let Some(answer) = session.get(asked).await? else {
            return Ok(Self::Unchanged);
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
        let is_sealed = |since: &&Revision| {
            since
                .validator
                .as_deref()
                .is_some_and(|text| text.starts_with(SEALED))
        };
        if since
            .filter(is_sealed)
            .is_some_and(|since| since.name == name(&bytes))
        {
            return Ok(Self::Unchanged);
        }
        Ok(Self::Whole(Box::new(Found {
            bytes,
            url,
            asked,
            validators,
        })))
    }
}

impl Found {
    /// Returns what the list is to be called, and asked about: it is sealed, for it names the digest of everything.
    pub(crate) fn revision(&self) -> Revision {
        let validators = self.validators.as_ref().map(Validators::to_text);
        Revision {
            name: name(&self.bytes),
            validator: Some(format!(
                "{SEALED}{} {}",
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

/// Without validators the bytes themselves tell whether they are the same.
fn name(bytes: &[u8]) -> String {
    format!("sha256:{}", ContentHash::of(bytes))
}
