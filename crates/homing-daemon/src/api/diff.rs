//! `GET /v1/sources/{id}/diff`

use axum::Json;
use axum::extract::State;
use homing_api::{Diff, DiffQuery, routes};

use super::Api;
use super::extract::{Id, Params};
use super::runs::verb;
use crate::convert;
use crate::problem::Refusal;

/// Tells what a run would do. Writes nothing.
#[utoipa::path(
    get,
    path = routes::SOURCE_DIFF,
    operation_id = "diff_source",
    tag = "sources",
    params(("id" = String, Path, description = "The name of a source"), DiffQuery),
    responses((status = 200, description = "What a run would do", body = Diff)),
)]
pub(super) async fn show(
    State(api): State<Api>,
    id: Id,
    Params(query): Params<DiffQuery>,
) -> Result<Json<Diff>, Refusal> {
    let serving = api.serving()?;
    let (engine, source) = (&serving.engine, serving.source(&id.0)?);
    let report = if query.patch {
        engine.diff_with_patches(&source, verb(query.verb)).await
    } else {
        engine.diff(&source, verb(query.verb)).await
    };
    let report = report.map_err(|error| Refusal::about(&source, &error))?;
    Ok(Json(convert::diff(source.to_string(), report)))
}
