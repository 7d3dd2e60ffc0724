//! `POST /v1/sources/{id}/runs`, `GET` and `POST /v1/runs`, `GET` and `DELETE /v1/runs/{id}`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use homing_api::{
    ManyRunsRequest, Problem, ProblemKind, RequestVerb, Run, RunQuery, RunRequest, Runs, RunsQuery,
    Selection, StartedRuns, WaitQuery, parse_wait, routes,
};
use homing_core::{IdError, RunId, SourceId};
use homing_engine::{Engine, EngineError, ItemsRequest, RunReport, RunStatus, Trigger, Verb};
use jiff::Timestamp;
use tokio::time::timeout;

use super::extract::{Body, Id, Params, limit};
use super::held::Held;
use super::{Api, Serving, suggest};
use crate::convert;
use crate::problem::Refusal;

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 1000;
const DEFAULT_ITEMS: u32 = 1000;
const MAX_ITEMS: u32 = 10_000;

/// The answer of a run or, when it was a dry run, what it would do.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[serde(untagged)]
#[expect(dead_code, reason = "it only describes the answer")]
enum RunOrDiff {
    Run(Box<Run>),
    Diff(Box<homing_api::Diff>),
}

/// Starts a run, or joins an equal one that waits. A dry run is a diff.
#[utoipa::path(
    post,
    path = routes::SOURCE_RUNS,
    operation_id = "start_run",
    tag = "sources",
    params(("id" = String, Path, description = "The name of a source"), WaitQuery),
    request_body = RunRequest,
    responses(
        (status = 200, description = "The run, which has ended; of a dry run, what it would do", body = RunOrDiff),
        (status = 202, description = "The run, which goes on", body = Run),
    ),
)]
pub(super) async fn start(
    State(api): State<Api>,
    id: Id,
    Params(query): Params<WaitQuery>,
    Body(request): Body<RunRequest>,
) -> Result<Response, Refusal> {
    let serving = api.serving()?;
    let (engine, source) = (&serving.engine, serving.source(&id.0)?);
    let wait = wait(query.wait.as_deref())?;
    if request.dry_run {
        let _held = api.0.held.hold()?;
        let report = engine
            .dry_run(&source, &domain(request))
            .await
            .map_err(|error| Refusal::about(&source, &error))?;
        return Ok(Json(convert::diff(source.to_string(), report)).into_response());
    }
    let run = engine
        .submit(&source, domain(request))
        .map_err(|error| Refusal::from(error).of_source(source.as_str()))?;
    let report = within(engine, run, wait, &api.0.held).await?;
    Ok((
        accepted_unless(has_ended(&report)),
        Json(convert::run(report)),
    )
        .into_response())
}

