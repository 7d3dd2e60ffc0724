//! The measurements: a file for each group of rows, and what the groups share.

mod answers;
mod crash;
mod files;
mod first;
mod large;
mod many;
mod network;
mod peers;
mod store;

use std::path::Path;

use super::place::Place;
use super::service::Pair;
use crate::shell::Binaries;

pub(crate) use answers::answers;
pub(crate) use crash::after_a_kill;
pub(crate) use first::first_and_unchanged;
pub(crate) use large::hundred_thousand_files;
pub(crate) use many::many_sources;
pub(crate) use network::Network;
pub(crate) use store::database;

/// What every group needs.
pub(crate) struct Bench<'a> {
    /// Where.
    pub(crate) place: &'a Place,
    /// What.
    pub(crate) binaries: &'a Binaries,
    /// How often.
    pub(crate) runs: usize,
}

fn pair(source: &Path, target: &Path) -> Pair {
    Pair {
        source: source.to_owned(),
        target: target.to_owned(),
        schedule: "",
    }
}
