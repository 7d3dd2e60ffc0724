//! What happened in histories, counted.

use std::collections::BTreeMap;

/// What happened in one or more histories, so that a run that tested nothing shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Words and how often they happened.
    pub counts: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts one event.
    pub fn count(&mut self, word: impl Into<String>) {
        *self.counts.entry(word.into()).or_default() += 1;
    }

    /// Returns how often it happened.
    pub fn of(&self, word: &str) -> u64 {
        self.counts.get(word).copied().unwrap_or(0)
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        for (word, count) in &other.counts {
            *self.counts.entry(word.clone()).or_default() += count;
        }
    }
}
