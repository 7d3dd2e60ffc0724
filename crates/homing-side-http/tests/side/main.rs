//! What the HTTP side does with a real nginx, and with servers that break every rule.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod archives;
mod conforms;
mod hostile;
mod served;
mod skills;
mod validators;
mod world;
