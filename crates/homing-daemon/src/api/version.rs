//! `GET /v1/version`

use axum::Json;
use axum::extract::State;
use homing_api::{ApiRange, VersionInfo, routes};

use super::Api;

/// What this daemon can do that a daemon of another version or build may not.
const CAPABILITIES: [&str; 6] = [
    "files",
    "if-older-than",
    "import",
    "kind-dir",
    "metrics",
    "openapi",
];

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::document::document;

    #[test]
    fn each_capability_is_something_that_the_interface_has() {
        let document = serde_json::to_value(document()).unwrap();
        let has_path = |path: &str| document["paths"][path].is_object();
        for capability in CAPABILITIES {
            let has = match capability {
                "files" => has_path("/v1/sources/{id}/files"),
                "import" => has_path(routes::IMPORT_ETAG_CACHE),
                "metrics" => has_path(routes::METRICS),
                "openapi" => has_path(routes::OPENAPI),
                "if-older-than" => document["components"]["schemas"]["ManyRunsRequest"]
                    ["properties"]["if_older_than"]
                    .is_object(),
                "kind-dir" => homing_config::EXAMPLE.contains("kind = \"dir\""),
                other => panic!("nothing shows that homingd has `{other}`"),
            };
            assert!(has, "{capability}");
        }
    }
}
