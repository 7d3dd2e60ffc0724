//! Judges whole configurations as a user would write them.
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use homing_config::{
    AtStart, Config, ConfigError, DaemonConfig, Deletions, EXAMPLE, Env, Layout, Locations,
    LogFormat, PushMode, SourceConfig, SourceKind, TargetConfig,
};
use homing_core::{Cron, ItemKey, Policy, SourceId, TargetId};
use jiff::tz::TimeZone;

struct Home {
    dir: tempfile::TempDir,
    env: Env,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::with_home(dir.path());
        Self { dir, env }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn locations(&self) -> Locations {
        Locations::find(None, None, &self.env).unwrap()
    }

    fn parse(&self, text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, &self.locations(), &self.env)
    }

    /// Returns all that is wrong: `line:column: message [hint]`, the home directory written as `~`.
    fn wrong(&self, text: &str) -> Vec<String> {
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

fn wrong(text: &str) -> Vec<String> {
    Home::new().wrong(text)
}

fn source(id: &str) -> SourceId {
    id.parse().unwrap()
}

const TEAM: &str = "[sources.team]\nkind = \"dir\"\nroot = \"~/team\"\n";

#[test]
fn an_empty_file_is_valid_and_has_the_defaults() {
    let home = Home::new();
    let config = home.parse("").unwrap();
    assert!(config.sources.is_empty() && config.targets.is_empty());
    assert_eq!(config.daemon.max_runs, 4);
    assert_eq!(config.daemon.stall_timeout, Duration::from_mins(1));
    assert_eq!(config.daemon.run_timeout, Duration::from_hours(2));
    assert_eq!(config.daemon.shutdown_grace, Duration::from_secs(25));
    assert_eq!(config.daemon.keep_history, Duration::from_hours(90 * 24));
    assert_eq!(config.daemon.log, "info");
    assert_eq!(config.daemon.data_dir, home.path(".local/share/homing"));
}

#[test]
fn a_source_and_a_target_have_the_defaults() {
    let home = Home::new();
    let config = home
        .parse(&format!(
            "{TEAM}[targets.t]\npath = \"~/t\"\nfrom = [\"team\"]\n"
        ))
        .unwrap();
    let team = &config.sources[&source("team")];
    assert_eq!(
        team.kind,
        SourceKind::Dir {
            root: home.path("team")
        }
    );
    assert_eq!(
        (team.path.as_ref(), team.every, team.stale_after),
        (None, None, None)
    );
    assert!(team.include.is_empty() && team.exclude.is_empty() && team.enabled);
    assert_eq!(
        (team.at_start, team.push, team.on_conflict),
        (AtStart::Due, PushMode::Never, Policy::Ask)
    );
    assert_eq!((team.priority, team.max_files), (100, 50_000));
    assert_eq!(
        (team.max_file_size, team.max_total_size),
        (10 << 20, 1 << 30)
    );
    let target = &config.targets[&"t".parse::<TargetId>().unwrap()];
    assert_eq!(target.path, home.path("t"));
    assert_eq!(target.from, [source("team")]);
    assert_eq!(
        (target.layout, target.deletions),
        (Layout::Tree, Deletions::Restore)
    );
    assert!(target.new_files_to.is_none() && target.allow_active.is_empty());
}

#[test]
fn every_key_is_read() {
    let home = Home::new();
    let text = r#"
[daemon]
data_dir = "~/state"
socket = "run/s.sock"
max_runs = 9
stall_timeout = "500s"
run_timeout = "2h 30m"
shutdown_grace = "0s"
keep_history = "7d"
log = "debug"
log_format = "json"
[sources.a]
kind = "dir"
root = "/mnt/a"
path = "plug/ins/"
include = ["**/*.md"]
exclude = ["x"]
every = "15m"
at_start = "never"
stale_after = "1h"
priority = 0
push = "direct"
on_conflict = "union"
max_file_size = 4096
max_total_size = "2GiB"
max_files = 7
enabled = false
[targets.t]
path = "/mnt/t"
from = ["a"]
layout = "flat"
deletions = "keep"
new_files_to = "a"
allow_active = [".mcp.json"]
"#;
    fs::create_dir_all(home.path(".config/homing")).unwrap();
    let mut file = fs::File::create(home.path(".config/homing/config.toml")).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let config = Config::load(&home.locations(), &home.env).unwrap();
    let expected = Config {
        daemon: DaemonConfig {
            data_dir: home.path("state"),
            socket: home.path(".config/homing/run/s.sock"),
            max_runs: 9,
            stall_timeout: Duration::from_secs(500),
            run_timeout: Duration::from_mins(150),
            shutdown_grace: Duration::ZERO,
            keep_history: Duration::from_hours(7 * 24),
            timezone: None,
            log: "debug".to_owned(),
            log_format: LogFormat::Json,
        },
        sources: BTreeMap::from([(
            source("a"),
            SourceConfig {
                kind: SourceKind::Dir {
                    root: "/mnt/a".into(),
                },
                path: Some(ItemKey::new("plug/ins").unwrap()),
                include: vec!["**/*.md".to_owned()],
                exclude: vec!["x".to_owned()],
                every: Some(Duration::from_mins(15)),
                cron: None,
                timezone: None,
                at_start: AtStart::Never,
                stale_after: Some(Duration::from_hours(1)),
                watch: false,
                priority: 0,
                push: PushMode::Direct,
                on_conflict: Policy::Union,
                max_file_size: 4096,
                max_total_size: 2 << 30,
                max_files: 7,
                token: None,
                enabled: false,
            },
        )]),
        targets: BTreeMap::from([(
            "t".parse().unwrap(),
            TargetConfig {
                path: "/mnt/t".into(),
                from: vec![source("a")],
                layout: Layout::Flat,
                deletions: Deletions::Keep,
                new_files_to: Some(source("a")),
                allow_active: vec![".mcp.json".to_owned()],
                after: Vec::new(),
                hook_timeout: Duration::from_secs(30),
            },
        )]),
    };
    assert_eq!(config, expected);
}

#[test]
fn the_example_is_valid_and_names_every_key() {
    let config = Home::new().parse(EXAMPLE).unwrap();
    assert_eq!(config.sources.len(), 2);
    let keys = [
        "data_dir",
        "socket",
        "max_runs",
        "stall_timeout",
        "run_timeout",
        "shutdown_grace",
        "keep_history",
        "timezone",
        "log",
        "log_format",
        "after",
        "hook_timeout",
        "kind",
        "root",
        "path",
        "include",
        "exclude",
        "every",
        "cron",
        "at_start",
        "stale_after",
        "watch",
        "priority",
        "push",
        "on_conflict",
        "max_file_size",
        "max_total_size",
        "max_files",
        "enabled",
        "from",
        "layout",
        "deletions",
        "new_files_to",
        "allow_active",
    ];
    for key in keys {
        assert!(
            EXAMPLE.lines().any(|line| line
                .trim_start_matches("# ")
                .starts_with(&format!("{key} ="))),
            "{key}"
        );
    }
}

#[test]
fn the_file_is_found_where_it_belongs() {
    let home = Home::new();
    assert!(
        Config::load(&home.locations(), &home.env)
            .unwrap()
            .sources
            .is_empty(),
        "nobody named it"
    );
    let named = Locations::find(Some(Path::new("none.toml")), None, &home.env).unwrap();
    let error = Config::load(&named, &home.env).unwrap_err();
    assert!(matches!(error, ConfigError::Missing { .. }), "{error:?}");
    assert!(error.to_string().contains("none.toml") && error.hint().is_some());
}

#[test]
fn an_error_shows_file_line_column_and_the_line() {
    let home = Home::new();
    let error = home.parse("[daemon]\n  max_rnus = 3\n").unwrap_err();
    let file = home
        .path(".config/homing/config.toml")
        .display()
        .to_string();
    assert_eq!(
        error.to_string(),
        format!("{file}:2:3: unknown key `max_rnus` in [daemon]")
    );
    assert_eq!(error.hint().as_deref(), Some("did you mean `max_runs`?"));
    assert_eq!(
        error.report(),
        format!(
            "{file}:2:3: unknown key `max_rnus` in [daemon]\n  |\n2 |   max_rnus = 3\n  |   ^^^^^^^^ did you mean `max_runs`?"
        )
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = "[daemon]\nmax_runs = 0\nlog = 3\n[source.x]\n[sources.x]\nkind = \"dir\"\nroot = \"/x\"\nevery = \"soon\"\n";
    assert_eq!(
        wrong(text),
        [
            "2:12: max_runs: 0 is not between 1 and 256 [write a whole number from 1 to 256]",
            "3:7: log: a text belongs here, not a whole number [put it in quotes: \"…\"]",
            "4:2: unknown key `source` in the file [did you mean `sources`?]",
            "8:9: every: `soon` is not a duration [write for example \"500ms\", \"60s\", \"15m\", \"6h\", \"90d\" or \"2h 30m\"]",
        ]
    );
}

#[test]
fn times_of_day_are_read_with_their_zone() {
    let text = format!(
        "[daemon]\ntimezone = \"Europe/Berlin\"\n{TEAM}cron = \"30 2 * * MON\"\ntimezone = \"Asia/Tokyo\"\nwatch = true\n"
    );
    let config = Home::new().parse(&text).unwrap();
    let zone = |zone: &Option<TimeZone>| zone.as_ref().unwrap().iana_name().unwrap().to_owned();
    assert_eq!(zone(&config.daemon.timezone), "Europe/Berlin");
    let team = &config.sources[&source("team")];
    assert_eq!(zone(&team.timezone), "Asia/Tokyo");
    assert_eq!(team.cron, Some(Cron::parse("30 2 * * MON").unwrap()));
    assert!(team.watch && team.every.is_none());
}

#[test]
fn times_of_day_that_are_none_are_told() {
    for (lines, complaint) in [
        (
            "every = \"1h\"\ncron = \"0 * * * *\"\n",
            "5:8: `team` has both every and cron [keep one of them]",
        ),
        (
            "cron = \"0 25 * * *\"\n",
            "4:8: cron: `0 25 * * *`: it cannot be read as a cron pattern",
        ),
        (
            "cron = \"0 0 */6 * * *\"\n",
            "4:8: cron: `0 0 */6 * * *`: a cron pattern has five fields, and this has 6",
        ),
        (
            "cron = \"0 0 30 2 *\"\n",
            "4:8: cron: `0 0 30 2 *`: no day fits this pattern",
        ),
        (
            "cron = \"0 * * * *\"\ntimezone = \"Europe/Brelin\"\n",
            "5:12: timezone: `Europe/Brelin` is no time zone",
        ),
        (
            "every = \"1h\"\ntimezone = \"UTC\"\n",
            "5:12: timezone says nothing without cron",
        ),
    ] {
        let found = wrong(&format!("{TEAM}{lines}"));
        assert!(
            found.len() == 1 && found[0].starts_with(complaint),
            "{lines:?}: {found:?}"
        );
    }
}

#[test]
fn malformed_text_is_told_with_its_place() {
    for (text, place) in [
        ("[daemon\n", "1:"),
        ("a = \n", "1:"),
        ("[daemon]\nmax_runs = 1\nmax_runs = 2\n", "3:1"),
        ("[daemon]\nlog = \"open\n", "2:"),
        ("\0", "1:1"),
    ] {
        let found = wrong(text);
        assert!(found[0].starts_with(place), "{text:?}: {found:?}");
    }
}

#[test]
fn a_mistake_hides_no_other_one() {
    let text = "[daemon]\nmax_runs = 0\nlog = \n\
        [sources.a]\nkind = \"dir\"\nroot = 3\nevery = \"soon\"\npriority = 1001\n\
        [sources.b]\nkind = \"dri\"\npush = \"drect\"\n\
        [targets.t]\npath = 7\nfrom = [\"a\"]\nlayout = \"tere\"\n";
    let places = |text: &str| -> Vec<String> {
        let place = |line: String| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        wrong(text).into_iter().map(place).collect()
    };
    let others = [
        "6:8: root:",
        "7:9: every:",
        "8:12: priority:",
        "10:8: kind:",
        "11:8: push:",
        "13:8: path:",
        "15:10: layout:",
    ];
    // Of a table that is no TOML in part, nothing else can be said.
    let found = places(text);
    assert!(found[0].starts_with("3:"), "{found:?}");
    assert_eq!(found[1..], others);
    let found = places(&text.replace("log = \n", "log = \"info\"\n"));
    assert_eq!(found[0], "2:12: max_runs:");
    assert_eq!(found[1..], others);
}

#[test]
fn what_follows_from_a_mistake_in_the_syntax_is_not_told() {
    let text = "[daemon]\nmax_runs = 0\n\
        [sources.team\nkind = \"dir\"\nroot = \"/x\"\n\
        [sources.b]\nkind = \"dir\"\nroot = \"/y\"\nkind = \"dir\"\n\
        [targets.t]\npath = \"/t\"\nfrom = [\"team\"]\n";
    let found = wrong(text);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("2:12: max_runs"), "{found:?}");
    assert!(found[1].starts_with("3:"), "{found:?}");
    assert!(found[2].starts_with("9:1: "), "{found:?}");
}

#[test]
fn what_belongs_to_later_versions_says_so() {
    for (text, word) in [
        ("[daemon]\nper_host = 8\n", "`per_host` in [daemon]"),
        ("[webhook]\nlisten = \"x\"\n", "`webhook` in the file"),
        ("[[notify]]\ndesktop = true\n", "`notify` in the file"),
        (
            &format!("{TEAM}push = \"pull-request\"\n"),
            "`pull-request`",
        ),
        (
            "[sources.a]\nkind = \"github\"\nurl = \"https://x\"\nref = \"main\"\n",
            "kind: `github`",
        ),
        (
            &format!(
                "{TEAM}[targets.t]\npath = \"/t\"\nfrom = [\"team\"]\ntool = \"claude-code\"\n"
            ),
            "`tool`",
        ),
    ] {
        let found = wrong(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains(word) && found[0].contains("not supported by this version"),
            "{found:?}"
        );
    }
}

#[test]
fn unknown_kinds_and_words_are_suggested() {
    let found = wrong("[sources.a]\nkind = \"dri\"\nanything = 1\n");
    assert_eq!(
        found,
        ["2:8: kind: unknown word `dri` [did you mean `dir`?]"]
    );
    let found = wrong(&format!("{TEAM}push = \"drect\"\non_conflict = \"mine\"\n"));
    assert_eq!(
        found[0],
        "4:8: push: unknown word `drect` [did you mean `direct`?]"
    );
    assert_eq!(
        found[1],
        "5:15: on_conflict: unknown word `mine` [one of: ask, ours, theirs, union]"
    );
}

#[test]
fn required_keys_are_asked_for_at_the_header() {
    let found = wrong("[sources.a]\n[sources.b]\nkind = \"dir\"\n[targets.t]\n");
    assert_eq!(
        found,
        [
            "1:10: [sources.a] needs `kind` [add for example `kind = \"dir\"`]",
            "2:10: [sources.b] needs `root` [add for example `root = \"/mnt/team/agents\"`]",
            "4:10: [targets.t] needs `path` [add for example `path = \"~/.claude/agents\"`]",
            "4:10: [targets.t] needs `from` [add for example `from = [\"team\"]`]",
        ]
    );
}

#[test]
fn wrong_types_are_told() {
    for text in [
        "daemon = 3\n",
        "sources = []\n",
        "[sources]\na = 3\n",
        "[[sources.a]]\nkind = \"dir\"\n",
        &format!("{TEAM}include = \"*.md\"\n"),
        &format!("{TEAM}include = [3]\n"),
        &format!("{TEAM}enabled = \"yes\"\n"),
        &format!("{TEAM}every = 15\n"),
        &format!("{TEAM}priority = 1.5\n"),
        &format!("{TEAM}max_file_size = true\n"),
        "[sources.a]\nkind = \"dir\"\nroot = 1979-05-27\n",
    ] {
        let found = wrong(text);
        assert!(
            found.len() == 1 && found[0].contains("belongs here, not"),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn bad_names_are_told() {
    for id in [
        "Team",
        "\"\"",
        "\"a b\"",
        "\"../x\"",
        "-a",
        "\"\\u001b[2J\"",
    ] {
        let found = wrong(&format!("[sources.{id}]\nkind = \"dir\"\nroot = \"/x\"\n"));
        assert!(
            found.len() == 1 && found[0].contains("is not a valid name"),
            "{id}: {found:?}"
        );
        assert!(!found[0].contains('\u{1b}'));
    }
}

#[test]
fn values_out_of_range_are_told() {
    for line in [
        "priority = 1001",
        "priority = -1",
        "every = \"999ms\"",
        "every = \"0s\"",
        "max_file_size = 0",
        "max_file_size = \"0MiB\"",
        "max_total_size = \"0\"",
        "max_files = 0",
        "max_file_size = \"2GiB\"",
        "path = \"../up\"",
        "path = \"/abs\"",
        "path = \"\"",
    ] {
        let found = wrong(&format!("{TEAM}{line}\n"));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(!found[0].ends_with("[]"), "{line} has a hint: {found:?}");
    }
    for line in [
        "max_runs = 257",
        "stall_timeout = \"0s\"",
        "run_timeout = \"0s\"",
        "keep_history = \"0d\"",
    ] {
        assert_eq!(wrong(&format!("[daemon]\n{line}\n")).len(), 1, "{line}");
    }
}

#[test]
fn a_pattern_that_is_none_is_told_with_its_place() {
    let found = wrong(&format!(
        "{TEAM}include = [\"*.md\", \"a{{b\"]\nexclude = [\"a[\"]\n"
    ));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("4:20: include in [sources.team]: the pattern is malformed"),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("5:12: exclude in [sources.team]: the pattern is malformed"),
        "{found:?}"
    );
}

#[test]
fn a_source_is_not_stale_before_its_next_turn() {
    let found = wrong(&format!("{TEAM}every = \"1h\"\nstale_after = \"59m\"\n"));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("5:15: stale_after is shorter than every"),
        "{found:?}"
    );
    assert!(
        Home::new()
            .parse(&format!("{TEAM}every = \"1h\"\nstale_after = \"60m\"\n"))
            .is_ok()
    );
    assert!(
        Home::new()
            .parse(&format!("{TEAM}at_start = \"always\"\n"))
            .is_ok(),
        "by hand and at the start"
    );
}

#[test]
fn from_names_sources_that_exist_once_each() {
    let target = |from: &str| format!("{TEAM}[targets.t]\npath = \"/t\"\nfrom = {from}\n");
    for (from, expected) in [
        (
            "[\"taem\"]",
            "6:9: from: there is no source `taem` [did you mean `team`?]",
        ),
        (
            "[\"other\"]",
            "6:9: from: there is no source `other` [sources are: team]",
        ),
        (
            "[\"team\", \"team\"]",
            "6:17: from: `team` is named twice [remove one]",
        ),
        (
            "[]",
            "6:8: from: a target without a source would stay empty [sources are: team]",
        ),
    ] {
        assert_eq!(wrong(&target(from)), [expected]);
    }
}

#[test]
fn new_files_go_to_a_source_of_the_target_that_may_push() {
    let text = |to: &str, push: &str| {
        format!(
            "{TEAM}push = \"{push}\"\n[sources.b]\nkind = \"dir\"\nroot = \"/b\"\n[targets.t]\npath = \"/t\"\nfrom = [\"team\"]\nnew_files_to = \"{to}\"\n"
        )
    };
    assert!(Home::new().parse(&text("team", "direct")).is_ok());
    for (text, expected) in [
        (
            text("teem", "direct"),
            "there is no source `teem` [did you mean `team`?]",
        ),
        (text("b", "direct"), "`b` is not in `from` of this target"),
        (
            text("team", "never"),
            "`team` may not push, so new files could not reach it [set `push = \"direct\"`",
        ),
    ] {
        let found = wrong(&text);
        assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
    }
}

fn two_sources(first: &str, second: &str) -> String {
    format!(
        "[sources.a]\nkind = \"dir\"\nroot = \"{first}\"\n[sources.b]\nkind = \"dir\"\nroot = \"{second}\"\n"
    )
}

#[test]
fn two_sources_do_not_share_a_directory() {
    let home = Home::new();
    fs::create_dir_all(home.path("x/y")).unwrap();
    symlink(home.path("x"), home.path("link")).unwrap();
    for (first, second, expected) in [
        (
            "~/x",
            "~/x",
            "6:8: source `b` and source `a` are the same directory `~/x`",
        ),
        (
            "~/x",
            "~/link",
            "6:8: source `b` and source `a` are the same directory `~/x`",
        ),
        ("~/x", "~/link/y", "6:8: source `b` lies in source `a`"),
        ("~/x/new", "~/link", "6:8: source `b` contains source `a`"),
    ] {
        let found = home.wrong(&two_sources(first, second));
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "{found:?}"
        );
    }
    assert!(home.parse(&two_sources("~/x", "~/x2")).is_ok());
    let parts = "[sources.a]\nkind = \"dir\"\nroot = \"~/x\"\npath = \"one\"\n[sources.b]\nkind = \"dir\"\nroot = \"~/x\"\npath = \"two\"\n";
    assert!(home.parse(parts).is_ok(), "two parts of one root");
}

#[test]
fn two_targets_do_not_share_a_directory() {
    let home = Home::new();
    let text = |first: &str, second: &str| {
        format!(
            "{TEAM}[targets.a]\npath = \"{first}\"\nfrom = [\"team\"]\n[targets.b]\npath = \"{second}\"\nfrom = [\"team\"]\n"
        )
    };
    assert!(
        home.wrong(&text("~/t", "~/t/"))[0]
            .starts_with("8:8: target `b` and target `a` are the same directory")
    );
    assert!(
        home.wrong(&text("~/t", "~/t/sub"))[0].starts_with("8:8: target `b` lies in target `a`")
    );
    assert!(home.parse(&text("~/t", "~/t2")).is_ok());
}

fn target_at(path: &str) -> String {
    format!("{TEAM}[targets.t]\npath = \"{path}\"\nfrom = [\"team\"]\n")
}

#[test]
fn a_target_keeps_out_of_sources() {
    let home = Home::new();
    for (path, expected) in [
        (
            "~/team",
            "5:8: target `t` and source `team` are the same directory",
        ),
        ("~/team/sub", "5:8: target `t` lies in source `team`"),
    ] {
        let found = home.wrong(&target_at(path));
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "{found:?}"
        );
    }
    let found = home.wrong("[sources.s]\nkind = \"dir\"\nroot = \"~/t/deep\"\n[targets.t]\npath = \"~/t\"\nfrom = [\"s\"]\n");
    assert!(
        found[0].starts_with("5:8: target `t` contains source `s`"),
        "{found:?}"
    );
}

