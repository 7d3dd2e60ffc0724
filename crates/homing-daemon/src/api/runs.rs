//! `POST /v1/sources/{id}/runs`, `GET` and `POST /v1/runs`, `GET` and `DELETE /v1/runs/{id}`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use homing_api::{
    ManyRunsRequest, Problem, ProblemKind, RequestVerb, Run, RunRequest, Runs, RunsQuery,
    Selection, StartedRuns, WaitQuery, parse_wait,
};
use homing_core::{RunId, SourceId};
use homing_engine::{Engine, EngineError, ItemAction, RunReport, RunStatus, Trigger, Verb};
use tokio::time::timeout;

use super::extract::{Body, Id, Params, unknown_source};
use super::{Api, Serving};
use crate::convert;
use crate::problem::Refusal;

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 1000;

/// Starts a run, or joins an equal one that waits. A dry run is a diff.
pub(super) async fn start(
    State(api): State<Api>,
    id: Id,
    Params(query): Params<WaitQuery>,
    Body(request): Body<RunRequest>,
) -> Result<Response, Refusal> {
    let engine = api.engine()?;
    let source = id.source()?;
    let wait = wait(&query)?;
    if request.dry_run {
        let report = engine.diff(&source, verb(request.verb)).await?;
        return Ok(Json(convert::diff(source.to_string(), report)).into_response());
    }
    let run = engine
        .submit(&source, domain(request))
        .map_err(|error| Refusal::from(error).of_source(source.as_str()))?;
    let report = within(engine, run, wait).await?;
    Ok((
        accepted_unless(has_ended(&report)),
        Json(convert::run(report)),
    )
        .into_response())
}

/// Starts runs of many sources. A name that does not exist fails the request before anything is started.
pub(super) async fn start_many(
    State(api): State<Api>,
    Params(query): Params<WaitQuery>,
    Body(request): Body<ManyRunsRequest>,
) -> Result<(StatusCode, Json<StartedRuns>), Refusal> {
    let serving = api.serving()?;
    let wait = wait(&query)?;
    let (mut started, mut problems) = (Vec::new(), Vec::new());
    for source in selected(serving, &request.sources)? {
        match serving.engine.submit(&source, domain(request.for_one())) {
            Ok(run) => started.push(run),
            // "All" means all that are enabled, whoever switched the others off.
            Err(EngineError::Disabled { .. }) if request.sources == Selection::All => {}
            Err(error) => problems.push(Refusal::from(error).of_source(source.as_str()).problem()),
        }
    }
    let reports = join_all(
        started
            .into_iter()
            .map(|run| within(&serving.engine, run, wait)),
    )
    .await;
    let reports = reports.into_iter().collect::<Result<Vec<_>, _>>()?;
    let status = accepted_unless(reports.iter().all(has_ended));
    let runs = reports.into_iter().map(convert::run).collect();
    Ok((status, Json(StartedRuns { runs, problems })))
}

/// Lists runs, newest first, without items.
pub(super) async fn list(
    State(api): State<Api>,
    Params(query): Params<RunsQuery>,
) -> Result<Json<Runs>, Refusal> {
    let serving = api.serving()?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(bad_request(format!(
            "`limit` must be 1 to {MAX_LIMIT}, not {limit}"
        )));
    }
    let source = query.source.map(|name| Id(name).source()).transpose()?;
    let status = match query.status {
        Some(word) => Some(word.as_str().parse::<RunStatus>().map_err(|_unknown| {
            bad_request(format!(
                "`{}` is not a status of a run",
                word.as_str().escape_debug()
            ))
        })?),
        None => None,
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let reports = serving
        .engine
        .history(source.clone(), status, query.before.map(RunId), limit)
        .await?;
    // A source that was removed keeps its history, so only one without any is unknown.
    if let Some(source) = source
        && reports.is_empty()
        && !serving.sources.contains_key(&source)
    {
        return Err(unknown_source(source.as_str()));
    }
    Ok(Json(Runs {
        runs: reports.into_iter().map(convert::run).collect(),
    }))
}

