//! Heal: contents that the store kept and found damaged are fetched again from whoever still lists them.

use std::collections::HashSet;

use homing_core::{FetchRequest, Manifest};
use homing_store::Store;

use crate::error::EngineError;

/// Adds to `requests` the lost contents that a listing still has, under whatever key.
pub(crate) async fn with_lost(
    store: &Store,
    mut requests: Vec<FetchRequest>,
    listing: &Manifest,
) -> Result<Vec<FetchRequest>, EngineError> {
    let mut lost: HashSet<_> = store.lost_contents().await?.into_iter().collect();
    if lost.is_empty() {
        return Ok(requests);
    }
    for request in &requests {
        lost.remove(&request.item.hash);
    }
    let healing = listing
        .items
        .iter()
        .filter(|(_, item)| lost.remove(&item.hash));
    requests.extend(healing.map(|(key, item)| FetchRequest::new(key, item)));
    Ok(requests)
}
