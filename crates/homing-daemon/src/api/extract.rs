//! What handlers take out of a request, with a problem for whatever is wrong with it.

use std::error::Error;
use std::time::Duration;

use axum::body::{Bytes, HttpBody, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use homing_api::{Problem, ProblemKind};
use homing_core::{IdError, SourceId, TargetId};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::problem::Refusal;

/// The largest body of a request, save for a resolution's content.
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How names are found out.
const NAMES_HINT: &str = "`homing status` lists the names";

/// The `{id}` of a path, decoded.
pub(super) struct Id(pub(super) String);

impl Id {
    /// Takes it for a source.
    pub(super) fn source(&self) -> Result<SourceId, Refusal> {
        self.0
            .parse()
            .map_err(|_error: IdError| unknown_source(&self.0))
    }

    /// Takes it for a target.
    pub(super) fn target(&self) -> Result<TargetId, Refusal> {
        self.0
            .parse()
            .map_err(|_error: IdError| unknown_target(&self.0))
    }

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

/// Returns the problem of a source that is not configured.
pub(super) fn unknown_source(name: &str) -> Refusal {
    let detail = format!("there is no source `{}`", name.escape_debug());
    Problem::new(ProblemKind::UnknownSource, detail)
        .with_hint(NAMES_HINT)
        .with_source(name)
        .into()
}

/// Returns the problem of a target that is not configured.
pub(super) fn unknown_target(name: &str) -> Refusal {
    let detail = format!("there is no target `{}`", name.escape_debug());
    Problem::new(ProblemKind::UnknownTarget, detail)
        .with_hint(NAMES_HINT)
        .into()
}

/// The query of a request.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Query(query) = Query::<T>::from_request_parts(parts, state)
            .await
            .map_err(|error| Refusal::new(ProblemKind::BadRequest, error.body_text()))?;
        Ok(Self(query))
    }
}

/// A body in JSON; nothing at all counts as `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let Raw(bytes) = Raw::<MAX_BODY_BYTES>::from_request(request, state).await?;
        let text = if bytes.is_empty() { b"{}" } else { &bytes[..] };
        // serde's own message tells what, in which line and column.
        serde_json::from_slice(text).map(Self).map_err(|error| {
            Refusal::new(
                ProblemKind::BadRequest,
                format!("the body is not what this request takes: {error}"),
            )
        })
    }
}

/// A body as it is, of at most `MAX` bytes, within [`BODY_TIMEOUT`].
pub(super) struct Raw<const MAX: usize>(pub(super) Bytes);

impl<const MAX: usize, S: Send + Sync> FromRequest<S> for Raw<MAX> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        let too_large = || {
            Refusal::new(
                ProblemKind::TooLarge,
                format!("the body is larger than {MAX} bytes"),
            )
        };
        let body = request.into_body();
        // Told before a byte of it was read: the client need not send it.
        if body.size_hint().lower() > MAX as u64 {
            return Err(too_large());
        }
        match timeout(BODY_TIMEOUT, to_bytes(body, MAX)).await {
            Ok(Ok(bytes)) => Ok(Self(bytes)),
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
}
