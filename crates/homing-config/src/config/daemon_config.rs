//! What the configuration says of the daemon.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

/// `[daemon]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonConfig {
    /// Where the state is kept.
    pub data_dir: PathBuf,
    /// The socket.
    pub socket: PathBuf,
    /// Runs that move files at the same time.
    pub max_runs: usize,
    /// Connections to one host at the same time.
    pub per_host: usize,
    /// A run that does not move for this long is ended.
    pub stall_timeout: Duration,
    /// A run that takes this long is ended.
    pub run_timeout: Duration,
    /// How long a stop waits for runs under way.
    pub shutdown_grace: Duration,
    /// How long history is kept.
    pub keep_history: Duration,
    /// Where times of day hold; `None`: the zone of the system.
    pub timezone: Option<TimeZone>,
    /// A filter for the log, not yet judged.
    pub log: String,
    /// How the lines of the log are written.
    pub log_format: LogFormat,
}

/// How the lines of the log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON document each.
    Json,
}

impl LogFormat {
    /// Every format with its word.
    pub const WORDS: [(&'static str, Self); 2] = [("text", Self::Text), ("json", Self::Json)];

    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}
