//! Programs that Homing starts: each in a process group of its own, which ends as a whole, with limits on time and words.
//!
//! A hook is told something and its last words are kept; a token's command is asked, and its answer is a secret
//! ([`Errand`]). With Git there is a [`Conversation`]: what it reads and prints are streams.

mod conversation;
mod errand;
mod group;
mod outlived;
mod tail;

pub use conversation::{Conversation, Ended, Most};
pub use errand::{Answer, End, Errand, Outcome, Running, ask, start};
pub use outlived::Mark;
pub use tail::Tail;
