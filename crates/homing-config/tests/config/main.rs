//! Judges and edits whole configurations as users write them.
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod damage;
mod drop_ins;
mod edit;
mod home;
mod places;
mod presets;
mod whole;
mod wrong;
