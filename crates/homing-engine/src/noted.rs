//! What statuses tell, with a count of its changes: a status that was told still holds while nothing was changed.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::shared::locked;

/// Changes by all engines of this process: to take another engine's for one's own costs a look and nothing else.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// Returns how often anything was taken to be changed that statuses tell.
pub(crate) fn changes() -> u64 {
    CHANGES.load(Ordering::SeqCst)
}

/// Something that statuses tell. Whoever takes it to change it is counted.
#[derive(Debug, Default)]
pub(crate) struct Noted<T>(Mutex<T>);

impl<T> Noted<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Takes it to read it.
    pub(crate) fn read(&self) -> impl Deref<Target = T> {
        locked(&self.0)
    }

    /// Takes it to change it.
    pub(crate) fn write(&self) -> MutexGuard<'_, T> {
        let guard = locked(&self.0);
        // While it is locked: who sees the old count after this has read neither the old value nor the new one yet, or
        // sees another count when the change is done.
        CHANGES.fetch_add(1, Ordering::SeqCst);
        guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_counted_before_it_can_be_seen() {
        let noted = Noted::new(1);
        let before = changes();
        *noted.write() = 2;
        assert!(changes() > before);
        assert_eq!(*noted.read(), 2);
    }
}
