//! Where log lines go: standard error, which a service manager keeps; as text or as JSON, a line each.

mod line;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use homing_config::LogFormat;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::log::line::Lines;

/// Parts that say more than anybody wants to hear, unless they are asked for by name.
const TALKATIVE: [&str; 4] = [
    "tokio_cron_scheduler",
    "rusqlite_migration",
    "notify",
    "zbus",
];

/// Changes what is logged, and how.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    filter: reload::Handle<EnvFilter, Registry>,
    json: Arc<AtomicBool>,
}

impl Handle {
    /// Lets through from now on what `filter` does.
    pub(crate) fn set_filter(&self, filter: EnvFilter) {
        // It fails only when somebody else in this process logs (a test).
        self.filter.reload(filter).unwrap_or_default();
    }

    /// Writes the next lines in another format.
    pub(crate) fn set_format(&self, format: LogFormat) {
        self.json
            .store(format == LogFormat::Json, Ordering::Relaxed);
    }
}

/// Begins to log what `filter` lets through. Does nothing when somebody logs already.
pub(crate) fn start(filter: EnvFilter, format: LogFormat) -> Handle {
    let (filter, handle) = reload::Layer::new(filter);
    let json = Arc::new(AtomicBool::new(format == LogFormat::Json));
    let lines = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .fmt_fields(JsonFields::new())
        .event_format(Lines::new(Arc::clone(&json)));
    // A second daemon in one process (a test) logs where the first one does.
    Registry::default()
        .with(filter)
        .with(lines)
        .try_init()
        .unwrap_or_default();
    Handle {
        filter: handle,
        json,
    }
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
    fn those_that_talk_a_lot_are_quiet_unless_they_are_asked() {
        for part in TALKATIVE {
            assert!(
                filter("debug")
                    .unwrap()
                    .to_string()
                    .contains(&format!("{part}=warn"))
            );
            let asked = filter(&format!("{part}=debug,info")).unwrap().to_string();
            assert!(!asked.contains(&format!("{part}=warn")), "{asked}");
        }
    }

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
