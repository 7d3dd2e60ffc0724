//! `GET /v1/version`

use axum::Json;
use axum::extract::State;
use homing_api::{ApiRange, VersionInfo};

use super::Api;

/// Tells what this daemon is. Answers even when the configuration is not valid.
pub(super) async fn show(State(api): State<Api>) -> Json<VersionInfo> {
    let identity = &api.0.identity;
    Json(VersionInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: ApiRange::OURS,
        capabilities: Vec::new(),
        boot_id: identity.boot_id.clone(),
        pid: std::process::id(),
        started_at: identity.started_at.clone(),
    })
}
