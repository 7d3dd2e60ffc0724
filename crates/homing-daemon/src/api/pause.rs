//! `POST /v1/pause` and `POST /v1/sources/{id}/pause`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use homing_api::{PauseRequest, Pauses, ProblemKind};
use homing_config::parse_duration;

use super::Api;
use super::extract::{Body, Id};
use crate::convert;
use crate::problem::Refusal;

/// Pauses everything.
pub(super) async fn all(
    State(api): State<Api>,
    Body(request): Body<PauseRequest>,
) -> Result<Json<Pauses>, Refusal> {
    let engine = api.engine()?;
    let report = engine.pause(None, length(&request)?).await?;
    Ok(Json(convert::pauses(report)))
}

/// Pauses one source.
pub(super) async fn source(
    State(api): State<Api>,
    id: Id,
    Body(request): Body<PauseRequest>,
) -> Result<Json<Pauses>, Refusal> {
    let engine = api.engine()?;
    let source = id.source()?;
    let report = engine.pause(Some(&source), length(&request)?).await?;
    Ok(Json(convert::pauses(report)))
}

fn length(request: &PauseRequest) -> Result<Option<Duration>, Refusal> {
    let Some(text) = &request.length else {
        return Ok(None);
    };
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err(bad_length("`for` is no time at all".to_owned())),
        Ok(length) => Ok(Some(length)),
        Err(error) => Err(bad_length(format!("`for`: {error}"))),
    }
}

fn bad_length(detail: String) -> Refusal {
    Refusal::new(ProblemKind::BadRequest, detail)
}