#[test]
fn a_target_keeps_out_of_forbidden_places() {
    let home = Home::new();
    let above = home.dir.path().parent().unwrap().display().to_string();
    fs::create_dir(home.path(".ssh")).unwrap();
    symlink(home.path(".ssh"), home.path("innocent")).unwrap();
    for (path, expected) in [
        ("~", "your home directory"),
        (above.as_str(), "your home directory"),
        ("/", "your home directory"),
        ("~/.ssh", ".ssh`"),
        ("~/.ssh/sub", ".ssh`"),
        ("~/innocent/sub", ".ssh`"),
        ("~/.gnupg", ".gnupg`"),
        ("~/.config/autostart", "autostart`"),
        ("~/.config/systemd/user", "systemd`"),
        ("~/.config", "it contains"),
        ("~/Library/LaunchAgents", "LaunchAgents`"),
        (
            "~/.config/homing/agents",
            "Homing's own configuration directory",
        ),
        ("~/.local/share/homing", "Homing's own data directory"),
        ("~/.local/share/homing/x", "Homing's own data directory"),
        ("~/.local/share", "Homing's own data directory"),
        ("/etc/agents", "`/etc`"),
        ("/usr/local/share/agents", "`/usr`"),
        ("/dev/shm/agents", "`/dev`"),
        ("~/project/.git", "`.git`"),
        ("~/project/.git/hooks", "`.git`"),
        ("~/project/.GIT/hooks", "`.git`"),
    ] {
        let found = home.wrong(&target_at(path));
        // `~` and what is above it also contain the source.
        let found: Vec<_> = found
            .iter()
            .filter(|line| line.contains("may not be there"))
            .collect();
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{path}: {found:?}"
        );
    }
    for path in [
        "~/.claude/agents",
        "~/agents.git",
        "~/.config/opencode/agent",
        "/srv/agents",
    ] {
        assert!(home.parse(&target_at(path)).is_ok(), "{path}");
    }
}

