//! The HTTP interface: one file for each verb.

mod backup;
mod conflicts;
mod diff;
mod events;
mod extract;
mod guard;
mod health;
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
use axum::middleware::from_fn;
use axum::routing::{get, post};
use homing_api::{Condition, Problem, ProblemKind, routes};
use homing_core::SourceId;
use homing_engine::{Engine, Events};
use tokio_util::sync::CancellationToken;

use crate::problem::Refusal;

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
}

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
    let routes = Router::new()
        .route(routes::VERSION, get(version::show))
        .route(routes::STATUS, get(status::show))
        .route(routes::HEALTH, get(health::show))
        .route(routes::SHUTDOWN, post(shutdown::end))
        .route(routes::RELOAD, post(reload::reload))
        .route(routes::SOURCES, get(sources::list))
        .route(routes::SOURCE, get(sources::show).delete(withdraw::remove))
        .route(routes::SOURCE_RUNS, post(runs::start))
        .route(routes::SOURCE_DIFF, get(diff::show))
        .route(routes::SOURCE_RELEASE, post(release::release))
        .route(routes::SOURCE_PAUSE, post(pause::source))
        .route(routes::SOURCE_RESUME, post(resume::source))
        .route(routes::PAUSE, post(pause::all))
        .route(routes::RESUME, post(resume::all))
        .route(routes::SOURCE_WITHDRAW, post(withdraw::withdraw))
        .route(routes::RUNS, get(runs::list).post(runs::start_many))
        .route(routes::RUN, get(runs::show).delete(runs::cancel))
        .route(routes::RUN_UNDO, post(undo::undo))
        .route(routes::CONFLICTS, get(conflicts::list))
        .route(routes::CONFLICT_RESOLVE, post(resolve::with_word))
        .route(routes::CONFLICT_CONTENT, post(resolve::with_content))
        .route(routes::TARGETS, get(targets::list))
        .route(routes::TARGET, get(targets::show))
        .route(routes::TARGET_VERIFY, post(verify::verify))
        .route(routes::WHY, get(why::show))
        .route(routes::STORE, get(store::size))
        .route(routes::STORE_BACKUP, get(backup::stream))
        .route(routes::STORE_CHECK, post(store::check))
        .route(routes::STORE_PRUNE, post(store::prune))
        .route(routes::STORE_VACUUM, post(store::vacuum))
        .route(routes::EVENTS, get(events::follow))
        .route(routes::STORE_ACCEPT_REBUILD, post(store::accept_rebuild))
        .with_state(live);
    guarded(routes)
}

/// Adds what every route has: a problem for what does not exist, and the rules of [`guard`].
fn guarded(routes: Router) -> Router {
    routes
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(guard::refuse_browsers))
        .layer(from_fn(guard::catch_panics))
}

async fn unknown_route(method: Method, uri: Uri) -> Refusal {
    Refusal::new(
        ProblemKind::UnknownRoute,
        format!("this homingd has no {method} {}", uri.path()),
    )
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refusal {
    Refusal::new(
        ProblemKind::MethodNotAllowed,
        format!("{} does not take {method}", uri.path()),
    )
}

#[cfg(test)]
mod tests;
