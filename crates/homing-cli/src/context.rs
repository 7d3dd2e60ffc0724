//! What every command needs.

use std::path::{Path, PathBuf};

use homing_api::{Problem, ProblemKind, Status, section};
use homing_client::Client;
use homing_config::{EditError, Env, Locations, Section};
use jiff::Timestamp;

use crate::arguments::Globals;
use crate::error::CliError;
use crate::names::{did_you_mean, nearest};
use crate::output::Screen;

/// What every command needs.
pub(crate) struct Context {
    /// The environment.
    pub(crate) env: Env,
    /// Where things are.
    pub(crate) locations: Locations,
    /// The daemon.
    pub(crate) client: Client,
    /// What the text is for.
    pub(crate) screen: Screen,
    /// Whether documents are asked for instead of text.
    pub(crate) json: bool,
    /// Whether nothing but errors is asked for.
    pub(crate) quiet: bool,
    /// The time at which the command began.
    pub(crate) now: Timestamp,
    /// Whether questions may be asked, if somebody is there.
    pub(crate) may_ask: bool,
}

impl Context {
    /// Finds out where things are.
    pub(crate) fn new(globals: &Globals, env: &Env, screen: Screen) -> Result<Self, CliError> {
        let mut locations =
            Locations::find(globals.config.as_deref(), globals.data_dir.as_deref(), env)?;
        if let Some(socket) = &globals.socket {
            locations.socket = env.current_dir.join(socket);
        }
        let client = Client::new(locations.socket.clone(), env.uid)
            .with_note(locations.data_dir.join("homingd.lock"));
        Ok(Self {
            env: env.clone(),
            locations,
            client,
            screen,
            json: globals.json,
            quiet: globals.quiet,
            now: Timestamp::now(),
            may_ask: !globals.json && !globals.quiet,
        })
    }

    /// Returns the names of all enabled sources.
    pub(crate) async fn enabled_sources(&self) -> Result<Vec<String>, CliError> {
        let status = self.client.status().await?;
        Ok(status
            .sources
            .into_iter()
            .filter(|source| source.enabled)
            .map(|source| source.id)
            .collect())
    }

    /// Makes sure that a source or target has this name.
    pub(crate) async fn require_name(&self, name: &str) -> Result<(), CliError> {
        let status = self.client.status().await?;
        let known = status.sources.iter().map(|source| source.id.as_str());
        let known = known.chain(target_names(&status));
        if known.clone().any(|id| id == name) {
            return Ok(());
        }
        Err(unknown_name(name, known))
    }

    /// Returns a path that was typed as an absolute one.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        let mut absolute = PathBuf::new();
        for component in self.env.current_dir.join(path).components() {
            match component {
                std::path::Component::CurDir => {}
                std::path::Component::ParentDir => {
                    absolute.pop();
                }
                other => absolute.push(other),
            }
        }
        absolute
    }

    /// Returns a path that was typed as the configuration has it: absolute, or in the home directory.
    pub(crate) fn written_path(&self, typed: &str) -> String {
        if typed == "~" || typed.starts_with("~/") {
            return typed.to_owned();
        }
        let absolute = self.absolute(Path::new(typed));
        let home = self.env.home.as_deref();
        match home.and_then(|home| absolute.strip_prefix(home).ok()) {
            Some(below) if below.as_os_str().is_empty() => "~".to_owned(),
            Some(below) => format!("~/{}", below.display()),
            None => absolute.display().to_string(),
        }
    }
}

/// Returns the names that targets go by: their own, and those of presets.
pub(crate) fn target_names(status: &Status) -> impl Iterator<Item = &str> + Clone {
    let ids = status.targets.iter().map(|target| target.id.as_str());
    ids.clone().chain(ids.map(section))
}

/// Returns the error for a name that no section of the configuration has.
pub(crate) fn unknown_section(section: Section, name: &str, names: &[&str]) -> CliError {
    EditError::Unknown {
        section: section.title(name),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    }
    .into()
}

/// Returns the error for a name that no source or target has; `known` are those that they have.
pub(crate) fn unknown_name<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> CliError {
    let hint = nearest(name, known).map(did_you_mean);
    Problem::new(
        ProblemKind::UnknownSource,
        format!("there is no source or target `{name}`"),
    )
    .with_hint(hint.unwrap_or_else(|| "see `homing status` for their names".to_owned()))
    .into()
}
