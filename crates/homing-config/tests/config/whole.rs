//! Valid configurations, as users write them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use homing_config::{
    AtStart, Config, ConfigError, DaemonConfig, Deletions, EXAMPLE, HttpListing, Kind, Layout,
    Locations, LogFormat, OnFinding, PushMode, SourceConfig, SourceKind, TargetConfig,
};
use homing_core::{Cron, ItemKey, Policy, TargetId};
use jiff::tz::TimeZone;

use crate::home::{Home, TEAM, source};

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
    assert_eq!(
        (target.include_kinds.len(), target.on_finding),
        (4, OnFinding::Block)
    );
}

#[test]
fn every_key_is_read() {
    let home = Home::new();
    let text = r#"
[daemon]
data_dir = "~/state"
socket = "run/s.sock"
max_runs = 9
per_host = 3
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
include_kinds = ["skill", "agent"]
on_finding = "warn"
"#;
    fs::create_dir_all(home.path(".config/homing")).unwrap();
    let mut file = fs::File::create(home.path(".config/homing/config.toml")).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let config = Config::load(&home.locations(), &home.env).unwrap();
    let expected = Config {
        left_out: BTreeMap::new(),
        daemon: DaemonConfig {
            data_dir: home.path("state"),
            socket: home.path(".config/homing/run/s.sock"),
            max_runs: 9,
            per_host: 3,
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
                preset: None,
                from: vec![source("a")],
                layout: Layout::Flat,
                deletions: Deletions::Keep,
                new_files_to: Some(source("a")),
                allow_active: vec![".mcp.json".to_owned()],
                include_kinds: vec![Kind::Skill, Kind::Agent],
                on_finding: OnFinding::Warn,
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
    assert_eq!(config.sources.len(), 5);
    let keys = [
        "data_dir",
        "socket",
        "max_runs",
        "per_host",
        "url",
        "files",
        "index",
        "agent_skills",
        "archive",
        "ref",
        "api",
        "user",
        "ca_file",
        "verify",
        "allowed_signers",
        "keyring",
        "submodules",
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
        "include_kinds",
        "on_finding",
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
fn paths_are_relative_to_the_file() {
    let home = Home::new();
    let config = home
        .parse("[sources.s]\nkind = \"dir\"\nroot = \"../../agents\"\n")
        .unwrap();
    let SourceKind::Dir { root } = &config.sources[&source("s")].kind else {
        panic!("another kind");
    };
    assert_eq!(root, &home.path(".config/homing/../../agents"));
}

#[test]
fn a_source_may_be_a_server_or_a_repository() {
    let home = Home::new();
    let kind = |lines: &str| {
        let config = home.parse(&format!("[sources.a]\n{lines}\n")).unwrap();
        config.sources.into_values().next().unwrap().kind
    };
    let url = |text: &str| text.parse().unwrap();
    let http = "kind = \"http\"\nurl = \"https://example.org/a?v=1\"\n";
    let with = |listing, user: Option<&str>, ca_file| SourceKind::Http {
        url: url("https://example.org/a?v=1"),
        listing,
        user: user.map(str::to_owned),
        ca_file,
    };
    assert_eq!(
        kind(&format!("{http}files = [\"a.md\", \"b/c.md\"]")),
        with(
            HttpListing::Files(vec!["a.md".to_owned(), "b/c.md".to_owned()]),
            None,
            None
        )
    );
    assert_eq!(
        kind(&format!(
            "{http}index = \"i.json\"\nuser = \"ann\"\ntoken = {{ env = \"T\" }}\nca_file = \"~/ca.pem\""
        )),
        with(
            HttpListing::Index("i.json".to_owned()),
            Some("ann"),
            Some(home.path("ca.pem"))
        )
    );
    assert_eq!(
        kind(&format!("{http}agent_skills = true\narchive = false")),
        with(HttpListing::AgentSkills, None, None)
    );
    let archive = kind(&format!("{http}archive = true"));
    assert_eq!(archive, with(HttpListing::Archive, None, None));
    assert_eq!(archive.place(), "https://example.org/a");
    let github = kind(
        "kind = \"github\"\nurl = \"https://github.com/o/r\"\nref = \"v1\"\napi = \"http://127.0.0.1:1\"\nca_file = \"~/ca.pem\"\ntoken = { env = \"T\" }",
    );
    let expected = SourceKind::Github {
        url: url("https://github.com/o/r"),
        api: Some(url("http://127.0.0.1:1")),
        reference: Some("v1".to_owned()),
        pin: None,
        ca_file: Some(home.path("ca.pem")),
    };
    assert_eq!(github, expected);
    let id = "ABCDEF0123".repeat(4);
    let pinned = kind(&format!(
        "kind = \"git\"\nurl = \"https://example.org/r\"\nref = \"v1\"\npin = \"{id}\""
    ));
    assert_eq!(pinned.followed(), Some(id.to_ascii_lowercase().as_str()));
    assert_eq!(github.followed(), Some("v1"));
    assert_eq!(github.word(), "github");
}
