//! Where a run is: its phase, and how far it is in it.
//!
//! Sides count what they do in any case, so that a stall is noticed; whoever wants to know reads the counters. A run is
//! never slower for being watched.

use std::sync::Arc;
use std::time::Duration;

use homing_core::Progress;

use crate::report::RunProgress;
use crate::shared::Shared;

/// How often runs are looked at while somebody listens.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often conditions that time alone changes are looked at while somebody listens.
const CONDITIONS_EVERY: Duration = Duration::from_secs(10);

/// A phase under way.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    phase: &'static str,
    counter: Progress,
    items_before: u64,
    bytes_before: u64,
    items_total: Option<u64>,
    bytes_total: Option<u64>,
}

impl Live {
    /// Begins a phase; `total` are the items and bytes that it has to do, where known.
    pub(crate) fn begin(
        phase: &'static str,
        counter: &Progress,
        total: Option<(u64, u64)>,
    ) -> Self {
        Self {
            phase,
            counter: counter.clone(),
            items_before: counter.finished_items(),
            bytes_before: counter.counts().1,
            items_total: total.map(|(items, _)| items),
            bytes_total: total.map(|(_, bytes)| bytes),
        }
    }

    /// Returns how far it is.
    pub(crate) fn progress(&self) -> RunProgress {
        let items = self
            .counter
            .finished_items()
            .saturating_sub(self.items_before);
        let bytes = self.counter.counts().1.saturating_sub(self.bytes_before);
        // What is read twice, or compared after it was written, is counted twice.
        RunProgress {
            phase: self.phase,
            items: items.min(self.items_total.unwrap_or(u64::MAX)),
            items_total: self.items_total,
            bytes: bytes.min(self.bytes_total.unwrap_or(u64::MAX)),
            bytes_total: self.bytes_total,
        }
    }
}

/// Tells how far the runs are, as long as somebody listens and something runs; else it costs nothing.
pub(crate) async fn tell(shared: Arc<Shared>) {
    let stopping = shared.stopping.clone();
    let watch = async {
        loop {
            shared.events.heard().await;
            if shared.runs.is_empty() {
                tokio::select! {
                    () = shared.runs.created() => {}
                    () = tokio::time::sleep(CONDITIONS_EVERY) => crate::changes::look(&shared),
                }
                continue;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            for run in shared.runs.all() {
                run.tell_progress();
            }
        }
    };
    tokio::select! {
        () = stopping.cancelled() => {}
        () = watch => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_counts_from_its_own_beginning_and_not_beyond_its_total() {
        let counter = Progress::default();
        counter.finish_item();
        counter.advance(100);
        let live = Live::begin("transfer", &counter, Some((2, 50)));
        assert_eq!((live.progress().items, live.progress().bytes), (0, 0));
        counter.advance(20);
        counter.finish_item();
        let moved = live.progress();
        assert_eq!((moved.items, moved.bytes), (1, 20));
        counter.advance(500);
        assert_eq!(live.progress().bytes, 50);
        let open = Live::begin("survey", &counter, None);
        counter.finish_item();
        assert_eq!(
            (open.progress().items, open.progress().items_total),
            (1, None)
        );
    }
}
