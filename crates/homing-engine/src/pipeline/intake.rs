//! Intake: contents that arrive while an origin is listed, for only reading them tells their hashes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use homing_core::{BoxFuture, Contents, Gate, Intake, SideError};
use homing_store::Store;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::runs::{self, Run};
use crate::shared::{Shared, locked};

/// Whoever waits for a turn says that often that it has not stopped.
const STILL_THERE: Duration = Duration::from_secs(5);

/// A run's turn to transfer, taken when the first content is asked for. It ends with [`Turn::end`].
pub(crate) struct Turn {
    permits: Arc<Semaphore>,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    run: Arc<Run>,
    store: Store,
    boot_id: String,
}

impl Turn {
    /// Returns a turn that was not taken yet.
    pub(crate) fn of(shared: &Shared, run: &Arc<Run>) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::clone(&shared.permits),
            permit: Mutex::default(),
            run: Arc::clone(run),
            store: shared.store.clone(),
            boot_id: shared.boot_id.clone(),
        })
    }

    /// Returns the way of the run's contents into `contents`.
    pub(crate) fn intake(self: &Arc<Self>, contents: Arc<dyn Contents>) -> Intake {
        let gate: Arc<dyn Gate> = Arc::clone(self) as Arc<dyn Gate>;
        Intake::new(contents, gate)
    }

    /// Gives the turn back.
    pub(crate) fn end(&self) {
        drop(locked(&self.permit).take());
    }
}

impl Gate for Turn {
    fn begin(&self, items: u64, bytes: u64) -> BoxFuture<'_, Result<(), SideError>> {
        Box::pin(async move {
            if locked(&self.permit).is_some() {
                return Ok(());
            }
            let turn = Arc::clone(&self.permits).acquire_owned();
            tokio::pin!(turn);
            let permit = loop {
                match tokio::time::timeout(STILL_THERE, &mut turn).await {
                    Ok(permit) => break permit,
                    // It waits for other runs, which is no stall of this one.
                    Err(_elapsed) => self.run.progress.advance(0),
                }
            };
            runs::note_begun(&self.store, &self.boot_id, &self.run);
            // Only a closed semaphore gives none, and this one is never closed.
            *locked(&self.permit) = permit.ok();
            self.run.enter("transfer", Some((items, bytes)));
            Ok(())
        })
    }
}
