//! Where the configuration, the state and the socket are.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::texts::{Texts, drop_in_dir, drop_ins};
use crate::values::expand_path;
use crate::{ConfigError, Env};

/// Where things are. Known even while the configuration is not valid, so that a client finds the daemon that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locations {
    /// The configuration file.
    pub config_file: PathBuf,
    /// Whether somebody named it: then it must exist.
    pub config_file_named: bool,
    /// Where Homing keeps its state.
    pub data_dir: PathBuf,
    /// The daemon's socket.
    pub socket: PathBuf,
}

impl Locations {
    /// Finds them: from the command line's `--config` and `--data-dir`, else the environment, else the configuration
    /// file, else the user's standard directories.
    ///
    /// Whatever is wrong with the file is left for [`crate::Config::load`] to tell. [`ConfigError::NoHome`] is the
    /// only error.
    pub fn find(
        config_file: Option<&Path>,
        data_dir: Option<&Path>,
        env: &Env,
    ) -> Result<Self, ConfigError> {
        let absolute = |path: &Path| env.current_dir.join(path);
        let named = config_file.or(env.config_file.as_deref()).map(absolute);
        let config_file_named = named.is_some();
        let config_file = match (named, &env.config_dir) {
            (Some(path), _) => path,
            (None, Some(dir)) => dir.join("config.toml"),
            (None, None) => return Err(ConfigError::NoHome),
        };
        let hints = Hints::read(&config_file, env);
        let data_dir = data_dir
            .or(env.data_dir_override.as_deref())
            .map(absolute)
            .or(hints.data_dir)
            .or_else(|| env.data_dir.clone())
            .ok_or(ConfigError::NoHome)?;
        let socket = hints
            .socket
            .unwrap_or_else(|| default_socket(&data_dir, env));
        Ok(Self {
            config_file,
            config_file_named,
            data_dir,
            socket,
        })
    }

    /// Returns the directory whose `*.toml` are laid over the configuration file, in the order of their names.
    pub fn drop_in_dir(&self) -> PathBuf {
        drop_in_dir(&self.config_file)
    }

    /// Returns the drop-ins in their order; none when their directory cannot be read or is not the user's.
    pub fn drop_ins(&self, env: &Env) -> Vec<PathBuf> {
        drop_ins(&self.drop_in_dir(), env.uid).unwrap_or_default()
    }
}

/// Returns where the socket is unless the configuration says otherwise.
fn default_socket(data_dir: &Path, env: &Env) -> PathBuf {
    const IN_RUNTIME_DIR: &str = "homing/homingd.sock";
    if let Some(dir) = &env.runtime_dir {
        return dir.join(IN_RUNTIME_DIR);
    }
    let ours = fs::symlink_metadata(&env.user_runtime_dir)
        .is_ok_and(|dir| dir.is_dir() && dir.uid() == env.uid);
    if ours {
        env.user_runtime_dir.join(IN_RUNTIME_DIR)
    } else {
        data_dir.join("run/homingd.sock")
    }
}

/// What the file says about places, as far as it can be understood.
#[derive(Default)]
struct Hints {
    data_dir: Option<PathBuf>,
    socket: Option<PathBuf>,
}

