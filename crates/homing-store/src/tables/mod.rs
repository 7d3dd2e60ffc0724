//! Queries and changes, a file for each table.

mod conflicts;
mod contents;
mod heads;
mod holds;
mod hooks;
mod journal;
mod ledger;
mod metadata;
mod runs;
mod sources;

pub(crate) use contents::{NewContent, StoredContent, UnnamedContent};
