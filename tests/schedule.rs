//! The schedule of the real daemon: turns by interval and by time of day, a night's sleep, what status tells.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::{Home, TestResult, line_with};
use crate::history::of_sources;

/// Makes a home with one source, `team`, that has these lines in its section, and a file.
fn with(lines: &str) -> Result<Home> {
    let home = Home::new()?;
    home.make_origin("team")?;
    home.origin("team").write("a.md", "one\n")?;
    home.configure(&format!(
        "[sources.team]\nkind = \"dir\"\nroot = \"{{origins}}/team\"\n{lines}\n"
    ))?;
    Ok(home)
}

fn team(home: &Home) -> Result<Value> {
    Ok(home.json_ok(&["status", "team"])?["sources"][0].clone())
}

#[test]
fn a_machine_that_slept_catches_up_once() -> TestResult {
    let sleeper = with("every = \"1s\"")?;
    let mut daemon = sleeper.start()?;
    daemon.wait_for_line("run ended")?;
    daemon.signal("STOP")?;
    // Another machine that does not sleep tells how long this one does.
    let clock = with("every = \"1s\"")?;
    let mut ticking = clock.start()?;
    for _ in 0..8 {
        ticking.wait_for_line("run ended")?;
    }
    let before = daemon.log().matches("run ended").count();
    daemon.signal("CONT")?;
    daemon.wait_for_line("the machine slept")?;
    daemon.wait_for_line("run ended")?;
    let runs = of_sources(&sleeper)?;
    let caught_up = runs.iter().filter(|run| run["trigger"] == "resume").count();
    ensure!(caught_up == 1, "{runs:#?}");
    // Nor does it make up for each turn that it missed.
    ticking.wait_for_line("run ended")?;
    let after = daemon.log().matches("run ended").count();
    ensure!(after - before <= 6, "{} runs", after - before);
    ticking.stop()?;
    daemon.stop()
}

#[test]
fn a_turn_survives_a_restart() -> TestResult {
    let home = with("every = \"1h\"")?;
    let mut daemon = home.start()?;
    daemon.wait_for_line("run ended")?;
    let due = team(&home)?["next_due"].clone();
    ensure!(due.is_string(), "{due}");
    daemon.stop()?;
    let daemon = home.start()?;
    ensure!(team(&home)?["next_due"] == due);
    let runs = of_sources(&home)?;
    ensure!(
        runs.len() == 1 && runs[0]["trigger"] == "startup",
        "{runs:#?}"
    );
    daemon.stop()
}

#[test]
fn times_of_day_are_kept_in_their_zone() -> TestResult {
    let home = with("cron = \"30 2 * * *\"\ntimezone = \"Asia/Kolkata\"")?;
    let mut daemon = home.start()?;
    daemon.wait_for_line("run ended")?;
    let due = team(&home)?["next_due"].clone();
    // Half past two in Kolkata is nine in the evening, UTC; a minute of jitter at most.
    let due = due.as_str().context("a time")?;
    ensure!(due[10..].starts_with("T21:0"), "{due}");
    let shown = home.ok(&["config", "show"])?;
    line_with(&shown, &["cron", "30 2 * * *"])?;
    line_with(&shown, &["timezone", "Asia/Kolkata"])?;
    daemon.stop()
}

#[test]
fn a_source_that_fails_is_left_alone_for_a_while_and_a_person_passes_that() -> TestResult {
    let home = with("every = \"1s\"\nstale_after = \"1s\"")?;
    let origin = home.origin("team").path("");
    let away = home.path("away");
    std::fs::rename(&origin, &away)?;
    let mut daemon = home.start()?;
    daemon.wait_for_line("run ended")?;
    let status = team(&home)?;
    let conditions = status["conditions"].to_string();
    ensure!(conditions.contains("Stale"), "{conditions}");
    let due: String = serde_json::from_value(status["next_due"].clone())?;
    let attempt: String = serde_json::from_value(status["last_attempt"].clone())?;
    ensure!(due > attempt, "{status:#}");
    // Its interval is a second, but after a failure it is left alone for longer: another one tells the time.
    let clock = with("every = \"1s\"")?;
    let mut ticking = clock.start()?;
    for _ in 0..4 {
        ticking.wait_for_line("run ended")?;
    }
    ticking.stop()?;
    let runs = of_sources(&home)?;
    ensure!(runs.len() == 1 && runs[0]["status"] == "error", "{runs:#?}");
    std::fs::rename(&away, &origin)?;
    home.ok(&["sync", "team"])?;
    ensure!(team(&home)?["states"] == serde_json::json!(["synced"]));
    daemon.stop()
}

#[test]
fn at_start_never_waits_for_its_turn_and_always_does_not() -> TestResult {
    let home = Home::new()?;
    for name in ["always", "never"] {
        home.make_origin(name)?;
        home.origin(name).write("a.md", "one\n")?;
    }
    home.configure(
        "[sources.always]\nkind = \"dir\"\nroot = \"{origins}/always\"\nevery = \"1h\"\nat_start = \"always\"\n\
         [sources.never]\nkind = \"dir\"\nroot = \"{origins}/never\"\nevery = \"1h\"\nat_start = \"never\"\n",
    )?;
    for _ in 0..2 {
        let mut daemon = home.start()?;
        daemon.wait_for_line("source=always")?;
        daemon.stop()?;
    }
    let daemon = home.start()?;
    let runs = of_sources(&home)?;
    ensure!(
        runs.iter().all(|run| run["source"] == "always"),
        "{runs:#?}"
    );
    let status = home.json_ok(&["status", "never"])?;
    ensure!(status["sources"][0]["next_due"].is_string(), "{status:#}");
    daemon.stop()
}
