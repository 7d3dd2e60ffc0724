//! Configurations that are not valid: each is told with its place, and nothing runs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, ensure};

use crate::harness::{Home, Outcome, TestResult, skip};

/// A configuration, where it is wrong (`line:column`), and what is said of it.
const WRONG: &[(&str, &str, &str)] = &[
    ("[sources.team\n", "1:", ""),
    ("[daemon]\nmax_runs = \"four\"\n", "2:12", "max_runs"),
    ("[daemon]\nmax_runs = 0\n", "2:12", "max_runs"),
    ("[daemon]\nmax_rums = 4\n", "2:1", "max_runs"),
    ("[deamon]\n", "1:2", "daemon"),
    ("[daemon]\nrun_timeout = \"soon\"\n", "2:15", "soon"),
    ("[sources.team]\nkind = \"dir\"\n", "1:", "root"),
    (
        "[sources.team]\nkind = \"dri\"\nroot = \"{origins}/team\"\n",
        "2:8",
        "dir",
    ),
    ("[sources.team]\nkind = \"agentfs\"\n", "2:8", "agentfs"),
    ("[sources.team]\nkind = \"http\"\n", "1:10", "url"),
    (
        "[sources.Team]\nkind = \"dir\"\nroot = \"{origins}/team\"\n",
        "1:10",
        "Team",
    ),
    (
        "[sources.team]\nkind = \"dir\"\nroot = \"{origins}/team\"\npriority = 1001\n",
        "4:12",
        "1000",
    ),
    (
        "[sources.team]\nkind = \"dir\"\nroot = \"{origins}/team\"\nevery = \"1ms\"\n",
        "4:9",
        "every",
    ),
    (
        "[sources.team]\nkind = \"dir\"\nroot = \"{origins}/team\"\npush = \"branch\"\n",
        "4:8",
        "branch",
    ),
    (
        "[sources.team]\nkind = \"dir\"\nroot = \"{origins}/team\"\ntoken = \"secret\"\n",
        "4:9",
        "token",
    ),
    (
        "[targets.t]\npath = \"{home}/t\"\nfrom = [\"nobody\"]\n",
        "3:9",
        "nobody",
    ),
    (
        "[targets.t]\npath = \"{home}/t\"\nfrom = []\n",
        "3:8",
        "from",
    ),
    ("[targets.t]\npath = \"/\"\nfrom = []\n", "2:8", "/"),
    ("[targets.t]\npath = \"{home}\"\nfrom = []\n", "2:8", ""),
    (
        "[targets.t]\npath = \"~/.ssh/agents\"\nfrom = []\n",
        "2:8",
        ".ssh",
    ),
    (
        "[targets.t]\npath = \"~/.config/homing/agents\"\nfrom = []\n",
        "2:8",
        "",
    ),
    (
        "[targets.t]\npath = \"~/.local/share/homing\"\nfrom = []\n",
        "2:8",
        "",
    ),
    (
        "[targets.t]\npath = \"~/project/.git/hooks\"\nfrom = []\n",
        "2:8",
        ".git",
    ),
    (
        "[targets.t]\npath = \"~/.config/autostart\"\nfrom = []\n",
        "2:8",
        "autostart",
    ),
    (
        "[targets.t]\npath = \"~/.config/systemd/user\"\nfrom = []\n",
        "2:8",
        "systemd",
    ),
];

/// Two places that may not meet, and how each is told.
const MEETING: &[(&str, &str)] = &[
    (
        "two sources on one directory",
        "[sources.b]\nkind = \"dir\"\nroot = \"{origins}/team\"\n",
    ),
    (
        "a source within a source",
        "[sources.b]\nkind = \"dir\"\nroot = \"{origins}/team/deeper\"\n",
    ),
    (
        "a source around a source",
        "[sources.b]\nkind = \"dir\"\nroot = \"{origins}\"\n",
    ),
    (
        "a source through a link",
        "[sources.b]\nkind = \"dir\"\nroot = \"{origins}/link\"\n",
    ),
    (
        "two targets on one directory",
        "[targets.b]\npath = \"{home}/agents\"\nfrom = [\"team\"]\n",
    ),
    (
        "a target within a target",
        "[targets.b]\npath = \"{home}/agents/deeper\"\nfrom = [\"team\"]\n",
    ),
    (
        "a target that is the source",
        "[targets.b]\npath = \"{origins}/team\"\nfrom = [\"team\"]\n",
    ),
    (
        "a target within the source",
        "[targets.b]\npath = \"{origins}/team/x\"\nfrom = [\"team\"]\n",
    ),
    (
        "a target around the source",
        "[targets.b]\npath = \"{origins}\"\nfrom = [\"team\"]\n",
    ),
];

