//! Watching a side: being told that something changed, without asking.

use std::sync::Arc;

use crate::SideError;

/// What happened in a side that is watched.
#[derive(Debug)]
pub enum Notice {
    /// Something happened that may concern an item.
    Changed,
    /// More happened than could be told.
    Missed,
    /// It is not watched any more, or not all of it.
    Lost(SideError),
}

/// Hears of what happens, in no particular thread; it must not block.
pub type Listener = Arc<dyn Fn(Notice) + Send + Sync>;

/// A watch, which ends when this is dropped.
pub trait Watch: Send + Sync {
    /// Tells whether the side is still the place that is watched. Blocks.
    fn is_current(&self) -> bool;
}
