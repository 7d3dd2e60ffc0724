//! `GET /v1/targets` and `GET /v1/targets/{id}`

use axum::Json;
use axum::extract::State;
use homing_api::{Target, Targets};

use super::Api;
use super::extract::{Id, unknown_target};
use crate::convert;
use crate::problem::Refusal;

/// Lists every target.
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Targets>, Refusal> {
    let status = api.engine()?.status().await?;
    Ok(Json(Targets {
        targets: status.targets.into_iter().map(convert::target).collect(),
    }))
}

/// Shows one target.
pub(super) async fn show(State(api): State<Api>, id: Id) -> Result<Json<Target>, Refusal> {
    let engine = api.engine()?;
    let wanted = id.target()?;
    let status = engine.status().await?;
    let target = status
        .targets
        .into_iter()
        .find(|target| target.id == wanted);
    let target = target.ok_or_else(|| unknown_target(wanted.as_str()))?;
    Ok(Json(convert::target(target)))
}