#[test]
fn a_target_keeps_out_of_places_that_were_moved() {
    let mut home = Home::new();
    home.env.config_file = Some(home.path("conf/homing.toml"));
    home.env.data_dir_override = Some(home.path("state"));
    home.env.runtime_dir = Some(home.path("run"));
    for path in ["~/conf", "~/state", "~/state/x", "~/run", "~/run/homing/x"] {
        let found = home.wrong(&target_at(path));
        assert!(
            found.len() == 1 && found[0].contains("may not be there"),
            "{path}: {found:?}"
        );
    }
    assert!(
        home.parse(&target_at("~/conf/agents")).is_ok(),
        "beside a file that somebody named"
    );
}

#[test]
fn a_source_keeps_out_of_homings_own_state() {
    let home = Home::new();
    for root in ["~", "~/.local/share/homing", "~/.local"] {
        let found = home.wrong(&format!("[sources.s]\nkind = \"dir\"\nroot = \"{root}\"\n"));
        assert!(
            found.len() == 1 && found[0].starts_with("3:8: source `s` may not be there"),
            "{root}: {found:?}"
        );
    }
    let part = "[sources.s]\nkind = \"dir\"\nroot = \"~\"\npath = \"agents\"\n";
    assert!(home.parse(part).is_ok(), "a part of the home directory");
}

