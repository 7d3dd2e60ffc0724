//! `POST /v1/targets/{id}/verify`

use axum::Json;
use axum::extract::State;
use homing_api::{Verification, VerifyRequest};

use super::Api;
use super::extract::{Body, Id};
use crate::convert;
use crate::problem::Refusal;

/// Compares what is published with what was written, and repairs it where that is asked for.
pub(super) async fn verify(
    State(api): State<Api>,
    id: Id,
    Body(request): Body<VerifyRequest>,
) -> Result<Json<Verification>, Refusal> {
    let engine = api.engine()?;
    let report = engine.verify(&id.target()?, request.repair).await?;
    Ok(Json(convert::verification(report)))
}
