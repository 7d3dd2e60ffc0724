//! `GET /v1/version`

use axum::Json;
use axum::extract::State;
use homing_api::{ApiRange, VersionInfo, routes};

use super::Api;

/// What this daemon can do that a daemon of another version or build may not.
const CAPABILITIES: [&str; 5] = ["files", "if-older-than", "kind-dir", "metrics", "openapi"];

/// Tells what this daemon is. Answers even when the configuration is not valid.
#[utoipa::path(
    get,
    path = routes::VERSION,
    operation_id = "get_version",
    tag = "daemon",
    responses((status = 200, description = "What this daemon is", body = VersionInfo)),
)]
pub(super) async fn show(State(api): State<Api>) -> Json<VersionInfo> {
    let identity = &api.0.identity;
    Json(VersionInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: ApiRange::OURS,
        capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
        boot_id: identity.boot_id.clone(),
        pid: std::process::id(),
        started_at: identity.started_at.clone(),
    })
}
