//! Answers that may be held back: waits, streams, and whatever takes as long as a run does.

use std::sync::Arc;
use std::time::Duration;

use homing_api::{Problem, ProblemKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connections::MAX_CONNECTIONS;
use crate::problem::Refusal;

/// So many answers that take long at the same time.
const MAX_HELD: usize = MAX_CONNECTIONS / 2;
/// So many streams of events beside them: they never end by themselves, so they must not take the room of work. The
/// other connections are for what is answered at once.
const MAX_STREAMS: usize = MAX_CONNECTIONS * 3 / 8;

/// The room for answers that are held back. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    work: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            work: Arc::new(Semaphore::new(MAX_HELD)),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        }
    }
}

impl Held {
    /// Takes room for a wait. `None`: there is nothing to wait for, or no room; the answer is given at once.
    pub(super) fn wait(&self, wait: Duration) -> Option<OwnedSemaphorePermit> {
        if wait.is_zero() {
            return None;
        }
        Arc::clone(&self.work).try_acquire_owned().ok()
    }

    /// Takes room for an answer that cannot be given at once.
    pub(super) fn hold(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let detail = format!("homingd is at work for {MAX_HELD} requests already");
        take(&self.work, detail, "ask again when some of them have ended")
    }

    /// Takes room for a stream of events.
    pub(super) fn stream(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let detail = format!("{MAX_STREAMS} clients follow the events already");
        take(
            &self.streams,
            detail,
            "end one of them (`homing events --follow`), then ask again",
        )
    }
}

fn take(
    room: &Arc<Semaphore>,
    detail: String,
    hint: &str,
) -> Result<OwnedSemaphorePermit, Refusal> {
    Arc::clone(room)
        .try_acquire_owned()
        .map_err(|_full| Refusal::from(Problem::new(ProblemKind::Busy, detail).with_hint(hint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_connections_are_left_for_quick_answers() {
        let held = Held::default();
        let second = Duration::from_secs(1);
        assert!(held.wait(Duration::ZERO).is_none());
        let mut all: Vec<_> = (0..MAX_HELD)
            .map(|_| held.clone().wait(second).expect("there is room"))
            .collect();
        assert!(held.wait(second).is_none());
        let refused = held.hold().unwrap_err().problem();
        assert_eq!(refused.kind, ProblemKind::Busy);
        drop(all.pop());
        assert!(held.hold().is_ok());
        const { assert!(MAX_HELD + MAX_STREAMS < MAX_CONNECTIONS) }
    }

    #[test]
    fn a_crowd_of_streams_leaves_the_room_for_work_alone() {
        let held = Held::default();
        let mut streams: Vec<_> = (0..MAX_STREAMS)
            .map(|_| held.stream().expect("there is room"))
            .collect();
        let refused = held.stream().unwrap_err().problem();
        assert_eq!(refused.kind, ProblemKind::Busy);
        assert!(refused.hint.is_some());
        let work: Vec<_> = (0..MAX_HELD).map_while(|_| held.hold().ok()).collect();
        assert_eq!(work.len(), MAX_HELD);
        drop(streams.pop());
        assert!(held.stream().is_ok());
    }
}
