//! What Homing's tests share: the conformance suite of all sides, a strict in-memory side, contents in memory, a
//! server that answers anything, a real nginx, also with Git behind it, a forward proxy, an emulator of GitHub, and where
//! tests say that they cannot run.

pub mod agent_sync_db;
mod conformance;
mod contents;
mod forward_proxy;
mod git_http;
mod git_repository;
mod git_ssh;
pub mod github;
mod memory_side;
mod memory_state;
mod memory_tree;
mod nginx;
mod raw_server;
mod signer;
mod skipped;

pub use conformance::{Place, conformance, reading_conformance};
pub use contents::MemoryContents;
pub use forward_proxy::ForwardProxy;
pub use git_http::GitHttp;
pub use git_repository::{GitRepository, Node, RepositoryPlace, gits};
pub use git_ssh::{GitDaemon, GitSsh};
pub use memory_side::{MemorySide, Verb};
pub use memory_tree::{MemoryFile, MemoryTree};
pub use nginx::{Logged, Nginx, NginxOptions};
pub use raw_server::RawServer;
pub use signer::Signer;
pub use skipped::{real_bundle, skipped};
