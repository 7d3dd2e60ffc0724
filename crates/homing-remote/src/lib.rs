//! What the sides of remote systems share: an HTTP client that trusts no server, bodies that go straight into the
//! contents, names that become a manifest, and archives that are read entry by entry.
//!
//! No call hangs, whatever a server does; nothing that is shown has a secret in it; retrying is the engine's.

mod addresses;
mod answer;
mod archive;
mod client;
mod credentials;
mod errors;
mod gather;
pub mod git_id;
mod keep;
mod proxies;
mod request;
mod shown;
mod turns;
mod validators;

pub use addresses::is_local;
pub use answer::{Answer, Body};
pub use archive::{ArchiveLimits, Entry, EntryKind, Unpacker, unpack};
pub use client::{Client, ClientOptions};
pub use credentials::{Credentials, Login};
pub use errors::retry_after;
pub use gather::{Gathering, Problems, Wanted, key_of};
pub use keep::{Keeper, Kept, Witness};
pub use request::{Request, Session};
pub use shown::ShownUrl;
pub use validators::Validators;
