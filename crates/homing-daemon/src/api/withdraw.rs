//! `DELETE /v1/sources/{id}` and `POST /v1/sources/{id}/withdraw`

use axum::Json;
use axum::extract::State;
use homing_api::{Run, WithdrawQuery};
use homing_engine::{Forget, Withdrawal};

use super::Api;
use super::extract::{Id, Params};
use super::runs::with_items_to_tell;
use crate::convert;
use crate::problem::Refusal;

/// Takes a source out of service and forgets what is held of it.
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
    carry_out(&api, &id, withdrawal).await
}

/// Takes a source out of service; what is held of it stays.
pub(super) async fn withdraw(State(api): State<Api>, id: Id) -> Result<Json<Run>, Refusal> {
    carry_out(&api, &id, Withdrawal::default()).await
}

async fn carry_out(api: &Api, id: &Id, withdrawal: Withdrawal) -> Result<Json<Run>, Refusal> {
    let engine = api.engine()?;
    let report = engine.withdraw(&id.source()?, withdrawal).await?;
    // After a purge its items are gone with its history; what failed is never purged.
    Ok(Json(convert::run(
        with_items_to_tell(engine, report).await?,
    )))
}
