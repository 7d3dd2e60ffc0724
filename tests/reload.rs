//! Reloads: by request, by signal, by a file that changes; configurations that turn invalid and are mended.

use std::fs;

use anyhow::{Context, ensure};
use serde_json::Value;

#[cfg(feature = "failpoints")]
use crate::harness::Gate;
use crate::harness::{Home, ONE_SOURCE, TestResult, write};

/// A second source and target.
const SECOND: &str = r#"
[sources.more]
kind = "dir"
root = "{origins}/more"
every = "1h"

[targets.others]
path = "{home}/others"
from = ["more"]
"#;

/// Returns the condition of the daemon that `status` shows.
pub(crate) fn condition(home: &Home, kind: &str) -> anyhow::Result<Option<Value>> {
    let status = home.json_ok(&["status"])?;
    let conditions = status["daemon"]["conditions"].as_array();
    let conditions = conditions.context("the daemon has conditions")?;
    Ok(conditions
        .iter()
        .find(|condition| condition["type"] == kind)
        .cloned())
}

/// Reloads and returns what the daemon says; the watch may have been quicker, and then nothing is left to change.
fn reload(home: &Home) -> anyhow::Result<Value> {
    home.json_ok(&["config", "reload"])
}

#[test]
fn sources_and_targets_come_and_go_without_a_restart() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    home.make_origin("more")?.write("b.md", "two\n")?;
    let mut daemon = home.start()?;
    home.ok(&["sync"])?;
    let before = home.json_ok(&["status"])?;

    home.configure(&format!("{ONE_SOURCE}{SECOND}"))?;
    let told = reload(&home)?;
    let quicker = daemon.log().contains("FileChanged");
    ensure!(
        quicker
            || (told["sources"]["added"][0] == "more" && told["targets"]["added"][0] == "others"),
        "{told:#}"
    );
    home.ok(&["sync", "more"])?;
    home.target("others").expect(&[("b.md", "two\n")])?;
    let after = home.json_ok(&["status"])?;
    let team = |status: &Value| {
        status["sources"]
            .as_array()
            .and_then(|all| all.last().cloned())
    };
    ensure!(team(&before) == team(&after), "{before:#} {after:#}");

    home.configure(ONE_SOURCE)?;
    reload(&home)?;
    home.homing(&["sync", "more"])?.expect(8, &["more"])?;
    home.target("others").expect(&[("b.md", "two\n")])?;
    let told = reload(&home)?;
    ensure!(
        told["sources"]["removed"] == serde_json::json!([]),
        "{told:#}"
    );
    let text = home.ok(&["config", "reload"])?;
    ensure!(text.contains("nothing in it has changed"), "{text}");
    daemon.signal("HUP")?;
    daemon.wait_for_line("somebody asked")?;
    daemon.stop()
}

#[test]
fn a_changed_file_is_taken_over_by_itself() -> TestResult {
    let home = Home::with_one_source()?;
    home.make_origin("more")?.write("b.md", "two\n")?;
    let mut daemon = home.start()?;
    home.configure(&format!("{ONE_SOURCE}{SECOND}"))?;
    daemon.wait_for_line("configuration reloaded")?;
    home.ok(&["sync", "more"])?;
    home.target("others").expect(&[("b.md", "two\n")])?;
    daemon.stop()
}

#[test]
fn a_configuration_that_turns_invalid_leaves_the_old_one_in_force_and_status_says_so() -> TestResult
{
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let mut daemon = home.start()?;
    let path = home.configure(&format!("{ONE_SOURCE}colour = \"red\"\n"))?;
    daemon.wait_for_line("unknown key `colour`")?;
    let place = format!("{}:9:1", path.display());
    home.homing(&["config", "reload"])?
        .expect(5, &[&place, "hint:"])?;
    let told = condition(&home, "ConfigInvalid")?.context("status says that it is invalid")?;
    let message = told["message"].as_str().unwrap_or_default();
    ensure!(
        told["status"] == true && message.contains(&place),
        "{told:#}"
    );
    let since = told["since"].clone();
    ensure!(since.is_string(), "{told:#}");
    home.homing(&["config", "reload"])?.expect(5, &[])?;
    let told = condition(&home, "ConfigInvalid")?.context("it is invalid still")?;
    ensure!(
        told["since"] == since,
        "it is invalid since {since}: {told:#}"
    );
    // What was in force is.
    home.ok(&["sync"])?;
    home.target("agents").expect(&[("a.md", "one\n")])?;
    let health = crate::socket::request(&home, "GET /v1/health HTTP/1.1\r\nHost: homing\r\n\r\n")?;
    ensure!(health.starts_with("HTTP/1.1 200"), "{health}");

    home.configure(ONE_SOURCE)?;
    home.ok(&["config", "reload"])?;
    ensure!(condition(&home, "ConfigInvalid")?.is_none());
    daemon.stop()
}

#[test]
fn a_daemon_that_started_with_an_invalid_configuration_recovers_when_it_is_mended() -> TestResult {
    for by_request in [true, false] {
        let home = Home::with_one_source()?;
        home.origin("team").write("a.md", "one\n")?;
        home.configure("[daemon]\nmax_rnus = 2\n")?;
        let mut daemon = home.start()?;
        home.homing(&["sync"])?.expect(5, &["max_rnus"])?;
        home.homing(&["config", "reload"])?
            .expect(5, &["max_rnus"])?;
        ensure!(condition(&home, "ConfigInvalid")?.is_some());
        home.configure(ONE_SOURCE)?;
        if by_request {
            home.ok(&["config", "reload"])?;
        } else {
            daemon.wait_for_line("configuration reloaded")?;
        }
        ensure!(condition(&home, "ConfigInvalid")?.is_none());
        home.ok(&["sync"])?;
        home.target("agents").expect(&[("a.md", "one\n")])?;
        daemon.stop()?;
    }
    Ok(())
}

