//! `GET /v1/store` and the `POST`s below it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use homing_api::{
    PruneRequest, Pruned, StoreCheck, StoreCheckRequest, StoreSize, Vacuumed, routes,
};
use homing_engine::EngineError;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Api;
use super::extract::Body;
use crate::convert;
use crate::problem::Refusal;

/// Tells what the state takes on disk.
#[utoipa::path(
    get,
    path = routes::STORE,
    operation_id = "get_store",
    tag = "store",
    responses((status = 200, description = "What the state takes on disk", body = StoreSize)),
)]
pub(super) async fn size(State(api): State<Api>) -> Result<Json<StoreSize>, Refusal> {
    let serving = api.serving()?;
    let size = serving.engine.store().size().await;
    let mirrors = serving.repositories.size().await;
    Ok(Json(convert::store_size(
        size.map_err(EngineError::from)?,
        mirrors.map_err(EngineError::from)?,
    )))
}

/// Examines the database and its contents, and the mirrors of repositories.
#[utoipa::path(
    post,
    path = routes::STORE_CHECK,
    operation_id = "check_store",
    tag = "store",
    request_body = StoreCheckRequest,
    responses((status = 200, description = "What was found", body = StoreCheck)),
)]
pub(super) async fn check(
    State(api): State<Api>,
    Body(request): Body<StoreCheckRequest>,
) -> Result<Json<StoreCheck>, Refusal> {
    let serving = api.serving()?;
    let report = serving.engine.store().check(request.deep).await;
    let found = convert::store_check(&report.map_err(EngineError::from)?);
    let examined = serving.repositories.examine(&serving.engine).await;
    Ok(Json(match examined {
        Ok(mirrors) => StoreCheck {
            sound: found.sound && mirrors.damaged.is_empty(),
            mirrors: mirrors.mirrors,
            damaged_mirrors: mirrors.damaged,
            ..found
        },
        // What is known of the database is told all the same.
        Err(error) => StoreCheck {
            mirrors_unexamined: Some(error.to_string()),
            ..found
        },
    }))
}

/// Forgets old runs, and contents that nothing names any more.
#[utoipa::path(
    post,
    path = routes::STORE_PRUNE,
    operation_id = "prune_store",
    tag = "store",
    request_body = PruneRequest,
    responses((status = 200, description = "What is gone", body = Pruned)),
)]
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
#[utoipa::path(
    post,
    path = routes::STORE_VACUUM,
    operation_id = "vacuum_store",
    tag = "store",
    responses((status = 200, description = "The size before and after", body = Vacuumed)),
)]
pub(super) async fn vacuum(State(api): State<Api>) -> Result<Json<Vacuumed>, Refusal> {
    let vacuumed = api.engine()?.store().vacuum().await;
    let vacuumed = vacuumed.map_err(EngineError::from)?;
    Ok(Json(Vacuumed {
        before: vacuumed.before,
        after: vacuumed.after,
    }))
}

/// Allows deletions and pushes again after the database was rebuilt or restored.
#[utoipa::path(
    post,
    path = routes::STORE_ACCEPT_REBUILD,
    operation_id = "accept_rebuild",
    tag = "store",
    responses((status = 200, description = "Deletions and pushes are allowed again", body = Object)),
)]
pub(super) async fn accept_rebuild(State(api): State<Api>) -> Result<Json<Value>, Refusal> {
    api.engine()?.accept_rebuild().await?;
    Ok(Json(Value::Object(Map::new())))
}