impl Hints {
    fn read(config_file: &Path, env: &Env) -> Self {
        let texts = Texts::read_leniently(config_file, env.uid).without_sides();
        let document = texts.document().table;
        let base = config_file.parent().unwrap_or(Path::new("/"));
        let path = |key: &str| {
            let daemon = document.get("daemon")?.get_ref().as_table()?;
            expand_path(
                daemon.get(key)?.get_ref().as_str()?,
                base,
                env.home.as_deref(),
            )
            .ok()
        };
        Self {
            data_dir: path("data_dir"),
            socket: path("socket"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::DirBuilder;
    use std::io::Write;

    use super::*;

    struct Home(tempfile::TempDir, Env);

    impl Home {
        fn new(config: Option<&str>) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let env = Env::with_home(dir.path());
            DirBuilder::new()
                .recursive(true)
                .create(env.config_dir.as_ref().unwrap())
                .unwrap();
            if let Some(text) = config {
                let path = dir.path().join(".config/homing/config.toml");
                fs::File::create(path)
                    .unwrap()
                    .write_all(text.as_bytes())
                    .unwrap();
            }
            Self(dir, env)
        }

        fn find(&self) -> Locations {
            Locations::find(None, None, &self.1).unwrap()
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }
    }

    #[test]
    fn without_a_file_all_is_where_it_belongs() {
        let home = Home::new(None);
        let locations = home.find();
        assert_eq!(
            locations.config_file,
            home.path(".config/homing/config.toml")
        );
        assert!(!locations.config_file_named);
        assert_eq!(locations.data_dir, home.path(".local/share/homing"));
        assert_eq!(
            locations.socket,
            home.path(".local/share/homing/run/homingd.sock")
        );
    }

    #[test]
    fn the_socket_is_in_the_first_runtime_directory_there_is() {
        let mut home = Home::new(None);
        home.1.user_runtime_dir = home.path("run-user");
        fs::create_dir(home.path("run-user")).unwrap();
        assert_eq!(
            home.find().socket,
            home.path("run-user/homing/homingd.sock")
        );
        home.1.uid += 1;
        assert_eq!(
            home.find().socket,
            home.path(".local/share/homing/run/homingd.sock"),
            "not ours"
        );
        home.1.runtime_dir = Some(home.path("xdg"));
        assert_eq!(home.find().socket, home.path("xdg/homing/homingd.sock"));
    }

    #[test]
    fn flags_beat_the_environment_and_that_beats_the_file() {
        let mut home = Home::new(Some(
            "[daemon]\ndata_dir = \"~/from-file\"\nsocket = \"s.sock\"\n",
        ));
        assert_eq!(home.find().data_dir, home.path("from-file"));
        assert_eq!(home.find().socket, home.path(".config/homing/s.sock"));
        home.1.data_dir_override = Some("from-env".into());
        assert_eq!(home.find().data_dir, home.path("from-env"));
        let found = Locations::find(None, Some(Path::new("from-flag")), &home.1).unwrap();
        assert_eq!(found.data_dir, home.path("from-flag"));
        home.1.config_file = Some("/nowhere/c.toml".into());
        let found = home.find();
        assert_eq!(
            (found.config_file, found.config_file_named),
            (PathBuf::from("/nowhere/c.toml"), true)
        );
        let found = Locations::find(Some(Path::new("other.toml")), None, &home.1).unwrap();
        assert_eq!(found.config_file, home.path("other.toml"));
    }

    #[test]
    fn a_file_that_is_not_valid_still_says_where_the_socket_is() {
        let home = Home::new(Some(
            "[daemon]\nsocket = \"/x/h.sock\"\nmax_runs = banana\n[sources.A\n",
        ));
        assert_eq!(home.find().socket, PathBuf::from("/x/h.sock"));
        let home = Home::new(Some("daemon = 3"));
        assert_eq!(home.find().data_dir, home.path(".local/share/homing"));
    }

    #[test]
    fn what_stands_among_sources_and_targets_is_found() {
        for text in [
            "[sources.a]\nroot = \"x\"\n[daemon]\nsocket = \"/x/h.sock\"\n[targets.b]\npath = \"y\"\n",
            "[sources.a]\nexclude = [\n  [\"b\"],\n]\n  [ daemon ] # [sources.b]\nsocket = \"/x/h.sock\"\n",
            "[sources.'a#']\nroot = \"x\"\n[\"daemon\"]\nsocket = \"/x/h.sock\"\n",
            "daemon.socket = \"/x/h.sock\"\n[sources.a]\nsocket = \"no\"\n",
            "[sources.a]\nroot = \"\"\"\n[daemon]\nsocket = 'no'\n\"\"\"\n[daemon]\nsocket = \"/x/h.sock\"\n",
        ] {
            let found = Home::new(Some(text)).find().socket;
            assert_eq!(found, PathBuf::from("/x/h.sock"), "{text}");
        }
    }

    #[test]
    fn without_a_home_the_flags_must_say_it() {
        let mut env = Env::with_home(Path::new("/h"));
        (env.home, env.config_dir, env.data_dir) = (None, None, None);
        assert!(matches!(
            Locations::find(None, None, &env),
            Err(ConfigError::NoHome)
        ));
        assert!(matches!(
            Locations::find(Some(Path::new("/c")), None, &env),
            Err(ConfigError::NoHome)
        ));
        assert!(Locations::find(Some(Path::new("/c")), Some(Path::new("/d")), &env).is_ok());
    }
}
