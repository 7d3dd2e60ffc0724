//! `DELETE /v1/sources/{id}` and `POST /v1/sources/{id}/withdraw`

use axum::Json;
use axum::extract::State;
use homing_api::{Run, WithdrawQuery, routes};
use homing_core::SourceId;
use homing_engine::{EngineError, Forget, Withdrawal};

use super::Api;
use super::extract::{Id, Params};
use super::runs::with_items_to_tell;
use crate::convert;
use crate::problem::Refusal;

/// Takes a source out of service and forgets what is held of it.
#[utoipa::path(
    delete,
    path = routes::SOURCE,
    operation_id = "remove_source",
    tag = "sources",
    params(("id" = String, Path, description = "The source"), WithdrawQuery),
    responses((status = 200, description = "The finished run", body = Run)),
)]
pub(super) async fn remove(
    State(api): State<Api>,
    id: Id,
    Params(query): Params<WithdrawQuery>,
) -> Result<Json<Run>, Refusal> {
    let withdrawal = Withdrawal {
        keep_files: query.keep,
        forget: if query.purge {
            Forget::StateAndHistory
        } else {
            Forget::State
        },
    };
    let run = carry_out(&api, &id, withdrawal).await?;
    if query.purge {
        forget_mirrors(&api, &id).await?;
    }
    Ok(run)
}

/// Takes a source out of service; what is held of it stays.
#[utoipa::path(
    post,
    path = routes::SOURCE_WITHDRAW,
    operation_id = "withdraw_source",
    tag = "sources",
    params(("id" = String, Path, description = "The source")),
    responses((status = 200, description = "The finished run", body = Run)),
)]
pub(super) async fn withdraw(State(api): State<Api>, id: Id) -> Result<Json<Run>, Refusal> {
    carry_out(&api, &id, Withdrawal::default()).await
}

async fn carry_out(api: &Api, id: &Id, withdrawal: Withdrawal) -> Result<Json<Run>, Refusal> {
    let serving = api.serving()?;
    let engine = &serving.engine;
    let source = match serving.source(&id.0) {
        Ok(source) => source,
        // Its section was removed by hand, and the targets may hold files of it still.
        Err(unknown) => id.0.parse::<SourceId>().ok().ok_or(unknown)?,
    };
    let report = match engine.withdraw(&source, withdrawal).await {
        Err(EngineError::UnknownSource(_)) => return Err(serving.unknown_source(&id.0)),
        withdrawn => withdrawn?,
    };
    // After a purge its items are gone with its history; what failed is never purged.
    Ok(Json(convert::run(
        with_items_to_tell(engine, report).await?,
    )))
}

/// Removes the mirrors that only this source reads.
async fn forget_mirrors(api: &Api, id: &Id) -> Result<(), Refusal> {
    let serving = api.serving()?;
    let Ok(source) = id.0.parse::<SourceId>() else {
        return Ok(());
    };
    let repositories = serving.repositories.clone();
    let forgotten = repositories.forget(&serving.engine, &source).await;
    if let Err(error) = forgotten {
        // The files are out of the targets, and upkeep removes what nobody reads.
        tracing::warn!(%error, %source, "its mirrors could not be removed yet");
    }
    Ok(())
}
