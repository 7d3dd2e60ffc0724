//! `[daemon]`.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use crate::config::{DaemonConfig, LogFormat};
use crate::section::{Section, duration, number, text, time_zone, word};
use crate::values::{ValueError, expand_path};
use crate::{Env, Locations, log_filter};

/// What may stand in it.
pub(crate) const KEYS: &[&str] = &[
    "data_dir",
    "socket",
    "max_runs",
    "per_host",
    "stall_timeout",
    "run_timeout",
    "shutdown_grace",
    "keep_history",
    "timezone",
    "log",
    "log_format",
];
const MAX_RUNS: u64 = 256;
const MAX_PER_HOST: u64 = 100;
/// The longest path that fits into a socket address beside its closing NUL.
const MAX_SOCKET_BYTES: usize = 107;

/// Reads it. Where state and socket are was decided before; here the two keys are only judged.
pub(crate) fn read(section: &Section<'_>, locations: &Locations, env: &Env) -> DaemonConfig {
    section.check_keys(KEYS, &[]);
    let base = locations
        .config_file
        .parent()
        .unwrap_or(&locations.config_file);
    let path = |value: &DeValue<'_>| expand_path(&text(value)?, base, env.home.as_deref());
    section.get("data_dir", path);
    section.get("socket", |value| fits_an_address(path(value)?));
    let second = Duration::from_secs(1);
    let max_runs = section.get_or_default("max_runs", number(1, MAX_RUNS));
    let per_host = section.get_or_default("per_host", number(1, MAX_PER_HOST));
    DaemonConfig {
        data_dir: locations.data_dir.clone(),
        socket: locations.socket.clone(),
        max_runs: usize::try_from(max_runs).expect("it is at most 256"),
        per_host: usize::try_from(per_host).expect("it is at most 100"),
        stall_timeout: section.get_or_default("stall_timeout", duration(second)),
        run_timeout: section.get_or_default("run_timeout", duration(second)),
        shutdown_grace: section.get_or_default("shutdown_grace", duration(Duration::ZERO)),
        keep_history: section.get_or_default("keep_history", duration(second)),
        timezone: section.get("timezone", time_zone).map(|zone| zone.value),
        log: section.get_or_default("log", |value| {
            let filter = text(value)?;
            log_filter::judge(&filter)?;
            Ok(filter)
        }),
        log_format: section.get_or_default("log_format", word(&LogFormat::WORDS, &[])),
    }
}

fn fits_an_address(path: PathBuf) -> Result<PathBuf, ValueError> {
    let length = path.as_os_str().as_bytes().len();
    if length <= MAX_SOCKET_BYTES {
        return Ok(path);
    }
    Err(ValueError::new(
        format!("the socket's path is {length} bytes long and may have {MAX_SOCKET_BYTES} at most"),
        "write a shorter path, as in \"~/.homingd.sock\"",
    ))
}
