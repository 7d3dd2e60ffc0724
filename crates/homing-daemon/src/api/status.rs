//! `GET /v1/status`

use axum::Json;
use axum::extract::State;
use homing_api::{Condition, Daemon, Status};

use super::Api;
use crate::convert;
use crate::problem::Refusal;

/// Tells how the daemon, its sources and its targets are. Answers even when the configuration is not valid.
pub(super) async fn show(State(api): State<Api>) -> Result<Json<Status>, Refusal> {
    Ok(Json(document(&api).await?))
}

/// Returns what [`show`] tells.
pub(super) async fn document(api: &Api) -> Result<Status, Refusal> {
    let Ok(serving) = &api.0.engine else {
        return Ok(without_configuration(api));
    };
    let status = serving.engine.status().await?;
    let mut daemon = daemon(api);
    daemon.recovered = status.recovered;
    if let Some(moved) = &status.quarantined {
        daemon.conditions.push(Condition {
            kind: "StorageFailed".to_owned(),
            status: true,
            reason: "Quarantined".to_owned(),
            message: format!(
                "the database was damaged and moved aside to {moved}; until `homing db accept-rebuild` nothing is deleted or pushed"
            ),
            since: None,
        });
    }
    if let Some(created_at) = serving.engine.store().restored() {
        daemon.conditions.push(Condition {
            kind: "Blocked".to_owned(),
            status: true,
            reason: "Restored".to_owned(),
            message: format!(
                "the backup of {created_at} was restored; until `homing db accept-rebuild` nothing is deleted or pushed"
            ),
            since: None,
        });
    }
    daemon.quarantined = status.quarantined;
    daemon.paused = status.paused.map(convert::pause);
    Ok(Status {
        daemon,
        sources: status.sources.into_iter().map(convert::source).collect(),
        targets: status.targets.into_iter().map(convert::target).collect(),
    })
}

fn without_configuration(api: &Api) -> Status {
    Status {
        daemon: daemon(api),
        sources: Vec::new(),
        targets: Vec::new(),
    }
}

fn daemon(api: &Api) -> Daemon {
    let identity = &api.0.identity;
    Daemon {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: identity.started_at.clone(),
        config_path: identity.config_path.display().to_string(),
        data_dir: identity.data_dir.display().to_string(),
        recovered: true,
        quarantined: None,
        paused: None,
        conditions: api.0.conditions.clone(),
    }
}
