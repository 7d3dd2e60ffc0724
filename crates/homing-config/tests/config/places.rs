//! Directories that sources and targets may not share, and places they keep out of.

use std::fs;
use std::os::unix::fs::symlink;

use crate::home::{Home, TEAM};

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
    let above = home.path("").parent().unwrap().display().to_string();
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
