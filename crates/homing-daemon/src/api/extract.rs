//! What handlers take out of a request, with a problem for whatever is wrong with it.

use std::error::Error;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::body::{Bytes, HttpBody, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header;
use axum::http::request::Parts;
use homing_api::{Problem, ProblemKind, routes};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::suggest;
use crate::problem::Refusal;

/// What a body of a request is, as a rule.
const JSON: &str = "application/json";
/// What a resolution's content is.
const BYTES: &str = "application/octet-stream";
/// The largest body of a request, save for a resolution's content.
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The `{id}` of a path, decoded.
pub(super) struct Id(pub(super) String);

impl Id {
    /// Takes it for a number; `kind` is the answer when it is none.
    pub(super) fn number(&self, kind: ProblemKind) -> Result<i64, Refusal> {
        self.0.parse().map_err(|_error: std::num::ParseIntError| {
            Refusal::new(
                kind,
                format!("`{}` is not a number of ours", self.0.escape_debug()),
            )
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(id) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|error| Refusal::new(ProblemKind::BadRequest, error.body_text()))?;
        Ok(Self(id))
    }
}

/// Returns a number of the query within its bounds.
pub(super) fn limit(
    name: &str,
    given: Option<u32>,
    default: u32,
    allowed: RangeInclusive<u32>,
) -> Result<usize, Refusal> {
    let limit = given.unwrap_or(default);
    if allowed.contains(&limit) {
        return Ok(limit as usize);
    }
    let (least, most) = allowed.into_inner();
    Err(Refusal::new(
        ProblemKind::BadRequest,
        format!("`{name}` must be {least} to {most}, not {limit}"),
    ))
}

/// The query of a request.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Query(query) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|error| {
                // The cause is serde's own; what stands before it is axum's.
                let said = error.source().map_or_else(String::new, ToString::to_string);
                unlike("the query", &said)
            })?;
        Ok(Self(query))
    }
}

/// A body in JSON; nothing at all counts as `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        expect_type(&request, JSON)?;
        let bytes = read(request, MAX_BODY_BYTES).await?;
        let text = if bytes.is_empty() { b"{}" } else { &bytes[..] };
        // serde would take a list for an object's fields in their order.
        if text.trim_ascii_start().first() == Some(&b'[') {
            return Err(unlike("the body", "an object belongs here, not a list").into());
        }
        // serde's own message tells what, in which line and column.
        serde_json::from_slice(text)
            .map(Self)
            .map_err(|error| unlike("the body", &error.to_string()).into())
    }
}

/// Returns the problem of a query or body that serde refused, without the names of our types.
fn unlike(what: &str, said: &str) -> Problem {
    let said = match said.split_once("expected struct ") {
        Some((before, after)) => {
            let rest = after.find(' ').map_or("", |end| &after[end..]);
            format!("{before}expected an object{rest}")
        }
        None => said.to_owned(),
    };
    let detail = format!("{what} is not what this request takes: {said}");
    let hint = format!("GET {} describes every request", routes::OPENAPI);
    suggest::in_message(Problem::new(ProblemKind::BadRequest, detail).with_hint(hint))
}

/// A body as it is, of at most `MAX` bytes, within [`BODY_TIMEOUT`].
pub(super) struct Raw<const MAX: usize>(pub(super) Bytes);

impl<const MAX: usize, S: Send + Sync> FromRequest<S> for Raw<MAX> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        expect_type(&request, BYTES)?;
        read(request, MAX).await.map(Self)
    }
}

/// Refuses a body that says to be of another type; one that says nothing is taken at its word.
pub(super) fn expect_type(request: &Request, expected: &str) -> Result<(), Refusal> {
    let Some(given) = request.headers().get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let given = String::from_utf8_lossy(given.as_bytes());
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let shown = essence.escape_debug();
    let detail = format!("the body is `{shown}`, and this request takes `{expected}`");
    Err(Problem::new(ProblemKind::UnsupportedMediaType, detail)
        .with_hint(format!("send `Content-Type: {expected}`"))
        .into())
}

async fn read(request: Request, max: usize) -> Result<Bytes, Refusal> {
    let too_large = || {
        Refusal::new(
            ProblemKind::TooLarge,
            format!("the body is larger than {max} bytes"),
        )
    };
    let body = request.into_body();
    // Told before a byte of it was read: the client need not send it.
    if body.size_hint().lower() > max as u64 {
        return Err(too_large());
    }
    match timeout(BODY_TIMEOUT, to_bytes(body, max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error))
            if error
                .source()
                .is_some_and(<dyn Error>::is::<LengthLimitError>) =>
        {
            Err(too_large())
        }
        Ok(Err(error)) => Err(Refusal::new(
            ProblemKind::BadRequest,
            format!("the body could not be read: {error}"),
        )),
        Err(_elapsed) => Err(Refusal::new(
            ProblemKind::BadRequest,
            "the body did not come in time",
        )),
    }
}
