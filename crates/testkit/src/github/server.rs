//! The two listeners, and answers that go wrong on the way.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::State;
use super::answer::Answer;
use super::fault::{Effect, Faults};
use super::log::Request;
use super::routes;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Serves until `stopped` resolves; tells first where.
pub(super) fn run(told: &Sender<Result<Arc<State>>>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        match open().await {
            Ok((api, files, state)) => {
                if told.send(Ok(state.clone())).is_ok() {
                    serve(api, files, state, stopped).await;
                }
            }
            // Whoever waits for the addresses hears it; when nobody does, nobody is to hear it.
            Err(error) => drop(told.send(Err(error))),
        }
    });
    runtime.shutdown_background();
}

async fn open() -> Result<(TcpListener, TcpListener, Arc<State>)> {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let api = TcpListener::bind(loopback).await?;
    let files = TcpListener::bind(loopback).await?;
    let state = State {
        api: api.local_addr()?,
        files: files.local_addr()?,
        repositories: std::sync::Mutex::default(),
        access: std::sync::Mutex::default(),
        faults: Faults::new(),
        log: std::sync::Mutex::default(),
    };
    Ok((api, files, Arc::new(state)))
}

async fn serve(
    api: TcpListener,
    files: TcpListener,
    state: Arc<State>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (accepted, is_files) = tokio::select! {
            accepted = api.accept() => (accepted, false),
            accepted = files.accept() => (accepted, true),
            _ = &mut stopped => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        drop(stream.set_nodelay(true));
        let state = state.clone();
        connections.spawn(async move {
            let service = service_fn(|request| handle(state.clone(), request, is_files));
            // A connection that ends early is a client's right, and at times a fault's doing.
            drop(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn handle(
    state: Arc<State>,
    request: http::Request<Incoming>,
    is_files: bool,
) -> io::Result<Response<Body>> {
    let (parts, _) = request.into_parts();
    let path = parts
        .uri
        .path_and_query()
        .map_or_else(|| "/".to_owned(), ToString::to_string);
    let (effect, mended) = state.faults().effect(&path);
    let mut entry = Request {
        method: parts.method.to_string(),
        path,
        files: is_files,
        authorised: parts.headers.contains_key("authorization"),
        conditional: parts.headers.contains_key("if-none-match"),
        status: 0,
        bytes: 0,
    };
    if matches!(effect, Some(Effect::Drop)) {
        state.note(entry);
        return Err(io::Error::other("the connection is dropped"));
    }
    let answer = answer(state.clone(), parts, is_files, effect.clone()).await?;
    entry.status = answer.status.as_u16();
    entry.bytes = answer.body.len();
    state.note(entry);
    Ok(respond(answer, effect.as_ref(), mended))
}

/// Git blocks, so the answer is made off the connection's thread.
async fn answer(
    state: Arc<State>,
    parts: Parts,
    is_files: bool,
    effect: Option<Effect>,
) -> io::Result<Answer> {
    let made = tokio::task::spawn_blocking(move || {
        let make = if is_files { routes::files } else { routes::api };
        make(&state, &parts, effect.as_ref())
    });
    made.await.map_err(io::Error::other)
}

fn respond(
    answer: Answer,
    effect: Option<&Effect>,
    mended: watch::Receiver<u64>,
) -> Response<Body> {
    let Answer {
        mut status,
        mut headers,
        mut body,
    } = answer;
    let mut promised = body.len();
    let body = match effect {
        Some(Effect::Html) => {
            status = StatusCode::OK;
            headers = vec![("content-type", "text/html; charset=utf-8".to_owned())];
            body = Bytes::from_static(b"<!DOCTYPE html><html><body>Sign in</body></html>");
            promised = body.len();
            whole(body)
        }
        Some(Effect::Cut) => cut(&body.slice(..body.len() / 2)),
        Some(Effect::Short(missing)) => {
            promised += missing;
            cut(&body)
        }
        Some(Effect::Shorter(missing)) => {
            promised = body.len().saturating_sub(*missing);
            whole(body.slice(..promised))
        }
        Some(Effect::OtherBytes) => whole(with_another_byte(&body)),
        Some(Effect::Hold) => held(&body, mended),
        Some(Effect::Trickle(pause)) => trickled(body, *pause),
        _ => whole(body),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().append(name, value);
        }
    }
    if status != StatusCode::NOT_MODIFIED {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, promised.into());
    }
    if status == StatusCode::BAD_REQUEST {
        response
            .headers_mut()
            .insert(CONNECTION, http::HeaderValue::from_static("close"));
    }
    response
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// The bytes, and then the end of the connection.
fn cut(bytes: &Bytes) -> Body {
    let frames = [
        Ok(Frame::data(bytes.clone())),
        Err(io::Error::other("the connection is cut")),
    ];
    // Between the two the first must reach the client, or hyper would drop both.
    let frames = stream::iter(frames).then(async |frame| {
        tokio::task::yield_now().await;
        frame
    });
    StreamBody::new(Box::pin(frames)).boxed_unsync()
}

fn with_another_byte(bytes: &Bytes) -> Bytes {
    let mut other = bytes.to_vec();
    if let Some(first) = other.first_mut() {
        *first ^= 1;
    }
    other.into()
}

/// Half of the bytes now, the others when the faults are mended.
fn held(bytes: &Bytes, mut mended: watch::Receiver<u64>) -> Body {
    let (now, later) = (
        bytes.slice(..bytes.len() / 2),
        bytes.slice(bytes.len() / 2..),
    );
    let later = stream::once(async move {
        match mended.changed().await {
            Ok(()) => Ok(Frame::data(later)),
            Err(error) => Err(io::Error::other(error)),
        }
    });
    let now = stream::once(async { Ok(Frame::data(now)) });
    StreamBody::new(Box::pin(now.chain(later))).boxed_unsync()
}

fn trickled(bytes: Bytes, pause: Duration) -> Body {
    let frames = stream::iter(0..bytes.len()).then(move |at| {
        let byte = bytes.slice(at..=at);
        async move {
            tokio::time::sleep(pause).await;
            Ok(Frame::data(byte))
        }
    });
    StreamBody::new(Box::pin(frames)).boxed_unsync()
}
