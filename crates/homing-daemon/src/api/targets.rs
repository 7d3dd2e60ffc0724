//! `GET /v1/targets` and `GET /v1/targets/{id}`

use axum::Json;
use axum::extract::State;
use homing_api::{Target, Targets, routes};

use super::extract::Id;
use super::{Api, Serving};
use crate::convert;
use crate::problem::Refusal;

/// Lists every target.
#[utoipa::path(
    get,
    path = routes::TARGETS,
    operation_id = "list_targets",
    tag = "targets",
    responses((status = 200, description = "Every target, by name", body = Targets)),
)]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Targets>, Refusal> {
    let serving = api.serving()?;
    let status = serving.engine.status().await?;
    Ok(Json(Targets {
        targets: status
            .targets
            .into_iter()
            .map(|target| with_config(serving, convert::target(target)))
            .collect(),
    }))
}

/// Shows one target.
#[utoipa::path(
    get,
    path = routes::TARGET,
    operation_id = "get_target",
    tag = "targets",
    params(("id" = String, Path, description = "The name of a target; that of a preset means all its parts")),
    responses((status = 200, description = "The target", body = Target)),
)]
pub(super) async fn show(State(api): State<Api>, id: Id) -> Result<Json<Target>, Refusal> {
    let serving = api.serving()?;
    let wanted = serving.targets(&id.0)?;
    let status = serving.engine.status().await?;
    let known = status.targets.into_iter();
    let mut targets: Vec<Target> = known
        .filter(|target| wanted.contains(&target.id))
        .map(|target| with_config(serving, convert::target(target)))
        .collect();
    match targets.iter().position(|target| target.id == id.0) {
        Some(at) => Ok(Json(targets.swap_remove(at))),
        None if targets.is_empty() => Err(serving.unknown_target(&id.0)),
        None => Ok(Json(convert::preset(&id.0, targets))),
    }
}

fn with_config(serving: &Serving, mut target: Target) -> Target {
    target.config = serving.shown.targets.get(&target.id).cloned();
    target
}
