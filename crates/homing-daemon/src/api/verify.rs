//! `POST /v1/targets/{id}/verify`

use std::path::Path;

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
    params(("id" = String, Path, description = "The name of a target; that of a preset means all its parts")),
    request_body = VerifyRequest,
    responses((status = 200, description = "What was found", body = Verification)),
)]
pub(super) async fn verify(
    State(api): State<Api>,
    id: Id,
    Body(request): Body<VerifyRequest>,
) -> Result<Json<Verification>, Refusal> {
    let serving = api.serving()?;
    let targets = serving.targets(&id.0)?;
    let mut parts = Vec::new();
    for target in &targets {
        let report = serving.engine.verify(target, request.repair).await?;
        let verification = convert::verification(report);
        if target.as_str() == id.0 {
            return Ok(Json(verification));
        }
        let shown = serving.shown.targets.get(target.as_str());
        let path = shown.map(|shown| Path::new(&shown.path));
        let name = path.and_then(Path::file_name).unwrap_or_default();
        parts.push((name.to_string_lossy().into_owned(), verification));
    }
    Ok(Json(convert::preset_verification(&id.0, parts)))
}
