//! What the system asks of the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that homingd listens to.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Begins to listen. Needs a runtime of tokio.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until the process is asked to end, and returns the number of the signal that asked.
    pub(crate) async fn ended(&mut self) -> u8 {
        loop {
            tokio::select! {
                Some(()) = self.terminate.recv() => return 15,
                Some(()) = self.interrupt.recv() => return 2,
                Some(()) = self.hang_up.recv() => {
                    tracing::warn!("SIGHUP is ignored: restart homingd for it to read its configuration again");
                }
            }
        }
    }
}
