//! The real `homing` and `homingd` against a throwaway home: one module for each verb or subject.

mod harness;

mod api;
mod config;
mod conflicts;
mod daemon;
mod db;
mod diff;
mod events;
mod files;
mod guard;
mod history;
mod json;
#[cfg(feature = "failpoints")]
mod kill;
mod names;
mod places;
mod push;
mod resolve;
mod run;
mod socket;
mod status;
mod store;
mod sync;
mod targets;
mod undo;
mod verify;
mod versions;
#[cfg(feature = "failpoints")]
mod waits;
mod why;
