//! `POST /v1/runs/{id}/undo`

use axum::Json;
use axum::extract::State;
use homing_api::{ProblemKind, Run, routes};
use homing_core::RunId;

use super::Api;
use super::extract::Id;
use super::runs::first_page;
use crate::problem::Refusal;

/// Puts back what a run changed, and holds it there.
#[utoipa::path(
    post,
    path = routes::RUN_UNDO,
    operation_id = "undo_run",
    tag = "runs",
    params(("id" = String, Path, description = "The number of a run, or `last` for the last one that changed something")),
    responses((status = 200, description = "The finished run that undid it", body = Run)),
)]
pub(super) async fn undo(State(api): State<Api>, id: Id) -> Result<Json<Run>, Refusal> {
    let engine = api.engine()?;
    let run = if id.0 == routes::LAST {
        None
    } else {
        Some(RunId(id.number(ProblemKind::UnknownRun)?))
    };
    let report = engine.undo(run).await?;
    // Which files came back is what an undo has to tell.
    let mut told = engine.summary(report.id).await?;
    told.undone = told.undone.or(report.undone);
    Ok(Json(first_page(engine, told).await?))
}
