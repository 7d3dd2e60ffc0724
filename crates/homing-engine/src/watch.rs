//! Time limits: a run that stands still, takes too long or is cancelled is ended.

use std::future::Future;

use tokio::time::{Instant, sleep_until};

use crate::error::EngineError;
use crate::runs::Run;
use crate::spec::Settings;

/// Waits for `work`, as long as the run moves, is within its time and is not cancelled.
///
/// Otherwise `work` is dropped, which cancels it at its next step.
pub(crate) async fn watched<T>(
    run: &Run,
    settings: &Settings,
    work: impl Future<Output = T>,
) -> Result<T, EngineError> {
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = run.cancel.cancelled() => Err(EngineError::Cancelled),
        error = limits(run, settings) => Err(error),
    }
}

/// As [`watched`], for work that must not be dropped for a mere cancellation: it ends soon, or stalls.
pub(crate) async fn watched_to_the_end<T>(
    run: &Run,
    settings: &Settings,
    work: impl Future<Output = T>,
) -> Result<T, EngineError> {
    tokio::select! {
        biased;
        done = work => Ok(done),
        error = limits(run, settings) => Err(error),
    }
}

async fn limits(run: &Run, settings: &Settings) -> EngineError {
    let deadline = Instant::now() + settings.run_timeout.saturating_sub(run.report().duration);
    let mut seen = run.progress.counts();
    let mut stalled_at = Instant::now() + settings.stall_timeout;
    loop {
        sleep_until(stalled_at.min(deadline)).await;
        if Instant::now() >= deadline {
            return EngineError::TimedOut(settings.run_timeout);
        }
        let counts = run.progress.counts();
        if counts == seen {
            return EngineError::Stalled(settings.stall_timeout);
        }
        seen = counts;
        stalled_at = Instant::now() + settings.stall_timeout;
    }
}
