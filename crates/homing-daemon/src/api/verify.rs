//! `POST /v1/targets/{id}/verify`

use axum::Json;
use axum::extract::State;
use homing_api::{Verification, VerifyRequest, routes};

use super::Api;
use super::extract::{Body, Id};
use crate::convert;
use crate::problem::Refusal;

/// Compares what is published with what was written, and repairs it where that is asked for.
#[utoipa::path(
    post,
    path = routes::TARGET_VERIFY,
    operation_id = "verify_target",
    tag = "targets",
    params(("id" = String, Path, description = "The name of a target")),
    request_body = VerifyRequest,
    responses((status = 200, description = "What was found", body = Verification)),
)]
pub(super) async fn verify(
    State(api): State<Api>,
    id: Id,
    Body(request): Body<VerifyRequest>,
) -> Result<Json<Verification>, Refusal> {
    let serving = api.serving()?;
    let target = serving.target(&id.0)?;
    let report = serving.engine.verify(&target, request.repair).await?;
    Ok(Json(convert::verification(report)))
}
