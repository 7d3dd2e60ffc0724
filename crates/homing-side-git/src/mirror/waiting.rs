//! Who waits for what of a mirror: whoever fetches next takes it along.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Want;

/// How many wait for which object, apart by whether its blobs may be left out.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<BTreeMap<(String, bool), usize>>);

/// Somebody who waits until this value is dropped, whatever becomes of the work.
pub(super) struct Waiter<'a> {
    waiting: &'a Waiting,
    awaited: (String, bool),
}

impl Waiting {
    /// Notes that somebody waits.
    pub(super) fn begin(&self, want: &Want<'_>) -> Waiter<'_> {
        let awaited = (want.id.to_owned(), want.may_be_partial);
        *self.locked().entry(awaited.clone()).or_default() += 1;
        Waiter {
            waiting: self,
            awaited,
        }
    }

    /// Returns what is awaited in the same way as `want`, which is among it, from a repository of the same kind.
    pub(super) fn ids(&self, want: &Want<'_>) -> Vec<String> {
        let waiting = self.locked();
        let alike = waiting.keys().filter(|(id, may_be_partial)| {
            *may_be_partial == want.may_be_partial && id.len() == want.id.len()
        });
        alike.map(|(id, _)| id.clone()).collect()
    }

    /// Tells whether somebody waits for all of an object.
    pub(super) fn is_whole_awaited(&self, id: &str) -> bool {
        self.locked().contains_key(&(id.to_owned(), false))
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<(String, bool), usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiting.locked();
        if let Some(count) = waiting.get_mut(&self.awaited) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.awaited);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(id: &str, may_be_partial: bool) -> Want<'_> {
        Want {
            id,
            name: None,
            since: None,
            may_be_partial,
        }
    }

    #[test]
    fn whoever_goes_takes_only_his_own_wish_along() {
        let waiting = Waiting::default();
        let first = waiting.begin(&want("a", false));
        let second = waiting.begin(&want("a", false));
        let partial = waiting.begin(&want("b", true));
        drop(first);
        assert_eq!(waiting.ids(&want("a", false)), ["a"]);
        assert!(waiting.is_whole_awaited("a") && !waiting.is_whole_awaited("b"));
        drop((second, partial));
        assert!(waiting.locked().is_empty());
    }
}
