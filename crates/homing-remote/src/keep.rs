//! Bodies into contents, whose calls block: small ones side by side on one thread, large ones on a thread each.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use homing_core::{ContentHash, Contents, SideError};
use tokio::sync::{mpsc, oneshot};

use crate::answer::Body;

/// A body of up to this many bytes is collected before it is kept: a hundred may be under way.
const SMALL_BYTES: usize = 64 << 10;
/// Small bodies that wait for the thread.
const WAITING: usize = 64;
/// Chunks of one large body that wait for theirs.
const CHUNKS_WAITING: usize = 4;

/// Sees the bytes of a body as they come.
pub trait Witness: Send {
    /// Takes in the next bytes.
    fn see(&mut self, bytes: &[u8]);
}

/// Nobody looks.
impl Witness for () {
    fn see(&mut self, _bytes: &[u8]) {}
}

impl Witness for homing_core::Hasher {
    fn see(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// What became of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is in the contents.
    Whole {
        /// SHA-256 of its bytes.
        hash: ContentHash,
        /// Bytes.
        size: u64,
    },
    /// It is longer than is taken of one item.
    TooLong,
}

/// Keeps bodies. Clones share one thread for small ones, which ends with the last of them.
#[derive(Clone)]
pub struct Keeper {
    contents: Arc<dyn Contents>,
    small: mpsc::Sender<Small>,
    max_file_size: u64,
}

struct Small {
    bytes: Bytes,
    kept: oneshot::Sender<Result<(ContentHash, u64), SideError>>,
}

impl Keeper {
    /// Begins to keep bodies of up to `max_file_size` bytes. Called within a runtime.
    pub fn new(contents: &Arc<dyn Contents>, max_file_size: u64) -> Self {
        let (small, mut waiting) = mpsc::channel::<Small>(WAITING);
        let keeping = Arc::clone(contents);
        // Ends by itself when nobody can send any more.
        drop(tokio::task::spawn_blocking(move || {
            while let Some(Small { bytes, kept }) = waiting.blocking_recv() {
                let size = bytes.len() as u64;
                // Whoever waited may have been cancelled.
                kept.send(keeping.keep(&mut bytes.reader(), size)).ok();
            }
        }));
        Self {
            contents: Arc::clone(contents),
            small,
            max_file_size,
        }
    }

    /// Keeps a body, which `witness` sees whole.
    pub async fn keep<W: Witness>(
        &self,
        mut body: Body,
        witness: &mut W,
    ) -> Result<Kept, SideError> {
        if body
            .size_hint()
            .is_some_and(|size| size > self.max_file_size)
        {
            return Ok(Kept::TooLong);
        }
        let mut first = BytesMut::new();
        while let Some(chunk) = body.chunk().await? {
            witness.see(&chunk);
            first.extend_from_slice(&chunk);
            if first.len() as u64 > self.max_file_size {
                return Ok(Kept::TooLong);
            }
            if first.len() > SMALL_BYTES {
                return self.keep_large(first.freeze(), body, witness).await;
            }
        }
        // The host gets its next request while the bytes are kept.
        drop(body);
        self.keep_bytes(first.freeze()).await
    }

    /// Keeps bytes that are at hand.
    pub async fn keep_bytes(&self, bytes: Bytes) -> Result<Kept, SideError> {
        let (kept, answer) = oneshot::channel();
        self.small
            .send(Small { bytes, kept })
            .await
            .map_err(|_ended| SideError::Cancelled)?;
        let (hash, size) = answer.await.map_err(|_ended| SideError::Cancelled)??;
        Ok(Kept::Whole { hash, size })
    }

