//! Drop-ins: what wins, what may not repeat, which file an error names, and whose files they must be.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::Duration;

use homing_config::{Config, ConfigError, SourceKind};

use crate::home::Home;

impl Home {
    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.locations(), &self.env)
    }

    /// Returns all that is wrong, each `file:line:column: message`, the file without its directory.
    fn complaints(&self) -> Vec<String> {
        let Err(ConfigError::Invalid { diagnostics }) = self.load() else {
            panic!("it is valid")
        };
        let directory = format!(
            "{}/",
            self.beside("").display().to_string().trim_end_matches('/')
        );
        let told = diagnostics.iter().map(ToString::to_string);
        told.map(|line| line.replace(&directory, "")).collect()
    }

    fn refusal(&self) -> String {
        match self.load() {
            Err(error @ (ConfigError::Refused { .. } | ConfigError::Read { .. })) => {
                error.to_string()
            }
            other => panic!("not refused: {other:?}"),
        }
    }
}

const TEAM: &str =
    "[sources.team]\nkind = \"dir\"\nroot = \"~/team\"\nevery = \"1h\"\nexclude = [\"a\", \"b\"]\n";

#[test]
fn later_files_win_key_by_key_and_lists_are_replaced() {
    let home = Home::with(&[
        ("config.toml", TEAM),
        (
            "config.d/20-mine.toml",
            "[daemon]\nmax_runs = 2\n[sources.team]\nevery = \"2h\"\nexclude = [\"c\"]\n",
        ),
        (
            "config.d/10-first.toml",
            "[daemon]\nmax_runs = 9\nlog = \"debug\"\n[sources.team]\nevery = \"3h\"\npriority = 7\n",
        ),
        (
            "config.d/30-target.toml",
            "[targets.t]\npath = \"~/t\"\nfrom = [\"team\"]\n",
        ),
        ("config.d/ignored.toml.bak", "nonsense ="),
        ("config.d/.#hidden.toml", "nonsense ="),
    ]);
    let config = home.load().unwrap();
    assert_eq!(
        (config.daemon.max_runs, config.daemon.log.as_str()),
        (2, "debug")
    );
    let team = config.sources.values().next().unwrap();
    assert_eq!(team.every, Some(Duration::from_hours(2)));
    assert_eq!(
        (team.priority, team.exclude.clone()),
        (7, vec!["c".to_owned()])
    );
    assert_eq!(
        team.kind,
        SourceKind::Dir {
            root: home.path("team")
        }
    );
    assert_eq!(config.targets.len(), 1);
}

#[test]
fn drop_ins_count_without_the_file_itself_unless_it_was_named() {
    let mut home = Home::with(&[("config.d/a.toml", TEAM)]);
    assert_eq!(home.load().unwrap().sources.len(), 1);
    home.env.config_file = Some(home.beside("config.toml"));
    assert!(matches!(home.load(), Err(ConfigError::Missing { .. })));
}

#[test]
fn paths_in_drop_ins_are_relative_to_the_file_itself() {
    let home = Home::with(&[(
        "config.d/a.toml",
        "[sources.s]\nkind = \"dir\"\nroot = \"agents\"\n",
    )]);
    let config = home.load().unwrap();
    let SourceKind::Dir { root } = &config.sources.values().next().unwrap().kind else {
        panic!("another kind");
    };
    assert_eq!(root, &home.beside("agents"));
}

#[test]
fn every_error_names_its_file() {
    let home = Home::with(&[
        (
            "config.toml",
            "[daemon]\nmax_runs = 0\n[sources.team]\nkind = \"dir\"\nroot = \"~/team\"\n",
        ),
        (
            "config.d/a.toml",
            "# a comment\n[sources.team]\nprioritty = 3\n",
        ),
        (
            "config.d/b.toml",
            "[sources.tame]\nenabled = false\n[targets.t]\npath = \"~/team/x\"\nfrom = [\"nobody\"]",
        ),
    ]);
    assert_eq!(
        home.complaints(),
        [
            "config.toml:2:12: max_runs: 0 is not between 1 and 256",
            "config.d/a.toml:3:1: unknown key `prioritty` in [sources.team]",
            "config.d/b.toml:1:10: [sources.tame] needs `kind`",
            "config.d/b.toml:4:8: target `t` lies in source `team`",
            "config.d/b.toml:5:9: from: there is no source `nobody`",
        ]
    );
}

