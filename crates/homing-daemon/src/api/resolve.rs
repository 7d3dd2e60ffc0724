//! `POST /v1/conflicts/{id}/resolve` and `/content`

use axum::Json;
use axum::extract::State;
use homing_api::{ProblemKind, ResolveRequest, ResolveWith, Run, routes};
use homing_engine::Resolution;

use super::Api;
use super::extract::{Body, Id, Raw};
use super::runs::with_items_to_tell;
use crate::convert;
use crate::problem::Refusal;

/// Decides a conflict with a word.
#[utoipa::path(
    post,
    path = routes::CONFLICT_RESOLVE,
    operation_id = "resolve_conflict",
    tag = "conflicts",
    params(("id" = i64, Path, description = "The number of an open conflict")),
    request_body = ResolveRequest,
    responses((status = 200, description = "The finished run", body = Run)),
)]
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
#[utoipa::path(
    post,
    path = routes::CONFLICT_CONTENT,
    operation_id = "resolve_conflict_with_content",
    tag = "conflicts",
    params(("id" = i64, Path, description = "The number of an open conflict")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The bytes as they shall be, at most 16 MiB"),
    responses((status = 200, description = "The finished run", body = Run)),
)]
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
