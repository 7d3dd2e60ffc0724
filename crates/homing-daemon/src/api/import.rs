//! `POST /v1/import/etag-cache` and `POST /v1/import/agent-sync-db`

use axum::Json;
use axum::extract::{Request, State};
use homing_api::{ImportQuery, ImportReport, routes};

use super::Api;
use super::extract::{Params, expect_type};
use crate::import::{self, Kind, TURN, Upload};
use crate::problem::Refusal;

/// What the body is.
const TAR: &str = "application/x-tar";

/// Takes over what an `ETag` cache knows.
#[utoipa::path(
    post,
    path = routes::IMPORT_ETAG_CACHE,
    operation_id = "import_etag_cache",
    tag = "import",
    params(ImportQuery),
    request_body(content = Vec<u8>, content_type = "application/x-tar"),
    responses((status = 200, description = "What was taken over", body = ImportReport)),
)]
pub(super) async fn etag_cache(
    State(api): State<Api>,
    Params(query): Params<ImportQuery>,
    request: Request,
) -> Result<Json<ImportReport>, Refusal> {
    take_over(&api, query, request, Kind::EtagCache).await
}

/// Takes over what the database of an agent sync knows.
#[utoipa::path(
    post,
    path = routes::IMPORT_AGENT_SYNC_DB,
    operation_id = "import_agent_sync_db",
    tag = "import",
    params(ImportQuery),
    request_body(content = Vec<u8>, content_type = "application/x-tar"),
    responses((status = 200, description = "What was taken over", body = ImportReport)),
)]
pub(super) async fn agent_sync_db(
    State(api): State<Api>,
    Params(query): Params<ImportQuery>,
    request: Request,
) -> Result<Json<ImportReport>, Refusal> {
    take_over(&api, query, request, Kind::AgentSync).await
}

async fn take_over(
    api: &Api,
    query: ImportQuery,
    request: Request,
    kind: Kind,
) -> Result<Json<ImportReport>, Refusal> {
    expect_type(&request, TAR)?;
    let serving = api.serving()?.clone();
    let _turn = TURN.lock().await;
    let upload = Upload::receive(request.into_body(), &api.0.identity.data_dir).await?;
    let report = import::run(
        &serving.engine,
        &serving.importable,
        upload,
        kind,
        query.dry_run,
    );
    Ok(Json(report.await?))
}
