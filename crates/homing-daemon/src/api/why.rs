//! `GET /v1/why`

use std::path::Path;

use axum::Json;
use axum::extract::State;
use homing_api::{ProblemKind, Why, WhyQuery, routes};

use super::Api;
use super::extract::Params;
use crate::convert;
use crate::problem::Refusal;

/// Tells which source put a file where it is, and what lost.
#[utoipa::path(
    get,
    path = routes::WHY,
    operation_id = "explain_path",
    tag = "targets",
    params(WhyQuery),
    responses((status = 200, description = "Where the file comes from", body = Why)),
)]
pub(super) async fn show(
    State(api): State<Api>,
    Params(query): Params<WhyQuery>,
) -> Result<Json<Why>, Refusal> {
    let engine = api.engine()?;
    let path = Path::new(&query.path);
    if !path.is_absolute() {
        let shown = query.path.escape_debug();
        return Err(Refusal::new(
            ProblemKind::BadRequest,
            format!("`path` must be absolute, not `{shown}`"),
        ));
    }
    Ok(Json(convert::why(engine.why(path).await?)))
}
