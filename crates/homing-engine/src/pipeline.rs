//! The phases of a run, a file each, in the order in which a run goes through them.

pub(crate) mod check;
pub(crate) mod heal;
pub(crate) mod intake;
pub(crate) mod plan;
pub(crate) mod publish;
pub(crate) mod record;
pub(crate) mod survey;
pub(crate) mod transfer;
