//! The whole configuration, judged.

mod daemon_config;
mod source_config;
mod target_config;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;

use homing_core::{IdError, SourceId, TargetId};
use toml::de::DeTable;

use crate::diagnostic::Complaints;
use crate::section::{Section, wrong_type};
use crate::source::SourceRead;
use crate::target::{KnownSources, TargetRead};
use crate::texts::Texts;
use crate::{ConfigError, Env, Locations, daemon, places, presets, source, target};

pub use daemon_config::{DaemonConfig, LogFormat};
pub use source_config::{
    AtStart, HttpListing, PushMode, SignedObject, SignerKeys, SourceConfig, SourceKind, Verify,
};
pub use target_config::{Deletions, Kind, Layout, OnFinding, TargetConfig};

/// The commented tour of the configuration.
pub const EXAMPLE: &str = include_str!("../../../config/example.toml");

/// The JSON schema of the configuration, for editors.
pub const SCHEMA: &str = include_str!("../../../config/schema.json");

/// What holds for keys that are not given.
pub(crate) const DEFAULTS: &str = include_str!("../../../config/default.toml");

/// A valid configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The daemon as a whole.
    pub daemon: DaemonConfig,
    /// The sources by name.
    pub sources: BTreeMap<SourceId, SourceConfig>,
    /// The targets by name.
    pub targets: BTreeMap<TargetId, TargetConfig>,
    /// Directories of presets whose kind `include_kinds` leaves out: nothing is published there, and what was goes.
    pub left_out: BTreeMap<TargetId, TargetConfig>,
}

impl Config {
    /// Reads and judges the whole file with its drop-ins; one that nobody named and that does not exist is empty.
    ///
    /// Looks at the file system to see which directories are the same, and writes nothing.
    pub fn load(locations: &Locations, env: &Env) -> Result<Self, ConfigError> {
        let config_file = &locations.config_file;
        let texts = Texts::read(config_file, locations.config_file_named, env.uid)?;
        Self::judge(&texts, locations, env)
    }

    /// Judges a text as if it were the file, and there were no drop-ins.
    pub fn parse(text: &str, locations: &Locations, env: &Env) -> Result<Self, ConfigError> {
        Self::judge(&Texts::only(&locations.config_file, text), locations, env)
    }

    /// Judges texts as if they were the file and its drop-ins.
    pub(crate) fn judge(
        texts: &Texts,
        locations: &Locations,
        env: &Env,
    ) -> Result<Self, ConfigError> {
        let complaints = RefCell::default();
        let config = read(texts, locations, env, &complaints);
        let diagnostics = complaints.into_inner().locate(texts);
        match config {
            Some(config) if diagnostics.is_empty() => Ok(config),
            _ => Err(ConfigError::Invalid { diagnostics }),
        }
    }
}

/// Reads what can be read; all that is wrong is among the complaints, and `None` comes only with one.
fn read(
    texts: &Texts,
    locations: &Locations,
    env: &Env,
    complaints: &RefCell<Complaints>,
) -> Option<Config> {
    let document = texts.document();
    if !document.is_whole && texts.files().len() > 1 {
        complaints.borrow_mut().expect_gaps();
    }
    let config = judge(
        &document.table,
        document.is_whole,
        locations,
        env,
        complaints,
    );
    texts.complain(&document, &mut complaints.borrow_mut());
    document.is_whole.then_some(config)
}

/// Judges what was read. `whole`: that is everything that the file says.
fn judge(
    document: &DeTable<'_>,
    whole: bool,
    locations: &Locations,
    env: &Env,
    complaints: &RefCell<Complaints>,
) -> Config {
    let defaults = DeTable::parse(DEFAULTS).expect("a test reads the defaults");
    let defaults_of = |name: &str| {
        defaults
            .get_ref()
            .get(name)
            .and_then(|table| table.get_ref().as_table())
            .expect("a test reads the defaults")
    };
    let nothing = DeTable::new();
    let top = Section {
        title: "the file".to_owned(),
        header: 0..0,
        table: Some(document),
        defaults: &nothing,
        complaints,
    };
    top.check_keys(
        &["daemon", "sources", "targets"],
        &["webhook", "notify", "hooks"],
    );

    let (table, header) = top
        .table("daemon")
        .map_or((None, 0..0), |(table, span)| (Some(table), span));
    let section = Section {
        title: "[daemon]".to_owned(),
        header,
        table,
        defaults: defaults_of("daemon"),
        complaints,
    };
    let daemon = daemon::read(&section, locations, env);

    let mut names = Vec::new();
    let mut sources: Vec<SourceRead> = Vec::new();
    for (id, section) in entries(&top, "sources", defaults_of("source")) {
        let Some(id) = check_id::<SourceId>(id, &section) else {
            continue;
        };
        names.push(id.clone());
        sources.extend(source::read(id, &section, locations, env));
    }
    let known = KnownSources {
        names: &names,
        read: &sources,
        whole,
    };
    let mut targets: Vec<TargetRead> = Vec::new();
    for (id, section) in entries(&top, "targets", defaults_of("target")) {
        // A dot parts a preset's name from that of a part.
        let Some(id) = check_id::<SourceId>(id, &section) else {
            continue;
        };
        targets.extend(target::read(id.as_str(), &section, &known, locations, env));
    }
    let left_out = presets::leave_out(&mut targets);
    presets::settle(&mut targets);
    places::check(
        &sources,
        &targets,
        locations,
        env,
        &mut complaints.borrow_mut(),
    );
    let left_out = places::undisputed(left_out, &sources, &targets);
    Config {
        daemon,
        left_out: left_out
            .into_iter()
            .map(|target| (target.id, target.config))
            .collect(),
        sources: sources
            .into_iter()
            .map(|source| (source.id, source.config))
            .collect(),
        targets: targets
            .into_iter()
            .map(|target| (target.id, target.config))
            .collect(),
    }
}

/// Returns the tables of `[KIND.NAME]`.
fn entries<'t>(
    top: &Section<'t>,
    kind: &str,
    defaults: &'t DeTable<'t>,
) -> Vec<(&'t str, Section<'t>)> {
    let mut entries = Vec::new();
    for (name, value) in top.table(kind).into_iter().flat_map(|(table, _)| table) {
        let id = name.get_ref().as_ref();
        let title = format!("[{kind}.{}]", id.escape_debug());
        let Some(table) = value.get_ref().as_table() else {
            let hint = Some(format!("write it as {title}"));
            top.complain(
                value.span(),
                format!("{kind}: {}", wrong_type(value.get_ref(), "a table")),
                hint,
            );
            continue;
        };
        let header: Range<usize> = name.span();
        entries.push((
            id,
            Section {
                title,
                header,
                table: Some(table),
                defaults,
                complaints: top.complaints,
            },
        ));
    }
    entries
}

fn check_id<T: FromStr<Err = IdError>>(id: &str, section: &Section<'_>) -> Option<T> {
    match id.parse() {
        Ok(id) => Some(id),
        Err(error) => {
            section.complain(
                section.header.clone(),
                error.to_string().escape_debug().to_string(),
                None,
            );
            None
        }
    }
}