/// `config check` tells what is wrong as its result; a command that needed the file, as an error.
fn said(outcome: &Outcome) -> String {
    format!("{}{}", outcome.stdout, outcome.stderr)
}

#[test]
fn what_is_wrong_is_told_with_its_place() -> TestResult {
    for (text, place, word) in WRONG {
        let home = Home::new()?;
        home.make_origin("team")?;
        let path = home.configure(text)?;
        let outcome = home.homing(&["config", "check"])?;
        ensure!(outcome.code == 5, "{text}\n{outcome}");
        let said = said(&outcome);
        let expected = format!("{}:{place}", path.display());
        ensure!(
            said.contains(&expected),
            "expected `{expected}` for\n{text}\n{outcome}"
        );
        ensure!(
            said.contains(word),
            "expected `{word}` for\n{text}\n{outcome}"
        );
    }
    Ok(())
}

#[test]
fn all_that_is_wrong_is_told_at_once() -> TestResult {
    let home = Home::new()?;
    home.make_origin("team")?;
    let path = home.configure(
        "[daemon]\nmax_runs = 0\n\
         [sources.team]\nkind = \"dir\"\nroot = \"{origins}/team\"\nevery = \n\
         [sources.b]\nkind = \"dir\"\nroot = 3\npriority = 1001\n\
         [targets.t]\npath = \"~/.ssh/a\"\nfrom = [\"team\"]\nlayout = \"tere\"\n",
    )?;
    let places = ["2:12", "6:", "9:8", "10:12", "12:8", "14:10"];
    let outcome = home.homing(&["config", "check"])?;
    ensure!(outcome.code == 5, "{outcome}");
    for place in places {
        let expected = format!("{}:{place}", path.display());
        ensure!(said(&outcome).contains(&expected), "{expected}: {outcome}");
    }
    let (checked, code) = home.json(&["config", "check"])?;
    let diagnostics = checked["diagnostics"].as_array().context("a list")?;
    ensure!(
        code == 5 && diagnostics.len() == places.len(),
        "{checked:#}"
    );
    Ok(())
}

#[test]
fn places_that_meet_are_told() -> TestResult {
    for (what, text) in MEETING {
        let home = Home::new()?;
        let origin = home.make_origin("team")?;
        fs::create_dir(origin.path("deeper"))?;
        std::os::unix::fs::symlink(&origin.0, home.origin("link").0)?;
        home.configure(&format!("{}{text}", crate::harness::ONE_SOURCE))?;
        let outcome = home.homing(&["config", "check"])?;
        ensure!(outcome.code == 5, "{what}: {outcome}");
    }
    Ok(())
}

