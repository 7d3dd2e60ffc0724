//! `GET /v1/store/backup`

use std::io::{self, BufWriter, Write};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use homing_engine::EngineError;
use homing_store::StoreError;
use tokio::sync::mpsc::{Sender, channel};

use super::Api;
use crate::problem::Refusal;

/// How much is written at a time, and how many of those wait for a client that reads slowly.
const CHUNK_BYTES: usize = 64 * 1024;
const CHUNKS: usize = 4;

type Chunk = Result<Bytes, StoreError>;

/// Streams a backup. What goes wrong before the first byte is a problem; later, the answer breaks off.
pub(super) async fn stream(State(api): State<Api>) -> Result<Response, Refusal> {
    let store = api.engine()?.store().clone();
    let (sender, mut chunks) = channel::<Chunk>(CHUNKS);
    tokio::task::spawn_blocking(move || {
        let out = BufWriter::with_capacity(CHUNK_BYTES, Chunks(sender.clone()));
        if let Err(error) = store.backup_blocking(out) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a backup was not finished"
            );
            // A client that went away does not hear of it.
            sender.blocking_send(Err(error)).unwrap_or_default();
        }
    });
    let first = match chunks.recv().await {
        Some(Ok(first)) => first,
        Some(Err(error)) => return Err(EngineError::from(error).into()),
        None => return Err(EngineError::from(StoreError::Closed).into()),
    };
    let rest = stream::unfold(chunks, async |mut chunks| {
        chunks.recv().await.map(|chunk| (chunk, chunks))
    });
    let all = stream::StreamExt::chain(stream::iter([Ok(first)]), rest);
    let kind = [(header::CONTENT_TYPE, "application/x-tar")];
    Ok((kind, Body::from_stream(all)).into_response())
}

/// Hands on what is written; fails when nobody reads any more.
struct Chunks(Sender<Chunk>);

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_closed| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
