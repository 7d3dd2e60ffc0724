//! All that a side holds, and what it could not see.

use std::collections::BTreeMap;

use crate::{Capabilities, Item, ItemKey, ItemState, Problem, RootIdentity, UnknownReason};

/// The answer of a side to "what do you hold?".
///
/// A key that is in `items` is present; one at or below a prefix in `unknown` is unknown; every other is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The items, by key.
    pub items: BTreeMap<ItemKey, Item>,
    /// Keys and prefixes (`""` is the whole side) of which nothing can be said, with the reason.
    pub unknown: BTreeMap<String, UnknownReason>,
    /// What a person should hear about: skipped links, special files, names that cannot be keys.
    pub problems: Vec<Problem>,
    /// Which directory (or store) the root was at the time, where that can be told.
    pub root: Option<RootIdentity>,
    /// What the side can store.
    pub capabilities: Capabilities,
}

impl Manifest {
    /// Returns what is known of `key`.
    pub fn state(&self, key: &ItemKey) -> ItemState {
        if let Some(reason) = self.unknown_reason(key) {
            return ItemState::Unknown(reason.clone());
        }
        match self.items.get(key) {
            Some(item) => ItemState::Present(item.clone()),
            None => ItemState::Absent,
        }
    }

    /// Returns why nothing can be said of `key`, when that is so.
    pub fn unknown_reason(&self, key: &ItemKey) -> Option<&UnknownReason> {
        if self.unknown.is_empty() {
            return None;
        }
        std::iter::once("")
            .chain(key.ancestors())
            .chain(std::iter::once(key.as_str()))
            .find_map(|prefix| self.unknown.get(prefix))
    }
}
