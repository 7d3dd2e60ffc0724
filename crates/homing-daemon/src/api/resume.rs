//! `POST /v1/resume` and `POST /v1/sources/{id}/resume`

use axum::Json;
use axum::extract::State;
use homing_api::{Pauses, routes};

use super::Api;
use super::extract::Id;
use crate::convert;
use crate::problem::Refusal;

/// Ends every pause.
#[utoipa::path(
    post,
    path = routes::RESUME,
    operation_id = "resume",
    tag = "daemon",
    responses((status = 200, description = "Everything that is paused still", body = Pauses)),
)]
pub(super) async fn all(State(api): State<Api>) -> Result<Json<Pauses>, Refusal> {
    let report = api.engine()?.resume(None).await?;
    Ok(Json(convert::pauses(report)))
}

/// Ends the pause of one source; a pause of everything goes on.
#[utoipa::path(
    post,
    path = routes::SOURCE_RESUME,
    operation_id = "resume_source",
    tag = "sources",
    params(("id" = String, Path, description = "The source")),
    responses((status = 200, description = "Everything that is paused still", body = Pauses)),
)]
pub(super) async fn source(State(api): State<Api>, id: Id) -> Result<Json<Pauses>, Refusal> {
    let serving = api.serving()?;
    let source = serving.source(&id.0)?;
    let report = serving.engine.resume(Some(&source)).await?;
    Ok(Json(convert::pauses(report)))
}