/// Starts runs of many sources. A name that does not exist fails the request before anything is started.
#[utoipa::path(
    post,
    path = routes::RUNS,
    operation_id = "start_runs",
    tag = "runs",
    params(WaitQuery),
    request_body = ManyRunsRequest,
    responses(
        (status = 200, description = "The runs, which have ended", body = StartedRuns),
        (status = 202, description = "The runs, some of which go on", body = StartedRuns),
    ),
)]
pub(super) async fn start_many(
    State(api): State<Api>,
    Params(query): Params<WaitQuery>,
    Body(request): Body<ManyRunsRequest>,
) -> Result<(StatusCode, Json<StartedRuns>), Refusal> {
    let serving = api.serving()?;
    let wait = wait(query.wait.as_deref())?;
    let age = request.if_older_than.as_deref().map(age).transpose()?;
    let (mut started, mut fresh, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for source in selected(serving, &request.sources)? {
        if let Some(age) = age
            && is_fresh(serving.engine.last_success(&source)?, age, Timestamp::now())
        {
            fresh.push(source.to_string());
            continue;
        }
        match serving.engine.submit(&source, domain(request.for_one())) {
            Ok(run) => started.push(run),
            // "All" means all that are enabled, whoever switched the others off.
            Err(EngineError::Disabled { .. }) if request.sources == Selection::All => {}
            Err(error) => problems.push(Refusal::from(error).of_source(source.as_str()).problem()),
        }
    }
    // One answer is held back, however many runs it waits for.
    let held = api.0.held.wait(wait);
    let wait = held.as_ref().map_or(Duration::ZERO, |_| wait);
    let reports = join_all(
        started
            .into_iter()
            .map(|run| ended_within(&serving.engine, run, wait)),
    )
    .await;
    let reports = reports.into_iter().collect::<Result<Vec<_>, _>>()?;
    let status = accepted_unless(reports.iter().all(has_ended));
    let runs = reports.into_iter().map(convert::run).collect();
    let started = StartedRuns {
        runs,
        fresh,
        problems,
    };
    Ok((status, Json(started)))
}

/// Lists runs, newest first, without items.
#[utoipa::path(
    get,
    path = routes::RUNS,
    operation_id = "list_runs",
    tag = "runs",
    params(RunsQuery),
    responses((status = 200, description = "Runs, newest first, without items", body = Runs)),
)]
pub(super) async fn list(
    State(api): State<Api>,
    Params(query): Params<RunsQuery>,
) -> Result<Json<Runs>, Refusal> {
    let serving = api.serving()?;
    let limit = limit("limit", query.limit, DEFAULT_LIMIT, 1..=MAX_LIMIT)?;
    let source = match &query.source {
        Some(name) => Some(
            name.parse()
                .map_err(|_error: IdError| serving.unknown_source(name))?,
        ),
        None => None,
    };
    let status = match query.status {
        Some(word) => Some(status(word.as_str())?),
        None => None,
    };
    let reports = serving
        .engine
        .history(source.clone(), status, query.before.map(RunId), limit)
        .await?;
    // A source that was removed keeps its history, so only one without any is unknown.
    if let Some(source) = source
        && reports.is_empty()
        && !serving.sources.contains_key(&source)
    {
        return Err(serving.unknown_source(source.as_str()));
    }
    Ok(Json(Runs {
        runs: reports.into_iter().map(convert::run).collect(),
    }))
}

/// Shows a run with its items, page by page, once it has ended or the time has passed.
#[utoipa::path(
    get,
    path = routes::RUN,
    operation_id = "get_run",
    tag = "runs",
    params(("id" = i64, Path, description = "The number of a run"), RunQuery),
    responses((status = 200, description = "The run with its items", body = Run)),
)]
pub(super) async fn show(
    State(api): State<Api>,
    id: Id,
    Params(query): Params<RunQuery>,
) -> Result<Json<Run>, Refusal> {
    let engine = api.engine()?;
    let id = RunId(id.number(ProblemKind::UnknownRun)?);
    let wait = wait(query.wait.as_deref())?;
    let request = ItemsRequest {
        failed_only: false,
        after: query.after.unwrap_or(0),
        limit: limit("limit", query.limit, DEFAULT_ITEMS, 0..=MAX_ITEMS)?,
    };
    let mut run = engine.summary(id).await?;
    if !has_ended(&run)
        && let Some(_held) = api.0.held.wait(wait)
    {
        match timeout(wait, engine.wait(id)).await {
            Ok(ended) => drop(ended?),
            Err(_elapsed) => {}
        }
        run = engine.summary(id).await?;
    }
    let commits = match query.after {
        None => engine.commits_of(&run).await?,
        Some(_) => None,
    };
    Ok(Json(Run {
        commits: commits.map(convert::commits),
        ..page(engine, run, request).await?
    }))
}

/// Cancels a run that waits or is under way; the answer does not wait for its end.
#[utoipa::path(
    delete,
    path = routes::RUN,
    operation_id = "cancel_run",
    tag = "runs",
    params(("id" = i64, Path, description = "The number of a run")),
    responses((status = 202, description = "The run, which is on its way out", body = Run)),
)]
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
        Json(convert::run(engine.summary(run).await?)),
    ))
}

/// Returns the run when it has ended, or as it is when the time has passed or too many answers are held back already.
async fn within(
    engine: &Engine,
    run: RunId,
    wait: Duration,
    held: &Held,
) -> Result<RunReport, Refusal> {
    match held.wait(wait) {
        Some(_held) => ended_within(engine, run, wait).await,
        None => ended_within(engine, run, Duration::ZERO).await,
    }
}

