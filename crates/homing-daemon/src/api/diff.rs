//! `GET /v1/sources/{id}/diff`

use axum::Json;
use axum::extract::State;
use homing_api::{Diff, DiffQuery};

use super::Api;
use super::extract::{Id, Params};
use super::runs::verb;
use crate::convert;
use crate::problem::Refusal;

/// Tells what a run would do. Writes nothing.
pub(super) async fn show(
    State(api): State<Api>,
    id: Id,
    Params(query): Params<DiffQuery>,
) -> Result<Json<Diff>, Refusal> {
    let engine = api.engine()?;
    let source = id.source()?;
    let report = engine.diff(&source, verb(query.verb)).await?;
    Ok(Json(convert::diff(source.to_string(), report)))
}
