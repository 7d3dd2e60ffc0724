//! `POST /v1/store/accept-rebuild`

use axum::Json;
use axum::extract::State;
use homing_api::routes;
use serde_json::{Map, Value};

use super::Api;
use crate::problem::Refusal;

/// Allows deletions and pushes again after the database was rebuilt.
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
