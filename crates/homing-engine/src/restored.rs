//! After a restore: what the ledger of a backup says of a place that has moved on since.
//!
//! The backup does not know what Homing wrote after it. Where a file differs from the ledger, nobody can tell an edit of
//! the user's from what was published later; so such a file is nobody's. It is left alone, goes to no origin as an edit,
//! and shows as a conflict where the catalog has another content for its path.

use std::collections::{BTreeMap, BTreeSet};

use homing_core::{Item, ItemKey, ListRequest, Scope, SideError, TargetId};
use homing_store::LedgerRow;

use crate::error::EngineError;
use crate::pipeline::survey;
use crate::shared::Shared;

/// Forgets the ledger's rows of a restored backup that are not true any more; does nothing at any other time.
pub(crate) async fn look_at(shared: &Shared, id: &TargetId) -> Result<(), EngineError> {
    let target = id.clone();
    let (distrusted, root, ledger) = shared
        .store
        .read(move |reader| {
            if !reader.distrusts_ledger(&target)? {
                return Ok((false, None, BTreeMap::new()));
            }
            let root = reader.target_root(&target)?;
            Ok((true, root, reader.ledger(&target)?))
        })
        .await?;
    if !distrusted {
        return Ok(());
    }
    let mut stale: Vec<ItemKey> = Vec::new();
    if !ledger.is_empty() {
        let (spec, _) = shared.target(id)?;
        let paths: BTreeSet<ItemKey> = ledger.keys().cloned().collect();
        // With nothing known: a signature may be another file's by now.
        let request = ListRequest::new(Scope::Keys(paths));
        let place = format!("`{}`", spec.path.display());
        let near = match spec.place.list(request).await {
            Err(SideError::NotFound { .. }) => return Err(EngineError::RootGone(place)),
            listed => listed?.whole()?.manifest,
        };
        let rules = survey::RootRules {
            boot_id: &shared.boot_id,
            accept: false,
            read_all: true,
        };
        survey::check_root(near.root, root.as_ref(), rules, &place)?;
        let has_bit = near.capabilities.executable_bit;
        for (path, row) in &ledger {
            let item = near.items.get(path);
            // One that cannot be read now is not known to be what was written, either.
            let is_known = near.unknown_reason(path).is_none()
                && item.is_none_or(|item| is_as_written(item, row, has_bit));
            if !is_known {
                stale.push(path.clone());
            }
        }
    }
    if !stale.is_empty() {
        tracing::warn!(target = %id, files = stale.len(), "files differ from the restored backup; they are left as they are");
    }
    trust(shared, id, stale).await
}

/// Trusts a target's ledger, but for the paths that are not as it says.
pub(crate) async fn trust(
    shared: &Shared,
    id: &TargetId,
    stale: Vec<ItemKey>,
) -> Result<(), EngineError> {
    let id = id.clone();
    shared
        .store
        .write(move |writer| {
            writer.delete_ledger(&id, &stale)?;
            writer.trust_ledger(&id)
        })
        .await?;
    Ok(())
}

/// Tells whether a file is what the ledger says that it was left as.
fn is_as_written(item: &Item, row: &LedgerRow, has_bit: bool) -> bool {
    let mut found = item.version();
    if !has_bit {
        found.executable = row.written.is_some_and(|written| written.executable);
    }
    Some(found) == row.written
}
