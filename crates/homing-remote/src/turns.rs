//! How many requests one host gets at the same time, and over how many connections.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::Version;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::{Origin, Url};

/// Streams of one HTTP/2 connection; a server may allow fewer.
const STREAMS: usize = 100;
/// HTTP/2 connections to one host: over a long way the streams of one would be all that is under way.
pub(crate) const LANES: usize = 2;
/// Beyond so many hosts those are forgotten that nothing is asked of: their names are servers' to choose.
const MOST_IDLE: usize = 64;

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
    /// Requests that go over each connection.
    under_way: [AtomicUsize; LANES],
}

/// A request's turn, which ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    host: Arc<Host>,
    lane: usize,
    _permit: OwnedSemaphorePermit,
}

impl Turns {
    pub(crate) fn new(per_host: usize) -> Self {
        Self {
            per_host: per_host.max(1),
            hosts: Mutex::default(),
        }
    }

    /// Waits for a turn at the host of `url`.
    pub(crate) async fn wait(&self, url: &Url) -> Turn {
        let host = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            if hosts.len() >= MOST_IDLE {
                hosts.retain(|_, host| Arc::strong_count(host) > 1);
            }
            let host = hosts.entry(url.origin()).or_insert_with(|| {
                Arc::new(Host {
                    turns: Arc::new(Semaphore::new(1)),
                    is_known: AtomicBool::new(false),
                    under_way: std::array::from_fn(|_| AtomicUsize::new(0)),
                })
            });
            Arc::clone(host)
        };
        host.turn().await
    }

    /// Notes that a host answered, and in which version.
    pub(crate) fn answered(&self, turn: &Turn, version: Version) {
        if !turn.host.is_known.swap(true, Ordering::Relaxed) {
            let width = if version == Version::HTTP_2 {
                (STREAMS * LANES.min(self.per_host)).max(self.per_host)
            } else {
                self.per_host
            };
            turn.host.turns.add_permits(width - 1);
        }
    }
}

impl Host {
    /// Waits for a turn.
    pub(crate) async fn turn(self: &Arc<Self>) -> Turn {
        let permit = Arc::clone(&self.turns).acquire_owned().await;
        Turn {
            lane: self.take_lane(),
            host: Arc::clone(self),
            _permit: permit.expect("the semaphore is never closed"),
        }
    }

    /// Takes the first connection that has room, so that another one is not opened without need.
    fn take_lane(&self) -> usize {
        let has_room = |count: usize| (count < STREAMS).then_some(count + 1);
        let free = self.under_way.iter().position(|count| {
            count
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, has_room)
                .is_ok()
        });
        free.unwrap_or_else(|| {
            self.under_way[0].fetch_add(1, Ordering::Relaxed);
            0
        })
    }
}

impl Turn {
    /// Returns which connection of [`LANES`] the request goes over, if it is HTTP/2.
    pub(crate) fn lane(&self) -> usize {
        self.lane
    }

    /// Returns whose turn it is.
    pub(crate) fn host(&self) -> &Arc<Host> {
        &self.host
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.host.under_way[self.lane].fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_request_goes_alone_and_its_answer_makes_room() {
        for (version, width) in [(Version::HTTP_11, 3), (Version::HTTP_2, STREAMS * LANES)] {
            let turns = Turns::new(3);
            let url = Url::parse("http://example.org/a").unwrap();
            let first = turns.wait(&url).await;
            let host = Arc::clone(&first.host);
            assert_eq!(host.turns.available_permits(), 0);
            turns.answered(&first, version);
            turns.answered(&first, version);
            assert_eq!(host.turns.available_permits(), width - 1);
            drop(first);
            let same = Url::parse("http://example.org:80/b").unwrap();
            let again = turns.wait(&same).await;
            assert_eq!(again.host.turns.available_permits(), width - 1);
            let other = Url::parse("https://example.org/a").unwrap();
            assert_eq!(turns.wait(&other).await.host.turns.available_permits(), 0);
        }
    }

    #[tokio::test]
    async fn hosts_of_which_nothing_is_asked_are_forgotten_when_there_are_many() {
        let turns = Turns::new(3);
        let of = |number: usize| Url::parse(&format!("http://{number}.example.org/")).unwrap();
        let first = turns.wait(&of(0)).await;
        turns.answered(&first, Version::HTTP_11);
        for number in 1..1000 {
            drop(turns.wait(&of(number)).await);
        }
        assert!(turns.hosts.lock().unwrap().len() <= MOST_IDLE + 1);
        let again = turns.wait(&of(0)).await;
        assert!(Arc::ptr_eq(&first.host, &again.host), "it is in use");
    }

    #[tokio::test]
    async fn another_connection_is_for_what_has_no_room_in_the_first() {
        let turns = Turns::new(8);
        let url = Url::parse("https://example.org/a").unwrap();
        let mut all = vec![turns.wait(&url).await];
        turns.answered(&all[0], Version::HTTP_2);
        for _ in 1..STREAMS * LANES {
            all.push(turns.wait(&url).await);
        }
        assert!(all[..STREAMS].iter().all(|turn| turn.lane() == 0));
        assert!(
            all[STREAMS..2 * STREAMS]
                .iter()
                .all(|turn| turn.lane() == 1)
        );
        drop(all.remove(0));
        assert_eq!(turns.wait(&url).await.lane(), 0);
        // Who allows one connection gets one.
        let turns = Turns::new(1);
        let only = turns.wait(&url).await;
        turns.answered(&only, Version::HTTP_2);
        assert_eq!(only.host.turns.available_permits(), STREAMS - 1);
    }
}
