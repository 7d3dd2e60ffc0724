//! What a server answers: a status, headers, and a body that arrives in time or not at all.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use homing_core::{Progress, SideError};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use url::Url;

use crate::errors;
use crate::turns::{Host, Turn};

/// A body that does not bring so much in the time that a stall may take is given up: it trickles.
const LEAST_BYTES: usize = 1024;

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Where it came from: the end of all redirects.
    pub url: Url,
    /// What it brings.
    pub body: Body,
    pub(crate) was_authorized: bool,
}

impl Answer {
    /// Returns what a status that is no success means.
    pub fn error(&self) -> SideError {
        errors::of_status(self.status, &self.headers, &self.url, self.was_authorized)
    }

    /// Returns the media type, without parameters and in lower case.
    pub fn media_type(&self) -> Option<String> {
        let text = self.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let media_type = text.split(';').next()?.trim().to_ascii_lowercase();
        (!media_type.is_empty()).then_some(media_type)
    }

    /// Tells whether this is a web page although `path` does not name one: an error or login page with a wrong status.
    pub fn is_a_page_instead_of(&self, path: &str) -> bool {
        let wants_page = [".html", ".htm", ".xhtml"].iter().any(|end| {
            path.len() >= end.len()
                && path.as_bytes()[path.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
        });
        !wants_page
            && self
                .media_type()
                .is_some_and(|media| media == "text/html" || media == "application/xhtml+xml")
    }
}

/// The bytes of an answer, decompressed, as they come. Its host has a turn less until it is dropped.
#[derive(Debug)]
pub struct Body {
    response: reqwest::Response,
    url: Url,
    size_hint: Option<u64>,
    stall_timeout: Duration,
    window_end: Instant,
    window_bytes: usize,
    progress: Progress,
    directory: Option<Arc<Path>>,
    host: Arc<Host>,
    turn: Option<Turn>,
}

impl Body {
    pub(crate) fn new(
        response: reqwest::Response,
        turn: Turn,
        stall_timeout: Duration,
        progress: &Progress,
        directory: Option<Arc<Path>>,
    ) -> Self {
        let length = response.headers().get(CONTENT_LENGTH);
        Self {
            url: response.url().clone(),
            // It is gone where the body is compressed.
            size_hint: length.and_then(|length| length.to_str().ok()?.parse().ok()),
            response,
            stall_timeout,
            window_end: Instant::now() + stall_timeout,
            window_bytes: 0,
            progress: progress.clone(),
            directory,
            host: Arc::clone(turn.host()),
            turn: Some(turn),
        }
    }

    /// Returns where it comes from, as it may be shown.
    pub fn shown(&self) -> crate::ShownUrl {
        crate::ShownUrl::of(&self.url)
    }

    /// Returns how long it will be, as the server says.
    pub fn size_hint(&self) -> Option<u64> {
        self.size_hint
    }

    /// Returns where it may be spooled; `None`: where temporary files are.
    pub(crate) fn directory(&self) -> Option<Arc<Path>> {
        self.directory.clone()
    }

    /// Returns the next bytes, `None` at the end.
    ///
    /// [`SideError::Transient`] when it is cut off, longer or shorter than the server said, or does not come.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, SideError> {
        let arrived = tokio::time::timeout_at(self.window_end, self.response.chunk())
            .await
            .map_err(|_elapsed| errors::stalled(&self.url, self.stall_timeout))?;
        let chunk = arrived.map_err(|error| errors::of_body(error, &self.url))?;
        if let Some(bytes) = &chunk {
            self.progress.advance(bytes.len() as u64);
            self.window_bytes += bytes.len();
            if self.window_bytes >= LEAST_BYTES {
                self.window_bytes = 0;
                self.window_end = Instant::now() + self.stall_timeout;
            }
        }
        Ok(chunk)
    }

    /// Says that what came is a sign of life, however little it is.
    pub fn is_alive(&mut self) {
        self.window_bytes = 0;
        self.window_end = Instant::now() + self.stall_timeout;
    }

    /// Waits for something while others may have this answer's turn at its host.
    ///
    /// Whoever waits for a turn of another sort must not hold this one: its holder may wait for it.
    pub async fn aside<T>(&mut self, work: impl Future<Output = T>) -> T {
        self.turn = None;
        let host = Arc::clone(&self.host);
        let (done, turn) = self
            .meanwhile(async move { (work.await, host.turn().await) })
            .await;
        self.turn = Some(turn);
        done
    }

    /// Does something else for a while, which is not held against the server.
    pub(crate) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let done = work.await;
        self.window_end += began.elapsed();
        done
    }

    /// Returns all of it; [`SideError::Untrusted`] when that is more than `most` bytes.
    pub async fn collect(mut self, most: usize) -> Result<Bytes, SideError> {
        let too_long = |url: &Url| SideError::Untrusted {
            message: format!(
                "`{}` is longer than {}, which is the most that is taken of it; check the URL",
                crate::ShownUrl::of(url),
                size(most)
            ),
        };
        let mut all = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > most {
                return Err(too_long(&self.url));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }
}
/// Returns a limit as people read it; limits are powers of two.
fn size(bytes: usize) -> String {
    let units = [(1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units
        .into_iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(unit, name)| format!("{} {name}", bytes / unit),
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_limit_is_told_as_people_read_it() {
        for (bytes, told) in [
            (16 << 20, "16 MiB"),
            (64 << 10, "64 KiB"),
            (1000, "1000 bytes"),
        ] {
            assert_eq!(super::size(bytes), told);
        }
    }
}
