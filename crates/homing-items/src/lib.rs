//! What an item is: an agent, a skill, a command or another file, and what is to be said against it.
//!
//! Nothing here reads a file or a store: bytes come in, facts go out. Contents pass through Homing unchanged, whatever
//! is found in them.

mod codex;
mod examiner;
mod facts;
mod findings;
mod frontmatter;
mod group;
mod hidden;
mod kind;
mod phrases;
mod pipes;
mod precedence;
mod scan;

pub use codex::{NotRendered, Rendered, codex_agent};
pub use examiner::{Examiner, examine};
pub use facts::{Examined, Facts, RULES};
pub use findings::{Finding, Level, Rule, UnknownRule};
pub use frontmatter::{FRONTMATTER_BYTES, Frontmatter, Header};
pub use group::Skills;
pub use kind::{Kind, UnknownKind, own_name};
pub use precedence::Precedence;
