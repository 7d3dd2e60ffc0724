//! Pins: contents that no row names yet and that a sweep must leave.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};

use homing_core::ContentHash;

use crate::store::Inner;

/// Holds off the sweep from what is kept or pinned while this exists.
///
/// A transfer opens one before it asks what is missing and drops it after its rows are written. An undo opens one,
/// reads the journal, pins what it needs, and then asks whether all of it is still kept.
pub struct PinScope {
    inner: Arc<Inner>,
    number: u64,
}

impl PinScope {
    pub(crate) fn open(inner: Arc<Inner>) -> Self {
        let number = inner.contents.pins.state().open_scope();
        Self { inner, number }
    }
}

impl Drop for PinScope {
    fn drop(&mut self) {
        let contents = &self.inner.contents;
        let was_last = {
            let mut state = contents.pins.state();
            state.close_scope(self.number);
            state.open.is_empty()
        };
        if was_last {
            contents.drop_fresh();
        }
    }
}

/// The pins of a store.
#[derive(Default)]
pub(crate) struct Pins {
    // Held by a sweep from choosing contents until their files are gone. A scope that ends does not take it, so that one
    // may end anywhere, even within a closure that the sweep waits for.
    gate: RwLock<()>,
    state: Mutex<PinState>,
}

impl Pins {
    /// Pins contents; waits while a sweep removes some.
    pub(crate) fn pin<'a>(&self, hashes: impl IntoIterator<Item = &'a ContentHash>) {
        let _gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        for hash in hashes {
            state.pin(*hash);
        }
    }

    /// Lets nothing be pinned while the returned guard exists.
    pub(crate) fn close_gate(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_pinned(&self, hash: &ContentHash) -> bool {
        self.state().is_pinned(hash)
    }

    /// Tells whether a run is under way.
    pub(crate) fn has_scope(&self) -> bool {
        !self.state().open.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, PinState> {
        // Nothing that holds the lock leaves the state half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Numbers grow: a scope protects what was pinned at its own number or later.
#[derive(Default)]
struct PinState {
    clock: u64,
    open: BTreeSet<u64>,
    pinned: HashMap<ContentHash, u64>,
    // Kept while no scope was open. Nobody will say when they are named, so they stay until the store is closed.
    unscoped: HashSet<ContentHash>,
}

impl PinState {
    fn open_scope(&mut self) -> u64 {
        self.clock += 1;
        self.open.insert(self.clock);
        self.clock
    }

    fn close_scope(&mut self, number: u64) {
        let was_oldest = self.open.first() == Some(&number);
        self.open.remove(&number);
        if was_oldest {
            match self.open.first() {
                Some(oldest) => self.pinned.retain(|_, at| *at >= *oldest),
                None => self.pinned = HashMap::new(),
            }
        }
    }

    fn pin(&mut self, hash: ContentHash) {
        if self.open.is_empty() {
            self.unscoped.insert(hash);
        } else {
            self.pinned.insert(hash, self.clock);
        }
    }

    fn is_pinned(&self, hash: &ContentHash) -> bool {
        self.pinned.contains_key(hash) || self.unscoped.contains(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u8) -> ContentHash {
        ContentHash::of(&[number])
    }

    #[test]
    fn a_scope_protects_what_is_pinned_while_it_is_open() {
        let mut pins = PinState::default();
        let first = pins.open_scope();
        pins.pin(hash(1));
        let second = pins.open_scope();
        pins.pin(hash(2));
        pins.close_scope(first);
        assert!(
            !pins.is_pinned(&hash(1)),
            "only the closed scope was open when it was pinned"
        );
        assert!(pins.is_pinned(&hash(2)));
        pins.close_scope(second);
        assert!(!pins.is_pinned(&hash(2)));
    }

    #[test]
    fn a_younger_scope_that_closes_takes_nothing_from_an_older_one() {
        let mut pins = PinState::default();
        let first = pins.open_scope();
        let second = pins.open_scope();
        pins.pin(hash(1));
        pins.close_scope(second);
        assert!(pins.is_pinned(&hash(1)));
        pins.close_scope(first);
        assert!(!pins.is_pinned(&hash(1)));
    }

    #[test]
    fn what_is_kept_outside_every_scope_stays() {
        let mut pins = PinState::default();
        pins.pin(hash(1));
        let scope = pins.open_scope();
        pins.close_scope(scope);
        assert!(pins.is_pinned(&hash(1)));
    }
}
