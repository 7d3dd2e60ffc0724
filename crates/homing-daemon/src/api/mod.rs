//! The HTTP interface: one file for each verb.

mod backup;
mod conflicts;
mod diff;
mod document;
mod events;
mod examples;
mod extract;
mod files;
mod guard;
mod health;
mod held;
mod import;
mod items;
mod metrics;
mod openapi;
mod pause;
mod release;
mod reload;
mod resolve;
mod resume;
mod runs;
mod shutdown;
mod sources;
mod status;
mod store;
mod suggest;
mod targets;
mod undo;
mod verify;
mod version;
mod why;
mod withdraw;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::FromRef;
use axum::http::{Method, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use homing_api::{Condition, Problem, ProblemKind, routes};
use homing_core::{IdError, SourceId, TargetId};
use homing_engine::{Engine, Events};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::figures::Figures;
use crate::import::Configured;
use crate::problem::Refusal;
use crate::shown::Shown;
use crate::upkeep::Repositories;

pub(crate) use held::Held;
pub(crate) use status::Written;

pub(crate) use reload::{Answer, Requests};

/// What the handlers share, as it was when their request came.
#[derive(Clone)]
pub(crate) struct Api(Arc<Shared>);

/// What the handlers of the next request will share.
#[derive(Clone)]
pub(crate) struct Live(Arc<RwLock<Arc<Shared>>>);

/// See [`Api`].
#[derive(Clone)]
pub(crate) struct Shared {
    /// The engine, or why there is none: the configuration is not valid.
    pub(crate) engine: Result<Serving, Box<Problem>>,
    /// What is to be said about the configuration.
    pub(crate) conditions: Vec<Condition>,
    /// What this daemon is.
    pub(crate) identity: Identity,
    /// The status as it was written last; with everything else that it tells, so that none outlives a change.
    pub(crate) status: Arc<Written>,
    /// What is counted.
    pub(crate) figures: Figures,
    /// The room for answers that are held back.
    pub(crate) held: Held,
    /// Where a client's reload goes.
    pub(crate) reload: Requests,
    /// Where it is told what happens.
    pub(crate) events: Events,
    /// Cancelled when a client asks the daemon to end.
    pub(crate) end: CancellationToken,
    /// Cancelled when the daemon ends: streams end then.
    pub(crate) stopping: CancellationToken,
}

/// The engine and what of the configuration the handlers need beside it.
#[derive(Clone)]
pub(crate) struct Serving {
    /// The engine.
    pub(crate) engine: Engine,
    /// The configured sources, and whether each is enabled.
    pub(crate) sources: BTreeMap<SourceId, bool>,
    /// The configuration as the interface shows it.
    pub(crate) shown: Arc<Shown>,
    /// The sources that may take over what another program knew.
    pub(crate) importable: Arc<Vec<Configured>>,
    /// The mirrors of repositories.
    pub(crate) repositories: Repositories,
}

impl Serving {
    /// Returns the configured source of that name.
    fn source(&self, name: &str) -> Result<SourceId, Refusal> {
        let id: SourceId = name
            .parse()
            .map_err(|_error: IdError| self.unknown_source(name))?;
        if self.sources.contains_key(&id) {
            Ok(id)
        } else {
            Err(self.unknown_source(name))
        }
    }

    /// Returns the configured targets that a name means: all parts, if it is that of a preset.
    fn targets(&self, name: &str) -> Result<Vec<TargetId>, Refusal> {
        let ids = self.shown.targets.keys();
        let named: Vec<TargetId> = ids
            .filter(|id| homing_api::names_target(name, id))
            .filter_map(|id| id.parse().ok())
            .collect();
        if named.is_empty() {
            return Err(self.unknown_target(name));
        }
        Ok(named)
    }

    /// Returns the problem of a source that is not configured.
    fn unknown_source(&self, name: &str) -> Refusal {
        let detail = format!("there is no source `{}`", name.escape_debug());
        let problem = Problem::new(ProblemKind::UnknownSource, detail)
            .with_hint(NAMES_HINT)
            .with_source(name);
        let known = self.shown.sources.keys();
        suggest::among(problem, name, known.map(String::as_str)).into()
    }

    /// Returns the problem of a target that is not configured.
    fn unknown_target(&self, name: &str) -> Refusal {
        let detail = format!("there is no target `{}`", name.escape_debug());
        let problem = Problem::new(ProblemKind::UnknownTarget, detail).with_hint(NAMES_HINT);
        let known = self.shown.targets.keys().map(String::as_str);
        let known = known.clone().chain(known.map(homing_api::section));
        suggest::among(problem, name, known).into()
    }
}

/// How names are found out.
const NAMES_HINT: &str = "`homing status` lists the names";

impl Live {
    /// Returns what the first requests will share.
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(shared))))
    }

    /// Changes what requests will share from now on.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Shared)) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut shared = Shared::clone(&current);
        change(&mut shared);
        shared.status = Arc::default();
        *current = Arc::new(shared);
    }
}

