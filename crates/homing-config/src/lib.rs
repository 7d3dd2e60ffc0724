//! Homing's configuration file.
//!
//! [`Env`] is the only place that reads environment variables. [`Locations`] says where things are, even while the
//! file is not valid; [`Config::load`] reads and judges the whole file with its
//! drop-ins and reports all that is wrong with it.

mod broken;
mod commands;
mod config;
mod daemon;
mod diagnostic;
mod edit;
mod env;
mod file;
mod forbidden;
mod locations;
mod log_filter;
mod mask;
mod places;
mod presets;
#[cfg(feature = "schema")]
pub mod schema;
mod secret;
mod section;
mod source;
mod target;
mod texts;
mod tools;
mod values;

pub use commands::Commands;
pub use config::{
    AtStart, Config, DaemonConfig, Deletions, EXAMPLE, HttpListing, Kind, Layout, LogFormat,
    OnFinding, PushMode, SCHEMA, SignedObject, SignerKeys, SourceConfig, SourceKind, TargetConfig,
    Verify,
};
pub use diagnostic::{ConfigError, Diagnostic};
pub use edit::{DiffLine, Edit, EditError, FileChange, Section, Setting};
pub use env::{Env, read_variable};
pub use locations::Locations;
pub use presets::{Preset, Served};
pub use secret::SecretSource;
pub use source::secret_in_address;
pub use tools::{AgentForm, Part, Tool};
pub use values::{ValueError, parse_duration, parse_name, parse_size};