async fn ended_within(engine: &Engine, run: RunId, wait: Duration) -> Result<RunReport, Refusal> {
    let ended = if wait.is_zero() {
        None
    } else {
        timeout(wait, engine.wait(run)).await.ok()
    };
    let report = match ended {
        Some(report) => report?,
        None => engine.summary(run).await?,
    };
    with_items_to_tell(engine, report).await
}

/// Returns a run with the first of its items.
pub(super) async fn first_page(engine: &Engine, run: RunReport) -> Result<Run, Refusal> {
    let request = ItemsRequest {
        failed_only: false,
        after: 0,
        limit: DEFAULT_ITEMS as usize,
    };
    page(engine, run, request).await
}

async fn page(engine: &Engine, mut run: RunReport, request: ItemsRequest) -> Result<Run, Refusal> {
    let items = engine.items(run.id, request).await?;
    run.items = items.items;
    let mut run = convert::run(run);
    run.next = items.next;
    Ok(run)
}

/// Returns a run with those of its items that a person must hear about, and no others.
pub(super) async fn with_items_to_tell(
    engine: &Engine,
    mut report: RunReport,
) -> Result<RunReport, Refusal> {
    report.items = Vec::new();
    if report.failed > 0 {
        let request = ItemsRequest {
            failed_only: true,
            after: 0,
            limit: DEFAULT_ITEMS as usize,
        };
        report.items = engine.items(report.id, request).await?.items;
    }
    Ok(report)
}

fn selected(serving: &Serving, selection: &Selection) -> Result<Vec<SourceId>, Refusal> {
    match selection {
        Selection::All => {
            let enabled = serving.sources.iter().filter(|(_, enabled)| **enabled);
            Ok(enabled.map(|(source, _)| source.clone()).collect())
        }
        Selection::Names(names) => names.iter().map(|name| serving.source(name)).collect(),
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

fn wait(text: Option<&str>) -> Result<Duration, Refusal> {
    let Some(text) = text else {
        return Ok(Duration::ZERO);
    };
    parse_wait(text).ok_or_else(|| {
        bad_request(format!(
            "`wait` is not a duration such as 30s: `{}`",
            text.escape_debug()
        ))
    })
}

fn age(text: &str) -> Result<Duration, Refusal> {
    homing_config::parse_duration(text).map_err(|error| {
        let detail = format!("`if_older_than`: {}", error.message);
        let mut problem = Problem::new(ProblemKind::BadRequest, detail);
        problem.hint = error.hint;
        problem.into()
    })
}

/// Tells whether a source need not run: what lies in the future says that the clock was set back, and nothing more.
fn is_fresh(last_success: Option<Timestamp>, age: Duration, now: Timestamp) -> bool {
    last_success.is_some_and(|success| {
        Duration::try_from(now.duration_since(success)).is_ok_and(|passed| passed <= age)
    })
}

fn status(word: &str) -> Result<RunStatus, Refusal> {
    word.parse().map_err(|_unknown| {
        let known = homing_api::RunStatus::ALL
            .iter()
            .map(|status| status.as_str());
        let problem = Problem::new(
            ProblemKind::BadRequest,
            format!("`{}` is not a status of a run", word.escape_debug()),
        );
        suggest::among(problem, word, known).into()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_fresh_for_as_long_as_was_asked_for() {
        let now: Timestamp = "2026-01-02T12:00:00Z".parse().unwrap();
        let day = Duration::from_hours(24);
        for (success, fresh) in [
            (Some("2026-01-02T11:59:00Z"), true),
            (Some("2026-01-01T12:00:00Z"), true),
            (Some("2026-01-01T11:59:59Z"), false),
            (Some("2026-01-02T12:00:01Z"), false),
            (None, false),
        ] {
            let success = success.map(|text| text.parse().unwrap());
            assert_eq!(is_fresh(success, day, now), fresh, "{success:?}");
        }
    }

    #[test]
    fn a_status_that_is_none_is_told_with_the_nearest() {
        let problem = status("succes").unwrap_err().problem();
        assert_eq!(problem.hint.as_deref(), Some("did you mean `success`?"));
    }
}