impl FromRef<Live> for Api {
    fn from_ref(live: &Live) -> Self {
        Self(Arc::clone(
            &live.0.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

/// What this daemon is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Another one after every start.
    pub(crate) boot_id: String,
    /// When it started, as the interface writes it.
    pub(crate) started_at: String,
    /// The configuration file.
    pub(crate) config_path: PathBuf,
    /// Where it keeps its state.
    pub(crate) data_dir: PathBuf,
}

impl Api {
    fn serving(&self) -> Result<&Serving, Refusal> {
        self.0
            .engine
            .as_ref()
            .map_err(|problem| problem.clone().into())
    }

    fn engine(&self) -> Result<&Engine, Refusal> {
        Ok(&self.serving()?.engine)
    }
}

/// Returns the whole interface.
pub(crate) fn router(live: Live) -> Router {
    let held = Api::from_ref(&live).0.held.clone();
    let (routes, _) = described(&held).split_for_parts();
    guarded(routes.with_state(live))
}

/// Returns every route with its description.
fn described(held: &Held) -> OpenApiRouter<Live> {
    document::empty()
        .routes(routes!(version::show))
        .routes(routes!(status::show))
        .routes(routes!(health::show))
        .routes(routes!(metrics::show))
        .routes(routes!(openapi::show))
        .routes(routes!(shutdown::end))
        .routes(routes!(sources::list))
        .routes(routes!(sources::show))
        .routes(routes!(pause::all))
        .routes(routes!(pause::source))
        .routes(routes!(resume::all))
        .routes(routes!(resume::source))
        .routes(routes!(reload::reload))
        .routes(routes!(files::list))
        .routes(routes!(items::list))
        .routes(routes!(runs::start))
        .routes(routes!(runs::list, runs::start_many))
        .routes(routes!(runs::show, runs::cancel))
        .routes(routes!(conflicts::list))
        .routes(routes!(targets::list))
        .routes(routes!(targets::show))
        .routes(routes!(why::show))
        .routes(routes!(events::follow))
        .routes(routes!(store::size))
        .routes(routes!(store::accept_rebuild))
        .merge(slow(held))
}

/// Returns the routes whose answers take as long as reading a directory or a run does.
fn slow(held: &Held) -> OpenApiRouter<Live> {
    OpenApiRouter::new()
        .routes(routes!(diff::show))
        .routes(routes!(release::release))
        .routes(routes!(withdraw::remove))
        .routes(routes!(withdraw::withdraw))
        .routes(routes!(undo::undo))
        .routes(routes!(resolve::with_word))
        .routes(routes!(resolve::with_content))
        .routes(routes!(verify::verify))
        .routes(routes!(backup::stream))
        .routes(routes!(import::etag_cache))
        .routes(routes!(import::agent_sync_db))
        .routes(routes!(store::check))
        .routes(routes!(store::prune))
        .routes(routes!(store::vacuum))
        .route_layer(from_fn_with_state(held.clone(), guard::hold))
}

/// Adds what every route has: a problem for what does not exist, and the rules of [`guard`].
fn guarded(routes: Router) -> Router {
    routes
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(guard::compare_versions))
        .layer(from_fn(guard::refuse_browsers))
        .layer(from_fn(guard::catch_panics))
}

async fn unknown_route(method: Method, uri: Uri) -> Refusal {
    let detail = format!("this homingd has no {method} {}", uri.path());
    Problem::new(ProblemKind::UnknownRoute, detail)
        .with_hint(format!("GET {} describes all that it has", routes::OPENAPI))
        .into()
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refusal {
    Refusal::new(
        ProblemKind::MethodNotAllowed,
        format!("{} does not take {method}", uri.path()),
    )
}

#[cfg(test)]
mod tests;
