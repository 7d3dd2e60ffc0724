//! Connections: who is let in, how many, for how long.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::problem;
use crate::socket::{Socket, may_connect};
use crate::tasks::Tasks;

/// Connections at the same time; further ones wait in the socket's backlog.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take for its request's head, and how long a connection may be idle.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(15);
/// Room for a request's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long to wait after a failed accept (out of file descriptors, as a rule) before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Accepts connections until the tasks are told to stop; open ones finish their request.
pub(crate) async fn serve(socket: Socket, router: Router, tasks: Tasks) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = tasks.stopping().cancelled() => return,
            accepted = accept(&socket, &permits) => accepted,
        };
        let (stream, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (router, stopping) = (router.clone(), tasks.stopping().clone());
        tasks.spawn(async move {
            let served = connection(stream, router, stopping.cancelled()).await;
            if let Err(error) = served {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }
}

async fn accept(
    socket: &Socket,
    permits: &Arc<Semaphore>,
) -> std::io::Result<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, _) = socket.listener.accept().await?;
    Ok((stream, permit))
}

async fn connection(
    stream: UnixStream,
    router: Router,
    stop: impl Future<Output = ()>,
) -> hyper::Result<()> {
    let admitted = may_connect(&stream).unwrap_or_else(|error| {
        tracing::warn!(%error, "who connected could not be told, so it is refused");
        false
    });
    let service = tower::service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            if admitted {
                router.oneshot(request).await
            } else {
                Ok(another_user())
            }
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(served, stop);
    tokio::select! {
        result = served.as_mut() => return result,
        () = stop => served.as_mut().graceful_shutdown(),
    }
    served.await
}

fn another_user() -> Response {
    problem::forbidden(
        "this homingd belongs to another user",
        "use a homingd of your own: start `homingd`",
    )
}
