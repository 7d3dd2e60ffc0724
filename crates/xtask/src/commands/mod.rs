//! One file for each command.

pub(crate) mod bench;
pub(crate) mod ci;
pub(crate) mod coverage;
pub(crate) mod crash;
pub(crate) mod demo;
pub(crate) mod generate;
pub(crate) mod test;
