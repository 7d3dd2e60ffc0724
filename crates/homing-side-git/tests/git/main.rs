//! The side against real servers: nginx with `git http-backend`, and repositories of this machine.

mod between;
mod configured;
mod conformance;
mod history;
mod hostile;
mod lfs;
mod partial;
mod reading;
mod submodules;
mod support;
mod transports;
mod trust;
mod unchanged;
mod upkeep;
