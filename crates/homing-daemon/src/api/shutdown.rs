//! `POST /v1/shutdown`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use homing_api::routes;
use serde_json::{Map, Value};

use super::Api;

/// Ends the daemon as SIGTERM does: runs may finish within the grace.
#[utoipa::path(
    post,
    path = routes::SHUTDOWN,
    operation_id = "shut_down",
    tag = "daemon",
    responses((status = 202, description = "It is on its way out", body = Object)),
)]
pub(super) async fn end(State(api): State<Api>) -> (StatusCode, Json<Value>) {
    tracing::info!("a client asked homingd to end");
    api.0.end.cancel();
    (StatusCode::ACCEPTED, Json(Value::Object(Map::new())))
}
