//! The guard: a plan that would delete a lot waits for a person.

use std::collections::HashMap;

use crate::{ContentHash, Step};

/// The limits of a guard: a plan is blocked when it passes both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// Deletions that are always fine.
    pub items: usize,
    /// Per cent of the side's items that are always fine.
    pub percent: usize,
}

/// The guard of every plan: more than 3 items and more than 20 per cent of a side.
pub const GUARD: Guard = Guard {
    items: 3,
    percent: 20,
};

/// What the guard says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardVerdict {
    /// Go on.
    Pass,
    /// Wait for a person.
    Blocked {
        /// Items that the plan would delete.
        deletions: usize,
        /// Items that the side holds.
        of: usize,
    },
}

impl Guard {
    /// Judges a plan for a side that holds `side_items` items. A move (the same content goes elsewhere) is no deletion.
    ///
    /// Each new item makes up for one deletion of the same content; an update or a rename makes up for none.
    pub fn check(&self, steps: &[Step], side_items: usize) -> GuardVerdict {
        let mut arrivals: HashMap<ContentHash, usize> = HashMap::new();
        for step in steps {
            if let (None, Some(after)) = (step.before, step.after) {
                *arrivals.entry(after.hash).or_default() += 1;
            }
        }
        let deletions = steps
            .iter()
            .filter_map(|step| {
                if step.after.is_none() {
                    step.before
                } else {
                    None
                }
            })
            .filter(|gone| match arrivals.get_mut(&gone.hash) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    false
                }
                _ => true,
            })
            .count();
        if deletions > self.items
            && deletions.saturating_mul(100) > side_items.saturating_mul(self.percent)
        {
            GuardVerdict::Blocked {
                deletions,
                of: side_items,
            }
        } else {
            GuardVerdict::Pass
        }
    }
}
