//! The engine on real directories and a real store.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod choices;
mod choices_disturbed;
mod errors;
mod events;
mod faults;
mod findings;
mod heal;
mod hold;
mod hooks;
mod import;
mod ledger;
mod limits;
mod max_runs;
mod memory;
mod names;
mod pause;
mod publish;
mod push;
mod push_disturbed;
mod queue;
mod recovery;
mod reload;
mod remote;
mod rendering;
mod restored;
mod roots;
mod selection;
mod source;
mod told;
mod watch;
mod whole;
mod withdraw;
mod world;
