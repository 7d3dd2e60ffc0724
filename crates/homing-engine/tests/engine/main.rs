//! The engine on real directories and a real store.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod hold;
mod ledger;
mod limits;
mod publish;
mod push;
mod source;
mod world;
