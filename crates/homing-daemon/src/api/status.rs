//! `GET /v1/status`

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use homing_api::{Condition, Daemon, ProblemKind, Status, StatusQuery, routes};
use homing_engine::{EngineError, EngineStatus, Freshness};

use super::Api;
use super::extract::Params;
use crate::convert;
use crate::problem::Refusal;

/// Tells how the daemon, its sources and its targets are. Answers even when the configuration is not valid.
#[utoipa::path(
    get,
    path = routes::STATUS,
    operation_id = "get_status",
    tag = "daemon",
    params(StatusQuery),
    responses((status = 200, description = "Everything at a glance", body = Status)),
)]
pub(super) async fn show(
    State(api): State<Api>,
    Params(query): Params<StatusQuery>,
) -> Result<Response, Refusal> {
    let body = if query.detailed {
        let mut status = document(&api).await?;
        fill_in(&mut status, &api).await?;
        json(&status)?
    } else {
        written(&api).await?
    };
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// Adds what has to be counted.
async fn fill_in(status: &mut Status, api: &Api) -> Result<(), Refusal> {
    let Ok(serving) = &api.0.engine else {
        return Ok(());
    };
    let details = serving.engine.details().await?;
    for source in &mut status.sources {
        let known = details.sources.iter();
        let known = known.filter(|(id, _)| id.as_str() == source.id);
        for (_, detail) in known {
            source.content_bytes = Some(detail.content_bytes);
            source.stale_at = detail.stale_at.map(convert::time);
        }
    }
    // Without `git` nobody knows which mirrors are whose; that is left out, and the rest told.
    let sizes = serving.repositories.sizes(&serving.engine).await;
    let sizes = sizes.unwrap_or_else(|error| {
        tracing::warn!(%error, "the room of the sources' mirrors is not known");
        BTreeMap::new()
    });
    for (id, bytes) in sizes {
        let mut sources = status.sources.iter_mut();
        if let Some(source) = sources.find(|source| source.id == id.as_str()) {
            source.mirror_bytes = Some(bytes);
        }
    }
    for target in &mut status.targets {
        let mut known = details.hooks_waiting.iter();
        let known = known.find(|(id, _)| id.as_str() == target.id);
        target.hooks_waiting = known.map(|(_, waiting)| *waiting);
    }
    let mirrors = serving.repositories.size().await;
    let mirrors = mirrors.map_err(EngineError::from)?;
    status.daemon.store = Some(convert::store_size(details.store, mirrors));
    Ok(())
}

/// Returns what [`show`] tells.
pub(super) async fn document(api: &Api) -> Result<Status, Refusal> {
    match &api.0.engine {
        Ok(serving) => Ok(with(api, serving.engine.status().await?)),
        Err(_) => Ok(without_configuration(api)),
    }
}

/// The status as it was written last: most who ask do so while nothing happens.
#[derive(Default)]
pub(crate) struct Written(Mutex<Option<(Freshness, Bytes)>>);

async fn written(api: &Api) -> Result<Bytes, Refusal> {
    let Ok(serving) = &api.0.engine else {
        return json(&without_configuration(api));
    };
    let last = || {
        api.0
            .status
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    };
    if let Some((freshness, body)) = &*last()
        && serving.engine.still_holds(freshness)
    {
        return Ok(body.clone());
    }
    let (status, freshness) = serving.engine.status_to_keep().await?;
    let body = json(&with(api, status))?;
    *last() = freshness.map(|freshness| (freshness, body.clone()));
    Ok(body)
}

fn json(status: &Status) -> Result<Bytes, Refusal> {
    let written = serde_json::to_vec(status);
    let failed = |error: serde_json::Error| Refusal::new(ProblemKind::Internal, error.to_string());
    written.map(Bytes::from).map_err(failed)
}

fn with(api: &Api, status: EngineStatus) -> Status {
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
    if let Some(created_at) = &status.restored {
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
    daemon
        .conditions
        .extend(status.offline.as_ref().map(crate::condition::offline));
    daemon.quarantined = status.quarantined;
    daemon.paused = status.paused.map(convert::pause);
    Status {
        daemon,
        sources: status.sources.into_iter().map(convert::source).collect(),
        targets: status.targets.into_iter().map(convert::target).collect(),
    }
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
        store: None,
    }
}
