//! A client of homingd's Unix socket.

mod api;
mod connection;
mod error;
mod events;
mod socket;
mod sse;

use std::path::PathBuf;

pub use error::ClientError;
pub use events::{EventMessage, EventStream};

/// Speaks to the daemon behind one socket. Every request has a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    uid: u32,
}

impl Client {
    /// Names the socket; nothing is opened yet. `uid` is the user to whom (or to root) it must belong.
    pub fn new(socket: PathBuf, uid: u32) -> Self {
        Self { socket, uid }
    }
}
