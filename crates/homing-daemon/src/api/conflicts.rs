//! `GET /v1/conflicts`

use axum::Json;
use axum::extract::State;
use homing_api::{Conflicts, ConflictsQuery};

use super::Api;
use super::extract::{Id, Params};
use crate::convert;
use crate::problem::Refusal;

/// Lists the open conflicts.
pub(super) async fn list(
    State(api): State<Api>,
    Params(query): Params<ConflictsQuery>,
) -> Result<Json<Conflicts>, Refusal> {
    let engine = api.engine()?;
    let source = query.source.map(|name| Id(name).source()).transpose()?;
    let target = query.target.map(|name| Id(name).target()).transpose()?;
    let conflicts = engine.conflicts(source, target).await?;
    Ok(Json(Conflicts {
        conflicts: conflicts.into_iter().map(convert::conflict).collect(),
    }))
}
