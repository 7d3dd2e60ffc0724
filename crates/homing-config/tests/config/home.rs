//! A throwaway home with configuration files.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use homing_config::{Config, ConfigError, Env, Locations};
use homing_core::SourceId;

/// A home that goes with this value.
pub(crate) struct Home {
    dir: tempfile::TempDir,
    pub(crate) env: Env,
}

impl Home {
    /// Makes an empty one.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::with_home(dir.path());
        Self { dir, env }
    }

    /// Makes one with these files beside the configuration file.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let home = Self::new();
        for (name, text) in files {
            home.write(name, text);
        }
        home
    }

    /// Returns a path below it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Returns a path beside the configuration file.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.path(".config/homing").join(name)
    }

    /// Writes a file beside the configuration file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.beside(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::File::create(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_permissions(Permissions::from_mode(0o600)).unwrap();
    }

    /// Reads a file beside the configuration file.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.beside(name)).unwrap()
    }

    /// Returns where everything is.
    pub(crate) fn locations(&self) -> Locations {
        Locations::find(None, None, &self.env).unwrap()
    }

    /// Judges a text.
    pub(crate) fn parse(&self, text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, &self.locations(), &self.env)
    }

    /// Returns all that is wrong: `line:column: message [hint]`, the home directory written as `~`.
    pub(crate) fn wrong(&self, text: &str) -> Vec<String> {
        let Err(ConfigError::Invalid { diagnostics, .. }) = self.parse(text) else {
            panic!("it is valid:\n{text}")
        };
        assert!(!diagnostics.is_empty());
        let home = fs::canonicalize(self.dir.path())
            .unwrap()
            .display()
            .to_string();
        let file = format!("{}:", self.locations().config_file.display());
        let shown = |d: &homing_config::Diagnostic| {
            let told = d.to_string();
            let told = told.strip_prefix(&file).unwrap();
            format!("{told} [{}]", d.hint.as_deref().unwrap_or(""))
        };
        diagnostics
            .iter()
            .map(|diagnostic| shown(diagnostic).replace(&home, "~"))
            .collect()
    }
}

/// A source that every text may begin with.
pub(crate) const TEAM: &str = "[sources.team]\nkind = \"dir\"\nroot = \"~/team\"\n";

/// Returns all that is wrong in a home of its own.
pub(crate) fn wrong(text: &str) -> Vec<String> {
    Home::new().wrong(text)
}

/// Returns the name of a source.
pub(crate) fn source(id: &str) -> SourceId {
    id.parse().unwrap()
}
