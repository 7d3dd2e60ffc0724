//! The document that lists what there is: asked for on condition, and judged as a whole.

use bytes::Bytes;
use homing_core::{ContentHash, ListRequest, Revision, Scope, SideError};
use homing_remote::{Request, Session, Validators};
use url::Url;

/// No list of names is longer.
const MOST_BYTES: usize = 16 << 20;
/// What begins a validator of a list that names the digest of everything: unless it changed, nothing did.
const SEALED: &str = "sealed ";

/// A list, or that it is what it was.
pub(crate) enum Document {
    /// Nothing changed since the revision that was asked about.
    Unchanged,
    /// It as it is.
    Whole {
        /// Its bytes.
        bytes: Bytes,
        /// Where it was in the end.
        url: Url,
        /// What it can be asked about the next time.
        validators: Option<Validators>,
    },
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
        let url = answer.url.clone();
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
        Ok(Self::Whole {
            bytes,
            url,
            validators,
        })
    }
}

/// Returns what a list is to be called, and asked about if it is sealed: if it names the digest of everything.
pub(crate) fn revision(
    bytes: &[u8],
    validators: Option<&Validators>,
    is_sealed: bool,
) -> Option<Revision> {
    is_sealed.then(|| Revision {
        name: name(bytes),
        validator: Some(format!(
            "{SEALED}{}",
            validators.map(Validators::to_text).unwrap_or_default()
        )),
    })
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
