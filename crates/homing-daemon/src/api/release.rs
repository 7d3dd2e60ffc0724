//! `POST /v1/sources/{id}/release`

use axum::Json;
use axum::extract::State;
use homing_api::{Problem, ProblemKind, ReleaseRequest, Run, routes};
use homing_core::{ItemKey, SourceId};
use homing_engine::EngineError;

use super::Api;
use super::extract::{Body, Id};
use super::runs::with_items_to_tell;
use crate::convert;
use crate::problem::Refusal;

/// Lets held or deleted items follow upstream again.
#[utoipa::path(
    post,
    path = routes::SOURCE_RELEASE,
    operation_id = "release_items",
    tag = "sources",
    params(("id" = String, Path, description = "The name of a source")),
    request_body = ReleaseRequest,
    responses((status = 200, description = "The finished run", body = Run)),
)]
pub(super) async fn release(
    State(api): State<Api>,
    id: Id,
    Body(request): Body<ReleaseRequest>,
) -> Result<Json<Run>, Refusal> {
    let serving = api.serving()?;
    let (engine, source) = (&serving.engine, serving.source(&id.0)?);
    let paths = request
        .paths
        .iter()
        .map(|path| key(path))
        .collect::<Result<Vec<_>, _>>()?;
    let report = engine
        .release(&source, paths)
        .await
        .map_err(|error| refusal(error, &source))?;
    Ok(Json(convert::run(
        with_items_to_tell(engine, report).await?,
    )))
}

/// The paths are those of a source, not of a target.
fn refusal(error: EngineError, source: &SourceId) -> Refusal {
    let EngineError::UnknownPath(path) = error else {
        return error.into();
    };
    let detail = format!("source `{source}` has no file `{}`", path.escape_debug());
    let problem = Problem::new(ProblemKind::UnknownPath, detail);
    let hint = format!("`homing files {source}` lists what there is");
    problem.with_hint(hint).with_source(source.as_str()).into()
}

fn key(path: &str) -> Result<ItemKey, Refusal> {
    ItemKey::new(path).map_err(|error| {
        Refusal::new(
            ProblemKind::UnknownPath,
            format!("no item has the path `{}`: {error}", path.escape_debug()),
        )
    })
}