/// Shows a run with its items, once it has ended or the time has passed.
pub(super) async fn show(
    State(api): State<Api>,
    id: Id,
    Params(query): Params<WaitQuery>,
) -> Result<Json<Run>, Refusal> {
    let engine = api.engine()?;
    let run = RunId(id.number(ProblemKind::UnknownRun)?);
    let wait = wait(&query)?;
    if !wait.is_zero() && !has_ended(&engine.run(run).await?) {
        match timeout(wait, engine.wait(run)).await {
            Ok(ended) => drop(ended?),
            Err(_elapsed) => {}
        }
    }
    Ok(Json(convert::run(engine.run(run).await?)))
}

/// Cancels a run that waits or is under way; the answer does not wait for its end.
pub(super) async fn cancel(
    State(api): State<Api>,
    id: Id,
) -> Result<(StatusCode, Json<Run>), Refusal> {
    let engine = api.engine()?;
    let run = RunId(id.number(ProblemKind::UnknownRun)?);
    match engine.cancel(run) {
        Err(EngineError::UnknownRun(_)) => {
            // It is unknown for good, or was known and has ended.
            let ended = engine.run(run).await?;
            let detail = format!("run {run} has ended already: {}", ended.status);
            let problem = Problem::new(ProblemKind::Rejected, detail);
            let mut problem = problem.with_hint(format!("see `homing run show {run}`"));
            problem.run = Some(run.0);
            return Err(problem.into());
        }
        cancelled => cancelled?,
    }
    Ok((
        StatusCode::ACCEPTED,
        Json(convert::run(engine.run(run).await?)),
    ))
}

/// Returns the run when it has ended, or as it is when the time has passed.
async fn within(engine: &Engine, run: RunId, wait: Duration) -> Result<RunReport, Refusal> {
    let ended = if wait.is_zero() {
        None
    } else {
        timeout(wait, engine.wait(run)).await.ok()
    };
    let report = match ended {
        Some(report) => report?,
        None => engine.run(run).await?,
    };
    with_items_to_tell(engine, report).await
}

/// Returns a run with those of its items that a person must hear about, and no others.
pub(super) async fn with_items_to_tell(
    engine: &Engine,
    mut report: RunReport,
) -> Result<RunReport, Refusal> {
    if report.failed > 0 && report.items.is_empty() {
        report.items = engine.run(report.id).await?.items;
    }
    report
        .items
        .retain(|item| matches!(item.action, ItemAction::Failed | ItemAction::Conflict));
    Ok(report)
}

fn selected(serving: &Serving, selection: &Selection) -> Result<Vec<SourceId>, Refusal> {
    match selection {
        Selection::All => {
            let enabled = serving.sources.iter().filter(|(_, enabled)| **enabled);
            Ok(enabled.map(|(source, _)| source.clone()).collect())
        }
        Selection::Names(names) => names
            .iter()
            .map(|name| {
                let source = Id(name.clone()).source()?;
                if serving.sources.contains_key(&source) {
                    Ok(source)
                } else {
                    Err(unknown_source(name))
                }
            })
            .collect(),
    }
}

fn domain(request: RunRequest) -> homing_engine::RunRequest {
    homing_engine::RunRequest {
        verb: verb(request.verb),
        trigger: Trigger::Manual,
        force: request.force,
        accept_deletions: request.accept_deletions,
        accept_root: request.accept_root,
        filter: request.filter,
    }
}

/// Returns the verb as the engine knows it.
pub(super) fn verb(verb: RequestVerb) -> Verb {
    match verb {
        RequestVerb::Sync => Verb::Sync,
        RequestVerb::Pull => Verb::Pull,
        RequestVerb::Push => Verb::Push,
    }
}

fn wait(query: &WaitQuery) -> Result<Duration, Refusal> {
    let Some(text) = &query.wait else {
        return Ok(Duration::ZERO);
    };
    parse_wait(text).ok_or_else(|| {
        bad_request(format!(
            "`wait` is not a duration such as 30s: `{}`",
            text.escape_debug()
        ))
    })
}

fn bad_request(detail: String) -> Refusal {
    Refusal::new(ProblemKind::BadRequest, detail)
}

fn has_ended(report: &RunReport) -> bool {
    !matches!(report.status, RunStatus::Queued | RunStatus::Running)
}

fn accepted_unless(ended: bool) -> StatusCode {
    if ended {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    }
}