#[test]
fn what_is_no_toml_names_its_file_and_hides_no_other_mistake() {
    let home = Home::with(&[
        (
            "config.toml",
            "[daemon]\nmax_runs = 0\n[sources.team\nkind = \"dir\"\nroot = \"~/team\"\n",
        ),
        ("config.d/a.toml", "[sources.team]\npriority = 5000\n"),
        (
            "config.d/b.toml",
            "[targets.t]\npath = \"~/t\"\nfrom = [\"team\"]\n",
        ),
    ]);
    let wrong = home.complaints();
    // That the source lacks its kind, and the target its source, may be because of what could not be understood.
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    assert!(
        wrong[0].starts_with("config.toml:2:12: max_runs"),
        "{wrong:?}"
    );
    assert!(wrong[1].starts_with("config.toml:3:"), "{wrong:?}");
    assert!(
        wrong[2].starts_with("config.d/a.toml:2:12: priority"),
        "{wrong:?}"
    );
}

#[test]
fn a_source_and_a_target_are_defined_once() {
    let home = Home::with(&[
        ("config.toml", TEAM),
        (
            "config.d/a.toml",
            "[sources.team]\nkind = \"dir\"\nroot = \"~/other\"\n[targets.t]\npath = \"~/t\"\nfrom = [\"team\"]\n",
        ),
        ("config.d/b.toml", "[targets.t]\npath = \"~/u\"\n"),
    ]);
    let wrong: Vec<String> = home
        .complaints()
        .into_iter()
        .map(|line| line.replace(&home.beside("").display().to_string(), ""))
        .collect();
    assert_eq!(
        wrong,
        [
            "config.d/a.toml:2:1: `kind` is given already in config.toml:2",
            "config.d/b.toml:2:1: `path` is given already in config.d/a.toml:5",
        ]
    );
}

#[test]
fn each_must_be_the_users_alone() {
    let home = Home::with(&[("config.toml", TEAM), ("config.d/a.toml", "")]);
    fs::set_permissions(
        home.beside("config.d/a.toml"),
        Permissions::from_mode(0o664),
    )
    .unwrap();
    let told = home.refusal();
    assert!(told.contains("a.toml") && told.contains("664"), "{told}");
    fs::set_permissions(
        home.beside("config.d/a.toml"),
        Permissions::from_mode(0o644),
    )
    .unwrap();
    assert!(home.load().is_ok());
    fs::set_permissions(home.beside("config.d"), Permissions::from_mode(0o777)).unwrap();
    let told = home.refusal();
    assert!(told.contains("config.d") && told.contains("777"), "{told}");
    fs::set_permissions(home.beside("config.d"), Permissions::from_mode(0o700)).unwrap();
    if home.env.uid == 0 {
        std::os::unix::fs::chown(home.beside("config.d/a.toml"), Some(65_534), None).unwrap();
        assert!(home.refusal().contains("65534"));
    }
}

#[test]
fn what_is_no_file_or_directory_is_refused() {
    let home = Home::with(&[]);
    fs::create_dir_all(home.beside("config.d/a.toml")).unwrap();
    assert!(home.refusal().contains("regular file"));
    fs::remove_dir(home.beside("config.d/a.toml")).unwrap();
    symlink("nowhere.toml", home.beside("config.d/a.toml")).unwrap();
    assert!(home.refusal().contains("a.toml"));
    fs::remove_file(home.beside("config.d/a.toml")).unwrap();
    fs::remove_dir(home.beside("config.d")).unwrap();
    home.write("config.d", "");
    assert!(home.refusal().contains("not a directory"));
}

#[test]
fn a_drop_in_may_say_where_state_and_socket_are() {
    let home = Home::with(&[
        (
            "config.toml",
            "[daemon]\nsocket = \"/a/s.sock\"\nmax_runs = \n",
        ),
        (
            "config.d/a.toml",
            "[daemon]\ndata_dir = \"~/state\"\nsocket = \"/b/s.sock\"\n",
        ),
    ]);
    let locations = home.locations();
    assert_eq!(locations.socket, PathBuf::from("/b/s.sock"));
    assert_eq!(locations.data_dir, home.path("state"));
}

#[test]
fn a_target_keeps_out_of_the_drop_ins() {
    let mut home = Home::with(&[]);
    home.env.config_dir = Some(home.path("elsewhere"));
    home.write(
        "config.toml",
        &format!("{TEAM}[targets.t]\npath = \"config.d/x\"\nfrom = [\"team\"]\n"),
    );
    home.env.config_file = Some(home.beside("config.toml"));
    assert!(
        home.complaints()[0].contains("may not be there"),
        "{:?}",
        home.complaints()
    );
}
