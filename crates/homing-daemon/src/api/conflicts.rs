//! `GET /v1/conflicts`

use axum::Json;
use axum::extract::State;
use homing_api::{Conflicts, ConflictsQuery, routes};

use super::Api;
use super::extract::Params;
use crate::convert;
use crate::problem::Refusal;

/// Lists the open conflicts.
#[utoipa::path(
    get,
    path = routes::CONFLICTS,
    operation_id = "list_conflicts",
    tag = "conflicts",
    params(ConflictsQuery),
    responses((status = 200, description = "The open conflicts", body = Conflicts)),
)]
pub(super) async fn list(
    State(api): State<Api>,
    Params(query): Params<ConflictsQuery>,
) -> Result<Json<Conflicts>, Refusal> {
    let serving = api.serving()?;
    let source = query.source.map(|name| serving.source(&name)).transpose()?;
    let targets = query
        .target
        .map(|name| serving.targets(&name))
        .transpose()?;
    let conflicts = match targets {
        None => serving.engine.conflicts(source, None).await?,
        Some(targets) => {
            let mut conflicts = Vec::new();
            for target in targets {
                let of_it = serving.engine.conflicts(source.clone(), Some(target));
                conflicts.extend(of_it.await?);
            }
            conflicts
        }
    };
    Ok(Json(Conflicts {
        conflicts: conflicts.into_iter().map(convert::conflict).collect(),
    }))
}
