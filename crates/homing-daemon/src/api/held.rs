//! Answers that may be held back: waits, streams, and whatever takes as long as a run does.

use std::sync::Arc;
use std::time::Duration;

use homing_api::{Problem, ProblemKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connections::MAX_CONNECTIONS;
use crate::problem::Refusal;

/// So many answers at the same time; the other connections are for those that are answered at once.
const MAX_HELD: usize = MAX_CONNECTIONS * 5 / 8;

/// The room for answers that are held back. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Held(Arc<Semaphore>);

impl Default for Held {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_HELD)))
    }
}

impl Held {
    /// Takes room for a wait. `None`: there is nothing to wait for, or no room; the answer is given at once.
    pub(super) fn wait(&self, wait: Duration) -> Option<OwnedSemaphorePermit> {
        if wait.is_zero() {
            return None;
        }
        Arc::clone(&self.0).try_acquire_owned().ok()
    }

    /// Takes room for an answer that cannot be given at once.
    pub(super) fn hold(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_full| {
            let detail = format!("homingd is at work for {MAX_HELD} requests already");
            let problem = Problem::new(ProblemKind::Busy, detail);
            problem
                .with_hint("ask again when some of them have ended")
                .into()
        })
    }
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
        const { assert!(MAX_HELD < MAX_CONNECTIONS) }
    }
}
