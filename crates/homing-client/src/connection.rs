//! One request and its answer.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use homing_api::Problem;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Client, ClientError, socket};

/// No answer is larger; a run of a million items is about a quarter of it.
const MAX_ANSWER_BYTES: usize = 1024 * 1024 * 1024;

/// What is sent along.
pub(crate) enum Payload {
    Nothing,
    Json(Vec<u8>),
    Bytes(Vec<u8>),
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
        if is_problem {
            let problem: Problem =
                serde_json::from_slice(&body).map_err(|source| protocol(source.into()))?;
            return Err(problem.into());
        }
        Err(protocol(
            format!("HTTP {status} without a problem description").into(),
        ))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        payload: Payload,
    ) -> Result<(StatusCode, bool, Bytes), ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "homing");
        let body = match payload {
            Payload::Nothing => Bytes::new(),
            Payload::Json(json) => {
                request =
                    request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                json.into()
            }
            Payload::Bytes(bytes) => {
                request = request.header(
                    CONTENT_TYPE,
                    HeaderValue::from_static("application/octet-stream"),
                );
                bytes.into()
            }
        };
        let request = request
            .body(Full::new(body))
            .map_err(|source| protocol(source.into()))?;
        let stream = socket::connect(&self.socket, self.uid).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|source| protocol(source.into()))?;
        let answer = async move {
            let response = sender
                .send_request(request)
                .await
                .map_err(|source| protocol(source.into()))?;
            let (head, body) = response.into_parts();
            let is_problem = head.headers.get(CONTENT_TYPE).is_some_and(is_problem);
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

pub(crate) fn is_problem(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .split(|byte| *byte == b';')
        .next()
        .is_some_and(|kind| kind == Problem::CONTENT_TYPE.as_bytes())
}

pub(crate) fn protocol(source: Box<dyn std::error::Error + Send + Sync>) -> ClientError {
    ClientError::Protocol { source }
}
