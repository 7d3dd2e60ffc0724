//! The whole configuration, judged.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use homing_core::{Cron, IdError, ItemKey, Policy, SourceId, TargetId};
use jiff::tz::TimeZone;
use toml::de::DeTable;
use url::Url;

use crate::diagnostic::Complaints;
use crate::section::{Section, wrong_type};
use crate::source::SourceRead;
use crate::target::{KnownSources, TargetRead};
use crate::texts::Texts;
use crate::{ConfigError, Env, Locations, SecretSource, daemon, places, source, target};

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
}

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

/// What kind of place a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// Another directory.
    Dir {
        /// Where it is; absolute, links not resolved.
        root: PathBuf,
    },
    /// Files of an HTTP server.
    Http {
        /// Where they are; without user, password and what looks like a secret.
        url: Url,
        /// How it is known what there is.
        listing: HttpListing,
        /// Whose password the token is; `None`: it is a bearer token.
        user: Option<String>,
        /// Certificates that are trusted beside the system's; absolute.
        ca_file: Option<PathBuf>,
    },
    /// A repository of GitHub, or of a server that speaks like it.
    Github {
        /// `https://HOST/OWNER/REPOSITORY`.
        url: Url,
        /// The base of its API, where that is not known from the host.
        api: Option<Url>,
        /// A branch, tag or full commit; `None`: the default branch.
        reference: Option<String>,
    },
}

impl SourceKind {
    /// Returns the word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Dir { .. } => "dir",
            Self::Http { .. } => "http",
            Self::Github { .. } => "github",
        }
    }

    /// Returns where it is, as it may be shown.
    pub fn place(&self) -> String {
        match self {
            Self::Dir { root } => root.display().to_string(),
            Self::Http { url, .. } | Self::Github { url, .. } => {
                let mut url = url.clone();
                url.set_query(None);
                url.set_fragment(None);
                url.into()
            }
        }
    }

    /// Returns what only this kind has beside its place: each key that is given, with its value as it may be shown.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        let given = |key: &'static str, value: Option<String>| value.map(|value| (key, value));
        match self {
            Self::Dir { .. } => Vec::new(),
            Self::Http {
                listing,
                user,
                ca_file,
                ..
            } => {
                let way = match listing {
                    HttpListing::Files(files) => ("files", files.join(", ")),
                    HttpListing::Index(index) => ("index", index.clone()),
                    HttpListing::AgentSkills => ("agent_skills", "true".to_owned()),
                    HttpListing::Archive => ("archive", "true".to_owned()),
                };
                let ca_file = ca_file.as_ref().map(|path| path.display().to_string());
                [
                    Some(way),
                    given("user", user.clone()),
                    given("ca_file", ca_file),
                ]
                .into_iter()
                .flatten()
                .collect()
            }
            Self::Github { api, reference, .. } => [
                given("ref", reference.clone()),
                given("api", api.as_ref().map(Url::to_string)),
            ]
            .into_iter()
            .flatten()
            .collect(),
        }
    }

    /// Tells whether a secret that one is given may be given to the other: whether they are one place.
    pub(crate) fn is_one_place_with(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Http {
                    url, user, ca_file, ..
                },
                Self::Http {
                    url: other_url,
                    user: other_user,
                    ca_file: other_ca_file,
                    ..
                },
            ) => (url, user, ca_file) == (other_url, other_user, other_ca_file),
            (
                Self::Github { url, api, .. },
                Self::Github {
                    url: other_url,
                    api: other_api,
                    ..
                },
            ) => (url, api) == (other_url, other_api),
            (one, other) => one == other,
        }
    }
}

/// How it is known what there is at a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpListing {
    /// These paths below it.
    Files(Vec<String>),
    /// A document at this path below it, or at this URL, lists them.
    Index(String),
    /// Agent Skills discovery.
    AgentSkills,
    /// It is an archive.
    Archive,
}

/// Whether and how edits go back to the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushMode {
    /// They stay here.
    Never,
    /// They are written to the origin.
    Direct,
}

/// Whether a source runs when the daemon starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtStart {
    /// If it is due, or was never synced.
    Due,
    /// Always.
    Always,
    /// Not before its next turn.
    Never,
}

