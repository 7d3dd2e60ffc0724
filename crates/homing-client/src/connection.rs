//! One request and its answer.

use std::error::Error;
use std::fs::File;
use std::future::Future;
use std::io::{self, Write};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use homing_api::{API_HEADER, ApiRange, Problem};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::outgoing::Outgoing;
use crate::{Client, ClientError, socket};

/// No answer is larger; a run of a million items is about a quarter of it.
const MAX_ANSWER_BYTES: usize = 1024 * 1024 * 1024;

/// What is sent along.
pub(crate) enum Payload {
    Nothing,
    Json(Vec<u8>),
    Bytes(Vec<u8>),
    /// A tar stream of this many bytes.
    Tar(File, u64),
}

impl Payload {
    pub(crate) fn json(value: &impl Serialize) -> Result<Self, ClientError> {
        serde_json::to_vec(value)
            .map(Self::Json)
            .map_err(|source| protocol(source.into()))
    }
}

impl Client {
    /// Asks, and waits for the answer for at most `limit` (wall clock, connecting included); `None`: for ever.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        payload: Payload,
        limit: Option<Duration>,
    ) -> Result<T, ClientError> {
        let answer = self.exchange(method, path, payload);
        let (status, is_problem, body) = match limit {
            Some(after) => tokio::time::timeout(after, answer)
                .await
                .unwrap_or_else(|_| Err(ClientError::Timeout { after }))?,
            None => answer.await?,
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|source| protocol(source.into()));
        }
        Err(refusal(status, is_problem, &body))
    }

    pub(crate) fn note_versions(&self, headers: &HeaderMap) {
        let theirs = headers.get(API_HEADER);
        if let Some(range) = theirs.and_then(|value| value.to_str().ok()?.parse().ok()) {
            self.daemon.get_or_init(|| range);
        }
    }

    async fn connect(
        &self,
    ) -> Result<
        (
            http1::SendRequest<Outgoing>,
            http1::Connection<TokioIo<UnixStream>, Outgoing>,
        ),
        ClientError,
    > {
        let stream = match socket::connect(&self.socket, self.uid).await {
            Err(ClientError::NotRunning { socket, source, .. }) => {
                let elsewhere = match &self.note {
                    Some(note) => socket::noted(note, self.uid).await,
                    None => None,
                };
                return Err(ClientError::NotRunning {
                    socket,
                    elsewhere,
                    source,
                });
            }
            connected => connected?,
        };
        http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|source| protocol(source.into()))
    }

    /// Asks for bytes, which go to `out` as they come, and returns how many there were.
    ///
    /// [`ClientError::CutOff`] when the daemon stops in the middle: what `out` has got then is of no use.
    pub(crate) async fn download(
        &self,
        path: &str,
        out: &mut (impl Write + Send),
    ) -> Result<u64, ClientError> {
        let (mut sender, connection) = self.connect().await?;
        let request = request(Method::GET, path, Payload::Nothing)?;
        let answer = async move {
            let response = sender
                .send_request(request)
                .await
                .map_err(|source| protocol(source.into()))?;
            let (head, mut body) = response.into_parts();
            self.note_versions(&head.headers);
            if !head.status.is_success() {
                let body = Limited::new(body, MAX_ANSWER_BYTES)
                    .collect()
                    .await
                    .map_err(protocol)?;
                return Err(refusal(
                    head.status,
                    is_problem(&head.headers),
                    &body.to_bytes(),
                ));
            }
            let mut written = 0;
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|source| protocol(source.into()))?;
                if let Some(bytes) = frame.data_ref() {
                    out.write_all(bytes)
                        .map_err(|source| ClientError::Output { source })?;
                    written += bytes.len() as u64;
                }
            }
            Ok(written)
        };
        drive(connection, answer).await
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        payload: Payload,
    ) -> Result<(StatusCode, bool, Bytes), ClientError> {
        let (mut sender, connection) = self.connect().await?;
        let request = request(method, path, payload)?;
        let answer = async move {
            let response = sender
                .send_request(request)
                .await
                .map_err(|source| protocol(source.into()))?;
            let (head, body) = response.into_parts();
            self.note_versions(&head.headers);
            let is_problem = is_problem(&head.headers);
            let body = Limited::new(body, MAX_ANSWER_BYTES)
                .collect()
                .await
                .map_err(protocol)?;
            Ok((head.status, is_problem, body.to_bytes()))
        };
        drive(connection, answer).await
    }
}

/// Polls the connection beside the answer until the answer is there.
async fn drive<T>(connection: impl Future, answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // The other end closed. What it sent before is still to be read, and what it did not send is an error of the
        // answer.
        _ = connection => answer.await,
    }
}

fn request(method: Method, path: &str, payload: Payload) -> Result<Request<Outgoing>, ClientError> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "homing")
        .header(API_HEADER, ApiRange::OURS.to_string());
    let (kind, body) = match payload {
        Payload::Nothing => (None, Bytes::new().into()),
        Payload::Json(json) => (Some("application/json"), Bytes::from(json).into()),
        Payload::Bytes(bytes) => {
            let kind = Some("application/octet-stream");
            (kind, Bytes::from(bytes).into())
        }
        Payload::Tar(file, left) => (Some("application/x-tar"), Outgoing::File { file, left }),
    };
    if let Some(kind) = kind {
        request = request.header(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    request.body(body).map_err(|source| protocol(source.into()))
}

/// Returns what an answer says that is no success.
pub(crate) fn refusal(status: StatusCode, is_problem: bool, body: &[u8]) -> ClientError {
    if !is_problem {
        return protocol(format!("HTTP {status} without a problem description").into());
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => problem.into(),
        Err(error) => protocol(error.into()),
    }
}

pub(crate) fn is_problem(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b';')
            .next()
            .is_some_and(|kind| kind == Problem::CONTENT_TYPE.as_bytes())
    })
}

/// Returns what an answer is that broke off or cannot be understood.
pub(crate) fn protocol(source: Box<dyn Error + Send + Sync>) -> ClientError {
    match source.downcast_ref() {
        Some(error) if is_cut_off(error) => ClientError::CutOff { source },
        _ => ClientError::Protocol { source },
    }
}

/// Tells whether the other end went away.
fn is_cut_off(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    let went_away = |cause: &io::Error| {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        matches!(cause.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
    };
    error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || cause.is_some_and(went_away)
}
