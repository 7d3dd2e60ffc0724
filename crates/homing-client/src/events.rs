//! The stream of what happens.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use homing_api::{Event, EventsQuery, ReadData, routes};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;

use crate::connection::{is_problem, protocol, refusal};
use crate::sse::Parser;
use crate::{Client, ClientError, socket};

/// How long the daemon may take to begin, and how long it may say nothing: it sends a comment every 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);

/// No event is larger; a snapshot of ten thousand sources is about a quarter of it.
const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;

/// One event with its place in the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct EventMessage {
    /// Where to go on after it: [`Client::events`] takes it.
    pub id: Option<String>,
    /// What happened.
    pub event: Event,
}

/// What happens, as it happens. Dropping it ends the connection.
pub struct EventStream {
    connection: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
    is_open: bool,
    /// The connection ends when it is dropped.
    _sender: SendRequest<Empty<Bytes>>,
    body: Incoming,
    parser: Parser,
}

impl Client {
    /// `GET /v1/events`: first a snapshot, or what followed the event `after` if the daemon still has it. Without
    /// `follow` the stream ends after what is kept.
    pub async fn events(
        &self,
        follow: bool,
        after: Option<&str>,
    ) -> Result<EventStream, ClientError> {
        within_silence(self.open_events(follow, after)).await
    }

    async fn open_events(
        &self,
        follow: bool,
        after: Option<&str>,
    ) -> Result<EventStream, ClientError> {
        let query = EventsQuery {
            follow: (!follow).then_some(false),
        };
        let follow = query.follow.map(|follow| follow.to_string());
        let path = routes::with_query(routes::EVENTS, &[("follow", follow.as_deref())]);
        let mut request = Request::get(path).header(HOST, "homing");
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let request = request
            .body(Empty::new())
            .map_err(|source| protocol(source.into()))?;
        let stream = socket::connect(&self.socket, self.uid).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|source| protocol(source.into()))?;
        let mut connection: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(connection);
        let mut is_open = true;
        let mut answer = std::pin::pin!(sender.send_request(request));
        let response = loop {
            tokio::select! {
                biased;
                response = answer.as_mut() => break response,
                _ = connection.as_mut(), if is_open => is_open = false,
            }
        };
        let response = response.map_err(|source| protocol(source.into()))?;
        let (head, body) = response.into_parts();
        let mut stream = EventStream {
            connection,
            is_open,
            _sender: sender,
            body,
            parser: Parser::default(),
        };
        if head.status.is_success() {
            return Ok(stream);
        }
        let told = stream.rest().await?;
        Err(refusal(head.status, is_problem(&head.headers), &told))
    }
}

impl EventStream {
    /// Waits for the next event; `None` when the daemon has ended the stream. Names that this version does not know
    /// are passed over. Nothing is lost when the future is dropped.
    ///
    /// [`ClientError::Timeout`]: the daemon is silent, which it never is while it is well.
    pub async fn next(&mut self) -> Result<Option<EventMessage>, ClientError> {
        loop {
            while let Some(raw) = self
                .parser
                .next()
                .map_err(|source| protocol(source.into()))?
            {
                let event = Event::read(&raw.event, Json(&raw.data))
                    .map_err(|source| protocol(source.into()))?;
                if let Some(event) = event {
                    return Ok(Some(EventMessage { id: raw.id, event }));
                }
            }
            if self.parser.waiting() > MAX_EVENT_BYTES {
                return Err(protocol("an event is too large".into()));
            }
            match within_silence(self.piece()).await? {
                Some(piece) => self.parser.feed(&piece),
                None => return Ok(None),
            }
        }
    }

    /// Waits for more of the body.
    async fn piece(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            tokio::select! {
                biased;
                frame = self.body.frame() => match frame {
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Ok(Some(data));
                        }
                    }
                    Some(Err(source)) => return Err(protocol(source.into())),
                    None => return Ok(None),
                },
                // The other end closed; what it sent before is still to be read.
                _ = self.connection.as_mut(), if self.is_open => self.is_open = false,
            }
        }
    }

    /// Reads the body of an error to its end.
    async fn rest(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > MAX_EVENT_BYTES {
                return Err(protocol("the error is too large".into()));
            }
        }
        Ok(bytes)
    }
}

async fn within_silence<T>(
    answer: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    tokio::time::timeout(SILENCE, answer)
        .await
        .unwrap_or(Err(ClientError::Timeout { after: SILENCE }))
}

struct Json<'a>(&'a str);

impl ReadData for Json<'_> {
    type Error = serde_json::Error;

    fn data<T: DeserializeOwned>(self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0)
    }
}
