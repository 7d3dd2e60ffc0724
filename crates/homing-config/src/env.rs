//! What the environment says: the only place that reads its variables.

use std::collections::BTreeMap;
use std::env::{current_dir, var_os};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use directories::{BaseDirs, ProjectDirs};

use crate::tools;

/// What the environment says, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Env {
    /// The home directory.
    pub home: Option<PathBuf>,
    /// The directory that holds the configuration of every program, `~/.config` on Linux.
    pub config_home: Option<PathBuf>,
    /// Homing's own directory in it.
    pub config_dir: Option<PathBuf>,
    /// Homing's own directory for its state.
    pub data_dir: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// The directory that a login manager makes for this user, whether it is there or not.
    pub user_runtime_dir: PathBuf,
    /// `HOMING_CONFIG`.
    pub config_file: Option<PathBuf>,
    /// `HOMING_DATA_DIR`.
    pub data_dir_override: Option<PathBuf>,
    /// `HOMING_LOG_FORMAT`.
    pub log_format: Option<String>,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// The directories that variables of coding agents name, such as `CLAUDE_CONFIG_DIR`; absolute ones.
    pub tool_dirs: BTreeMap<&'static str, PathBuf>,
    /// Where relative paths on the command line begin.
    pub current_dir: PathBuf,
    /// The user.
    pub uid: u32,
    /// What commands of the user's find in their environment.
    pub passed_on: Vec<(OsString, OsString)>,
    /// What `git` and `ssh` find beside that: who the user is to them, and the way out.
    pub for_git: Vec<(OsString, OsString)>,
}

/// The variables that commands of the user's find: what finds programs and files, the language, the desktop.
pub(crate) const PASSED_ON: [&str; 19] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
];

/// The variables that `git` and `ssh` find beside those.
const FOR_GIT: [&str; 14] = [
    "SSH_AUTH_SOCK",
    "SSH_AGENT_PID",
    "GNUPGHOME",
    "KRB5CCNAME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

impl Env {
    /// Reads the environment of this process.
    pub fn from_process() -> Self {
        let base = BaseDirs::new();
        let project = ProjectDirs::from("org", "homing", "homing");
        let uid = rustix::process::getuid().as_raw();
        let path = |name| {
            var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let absolute = |path: &Path| path.is_absolute().then(|| path.to_owned());
        Self {
            home: base.as_ref().and_then(|base| absolute(base.home_dir())),
            config_home: base.as_ref().and_then(|base| absolute(base.config_dir())),
            config_dir: project
                .as_ref()
                .and_then(|project| absolute(project.config_dir())),
            data_dir: project
                .as_ref()
                .and_then(|project| absolute(project.data_dir())),
            runtime_dir: base
                .as_ref()
                .and_then(|base| base.runtime_dir())
                .and_then(absolute),
            user_runtime_dir: PathBuf::from(format!("/run/user/{uid}")),
            config_file: path("HOMING_CONFIG"),
            data_dir_override: path("HOMING_DATA_DIR"),
            log_format: var_os("HOMING_LOG_FORMAT")
                .filter(|value| !value.is_empty())
                .map(|value| value.to_string_lossy().into_owned()),
            no_color: var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            tool_dirs: tools::variables()
                .filter_map(|name| Some((name, path(name).filter(|path| path.is_absolute())?)))
                .collect(),
            current_dir: current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            uid,
            passed_on: given(&PASSED_ON),
            for_git: given(&FOR_GIT),
        }
    }

    /// Returns the environment of a user whose home is `home`, as it is when no variable is set.
    ///
    /// For tests and demonstrations; the login manager's directory is one that is not there.
    pub fn with_home(home: &Path) -> Self {
        Self {
            home: Some(home.to_owned()),
            config_home: Some(home.join(".config")),
            config_dir: Some(home.join(".config/homing")),
            data_dir: Some(home.join(".local/share/homing")),
            runtime_dir: None,
            user_runtime_dir: home.join(".no-login-manager"),
            config_file: None,
            data_dir_override: None,
            log_format: None,
            no_color: false,
            tool_dirs: BTreeMap::new(),
            current_dir: home.to_owned(),
            uid: rustix::process::getuid().as_raw(),
            passed_on: Vec::new(),
            for_git: Vec::new(),
        }
    }
}

/// Reads one variable of this process: a secret, at the moment of its use, which [`Env`] does not keep.
pub fn read_variable(name: &str) -> Option<OsString> {
    var_os(name)
}

/// Returns those of the variables that are set.
fn given(names: &[&str]) -> Vec<(OsString, OsString)> {
    let set = names.iter();
    set.filter_map(|name| Some((OsString::from(name), var_os(name)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_process_is_absolute() {
        let env = Env::from_process();
        for path in [
            &env.home,
            &env.config_home,
            &env.config_dir,
            &env.data_dir,
            &env.runtime_dir,
        ] {
            assert!(
                path.as_ref().is_none_or(|path| path.is_absolute()),
                "{path:?}"
            );
        }
        assert!(env.current_dir.is_absolute());
    }
}
