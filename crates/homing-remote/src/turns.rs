//! How many requests one host gets at the same time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::Version;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::{Origin, Url};

/// Streams of one HTTP/2 connection; a server may allow fewer.
const STREAMS: usize = 100;

/// All hosts that were asked for something.
#[derive(Debug)]
pub(crate) struct Turns {
    per_host: usize,
    hosts: Mutex<HashMap<Origin, Arc<Host>>>,
}

/// One of them: the first request goes alone, for its answer tells how many may follow.
#[derive(Debug)]
pub(crate) struct Host {
    turns: Arc<Semaphore>,
    is_known: AtomicBool,
}

impl Turns {
    pub(crate) fn new(per_host: usize) -> Self {
        Self {
            per_host: per_host.max(1),
            hosts: Mutex::default(),
        }
    }

    /// Waits for a turn at the host of `url`; it lasts until the permit is dropped.
    pub(crate) async fn wait(&self, url: &Url) -> (Arc<Host>, OwnedSemaphorePermit) {
        let host = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            let host = hosts.entry(url.origin()).or_insert_with(|| {
                Arc::new(Host {
                    turns: Arc::new(Semaphore::new(1)),
                    is_known: AtomicBool::new(false),
                })
            });
            Arc::clone(host)
        };
        let turn = host.turn().await;
        (host, turn)
    }

    /// Notes that a host answered, and in which version.
    pub(crate) fn answered(&self, host: &Host, version: Version) {
        if !host.is_known.swap(true, Ordering::Relaxed) {
            let width = if version == Version::HTTP_2 {
                STREAMS.max(self.per_host)
            } else {
                self.per_host
            };
            host.turns.add_permits(width - 1);
        }
    }
}

impl Host {
    /// Waits for a turn.
    pub(crate) async fn turn(&self) -> OwnedSemaphorePermit {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        turn.expect("the semaphore is never closed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_request_goes_alone_and_its_answer_makes_room() {
        for (version, width) in [(Version::HTTP_11, 3), (Version::HTTP_2, STREAMS)] {
            let turns = Turns::new(3);
            let url = Url::parse("http://example.org/a").unwrap();
            let (host, first) = turns.wait(&url).await;
            assert_eq!(host.turns.available_permits(), 0);
            turns.answered(&host, version);
            turns.answered(&host, version);
            assert_eq!(host.turns.available_permits(), width - 1);
            drop(first);
            let same = Url::parse("http://example.org:80/b").unwrap();
            let (again, _turn) = turns.wait(&same).await;
            assert_eq!(again.turns.available_permits(), width - 1);
            let other = Url::parse("https://example.org/a").unwrap();
            assert_eq!(turns.wait(&other).await.0.turns.available_permits(), 0);
        }
    }
}
