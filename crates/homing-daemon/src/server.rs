//! Connections: who is let in, how many, for how long.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::connections::{Answered, Asked, Connections, Incoming, Place};
use crate::problem;
use crate::socket::{Socket, may_connect};
use crate::tasks::Tasks;

/// How long a client may take for its request's head, and how long a connection may be idle.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(15);
/// Room for a request's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long a client may do nothing when the daemon ends: while its request is not whole, or its answer not taken.
const STREAM_GRACE: Duration = Duration::from_millis(50);
/// How long to wait after a failed accept (out of file descriptors, as a rule) before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Accepts connections until the tasks are told to stop; open ones finish their request.
pub(crate) async fn serve(socket: Socket, router: Router, tasks: Tasks) {
    let connections = Connections::default();
    loop {
        let accepted = tokio::select! {
            () = tasks.stopping().cancelled() => return,
            accepted = accept(&socket, &connections) => accepted,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (router, stopping) = (router.clone(), tasks.stopping().clone());
        tasks.spawn(async move {
            tokio::select! {
                served = connection(stream, router, place.clone(), stopping.cancelled()) => {
                    if let Err(error) = served {
                        tracing::debug!(%error, "a connection ended early");
                    }
                }
                () = place.closed() => {
                    tracing::debug!("an idle or slow connection made room for another");
                }
            }
        });
    }
}

/// Accepts before it looks for a place: nobody is sent away for a place that nobody wants.
async fn accept(
    socket: &Socket,
    connections: &Connections,
) -> std::io::Result<(UnixStream, Place)> {
    let (stream, _) = socket.listener.accept().await?;
    Ok((stream, connections.enter().await))
}

/// Serves one connection to its end, or until `stop`.
pub(crate) async fn connection(
    stream: UnixStream,
    router: Router,
    place: Place,
    stop: impl Future<Output = ()>,
) -> hyper::Result<()> {
    let admitted = may_connect(&stream).unwrap_or_else(|error| {
        tracing::warn!(%error, "who connected could not be told, so it is refused");
        false
    });
    let leash = Arc::new(Leash::default());
    let held = Arc::clone(&leash);
    let stream = Incoming::new(stream, place.clone());
    let seat = place.clone();
    let service = tower::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        let (router, place) = (router.clone(), place.clone());
        request.extensions_mut().insert(Arc::clone(&leash));
        let request = request.map(|body| Asked::new(body, place.clone()));
        async move {
            let response = if admitted {
                router.oneshot(request).await?
            } else {
                another_user()
            };
            Ok::<_, std::convert::Infallible>(
                response.map(|body| Body::new(Answered::new(body, place))),
            )
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
        () = held.pulled() => {
            tracing::debug!("a client that did not read was cut off");
            return Ok(());
        }
        () = stop => served.as_mut().graceful_shutdown(),
    }
    if !held.is_held() {
        // Only what homingd itself is at work for is worth a wait.
        return tokio::select! {
            result = served => result,
            () = seat.client_is_silent(STREAM_GRACE) => Ok(()),
        };
    }
    // A stream ends by itself now; a client that does not read must not hold up the end of the daemon.
    tokio::time::timeout(STREAM_GRACE, served)
        .await
        .unwrap_or(Ok(()))
}

/// By which a connection that streams is ended from elsewhere, even while its client does not read.
#[derive(Debug, Default)]
pub(crate) struct Leash(watch::Sender<Option<CancellationToken>>);

impl Leash {
    /// Ends the connection when `cut` is cancelled.
    pub(crate) fn hold(&self, cut: CancellationToken) {
        self.0.send_replace(Some(cut));
    }

    fn is_held(&self) -> bool {
        self.0.borrow().is_some()
    }

    async fn pulled(&self) {
        let mut held = self.0.subscribe();
        loop {
            let cut = held.borrow_and_update().clone();
            // The sender lives as long as `self`, so waiting for a change cannot fail.
            tokio::select! {
                () = async { match cut { Some(cut) => cut.cancelled().await, None => pending().await } } => return,
                _ = held.changed() => {}
            }
        }
    }
}

fn another_user() -> Response {
    problem::forbidden(
        "this homingd belongs to another user",
        "use a homingd of your own: start `homingd`",
    )
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn router() -> Router {
        let slow = || async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            "slow"
        };
        let endless = || async {
            let piece = axum::body::Bytes::from_static(&[b'x'; 4096]);
            let pieces = futures_util::stream::repeat_with(move || {
                Ok::<_, std::convert::Infallible>(piece.clone())
            });
            Body::from_stream(pieces)
        };
        let body = |body: axum::body::Bytes| async { body };
        Router::new()
            .route("/slow", get(slow))
            .route("/endless", get(endless))
            .route("/body", post(body))
            .route("/", post(|| async { "quick" }))
    }

    async fn served(stream: UnixStream, stop: impl Future<Output = ()>) -> hyper::Result<()> {
        let place = Connections::default().enter().await;
        connection(stream, router(), place, stop).await
    }

    /// Sends `request` to a connection that is never told to stop, and returns the answer when it has been closed.
    async fn answer(request: &str) -> String {
        let (mut client, server) = UnixStream::pair().unwrap();
        let served = served(server, pending());
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let (_, read) = tokio::join!(served, client.read_to_string(&mut answer));
        read.unwrap();
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_or_half_is_let_go() {
        assert_eq!(answer("").await, "");
        let half = answer("GET /slow HTTP/1.1\r\nHost: homing\r\n").await;
        assert!(
            half.is_empty() || half.starts_with("HTTP/1.1 408"),
            "{half}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_after_its_answer() {
        let answer = answer("GET /slow HTTP/1.1\r\nHost: homing\r\n\r\n").await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("slow"),
            "{answer}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_too_large_is_refused() {
        let head = format!(
            "GET /slow HTTP/1.1\r\nHost: homing\r\nX: {}\r\n\r\n",
            "x".repeat(8 * MAX_HEAD_BYTES)
        );
        let (mut client, server) = UnixStream::pair().unwrap();
        let served = served(server, pending());
        let exchange = async {
            // The other end closes before it has read everything.
            client.write_all(head.as_bytes()).await.unwrap_or_default();
            let mut answer = [0; 12];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 431");
        };
        let (_, ()) = tokio::join!(served, exchange);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_is_answered_when_the_daemon_stops() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let stop = async { tokio::time::sleep(Duration::from_secs(1)).await };
        let served = served(server, stop);
        client
            .write_all(b"GET /slow HTTP/1.1\r\nHost: homing\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        let (served, read) = tokio::join!(served, client.read_to_string(&mut answer));
        served.unwrap();
        read.unwrap();
        assert!(
            answer.contains("connection: close") && answer.ends_with("slow"),
            "{answer}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_keeps_the_daemon_waiting_does_not_hold_up_its_end() {
        let post = "POST /body HTTP/1.1\r\nHost: homing\r\nContent-Length: 9\r\n\r\n{";
        for said in [
            "",
            "GET /slow HTTP/1.1\r\nHost: hom",
            post,
            "GET /endless HTTP/1.1\r\nHost: homing\r\n\r\n",
        ] {
            let (mut client, server) = UnixStream::pair().unwrap();
            client.write_all(said.as_bytes()).await.unwrap();
            let stop = async { tokio::time::sleep(Duration::from_secs(1)).await };
            let since = tokio::time::Instant::now();
            let ended = tokio::time::timeout(Duration::from_secs(9), served(server, stop)).await;
            assert!(ended.is_ok(), "{said:?}");
            assert!(
                since.elapsed() <= Duration::from_secs(1) + STREAM_GRACE * 2,
                "{said:?}: {:?}",
                since.elapsed()
            );
        }
    }
}
