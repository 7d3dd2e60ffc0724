//! The side against an emulator that answers as GitHub documents it; every request is counted.

mod conformance;
mod examining;
mod fetching;
mod refusals;
mod support;
mod taking;
mod trees;
mod unchanged;
