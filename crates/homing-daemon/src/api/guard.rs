//! Rules for every request.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use homing_api::{API_HEADER, ApiRange, Problem, ProblemKind, routes};

use super::Held;
use crate::problem::{Refusal, forbidden};

/// Hosts that a client of the socket may name.
const HOSTS: [&str; 2] = ["localhost", "homing"];

/// Refuses what a page in a browser would send, should a proxy ever put the socket on a port.
pub(super) async fn refuse_browsers(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) || headers.contains_key(header::REFERER) {
        return forbidden(
            "requests from web pages are refused",
            "use `homing`, or send neither Origin nor Referer",
        );
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let known = match (hosts.next(), hosts.next()) {
        (Some(host), None) => HOSTS
            .iter()
            .any(|known| host.as_bytes().eq_ignore_ascii_case(known.as_bytes())),
        _ => false,
    };
    if !known {
        return forbidden(
            "the request is for another host",
            "use `homing`, or send `Host: homing`",
        );
    }
    next.run(request).await
}

/// Asked by clients of every version.
const FOR_ALL_VERSIONS: [&str; 3] = [routes::VERSION, routes::STATUS, routes::SHUTDOWN];

/// Tells clients which versions of the interface this daemon speaks, and refuses those that speak none of them.
pub(super) async fn compare_versions(request: Request, next: Next) -> Response {
    let mut response = match skew(&request) {
        Some(problem) => Refusal::from(problem).into_response(),
        None => next.run(request).await,
    };
    let ours = HeaderValue::try_from(ApiRange::OURS.to_string());
    response.headers_mut().extend(
        ours.ok()
            .map(|ours| (HeaderName::from_static(API_HEADER), ours)),
    );
    response
}

fn skew(request: &Request) -> Option<Problem> {
    let theirs = request.headers().get(API_HEADER)?.to_str().ok()?;
    // What cannot be read is no claim.
    let range: ApiRange = theirs.parse().ok()?;
    if range.overlaps(ApiRange::OURS) || FOR_ALL_VERSIONS.contains(&request.uri().path()) {
        return None;
    }
    let detail = format!(
        "homingd {} speaks version {} of the interface, and the client {range}",
        env!("CARGO_PKG_VERSION"),
        ApiRange::OURS
    );
    let problem = Problem::new(ProblemKind::VersionSkew, detail);
    Some(problem.with_hint("install `homing` and `homingd` of one version, and restart homingd"))
}

/// Takes room for an answer that cannot be given at once, as long as it takes.
pub(super) async fn hold(State(held): State<Held>, request: Request, next: Next) -> Response {
    match held.hold() {
        Ok(_held) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Turns a panic into an answer: one broken request ends neither the connection nor the daemon.
pub(super) async fn catch_panics(request: Request, next: Next) -> Response {
    let place = format!("{} {}", request.method(), request.uri().path());
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            tracing::error!(
                request = place,
                panic = message(panic.as_ref()),
                "a request panicked"
            );
            let problem = Problem::new(
                ProblemKind::Internal,
                format!("homingd failed over {place}"),
            )
            .with_hint(
                "this is a defect of Homing: please report it with the lines of homingd's log",
            );
            Refusal::from(problem).into_response()
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
