//! `POST /v1/conflicts/{id}/resolve` and `/content`

use axum::Json;
use axum::extract::State;
use homing_api::{ProblemKind, ResolveRequest, ResolveWith, Run};
use homing_engine::Resolution;

use super::Api;
use super::extract::{Body, Id, Raw};
use super::runs::with_items_to_tell;
use crate::convert;
use crate::problem::Refusal;

/// Decides a conflict with a word.
pub(super) async fn with_word(
    State(api): State<Api>,
    id: Id,
    Body(request): Body<ResolveRequest>,
) -> Result<Json<Run>, Refusal> {
    let resolution = match request.with {
        ResolveWith::Ours => Resolution::Ours,
        ResolveWith::Theirs => Resolution::Theirs,
        ResolveWith::Union => Resolution::Union,
    };
    resolve(&api, &id, resolution).await
}

/// Decides a conflict with bytes.
pub(super) async fn with_content(
    State(api): State<Api>,
    id: Id,
    Raw(content): Raw<{ ResolveRequest::MAX_CONTENT_BYTES }>,
) -> Result<Json<Run>, Refusal> {
    resolve(&api, &id, Resolution::Content(content.into())).await
}

async fn resolve(api: &Api, id: &Id, resolution: Resolution) -> Result<Json<Run>, Refusal> {
    let engine = api.engine()?;
    let conflict = id.number(ProblemKind::UnknownConflict)?;
    let report = engine.resolve(conflict, resolution).await?;
    Ok(Json(convert::run(
        with_items_to_tell(engine, report).await?,
    )))
}