#[test]
fn paths_are_relative_to_the_file() {
    let home = Home::new();
    let config = home
        .parse("[sources.s]\nkind = \"dir\"\nroot = \"../../agents\"\n")
        .unwrap();
    let SourceKind::Dir { root } = &config.sources[&source("s")].kind;
    assert_eq!(root, &home.path(".config/homing/../../agents"));
}

/// Judges a text; an error must have its places in the text.
fn judge(home: &Home, text: &str) {
    let Err(ConfigError::Invalid { diagnostics, .. }) = home.parse(text) else {
        return;
    };
    for diagnostic in diagnostics {
        let line = text
            .split('\n')
            .nth(diagnostic.line - 1)
            .unwrap_or_else(|| panic!("{diagnostic:?}"));
        assert!(
            diagnostic.column <= line.chars().count() + 1,
            "{diagnostic:?}"
        );
    }
}

#[test]
fn no_damage_to_a_text_makes_it_panic() {
    let home = Home::new();
    let lines = EXAMPLE.lines().filter(|line| !line.starts_with('#'));
    let config = lines.collect::<Vec<_>>().join("\n");
    let damage = [
        "",
        "\"",
        "[",
        "]",
        "{",
        "=",
        "\0",
        "ä",
        "99999999999999999999",
        "-1",
        "\n",
        "'''",
    ];
    for (n, (at, c)) in config.char_indices().enumerate().step_by(5) {
        judge(&home, &config[..at]);
        let damage = damage[n % damage.len()];
        judge(
            &home,
            &format!("{}{damage}{}", &config[..at], &config[at + c.len_utf8()..]),
        );
    }
}

#[test]
fn deep_nesting_is_refused() {
    let home = Home::new();
    for text in [
        format!("x = {}", "[".repeat(100_000)),
        format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("x = {}", "{a=".repeat(100_000)),
        format!("[{}]", vec!["a"; 100_000].join(".")),
    ] {
        assert!(home.parse(&text).is_err());
    }
}
