//! The interface, one method for each question.

use std::io::Write;
use std::time::{Duration, Instant};

use homing_api::{
    Conflicts, ConflictsQuery, Diff, Files, FilesQuery, ItemsQuery, KnownItems, ManyRunsRequest,
    PauseRequest, Pauses, PruneRequest, Pruned, ReleaseRequest, Reloaded, RequestVerb,
    ResolveRequest, ResolveWith, Run, RunRequest, Runs, RunsQuery, Source, StartedRuns, Status,
    StoreCheck, StoreCheckRequest, StoreSize, Targets, Vacuumed, Verification, VerifyRequest,
    VersionInfo, Why, WithdrawQuery, format_wait, routes,
};
use hyper::Method;

use crate::connection::Payload;
use crate::{Client, ClientError};

/// How long a question may take that the daemon answers from memory or its database.
const QUICK: Option<Duration> = Some(Duration::from_secs(30));

/// How long to pause when an answer came before the wait was over.
const PAUSE: Duration = Duration::from_secs(1);

/// Items that are asked for at once.
const PAGE: &str = "10000";

/// Time on top of `?wait=` for the answer to arrive.
const SLACK: Duration = Duration::from_secs(30);

impl Client {
    /// `GET /v1/version`.
    pub async fn version(&self) -> Result<VersionInfo, ClientError> {
        self.ask(Method::GET, routes::VERSION, Payload::Nothing, QUICK)
            .await
    }

