//! The side against real servers: nginx with `git http-backend`, and repositories of this machine.

mod between;
mod configured;
mod conformance;
mod damage;
mod gateway;
mod history;
mod hostile;
mod lfs;
mod limits;
mod old_servers;
mod partial;
mod reading;
mod sharing;
mod submodules;
mod support;
mod transports;
mod trust;
mod unchanged;
mod upkeep;
