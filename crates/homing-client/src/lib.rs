//! A client of homingd's Unix socket.

mod api;
mod connection;
mod error;
mod events;
mod outgoing;
mod socket;
mod sse;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use homing_api::ApiRange;

pub use error::ClientError;
pub use events::{EventMessage, EventStream};

/// Speaks to the daemon behind one socket. Every request has a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    uid: u32,
    /// Where a daemon notes its socket.
    note: Option<PathBuf>,
    /// What the daemon's first answer said of the versions of the interface that it speaks.
    daemon: Arc<OnceLock<ApiRange>>,
}

impl Client {
    /// Names the socket; nothing is opened yet. `uid` is the user to whom (or to root) it must belong.
    pub fn new(socket: PathBuf, uid: u32) -> Self {
        Self {
            socket,
            uid,
            note: None,
            daemon: Arc::default(),
        }
    }

    /// Names the daemon's lock file: where nobody answers, it tells whether homingd does so elsewhere.
    #[must_use]
    pub fn with_note(mut self, lock_file: PathBuf) -> Self {
        self.note = Some(lock_file);
        self
    }

    /// Returns a warning when the daemon that has answered speaks no version of the interface that this client speaks.
    pub fn skew(&self) -> Option<String> {
        let daemon = self.daemon.get()?;
        let ours = ApiRange::OURS;
        (!daemon.overlaps(ours)).then(|| {
            format!(
                "homingd speaks version {daemon} of the interface, and this program {ours}: only `homing status` and \
                 `homing version` work; install both of one version, and restart homingd"
            )
        })
    }
}
