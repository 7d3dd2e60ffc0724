//! `POST /v1/runs/{id}/undo`

use axum::Json;
use axum::extract::State;
use homing_api::{ProblemKind, Run, routes};
use homing_core::RunId;

use super::Api;
use super::extract::Id;
use crate::convert;
use crate::problem::Refusal;

/// Puts back what a run changed, and holds it there.
pub(super) async fn undo(State(api): State<Api>, id: Id) -> Result<Json<Run>, Refusal> {
    let engine = api.engine()?;
    let run = if id.0 == routes::LAST {
        None
    } else {
        Some(RunId(id.number(ProblemKind::UnknownRun)?))
    };
    let report = engine.undo(run).await?;
    // Which files came back is what an undo has to tell.
    let mut told = engine.run(report.id).await?;
    told.undone = told.undone.or(report.undone);
    Ok(Json(convert::run(told)))
}
