//! `GET /v1/openapi.json`

use axum::Json;
use homing_api::routes;
use utoipa::openapi::OpenApi;

use super::document;

/// Describes this interface.
#[utoipa::path(
    get,
    path = routes::OPENAPI,
    operation_id = "get_description",
    tag = "daemon",
    responses((status = 200, description = "This description, OpenAPI 3.1", body = Object)),
)]
pub(super) async fn show() -> Json<OpenApi> {
    // Made anew each time: it is asked for rarely, and is larger than all that homingd keeps of a source.
    Json(document::document())
}
