//! The configuration as it is in its files, judged whole, and what of it differs from another one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use homing_api::{Changes, Problem, ProblemKind};
use homing_config::{Commands, Config, Env, Locations, LogFormat};
use tracing_subscriber::EnvFilter;

use crate::assemble::Kept;
use crate::{assemble, log};

/// Where the configuration of this process comes from.
#[derive(Debug)]
pub(crate) struct Place {
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// `--data-dir`.
    pub(crate) data_dir: Option<PathBuf>,
    /// `--log-format` or `HOMING_LOG_FORMAT`.
    pub(crate) log_format: Option<LogFormat>,
    /// The environment.
    pub(crate) env: Env,
    /// Where things were at the start; they stay there until the end.
    pub(crate) locations: Locations,
    /// What outlives every configuration.
    pub(crate) kept: Kept,
}

/// A configuration that can be followed.
pub(crate) struct Judged {
    /// The configuration.
    pub(crate) config: Config,
    /// `log`, understood.
    pub(crate) filter: EnvFilter,
    /// What the engine is told.
    pub(crate) specs: homing_engine::Specs,
    /// Where commands are that are not in force.
    pub(crate) waiting: Vec<String>,
}

impl Place {
    /// Reads and judges everything. Writes nothing.
    ///
    /// With `commands`, none comes into force but those.
    pub(crate) fn load(&self, commands: Option<Commands>) -> Result<Judged, Box<Problem>> {
        let mut config = Config::load(&self.locations, &self.env)
            .map_err(|error| assemble::config_problem(&error))?;
        let file = &self.locations.config_file;
        let filter = log::filter(&config.daemon.log).map_err(|error| {
            let file = file.display();
            let detail =
                format!("{file}: [daemon]: `log` is not a filter such as \"info\": {error}");
            Box::new(Problem::new(ProblemKind::ConfigInvalid, detail).with_hint(assemble::MEND))
        })?;
        let waiting = commands
            .map(|commands| config.keep_commands(commands))
            .unwrap_or_default();
        let specs = assemble::specs(&config, &self.locations, &self.env, &self.kept)?;
        Ok(Judged {
            config,
            filter,
            specs,
            waiting,
        })
    }

    /// Tells whether the configuration file is there.
    pub(crate) fn has_file(&self) -> bool {
        self.locations.config_file.exists()
    }

    /// Tells whether the file is away that nobody had to name; one that was named is missed by whoever loads it.
    pub(crate) fn file_is_gone(&self) -> bool {
        !self.locations.config_file_named && !self.has_file()
    }

    /// Returns what is said of a file that was there and is gone, be it for the moment in which an editor writes it.
    pub(crate) fn gone(&self) -> Box<Problem> {
        let file = self.locations.config_file.display();
        let detail = format!("the configuration file {file} is gone; what it said stays in force");
        let hint = "put it back; if it is meant, `homing config reload` goes on without it";
        Box::new(Problem::new(ProblemKind::ConfigInvalid, detail).with_hint(hint))
    }

    /// Returns how the log is written: what was asked for at the start, else what the configuration says.
    pub(crate) fn log_format(&self, config: Option<&Config>) -> LogFormat {
        self.log_format
            .or(config.map(|config| config.daemon.log_format))
            .unwrap_or_default()
    }

    /// Returns the keys that name other places than those of the start.
    pub(crate) fn moved(&self) -> Vec<String> {
        let found = Locations::find(self.config.as_deref(), self.data_dir.as_deref(), &self.env);
        let Ok(found) = found else {
            return Vec::new();
        };
        let data_dir = found.data_dir != self.locations.data_dir;
        let socket = found.socket != self.locations.socket;
        [("data_dir", data_dir), ("socket", socket)]
            .into_iter()
            // The socket of a data directory goes with it.
            .filter(|(key, moved)| *moved && !(*key == "socket" && data_dir))
            .map(|(key, _)| key.to_owned())
            .collect()
    }
}

/// Returns the names that came, went or are not as they were.
pub(crate) fn changes<I: Ord + ToString, T: PartialEq>(
    old: Option<&BTreeMap<I, T>>,
    new: &BTreeMap<I, T>,
) -> Changes {
    let mut changes = Changes::default();
    for (id, config) in new {
        match old.and_then(|old| old.get(id)) {
            None => changes.added.push(id.to_string()),
            Some(known) if known != config => changes.changed.push(id.to_string()),
            Some(_) => {}
        }
    }
    let gone = |id: &&I| !new.contains_key(id);
    let gone = old.into_iter().flat_map(BTreeMap::keys).filter(gone);
    changes.removed.extend(gone.map(ToString::to_string));
    changes
}

/// Returns the names that are new or not as they were.
pub(crate) fn touched<I: Ord + Clone, T: PartialEq>(
    old: &BTreeMap<I, T>,
    new: &BTreeMap<I, T>,
) -> BTreeSet<I> {
    new.iter()
        .filter(|(id, config)| old.get(id) != Some(config))
        .map(|(id, _)| id.clone())
        .collect()
}

/// Returns the keys of `[daemon]` that are not as they were.
pub(crate) fn settings(old: &Config, new: &Config) -> Vec<String> {
    let (old, new) = (&old.daemon, &new.daemon);
    [
        ("max_runs", old.max_runs != new.max_runs),
        ("stall_timeout", old.stall_timeout != new.stall_timeout),
        ("run_timeout", old.run_timeout != new.run_timeout),
        ("shutdown_grace", old.shutdown_grace != new.shutdown_grace),
        ("keep_history", old.keep_history != new.keep_history),
        ("log", old.log != new.log),
        ("log_format", old.log_format != new.log_format),
    ]
    .into_iter()
    .filter(|(_, changed)| *changed)
    .map(|(key, _)| key.to_owned())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, u8)]) -> BTreeMap<&'static str, u8> {
        pairs.iter().copied().collect()
    }

    #[test]
    fn what_came_went_and_changed_is_told_apart() {
        let (old, new) = (
            map(&[("a", 1), ("b", 2), ("c", 3)]),
            map(&[("b", 2), ("c", 4), ("d", 5)]),
        );
        let found = changes(Some(&old), &new);
        assert_eq!(found.added, ["d"]);
        assert_eq!(found.removed, ["a"]);
        assert_eq!(found.changed, ["c"]);
        assert_eq!(touched(&old, &new), BTreeSet::from(["c", "d"]));
        assert!(changes(Some(&new), &new).is_empty());
        assert_eq!(changes(None, &new).added, ["b", "c", "d"]);
    }
}
