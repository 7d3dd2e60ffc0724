//! What Homing's tests share: the conformance suite of all sides, a strict in-memory side, contents in memory.

mod conformance;
mod contents;
mod memory_side;
mod memory_state;
mod memory_tree;

pub use conformance::{Place, conformance};
pub use contents::MemoryContents;
pub use memory_side::{MemorySide, Verb};
pub use memory_tree::{MemoryFile, MemoryTree};
