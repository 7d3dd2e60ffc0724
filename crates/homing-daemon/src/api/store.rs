//! `GET /v1/store` and the `POST`s below it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use homing_api::{PruneRequest, Pruned, StoreCheck, StoreCheckRequest, StoreSize, Vacuumed};
use homing_engine::EngineError;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Api;
use super::extract::Body;
use crate::convert;
use crate::problem::Refusal;

/// Tells what the state takes on disk.
pub(super) async fn size(State(api): State<Api>) -> Result<Json<StoreSize>, Refusal> {
    let size = api.engine()?.store().size().await;
    Ok(Json(convert::store_size(size.map_err(EngineError::from)?)))
}

/// Examines the database and its contents.
pub(super) async fn check(
    State(api): State<Api>,
    Body(request): Body<StoreCheckRequest>,
) -> Result<Json<StoreCheck>, Refusal> {
    let report = api.engine()?.store().check(request.deep).await;
    Ok(Json(convert::store_check(
        &report.map_err(EngineError::from)?,
    )))
}

/// Forgets old runs, and contents that nothing names any more.
pub(super) async fn prune(
    State(api): State<Api>,
    Body(request): Body<PruneRequest>,
) -> Result<Json<Pruned>, Refusal> {
    let retention = Duration::from_millis(request.older_than_ms);
    let swept = api
        .engine()?
        .store()
        .sweep(retention, Timestamp::now())
        .await;
    let swept = swept.map_err(EngineError::from)?;
    Ok(Json(Pruned {
        runs: swept.runs,
        contents: swept.contents,
        bytes: swept.bytes,
    }))
}

/// Gives back the room that the database no longer needs.
pub(super) async fn vacuum(State(api): State<Api>) -> Result<Json<Vacuumed>, Refusal> {
    let vacuumed = api.engine()?.store().vacuum().await;
    let vacuumed = vacuumed.map_err(EngineError::from)?;
    Ok(Json(Vacuumed {
        before: vacuumed.before,
        after: vacuumed.after,
    }))
}

/// Allows deletions and pushes again after the database was rebuilt or restored.
pub(super) async fn accept_rebuild(State(api): State<Api>) -> Result<Json<Value>, Refusal> {
    api.engine()?.accept_rebuild().await?;
    Ok(Json(Value::Object(Map::new())))
}
