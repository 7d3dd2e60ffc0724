//! One path whose file changes, in the plan, in the journal and in the ledger.

use homing_core::{Identity, ItemKey, SourceId, Version};
use homing_store::{JournalRow, LedgerRow};

/// One path whose file changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathChange {
    pub(crate) source: SourceId,
    pub(crate) key: ItemKey,
    pub(crate) path: ItemKey,
    /// What the file is now, and what it will be.
    pub(crate) before: Option<Version>,
    pub(crate) after: Option<Version>,
    /// Bytes of `after`.
    pub(crate) size: u64,
    /// The ledger's base before and after. A file that goes and has a base after that stays away: a tombstone.
    pub(crate) base_before: Option<Version>,
    pub(crate) base_after: Option<Version>,
    /// The row's flag after the change.
    pub(crate) adopted: bool,
}

impl PathChange {
    /// Returns the change that a row of the journal tells of.
    pub(crate) fn of(row: &JournalRow, size: u64) -> Self {
        Self {
            source: row.source.clone(),
            key: row.key.clone(),
            path: row.path.clone(),
            before: row.before,
            after: row.after,
            size,
            base_before: row.base_before,
            base_after: row.base_after,
            adopted: false,
        }
    }

    /// Returns the ledger's row once the change is made; `None` when Homing answers for the path no more.
    pub(crate) fn row(&self, identity: Option<Identity>) -> Option<LedgerRow> {
        Some(LedgerRow {
            source: self.source.clone(),
            key: self.key.clone(),
            path: self.path.clone(),
            base: Some(self.base_after?),
            written: self.after.or(self.before),
            size: self.size,
            identity,
            adopted: self.adopted,
            tombstone: self.after.is_none(),
        })
    }
}
