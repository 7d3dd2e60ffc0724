//! What Homing's tests share: the conformance suite of all sides, a strict in-memory side, contents in memory, a
//! server that answers anything, a real nginx, an emulator of GitHub, and where tests say that they cannot run.

mod conformance;
mod contents;
mod git_repository;
pub mod github;
mod memory_side;
mod memory_state;
mod memory_tree;
mod nginx;
mod raw_server;
mod skipped;

pub use conformance::{Place, conformance, reading_conformance};
pub use contents::MemoryContents;
pub use git_repository::{GitRepository, Node};
pub use memory_side::{MemorySide, Verb};
pub use memory_tree::{MemoryFile, MemoryTree};
pub use nginx::{Logged, Nginx, NginxOptions};
pub use raw_server::RawServer;
pub use skipped::skipped;
