//! `GET /v1/sources` and `GET /v1/sources/{id}`

use axum::Json;
use axum::extract::State;
use homing_api::{Source, Sources, routes};

use super::extract::Id;
use super::{Api, Serving};
use crate::convert;
use crate::problem::Refusal;

/// Lists every source.
#[utoipa::path(
    get,
    path = routes::SOURCES,
    operation_id = "list_sources",
    tag = "sources",
    responses((status = 200, description = "Every source, by name", body = Sources)),
)]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Sources>, Refusal> {
    let serving = api.serving()?;
    let status = serving.engine.status().await?;
    Ok(Json(Sources {
        sources: status
            .sources
            .into_iter()
            .map(|source| with_config(serving, convert::source(source)))
            .collect(),
    }))
}

/// Shows one source.
#[utoipa::path(
    get,
    path = routes::SOURCE,
    operation_id = "get_source",
    tag = "sources",
    params(("id" = String, Path, description = "The name of a source")),
    responses((status = 200, description = "The source", body = Source)),
)]
pub(super) async fn show(State(api): State<Api>, id: Id) -> Result<Json<Source>, Refusal> {
    let serving = api.serving()?;
    let wanted = serving.source(&id.0)?;
    let status = serving.engine.status().await?;
    let source = status
        .sources
        .into_iter()
        .find(|source| source.id == wanted);
    let source = source.ok_or_else(|| serving.unknown_source(&id.0))?;
    Ok(Json(with_config(serving, convert::source(source))))
}

fn with_config(serving: &Serving, mut source: Source) -> Source {
    source.config = serving.shown.sources.get(&source.id).cloned();
    source
}
