//! Places where nothing is published: Homing's own, and those from which a machine runs things.

use std::path::{Path, PathBuf};

use crate::places::{Relation, Resolved};
use crate::{Env, Locations};

/// Directories of the user that programs run or trust things from.
const SENSITIVE: &[&str] = &[
    ".ssh",
    ".gnupg",
    ".local/bin",
    ".local/share/systemd",
    ".local/share/dbus-1",
    "Library/LaunchAgents",
    "Library/LaunchDaemons",
];

/// The same, in the directory that holds the configuration of every program.
const SENSITIVE_CONFIG: &[&str] = &["autostart", "systemd", "environment.d"];

/// Directories of the system. Those that lie in none of them but contain one are ancestors of everything.
const SYSTEM: &[&str] = &[
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/sbin",
    "/sys",
    "/usr",
    "/run/systemd",
    "/Library",
    "/System",
    "/var/lib",
    "/var/spool",
];

struct Guarded {
    what: String,
    place: Resolved,
    relations: &'static [Relation],
}

/// The places that are forbidden for this user.
pub(crate) struct Forbidden {
    home: Option<Resolved>,
    state: Vec<Guarded>,
    own: Vec<Guarded>,
    system: Vec<Guarded>,
}

const ALL: &[Relation] = &[Relation::Same, Relation::Inside, Relation::Contains];
const OVER: &[Relation] = &[Relation::Same, Relation::Contains];
const UNDER: &[Relation] = &[Relation::Same, Relation::Inside];

impl Forbidden {
    /// Looks up where they are.
    pub(crate) fn new(locations: &Locations, env: &Env) -> Self {
        let guarded = |what: String, path: &Path, relations| Guarded {
            what,
            place: Resolved::new(path),
            relations,
        };
        let home = env.home.as_deref();
        let mut state = vec![guarded(
            "Homing's own data directory".to_owned(),
            &locations.data_dir,
            ALL,
        )];
        let runtime_dirs = env.runtime_dir.iter().chain([&env.user_runtime_dir]);
        state.extend(runtime_dirs.map(|dir| {
            guarded(
                "Homing's own runtime directory".to_owned(),
                &dir.join("homing"),
                ALL,
            )
        }));
        let mut own = Vec::new();
        own.extend(home.map(|home| guarded("your home directory".to_owned(), home, OVER)));
        own.extend(
            env.config_dir
                .iter()
                .map(|dir| guarded("Homing's own configuration directory".to_owned(), dir, ALL)),
        );
        own.extend(
            env.data_dir
                .iter()
                .map(|dir| guarded("Homing's own data directory".to_owned(), dir, ALL)),
        );
        own.push(guarded(
            "Homing's configuration file".to_owned(),
            &locations.config_file,
            OVER,
        ));
        own.push(guarded(
            "Homing's configuration directory".to_owned(),
            &locations.drop_in_dir(),
            ALL,
        ));
        own.push(guarded(
            "Homing's socket".to_owned(),
            &locations.socket,
            OVER,
        ));
        let sensitive = home
            .into_iter()
            .flat_map(|home| SENSITIVE.iter().map(|dir| home.join(dir)));
        let sensitive_config = env
            .config_home
            .iter()
            .flat_map(|config| SENSITIVE_CONFIG.iter().map(|dir| config.join(dir)));
        let sensitive: Vec<PathBuf> = sensitive.chain(sensitive_config).collect();
        own.extend(
            sensitive
                .iter()
                .map(|dir| guarded(format!("`{}`", dir.display()), dir, ALL)),
        );
        let mut system: Vec<Guarded> = SYSTEM
            .iter()
            .map(|dir| guarded(format!("`{dir}`"), Path::new(dir), UNDER))
            .collect();
        system.push(guarded(
            "the root of the file system".to_owned(),
            Path::new("/"),
            OVER,
        ));
        Self {
            home: home.map(Resolved::new),
            state,
            own,
            system,
        }
    }

    /// Returns why nothing may be published there.
    pub(crate) fn as_target(&self, given: &Path, place: &Resolved) -> Option<String> {
        let is_git = |path: &Path| {
            path.components()
                .any(|part| part.as_os_str().eq_ignore_ascii_case(".git"))
        };
        if is_git(given) || is_git(&place.real) {
            return Some("it is in a `.git` directory, from which Git runs things".to_owned());
        }
        // A home in a system directory, such as /var/lib/agent, is the user's all the same.
        let home = self
            .home
            .as_ref()
            .filter(|home| place.relation(home) == Some(Relation::Inside));
        let at_home = |system: &Guarded| {
            home.is_some_and(|home| home.relation(&system.place) == Some(Relation::Inside))
        };
        let system = self.system.iter().filter(|system| !at_home(system));
        self.own
            .iter()
            .chain(&self.state)
            .chain(system)
            .find_map(|guarded| guarded.objection(place))
    }

    /// Returns why nothing may be synced from there.
    pub(crate) fn as_source(&self, place: &Resolved) -> Option<String> {
        self.state
            .iter()
            .find_map(|guarded| guarded.objection(place))
    }
}

impl Guarded {
    fn objection(&self, place: &Resolved) -> Option<String> {
        let relation = place
            .relation(&self.place)
            .filter(|relation| self.relations.contains(relation))?;
        Some(match relation {
            Relation::Same => format!("it is {}", self.what),
            Relation::Inside => format!("it lies in {}", self.what),
            Relation::Contains => format!("it contains {}", self.what),
        })
    }
}
