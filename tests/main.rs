//! The real `homing` and `homingd` against a throwaway home: one module for each verb or subject.

mod harness;

mod api;
mod audit;
mod completions;
mod config;
mod conflicts;
mod daemon;
mod db;
mod diff;
mod documents;
mod events;
mod files;
mod git;
mod github;
mod guard;
mod history;
mod hooks;
mod hostile;
mod http;
mod import;
mod json;
mod json_snapshots;
#[cfg(feature = "failpoints")]
mod kill;
#[cfg(feature = "failpoints")]
mod kill_choices;
mod list;
mod logs;
mod man;
#[cfg(feature = "failpoints")]
mod meanwhile;
mod names;
#[cfg(feature = "failpoints")]
mod offline;
mod pause;
mod places;
mod predecessors;
mod presets;
mod pull;
mod push;
mod release;
mod reload;
mod replay;
mod resolve;
mod revisions;
mod run;
mod schedule;
mod secrets;
mod socket;
mod source;
mod status;
mod store;
mod sync;
mod target;
mod targets;
mod terminal;
mod typed;
mod undo;
mod verify;
mod versions;
#[cfg(feature = "failpoints")]
mod waits;
mod watch;
mod why;
