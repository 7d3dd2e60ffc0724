//! `POST /v1/pause` and `POST /v1/sources/{id}/pause`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use homing_api::{PauseRequest, Pauses, Problem, ProblemKind, routes};
use homing_config::parse_duration;

use super::Api;
use super::extract::{Body, Id};
use crate::convert;
use crate::problem::Refusal;

/// Pauses everything.
#[utoipa::path(
    post,
    path = routes::PAUSE,
    operation_id = "pause",
    tag = "daemon",
    request_body = PauseRequest,
    responses((status = 200, description = "Everything that is paused", body = Pauses)),
)]
pub(super) async fn all(
    State(api): State<Api>,
    Body(request): Body<PauseRequest>,
) -> Result<Json<Pauses>, Refusal> {
    let engine = api.engine()?;
    let report = engine.pause(None, length(&request)?).await?;
    Ok(Json(convert::pauses(report)))
}

/// Pauses one source.
#[utoipa::path(
    post,
    path = routes::SOURCE_PAUSE,
    operation_id = "pause_source",
    tag = "sources",
    params(("id" = String, Path, description = "The source")),
    request_body = PauseRequest,
    responses((status = 200, description = "Everything that is paused", body = Pauses)),
)]
pub(super) async fn source(
    State(api): State<Api>,
    id: Id,
    Body(request): Body<PauseRequest>,
) -> Result<Json<Pauses>, Refusal> {
    let serving = api.serving()?;
    let source = serving.source(&id.0)?;
    let report = serving
        .engine
        .pause(Some(&source), length(&request)?)
        .await?;
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
    Problem::new(ProblemKind::BadRequest, detail)
        .with_hint(
            "give a time such as 30m or 2h, or none at all: then it lasts until `homing resume`",
        )
        .into()
}
