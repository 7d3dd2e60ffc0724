//! Where log lines go: standard error, which a service manager keeps.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Parts that say more than anybody wants to hear, unless they are asked for by name.
const TALKATIVE: [&str; 2] = ["tokio_cron_scheduler", "rusqlite_migration"];

/// Begins to log what `filter` lets through. Does nothing when somebody logs already.
pub(crate) fn start(filter: EnvFilter) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    // A second daemon in one process (a test) logs where the first one does.
    lines.try_init().unwrap_or_default();
}

/// Parses a filter such as `info` or `homing_engine=debug,info`.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    let mut quiet = text.to_owned();
    for part in TALKATIVE.iter().filter(|part| !text.contains(**part)) {
        quiet = format!("{part}=warn,{quiet}");
    }
    EnvFilter::builder().parse(quiet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_filters_and_nonsense_is_not() {
        for good in [
            "info",
            "homing_engine=debug,warn",
            "tokio_cron_scheduler=trace",
        ] {
            filter(good).unwrap();
        }
        assert!(filter("homing=loud").is_err());
    }
}