/// `[sources.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// The kind, with what only that kind has.
    pub kind: SourceKind,
    /// Only this subdirectory.
    pub path: Option<ItemKey>,
    /// Patterns in gitignore syntax, not yet judged; empty: everything.
    pub include: Vec<String>,
    /// Patterns in gitignore syntax, not yet judged.
    pub exclude: Vec<String>,
    /// The interval; `None`: by [`SourceConfig::cron`], or by hand only.
    pub every: Option<Duration>,
    /// The times of its turns; never beside an interval.
    pub cron: Option<Cron>,
    /// Where those times hold; `None`: as `[daemon]` says.
    pub timezone: Option<TimeZone>,
    /// See [`AtStart`].
    pub at_start: AtStart,
    /// `None`: three intervals.
    pub stale_after: Option<Duration>,
    /// Whether a change in the root starts a run.
    pub watch: bool,
    /// 0 to 1000; lower wins.
    pub priority: u16,
    /// See [`PushMode`].
    pub push: PushMode,
    /// What becomes of overlapping changes.
    pub on_conflict: Policy,
    /// Bytes of one file, at most.
    pub max_file_size: u64,
    /// Bytes of all files together, at most.
    pub max_total_size: u64,
    /// Files, at most.
    pub max_files: u64,
    /// Where the secret comes from that the origin asks for; `None`: it asks for none.
    pub token: Option<SecretSource>,
    /// Whether it is synced at all.
    pub enabled: bool,
}

/// How keys become paths in a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The path is the key.
    Tree,
    /// The path is the key's file name.
    Flat,
}

/// What becomes of a published file that the user deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletions {
    /// It comes back.
    Restore,
    /// It stays away until it is released.
    Keep,
}

/// A kind of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A Markdown file that describes an agent.
    Agent,
    /// A directory with a `SKILL.md`.
    Skill,
    /// A Markdown file that a person calls by its name.
    Command,
    /// Anything else.
    File,
}

impl Kind {
    /// All kinds, with the words for them.
    pub const WORDS: [(&str, Self); 4] = [
        ("agent", Self::Agent),
        ("skill", Self::Skill),
        ("command", Self::Command),
        ("file", Self::File),
    ];

    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        let mut words = Self::WORDS.iter();
        words
            .find(|(_, kind)| *kind == self)
            .map_or("file", |(word, _)| word)
    }
}

/// What becomes of an item with a blocking finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFinding {
    /// It is not published; the last version without stays.
    Block,
    /// It is published, and each run tells of it.
    Warn,
    /// It is published.
    Allow,
}

impl OnFinding {
    /// All of them, with the words for them.
    pub const WORDS: [(&str, Self); 3] = [
        ("block", Self::Block),
        ("warn", Self::Warn),
        ("allow", Self::Allow),
    ];

    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        let mut words = Self::WORDS.iter();
        words
            .find(|(_, found)| *found == self)
            .map_or("block", |(word, _)| word)
    }
}

/// `[targets.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetConfig {
    /// Where it is; absolute, links not resolved.
    pub path: PathBuf,
    /// Its sources, at least one, each once.
    pub from: Vec<SourceId>,
    /// See [`Layout`].
    pub layout: Layout,
    /// See [`Deletions`].
    pub deletions: Deletions,
    /// The source that new files go to; it is in `from` and may push.
    pub new_files_to: Option<SourceId>,
    /// Names of active files that may be published.
    pub allow_active: Vec<String>,
    /// The kinds of items that are published, at least one, each once.
    pub include_kinds: Vec<Kind>,
    /// See [`OnFinding`].
    pub on_finding: OnFinding,
    /// What runs after a publish changed something: a program and its arguments; empty: nothing.
    pub after: Vec<String>,
    /// How long that may take.
    pub hook_timeout: Duration,
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
        let Some(id) = check_id::<TargetId>(id, &section) else {
            continue;
        };
        targets.extend(target::read(id, &section, &known, locations, env));
    }
    places::check(
        &sources,
        &targets,
        locations,
        env,
        &mut complaints.borrow_mut(),
    );
    Config {
        daemon,
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
