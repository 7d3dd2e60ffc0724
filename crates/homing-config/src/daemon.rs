//! `[daemon]`.

use std::time::Duration;

use crate::config::{DaemonConfig, LogFormat};
use crate::section::{Section, duration, number, text, time_zone, word};
use crate::values::expand_path;
use crate::{Env, Locations};

/// What may stand in it.
pub(crate) const KEYS: &[&str] = &[
    "data_dir",
    "socket",
    "max_runs",
    "stall_timeout",
    "run_timeout",
    "shutdown_grace",
    "keep_history",
    "timezone",
    "log",
    "log_format",
];
const LATER: &[&str] = &["per_host"];
const MAX_RUNS: u64 = 256;

/// Reads it. Where state and socket are was decided before; here the two keys are only judged.
pub(crate) fn read(section: &Section<'_>, locations: &Locations, env: &Env) -> DaemonConfig {
    section.check_keys(KEYS, LATER);
    let base = locations
        .config_file
        .parent()
        .unwrap_or(&locations.config_file);
    for key in ["data_dir", "socket"] {
        section.get(key, |value| {
            expand_path(&text(value)?, base, env.home.as_deref())
        });
    }
    let second = Duration::from_secs(1);
    let max_runs = section.get_or_default("max_runs", number(1, MAX_RUNS));
    DaemonConfig {
        data_dir: locations.data_dir.clone(),
        socket: locations.socket.clone(),
        max_runs: usize::try_from(max_runs).expect("it is at most 256"),
        stall_timeout: section.get_or_default("stall_timeout", duration(second)),
        run_timeout: section.get_or_default("run_timeout", duration(second)),
        shutdown_grace: section.get_or_default("shutdown_grace", duration(Duration::ZERO)),
        keep_history: section.get_or_default("keep_history", duration(second)),
        timezone: section.get("timezone", time_zone).map(|zone| zone.value),
        log: section.get_or_default("log", text),
        log_format: section.get_or_default("log_format", word(&LogFormat::WORDS, &[])),
    }
}
