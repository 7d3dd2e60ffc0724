//! `GET /v1/health`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use homing_api::{Health, routes};

use super::Api;

/// Tells whether all is well enough to sync: 200, or 503 with the reasons.
#[utoipa::path(
    get,
    path = routes::HEALTH,
    operation_id = "get_health",
    tag = "daemon",
    responses(
        (status = 200, description = "Ready to sync", body = Health),
        (status = 503, description = "Not ready, with the reasons", body = Health),
    ),
)]
pub(super) async fn show(State(api): State<Api>) -> (StatusCode, Json<Health>) {
    let mut reasons = Vec::new();
    match &api.0.engine {
        Err(problem) => reasons.push(problem.detail.clone()),
        Ok(serving) => match serving.engine.status().await {
            Err(error) => reasons.push(error.to_string()),
            Ok(status) => {
                if !status.recovered {
                    reasons.push("repairs after the last stop are under way".to_owned());
                }
                if let Some(created_at) = status.restored {
                    reasons.push(format!(
                        "the backup of {created_at} was restored and not accepted yet"
                    ));
                }
                if let Some(moved) = status.quarantined {
                    reasons.push(format!(
                        "the database was damaged and moved aside to {moved}"
                    ));
                }
            }
        },
    }
    let ready = reasons.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Health { ready, reasons }))
}