    async fn keep_large<W: Witness>(
        &self,
        first: Bytes,
        mut body: Body,
        witness: &mut W,
    ) -> Result<Kept, SideError> {
        let mut size = first.len() as u64;
        let hint = body.size_hint().unwrap_or(self.max_file_size);
        let contents = Arc::clone(&self.contents);
        let (sender, reader) = pipe();
        let keeping = tokio::task::spawn_blocking(move || {
            let mut reader = reader;
            contents.keep(&mut reader, hint)
        });
        let mut next = Some(first);
        let mut broken = None;
        while let Some(bytes) = next {
            if !body.meanwhile(sender.send(bytes)).await {
                break;
            }
            next = match body.chunk().await {
                Ok(Some(chunk)) if size + chunk.len() as u64 > self.max_file_size => {
                    broken = Some(Ok(Kept::TooLong));
                    break;
                }
                Ok(Some(chunk)) => {
                    witness.see(&chunk);
                    size += chunk.len() as u64;
                    Some(chunk)
                }
                Ok(None) => {
                    sender.end().await;
                    None
                }
                Err(error) => {
                    broken = Some(Err(error));
                    break;
                }
            };
        }
        // A pipe that was not ended fails the read, and what was read of it is not kept.
        drop(sender);
        let kept = keeping.await.map_err(|_ended| SideError::Cancelled)?;
        match broken {
            Some(broken) => broken,
            None => kept.map(|(hash, size)| Kept::Whole { hash, size }),
        }
    }
}

/// Returns both ends of a pipe from async code to a thread that blocks.
pub(crate) fn pipe() -> (PipeSender, PipeReader) {
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    (
        PipeSender(sender),
        PipeReader {
            receiver,
            chunk: Bytes::new(),
            has_ended: false,
        },
    )
}

/// Where bytes go in; `None` is the end.
pub(crate) struct PipeSender(mpsc::Sender<Option<Bytes>>);

impl PipeSender {
    /// Sends bytes; tells whether anybody still reads.
    pub(crate) async fn send(&self, bytes: Bytes) -> bool {
        self.0.send(Some(bytes)).await.is_ok()
    }

    /// Says that this was all. A pipe that is dropped without it was broken.
    pub(crate) async fn end(&self) {
        // Whoever reads no more has no need to know.
        self.0.send(None).await.ok();
    }
}

/// Where they come out.
pub(crate) struct PipeReader {
    receiver: mpsc::Receiver<Option<Bytes>>,
    chunk: Bytes,
    has_ended: bool,
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.has_ended {
            match self.receiver.blocking_recv() {
                Some(Some(chunk)) => self.chunk = chunk,
                Some(None) => self.has_ended = true,
                None => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "what was sent broke off",
                    ));
                }
            }
        }
        let count = self.chunk.len().min(buffer.len());
        self.chunk
            .split_to(count)
            .copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use testkit::MemoryContents;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_pipe_brings_all_and_tells_an_end_from_a_break() {
        for ends in [true, false] {
            let (sender, mut reader) = pipe();
            let reading = tokio::task::spawn_blocking(move || {
                let mut all = Vec::new();
                reader.read_to_end(&mut all).map(|_| all)
            });
            for chunk in [&b"one "[..], b"", b"two"] {
                assert!(sender.send(Bytes::from_static(chunk)).await);
            }
            if ends {
                sender.end().await;
            }
            drop(sender);
            let read = reading.await.unwrap();
            if ends {
                assert_eq!(read.unwrap(), b"one two");
            } else {
                assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn bytes_are_kept_side_by_side_and_a_full_disk_is_told() {
        let memory = Arc::new(MemoryContents::default());
        let contents: Arc<dyn Contents> = memory.clone();
        let keeper = Keeper::new(&contents, 1 << 20);
        let all: Vec<Bytes> = (0..200).map(|n| Bytes::from(format!("{n}"))).collect();
        let kept = all.iter().map(|bytes| keeper.keep_bytes(bytes.clone()));
        let kept = futures_util::future::join_all(kept).await;
        for (bytes, kept) in all.iter().zip(kept) {
            let hash = ContentHash::of(bytes);
            let size = bytes.len() as u64;
            assert_eq!(kept.unwrap(), Kept::Whole { hash, size });
            assert_eq!(memory.get(&hash).unwrap(), bytes.to_vec());
        }
        memory.set_full(true);
        let full = keeper.keep_bytes(Bytes::from_static(b"more")).await;
        assert!(matches!(full, Err(SideError::Storage { .. })), "{full:?}");
    }
}
