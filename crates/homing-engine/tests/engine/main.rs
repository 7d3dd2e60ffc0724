//! The engine on real directories and a real store.

mod hold;
mod ledger;
mod limits;
mod publish;
mod push;
mod source;
mod world;