#[test]
fn a_daemon_without_a_configuration_takes_the_first_one_over() -> TestResult {
    let home = Home::new()?;
    home.make_origin("team")?.write("a.md", "one\n")?;
    ensure!(!home.path(".config").exists());
    let mut daemon = home.start()?;
    home.configure(ONE_SOURCE)?;
    daemon.wait_for_line("configuration reloaded")?;
    home.ok(&["sync"])?;
    home.target("agents").expect(&[("a.md", "one\n")])?;
    fs::remove_file(home.config_path())?;
    home.ok(&["config", "reload"])?;
    home.homing(&["sync", "team"])?.expect(8, &[])?;
    home.target("agents").expect(&[("a.md", "one\n")])?;
    daemon.stop()
}

#[test]
fn a_named_file_that_goes_away_is_told_and_what_was_in_force_stays() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let named = home.path("named.toml");
    fs::copy(home.config_path(), &named)?;
    fs::remove_file(home.config_path())?;
    let mut daemon = home.start_with(&["--config", &named.to_string_lossy()], &[])?;
    fs::remove_file(&named)?;
    daemon.wait_for_line("there is no configuration file")?;
    ensure!(condition(&home, "ConfigInvalid")?.is_some());
    home.ok(&["sync"])?;
    home.target("agents").expect(&[("a.md", "one\n")])?;
    daemon.stop()
}

#[test]
fn what_takes_a_restart_is_told_as_that() -> TestResult {
    let home = Home::with_one_source()?;
    let daemon = home.start()?;
    let socket = home.socket();
    home.configure(&format!(
        "[daemon]\ndata_dir = \"~/elsewhere\"\nmax_runs = 2\n{ONE_SOURCE}"
    ))?;
    let asked = ["--socket", &socket.to_string_lossy(), "config", "reload"];
    let (told, code) = home.json(&asked)?;
    ensure!(code == 0, "{told:#}");
    ensure!(
        told["restart_needed"] == serde_json::json!(["data_dir"]),
        "{told:#}"
    );
    let told = condition(&home, "RestartNeeded")?.context("status says so")?;
    ensure!(told["message"].to_string().contains("data_dir"), "{told:#}");
    ensure!(!home.path("elsewhere").exists());
    home.configure(ONE_SOURCE)?;
    home.ok(&["config", "reload"])?;
    ensure!(condition(&home, "RestartNeeded")?.is_none());
    daemon.stop()
}

#[cfg(feature = "failpoints")]
#[test]
fn a_run_under_way_finishes_while_its_source_is_taken_out() -> TestResult {
    let home = Home::with_one_source()?;
    for number in 0..3 {
        home.origin("team")
            .write(&format!("{number}.md"), format!("{number}\n"))?;
    }
    // Publishing has begun, under the settings of before.
    let gate = Gate::at(&home, "run::journalled")?;
    let mut daemon = home.start_with(&[], &[("FAILPOINTS", &gate.configuration()?)])?;
    let started = home.json_ok(&["sync", "team", "--no-wait"])?;
    let id = started["runs"][0]["id"].to_string();
    gate.wait(&mut daemon)?;
    home.configure("")?;
    let begun = crate::socket::request(
        &home,
        &format!("GET /v1/runs/{id} HTTP/1.1\r\nHost: homing\r\n\r\n"),
    )?;
    ensure!(begun.contains(r#""status":"running""#), "{begun}");
    home.ok(&["config", "reload"])?;
    gate.open()?;
    let ended = crate::socket::request(
        &home,
        &format!("GET /v1/runs/{id}?wait=20s HTTP/1.1\r\nHost: homing\r\n\r\n"),
    )?;
    ensure!(ended.contains(r#""status":"success""#), "{ended}");
    let files = [("0.md", "0\n"), ("1.md", "1\n"), ("2.md", "2\n")];
    home.target("agents").expect(&files).context(ended)?;
    daemon.stop()
}

#[test]
fn the_log_filter_changes_without_a_restart() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    home.configure(&format!(
        "[daemon]\nlog = \"warn,homing_daemon=info\"\n{ONE_SOURCE}"
    ))?;
    let mut daemon = home.start()?;
    home.ok(&["sync"])?;
    ensure!(!daemon.log().contains("run ended"), "{}", daemon.log());
    home.configure(&format!("[daemon]\nlog = \"info\"\n{ONE_SOURCE}"))?;
    daemon.wait_for_line("configuration reloaded")?;
    home.ok(&["sync"])?;
    daemon.wait_for_line("run ended")?;
    daemon.stop()
}

#[test]
fn an_editor_that_writes_a_new_file_in_its_place_is_noticed_too() -> TestResult {
    let home = Home::with_one_source()?;
    home.make_origin("more")?.write("b.md", "two\n")?;
    let mut daemon = home.start()?;
    let path = home.configure(ONE_SOURCE)?;
    let text = fs::read_to_string(&path)?;
    let origins = home.root().join("origins").display().to_string();
    let second = SECOND
        .replace("{origins}", &origins)
        .replace("{home}", &home.path("").display().to_string());
    let new = path.with_extension("toml.new");
    write(&new, format!("{text}{second}").as_bytes())?;
    fs::set_permissions(&new, fs::metadata(&path)?.permissions())?;
    fs::rename(&new, &path)?;
    daemon.wait_for_line("configuration reloaded")?;
    home.ok(&["sync", "more"])?;
    daemon.stop()
}
