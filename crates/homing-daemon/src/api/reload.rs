//! `POST /v1/reload`

use axum::Json;
use axum::extract::State;
use homing_api::{ProblemKind, Reloaded};
use tokio::sync::{mpsc, oneshot};

use super::Api;
use crate::problem::Refusal;

/// What a client hears of its reload.
pub(crate) type Answer = Result<Reloaded, Box<homing_api::Problem>>;

/// The way to the one who reloads, for clients.
pub(crate) type Requests = mpsc::Sender<oneshot::Sender<Answer>>;

/// Takes the configuration over, whole or not at all, with new and changed commands.
pub(super) async fn reload(State(api): State<Api>) -> Result<Json<Reloaded>, Refusal> {
    let (sender, receiver) = oneshot::channel();
    let gone = || Refusal::new(ProblemKind::ShuttingDown, "homingd is shutting down");
    api.0.reload.send(sender).await.map_err(|_unsent| gone())?;
    let answer = receiver.await.map_err(|_dropped| gone())?;
    Ok(Json(answer?))
}
