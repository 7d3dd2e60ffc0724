//! Homing's state database and content store.
//!
//! The only SQL of the daemon. One thread writes and lets waiting writes share a commit; readers come from a pool and
//! see one snapshot each. What is read back was checked against the checksum that its row carries.
#![allow(
    clippy::needless_pass_by_value,
    reason = "what is written is handed over, whether it is copied or not"
)]
#![allow(
    clippy::redundant_closure_for_method_calls,
    reason = "`Reader::sources` is a function for one lifetime of the connection, the closures must be for all"
)]

mod api;
mod aside;
mod backup;
mod check;
mod columns;
mod commit;
mod connection;
mod contents;
mod error;
mod lost;
mod maintenance;
mod open;
mod pins;
mod restore;
mod rows;
mod schema;
mod store;
mod sweep;
mod tables;
mod writer;

pub use api::{FileState, SyncResult, TrackedFile};
pub use check::CheckReport;
pub use contents::StoredContents;
pub use error::StoreError;
pub use maintenance::{StoreSize, Vacuumed};
pub use pins::PinScope;
pub use restore::{Restored, restore};
pub use rows::{
    ConflictRow, ConflictScope, ContentRow, Facts, HeadRow, HoldRow, Hop, JournalRow, JournalState,
    LedgerRow, PendingHook, RunFilter, RunRow, SourceRow, SourceUpdate, StoredRoot,
};
pub use store::{Reader, Store, StoreOptions};
pub use sweep::SweepReport;
pub use writer::Writer;
