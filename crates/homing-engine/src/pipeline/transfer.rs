//! Transfer: contents come into the store before any row names them.

use std::collections::BTreeMap;
use std::sync::Arc;

use homing_core::{Contents, FetchRequest, ItemKey, Side, SideError};
use homing_store::Store;

use crate::error::EngineError;
use crate::runs::Run;
use crate::spec::Settings;
use crate::watch::watched;

/// What a transfer brought.
#[derive(Debug, Default)]
pub(crate) struct Transferred {
    /// Items whose content could not be fetched.
    pub(crate) failed: BTreeMap<ItemKey, SideError>,
    /// Bytes that were fetched.
    pub(crate) bytes: u64,
}

/// Fetches the contents that the store lacks, by way of `contents`; one that is there is never fetched.
///
/// A full or failing disk on this machine ends the run; any other failure is the item's alone.
pub(crate) async fn fetch_missing(
    run: &Run,
    settings: &Settings,
    (store, contents): (&Store, Arc<dyn Contents>),
    side: &dyn Side,
    requests: Vec<FetchRequest>,
) -> Result<Transferred, EngineError> {
    if requests.is_empty() {
        return Ok(Transferred::default());
    }
    let hashes: Vec<_> = requests.iter().map(|request| request.item.hash).collect();
    // What is there already must not be swept before the run's rows name it.
    store.contents().pin(&hashes);
    let missing = store
        .read(move |reader| reader.missing_contents(&hashes))
        .await?;
    let missing: std::collections::HashSet<_> = missing.into_iter().collect();
    let requests: Vec<_> = requests
        .into_iter()
        .filter(|request| missing.contains(&request.item.hash))
        .collect();
    if !requests.is_empty() {
        let bytes = requests.iter().map(|request| request.item.size).sum();
        run.enter("transfer", Some((requests.len() as u64, bytes)));
    }
    let transferred = fetch(run, settings, side, requests, Arc::clone(&contents)).await?;
    crate::shared::blocking(move || contents.flush()).await??;
    Ok(transferred)
}

/// Fetches all of `requests` into `contents`.
pub(crate) async fn fetch(
    run: &Run,
    settings: &Settings,
    side: &dyn Side,
    requests: Vec<FetchRequest>,
    contents: Arc<dyn Contents>,
) -> Result<Transferred, EngineError> {
    if requests.is_empty() {
        return Ok(Transferred::default());
    }
    let fetched = watched(
        run,
        settings,
        side.fetch(requests.clone(), contents, run.progress.clone()),
    )
    .await?;
    let mut transferred = Transferred::default();
    for (request, result) in requests.into_iter().zip(fetched) {
        match result {
            Ok(()) => transferred.bytes += request.item.size,
            Err(error @ (SideError::Storage { .. } | SideError::Cancelled)) => {
                return Err(error.into());
            }
            Err(error) => {
                transferred.failed.insert(request.key, error);
            }
        }
    }
    Ok(transferred)
}
