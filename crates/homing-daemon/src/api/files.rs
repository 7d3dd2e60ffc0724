//! `GET /v1/sources/{id}/files`

use axum::Json;
use axum::extract::State;
use homing_api::{Files, FilesQuery, Problem, ProblemKind, routes};
use homing_core::ItemKey;
use homing_engine::FilesRequest;

use super::Api;
use super::extract::{Id, Params, limit};
use crate::convert;
use crate::problem::Refusal;

const DEFAULT_LIMIT: u32 = 1000;
const MAX_LIMIT: u32 = 10_000;
const MAX_RECENT: u32 = 1000;

/// Lists the items that Homing holds for a source.
#[utoipa::path(
    get,
    path = routes::SOURCE_FILES,
    operation_id = "list_files",
    tag = "sources",
    params(("id" = String, Path, description = "The name of a source"), FilesQuery),
    responses((status = 200, description = "The files", body = Files)),
)]
pub(super) async fn list(
    State(api): State<Api>,
    id: Id,
    Params(query): Params<FilesQuery>,
) -> Result<Json<Files>, Refusal> {
    let serving = api.serving()?;
    let source = serving.source(&id.0)?;
    if query.recent.is_some() && (query.after.is_some() || query.limit.is_some()) {
        let detail = "`recent` goes without `after` and `limit`";
        return Err(Refusal::new(ProblemKind::BadRequest, detail));
    }
    let recent = query
        .recent
        .map(|recent| limit("recent", Some(recent), recent, 1..=MAX_RECENT))
        .transpose()?;
    let is_first_page = query.after.is_none();
    let request = FilesRequest {
        path: query.path.clone(),
        recent,
        after: query.after.map(|after| key(&after)).transpose()?,
        limit: limit("limit", query.limit, DEFAULT_LIMIT, 1..=MAX_LIMIT)?,
    };
    let report = serving.engine.files(&source, request).await?;
    if let Some(path) = query.path
        && report.files.is_empty()
        && is_first_page
    {
        let detail = format!("nothing of `{source}` matches `{}`", path.escape_debug());
        let problem = Problem::new(ProblemKind::UnknownPath, detail);
        let hint = format!("`homing files {source}` lists what there is");
        return Err(problem.with_hint(hint).with_source(source.as_str()).into());
    }
    Ok(Json(Files {
        source: source.to_string(),
        files: report.files.iter().map(convert::file).collect(),
        next: report.next.map(|key| key.to_string()),
    }))
}

fn key(path: &str) -> Result<ItemKey, Refusal> {
    ItemKey::new(path).map_err(|error| {
        Refusal::new(
            ProblemKind::BadRequest,
            format!("`after` is not a path: {error}"),
        )
    })
}