    /// `GET /v1/status`.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.ask(Method::GET, routes::STATUS, Payload::Nothing, QUICK)
            .await
    }

    /// `GET /v1/status?detailed=true`.
    pub async fn status_detailed(&self) -> Result<Status, ClientError> {
        let path = routes::with_query(routes::STATUS, &[("detailed", Some("true"))]);
        self.ask(Method::GET, &path, Payload::Nothing, QUICK).await
    }

    /// `POST /v1/reload`.
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        self.ask(Method::POST, routes::RELOAD, Payload::Nothing, QUICK)
            .await
    }

    /// `GET /v1/sources/{id}`.
    pub async fn source(&self, id: &str) -> Result<Source, ClientError> {
        self.ask(
            Method::GET,
            &routes::with_id(routes::SOURCE, id),
            Payload::Nothing,
            QUICK,
        )
        .await
    }

    /// `DELETE /v1/sources/{id}`. Takes as long as the run does.
    pub async fn remove_source(
        &self,
        source: &str,
        query: &WithdrawQuery,
    ) -> Result<Run, ClientError> {
        let flag = |set: bool| set.then_some("true");
        let pairs = [("keep", flag(query.keep)), ("purge", flag(query.purge))];
        let path = routes::with_query(&routes::with_id(routes::SOURCE, source), &pairs);
        self.ask(Method::DELETE, &path, Payload::Nothing, None)
            .await
    }

    /// `POST /v1/sources/{id}/withdraw`. Takes as long as the run does.
    pub async fn withdraw(&self, source: &str) -> Result<Run, ClientError> {
        let path = routes::with_id(routes::SOURCE_WITHDRAW, source);
        self.ask(Method::POST, &path, Payload::Nothing, None).await
    }

    /// `POST /v1/reload`, of which only the success matters.
    pub async fn load_configuration(&self) -> Result<(), ClientError> {
        self.ask::<serde_json::Value>(Method::POST, routes::RELOAD, Payload::Nothing, QUICK)
            .await
            .map(drop)
    }

    /// `GET /v1/targets`.
    pub async fn targets(&self) -> Result<Targets, ClientError> {
        self.ask(Method::GET, routes::TARGETS, Payload::Nothing, QUICK)
            .await
    }

    /// `POST /v1/runs`: starts runs and waits at most `wait` until all have ended.
    pub async fn start_runs(
        &self,
        request: &ManyRunsRequest,
        wait: Duration,
    ) -> Result<StartedRuns, ClientError> {
        let path = with_wait(routes::RUNS, wait);
        self.ask(
            Method::POST,
            &path,
            Payload::json(request)?,
            Some(wait + SLACK),
        )
        .await
    }

    /// `POST /v1/sources/{id}/runs` with `dry_run`: what exactly this request would do.
    pub async fn dry_run(&self, source: &str, request: &RunRequest) -> Result<Diff, ClientError> {
        let request = RunRequest {
            dry_run: true,
            ..request.clone()
        };
        let path = routes::with_id(routes::SOURCE_RUNS, source);
        let body = Payload::json(&request)?;
        self.ask(Method::POST, &path, body, None).await
    }

    /// `GET /v1/runs/{id}`: one run with all of its items, page by page.
    pub async fn run(&self, id: i64) -> Result<Run, ClientError> {
        let path = routes::with_id(routes::RUN, &id.to_string());
        let mut run: Run = self
            .ask(Method::GET, &path, Payload::Nothing, QUICK)
            .await?;
        while let Some(next) = run.next.take() {
            let after = next.to_string();
            let pairs = [("after", Some(after.as_str())), ("limit", Some(PAGE))];
            let page = routes::with_query(&path, &pairs);
            let page: Run = self
                .ask(Method::GET, &page, Payload::Nothing, QUICK)
                .await?;
            run.items.extend(page.items);
            // A daemon that tells the same page again would be asked for ever.
            run.next = page.next.filter(|further| *further > next);
        }
        Ok(run)
    }

    /// `GET /v1/runs/{id}?wait=`: waits at most `wait` until it has ended; with the first of its items.
    pub async fn wait_for_run(&self, id: i64, wait: Duration) -> Result<Run, ClientError> {
        let began = Instant::now();
        let path = with_wait(&routes::with_id(routes::RUN, &id.to_string()), wait);
        let run: Run = self
            .ask(Method::GET, &path, Payload::Nothing, Some(wait + SLACK))
            .await?;
        if !run.status.has_ended() {
            // A daemon that holds back many answers does so no longer: whoever asks again at once would only add to it.
            let rest = wait.saturating_sub(began.elapsed());
            tokio::time::sleep(rest.min(PAUSE)).await;
        }
        Ok(run)
    }

    /// `GET /v1/runs`.
    pub async fn runs(&self, query: &RunsQuery) -> Result<Runs, ClientError> {
        let (limit, before) = (
            query.limit.map(|n| n.to_string()),
            query.before.map(|n| n.to_string()),
        );
        let pairs = [
            ("source", query.source.as_deref()),
            (
                "status",
                query.status.as_ref().map(homing_api::RunStatus::as_str),
            ),
            ("limit", limit.as_deref()),
            ("before", before.as_deref()),
        ];
        self.ask(
            Method::GET,
            &routes::with_query(routes::RUNS, &pairs),
            Payload::Nothing,
            QUICK,
        )
        .await
    }

    /// `DELETE /v1/runs/{id}`.
    pub async fn cancel(&self, id: i64) -> Result<Run, ClientError> {
        self.ask(
            Method::DELETE,
            &routes::with_id(routes::RUN, &id.to_string()),
            Payload::Nothing,
            QUICK,
        )
        .await
    }

    /// `GET /v1/items`.
    pub async fn items(&self, query: &ItemsQuery) -> Result<KnownItems, ClientError> {
        let pairs = [
            ("kind", query.kind.as_deref()),
            ("finding", query.finding.as_deref()),
        ];
        self.ask(
            Method::GET,
            &routes::with_query(routes::ITEMS, &pairs),
            Payload::Nothing,
            QUICK,
        )
        .await
    }

    /// `GET /v1/sources/{id}/files`: one page.
    pub async fn files(&self, source: &str, query: &FilesQuery) -> Result<Files, ClientError> {
        let (recent, limit) = (
            query.recent.map(|n| n.to_string()),
            query.limit.map(|n| n.to_string()),
        );
        let pairs = [
            ("path", query.path.as_deref()),
            ("recent", recent.as_deref()),
            ("limit", limit.as_deref()),
            ("after", query.after.as_deref()),
        ];
        let path = routes::with_id(routes::SOURCE_FILES, source);
        self.ask(
            Method::GET,
            &routes::with_query(&path, &pairs),
            Payload::Nothing,
            QUICK,
        )
        .await
    }

    /// `GET /v1/sources/{id}/diff`. Takes as long as the survey does.
    pub async fn diff(&self, source: &str, verb: RequestVerb) -> Result<Diff, ClientError> {
        let path = routes::with_query(
            &routes::with_id(routes::SOURCE_DIFF, source),
            &[("verb", Some(verb.as_str()))],
        );
        self.ask(Method::GET, &path, Payload::Nothing, None).await
    }

    /// `GET /v1/sources/{id}/diff?patch=true`.
    pub async fn diff_with_patches(
        &self,
        source: &str,
        verb: RequestVerb,
    ) -> Result<Diff, ClientError> {
        let path = routes::with_query(
            &routes::with_id(routes::SOURCE_DIFF, source),
            &[("verb", Some(verb.as_str())), ("patch", Some("true"))],
        );
        self.ask(Method::GET, &path, Payload::Nothing, None).await
    }

    /// `POST /v1/runs/{id}/undo`; `None`: the last run that changed something. Takes as long as the run does.
    pub async fn undo(&self, run: Option<i64>) -> Result<Run, ClientError> {
        let id = run.map_or_else(|| routes::LAST.to_owned(), |id| id.to_string());
        self.ask(
            Method::POST,
            &routes::with_id(routes::RUN_UNDO, &id),
            Payload::Nothing,
            None,
        )
        .await
    }

    /// `POST /v1/sources/{id}/release`. Takes as long as the run does.
    pub async fn release(
        &self,
        source: &str,
        request: &ReleaseRequest,
    ) -> Result<Run, ClientError> {
        let path = routes::with_id(routes::SOURCE_RELEASE, source);
        self.ask(Method::POST, &path, Payload::json(request)?, None)
            .await
    }

    /// `POST /v1/pause`, or `POST /v1/sources/{id}/pause` for one source; `length`: until somebody resumes when `None`.
    pub async fn pause(
        &self,
        source: Option<&str>,
        length: Option<Duration>,
    ) -> Result<Pauses, ClientError> {
        let path = source.map_or_else(
            || routes::PAUSE.to_owned(),
            |source| routes::with_id(routes::SOURCE_PAUSE, source),
        );
        let request = PauseRequest {
            length: length.map(format_wait),
        };
        self.ask(Method::POST, &path, Payload::json(&request)?, QUICK)
            .await
    }

    /// `POST /v1/resume`, or `POST /v1/sources/{id}/resume` for one source.
    pub async fn resume(&self, source: Option<&str>) -> Result<Pauses, ClientError> {
        let path = source.map_or_else(
            || routes::RESUME.to_owned(),
            |source| routes::with_id(routes::SOURCE_RESUME, source),
        );
        self.ask(Method::POST, &path, Payload::Nothing, QUICK).await
    }

    /// `GET /v1/conflicts`.
    pub async fn conflicts(&self, query: &ConflictsQuery) -> Result<Conflicts, ClientError> {
        let pairs = [
            ("source", query.source.as_deref()),
            ("target", query.target.as_deref()),
        ];
        self.ask(
            Method::GET,
            &routes::with_query(routes::CONFLICTS, &pairs),
            Payload::Nothing,
            QUICK,
        )
        .await
    }

    /// `POST /v1/conflicts/{id}/resolve`. Takes as long as the run does.
    pub async fn resolve(&self, conflict: i64, with: ResolveWith) -> Result<Run, ClientError> {
        let path = routes::with_id(routes::CONFLICT_RESOLVE, &conflict.to_string());
        self.ask(
            Method::POST,
            &path,
            Payload::json(&ResolveRequest { with })?,
            None,
        )
        .await
    }

    /// `POST /v1/conflicts/{id}/content`. Takes as long as the run does.
    pub async fn resolve_with_content(
        &self,
        conflict: i64,
        content: Vec<u8>,
    ) -> Result<Run, ClientError> {
        let path = routes::with_id(routes::CONFLICT_CONTENT, &conflict.to_string());
        self.ask(Method::POST, &path, Payload::Bytes(content), None)
            .await
    }

    /// `POST /v1/targets/{id}/verify`. Takes as long as reading the target does.
    pub async fn verify(
        &self,
        target: &str,
        request: &VerifyRequest,
    ) -> Result<Verification, ClientError> {
        let path = routes::with_id(routes::TARGET_VERIFY, target);
        self.ask(Method::POST, &path, Payload::json(request)?, None)
            .await
    }

    /// `GET /v1/store`.
    pub async fn store_size(&self) -> Result<StoreSize, ClientError> {
        self.ask(Method::GET, routes::STORE, Payload::Nothing, QUICK)
            .await
    }

    /// `GET /v1/store/backup`: writes it to `out` as it comes and returns its bytes.
    pub async fn backup(&self, out: &mut (impl Write + Send)) -> Result<u64, ClientError> {
        self.download(routes::STORE_BACKUP, out).await
    }

    /// `POST /v1/store/check`. Takes as long as reading the database does.
    pub async fn check_store(
        &self,
        request: &StoreCheckRequest,
    ) -> Result<StoreCheck, ClientError> {
        let body = Payload::json(request)?;
        self.ask(Method::POST, routes::STORE_CHECK, body, None)
            .await
    }

    /// `POST /v1/store/prune`. Takes as long as deleting does.
    pub async fn prune(&self, request: &PruneRequest) -> Result<Pruned, ClientError> {
        let body = Payload::json(request)?;
        self.ask(Method::POST, routes::STORE_PRUNE, body, None)
            .await
    }

    /// `POST /v1/store/vacuum`. Takes as long as writing the database anew does.
    pub async fn vacuum(&self) -> Result<Vacuumed, ClientError> {
        self.ask(Method::POST, routes::STORE_VACUUM, Payload::Nothing, None)
            .await
    }

    /// `POST /v1/store/accept-rebuild`.
    pub async fn accept_rebuild(&self) -> Result<(), ClientError> {
        let path = routes::STORE_ACCEPT_REBUILD;
        self.ask::<serde_json::Value>(Method::POST, path, Payload::Nothing, QUICK)
            .await
            .map(drop)
    }

    /// `GET /v1/why`.
    pub async fn why(&self, path: &str) -> Result<Why, ClientError> {
        self.ask(
            Method::GET,
            &routes::with_query(routes::WHY, &[("path", Some(path))]),
            Payload::Nothing,
            QUICK,
        )
        .await
    }
}

fn with_wait(path: &str, wait: Duration) -> String {
    let text = format_wait(wait);
    routes::with_query(
        path,
        &[("wait", (!wait.is_zero()).then_some(text.as_str()))],
    )
}
