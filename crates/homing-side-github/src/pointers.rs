//! Which blobs are known to be Git LFS pointers.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// So many are remembered; one that is not is fetched again, which costs a request and does no harm.
const MOST: usize = 100_000;

/// Blobs that were seen to be Git LFS pointers. They are never items, so nobody else remembers them.
#[derive(Debug, Default)]
pub(crate) struct Pointers(Mutex<HashSet<String>>);

impl Pointers {
    /// Tells whether a blob was seen to be one.
    pub(crate) fn has(&self, id: &str) -> bool {
        let ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.contains(id)
    }

    /// Remembers one.
    pub(crate) fn add(&self, id: &str) {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.len() < MOST {
            ids.insert(id.to_owned());
        }
    }
}
