//! `GET /v1/sources` and `GET /v1/sources/{id}`

use axum::Json;
use axum::extract::State;
use homing_api::{Source, Sources};

use super::Api;
use super::extract::{Id, unknown_source};
use crate::convert;
use crate::problem::Refusal;

/// Lists every source.
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Sources>, Refusal> {
    let status = api.engine()?.status().await?;
    Ok(Json(Sources {
        sources: status.sources.into_iter().map(convert::source).collect(),
    }))
}

/// Shows one source.
pub(super) async fn show(State(api): State<Api>, id: Id) -> Result<Json<Source>, Refusal> {
    let engine = api.engine()?;
    let wanted = id.source()?;
    let status = engine.status().await?;
    let source = status
        .sources
        .into_iter()
        .find(|source| source.id == wanted);
    let source = source.ok_or_else(|| unknown_source(wanted.as_str()))?;
    Ok(Json(convert::source(source)))
}
