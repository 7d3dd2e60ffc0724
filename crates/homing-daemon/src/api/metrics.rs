//! `GET /v1/metrics`

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use homing_api::{ProblemKind, routes};

use super::Api;
use crate::figures::Moment;
use crate::problem::Refusal;

/// Prometheus' text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// Tells figures for a monitoring system. Answers even when the configuration is not valid.
#[utoipa::path(
    get,
    path = routes::METRICS,
    operation_id = "get_metrics",
    tag = "daemon",
    responses((
        status = 200,
        description = "Prometheus' text format",
        body = String,
        content_type = "text/plain; version=0.0.4",
    )),
)]
pub(super) async fn show(State(api): State<Api>) -> Result<Response, Refusal> {
    let (status, database_bytes) = match &api.0.engine {
        Ok(serving) => (
            Some(serving.engine.status().await?),
            Some(serving.engine.store().database_bytes()),
        ),
        Err(_) => (None, None),
    };
    let moment = Moment {
        status: status.as_ref(),
        database_bytes,
    };
    let text = api
        .0
        .figures
        .render(&moment)
        .map_err(|error| Refusal::new(ProblemKind::Internal, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