#[test]
fn homingd_serves_status_with_an_invalid_configuration_and_recovers_with_a_restart() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let path = home
        .configure("[daemon]\nmax_runs = 2\n\n[sources.team]\nkind = \"dir\"\nrooot = \"/x\"\n")?;
    let daemon = home.start()?;
    let place = format!("{}:6:1", path.display());

    let answer = crate::socket::request(&home, "GET /v1/status HTTP/1.1\r\nHost: homing\r\n\r\n")?;
    ensure!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("ConfigInvalid"),
        "{answer}"
    );
    ensure!(answer.contains(&place), "expected `{place}` in {answer}");
    let answer = crate::socket::request(&home, "GET /v1/version HTTP/1.1\r\nHost: homing\r\n\r\n")?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = crate::socket::request(&home, "GET /v1/health HTTP/1.1\r\nHost: homing\r\n\r\n")?;
    ensure!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    for request in [
        "GET /v1/runs",
        "GET /v1/sources",
        "GET /v1/conflicts",
        "POST /v1/runs/last/undo",
    ] {
        let answer = crate::socket::request(
            &home,
            &format!("{request} HTTP/1.1\r\nHost: homing\r\nContent-Length: 0\r\n\r\n"),
        )?;
        ensure!(
            answer.starts_with("HTTP/1.1 503") && answer.contains("\"config-invalid\""),
            "{request}: {answer}"
        );
    }
    let status = home.homing(&["status"])?;
    ensure!(
        format!("{}{}", status.stdout, status.stderr).contains(":6:1"),
        "{status}"
    );
    home.homing(&["sync"])?.expect(5, &[":6:1"])?;
    ensure!(!home.target("agents").0.exists());
    daemon.stop()?;

    home.configure(crate::harness::ONE_SOURCE)?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    home.target("agents").expect(&[("a.md", "one\n")])?;
    daemon.stop()
}

#[test]
fn a_pattern_or_a_log_filter_that_is_none_is_an_invalid_configuration_too() -> TestResult {
    for (text, word) in [
        (
            "[sources.team]\nkind = \"dir\"\nroot = \"{origins}/team\"\ninclude = [\"a{b\"]\n",
            "sources.team",
        ),
        ("[daemon]\nlog = \"homing=shouting\"\n", "log"),
        ("[daemon]\nlog = \"shouting\"\n", ":2:7"),
    ] {
        let home = Home::new()?;
        home.make_origin("team")?;
        home.configure(text)?;
        if text.starts_with("[daemon]") {
            let checked = home.homing(&["config", "check"])?;
            ensure!(
                checked.code == 5 && said(&checked).contains(":2:7: log:"),
                "{checked}"
            );
        }
        let daemon = home.start()?;
        let answer =
            crate::socket::request(&home, "GET /v1/status HTTP/1.1\r\nHost: homing\r\n\r\n")?;
        ensure!(
            answer.contains("ConfigInvalid") && answer.contains(word),
            "{answer}"
        );
        home.homing(&["sync"])?.expect(5, &[word])?;
        daemon.stop()?;
    }
    Ok(())
}

#[test]
fn a_configuration_that_others_may_write_is_refused() -> TestResult {
    let home = Home::with_one_source()?;
    fs::set_permissions(home.config_path(), Permissions::from_mode(0o666))?;
    let outcome = home.homing(&["config", "check"])?;
    ensure!(
        outcome.code == 5 && said(&outcome).contains("chmod"),
        "{outcome}"
    );
    let daemon = home.start()?;
    home.homing(&["sync"])?.expect(5, &["chmod"])?;
    daemon.stop()
}

#[test]
fn a_configuration_that_was_named_must_exist() -> TestResult {
    let home = Home::new()?;
    let outcome = home.homing(&["--config", "nowhere.toml", "config", "check"])?;
    ensure!(
        outcome.code == 5 && said(&outcome).contains("nowhere.toml"),
        "{outcome}"
    );
    ensure!(said(&outcome).contains("hint:"), "{outcome}");
    Ok(())
}

#[test]
fn check_path_and_show_need_no_daemon() -> TestResult {
    let home = Home::with_one_source()?;
    home.ok(&["config", "check"])?;
    let path = home.ok(&["config", "path"])?;
    crate::harness::line_with(&path, &["config", &home.config_path().to_string_lossy()])?;
    let shown = home.ok(&["config", "show"])?;
    ensure!(
        shown.contains("team") && shown.contains("agents"),
        "{shown}"
    );
    Ok(())
}

#[test]
fn the_example_that_is_shipped_is_valid() -> TestResult {
    let home = Home::new()?;
    let example =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/example.toml");
    let Ok(text) = fs::read_to_string(&example) else {
        return skip("config/example.toml is not here");
    };
    let path = home.configure(&text)?;
    let outcome = home.homing(&["config", "check"])?;
    ensure!(outcome.code == 0, "{}: {outcome}", path.display());
    fs::metadata(&path).context("it is there")?;
    Ok(())
}
