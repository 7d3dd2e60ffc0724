//! `POST /v1/resume` and `POST /v1/sources/{id}/resume`

use axum::Json;
use axum::extract::State;
use homing_api::Pauses;

use super::Api;
use super::extract::Id;
use crate::convert;
use crate::problem::Refusal;

/// Ends every pause.
pub(super) async fn all(State(api): State<Api>) -> Result<Json<Pauses>, Refusal> {
    let report = api.engine()?.resume(None).await?;
    Ok(Json(convert::pauses(report)))
}

/// Ends the pause of one source; a pause of everything goes on.
pub(super) async fn source(State(api): State<Api>, id: Id) -> Result<Json<Pauses>, Refusal> {
    let engine = api.engine()?;
    let report = engine.resume(Some(&id.source()?)).await?;
    Ok(Json(convert::pauses(report)))
}
