//! The side against real servers: nginx with `git http-backend`, and repositories of this machine.

mod configured;
mod conformance;
mod history;
mod hostile;
mod partial;
mod reading;
mod support;
mod transports;
mod trust;
mod unchanged;
mod upkeep;
