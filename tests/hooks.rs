//! Hooks: what they hear, what becomes of runs whose hook fails, and who may put one in force.

use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::{Home, ONE_SOURCE, PATIENCE, TestResult, run};
use crate::reload::condition;

/// Makes a home whose target runs a shell script after a publish.
fn with_hook(script: &str) -> Result<Home> {
    let home = Home::with_one_source()?;
    configure(&home, script, "")?;
    Ok(home)
}

fn configure(home: &Home, script: &str, more: &str) -> TestResult {
    let script = script.replace('"', "\\\"");
    home.configure(&format!(
        "{ONE_SOURCE}after = [\"/bin/sh\", \"-c\", \"{script}\"]\n{more}"
    ))?;
    Ok(())
}

fn read(home: &Home, file: &str) -> String {
    // Not there: nothing was said.
    std::fs::read_to_string(home.path(file)).unwrap_or_default()
}

#[test]
fn a_hook_hears_what_changed_in_its_target_with_a_small_environment() -> TestResult {
    let home = with_hook("cat > {home}/heard; env > {home}/env; pwd > {home}/where")?;
    home.origin("team").write("a.md", "one\n")?;
    home.origin("team").write("dir/b.md", "two\n")?;
    let daemon = home.start_with(
        &[],
        &[("SOME_TOKEN", "not-to-be-seen"), ("LANG", "C.UTF-8")],
    )?;
    home.ok(&["sync", "--dry-run"])?;
    ensure!(read(&home, "heard").is_empty());
    let synced = home.json_ok(&["sync"])?;
    let run = &synced["runs"][0]["id"];

    let heard = read(&home, "heard");
    let lines: Vec<Value> = heard
        .lines()
        .map(|line| serde_json::from_str(line).context("every line is a document"))
        .collect::<Result<_>>()?;
    let paths: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["path"].as_str())
        .collect();
    ensure!(paths == ["a.md", "dir/b.md"], "{heard}");
    ensure!(
        lines[0]["action"] == "created" && lines[0]["source"] == "team" && &lines[0]["run"] == run,
        "{heard}"
    );
    ensure!(read(&home, "where").trim() == home.target("agents").0.to_string_lossy());
    let env = read(&home, "env");
    for variable in [
        "HOMING_TARGET=agents",
        "HOMING_SOURCE=team",
        &format!("HOMING_RUN={run}"),
        "HOMING_CHANGES=2",
        "HOMING_CREATED=2",
        "HOMING_REMOVED=0",
        "LANG=C.UTF-8",
        &format!("HOME={}", home.path("").display()),
    ] {
        ensure!(
            env.lines().any(|line| line == variable),
            "{variable}: {env}"
        );
    }
    ensure!(!env.contains("not-to-be-seen"), "{env}");
    std::fs::remove_file(home.path("heard"))?;
    home.ok(&["sync"])?;
    ensure!(read(&home, "heard").is_empty(), "nothing had changed");
    daemon.stop()
}

#[test]
fn a_hook_that_fails_makes_the_run_partial_and_the_files_are_there() -> TestResult {
    let home = with_hook("echo no luck; exit 3")?;
    home.origin("team").write("a.md", "one\n")?;
    let daemon = home.start()?;
    let outcome = home.homing(&["sync"])?;
    ensure!(outcome.code == 3, "{outcome}");
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(
        said.contains("hook of target `agents` failed") && said.contains("no luck"),
        "{outcome}"
    );
    home.target("agents").expect(&[("a.md", "one\n")])?;
    ensure!(daemon.log().contains("no luck"), "{}", daemon.log());
    home.ok(&["sync"])?;
    daemon.stop()
}

#[test]
fn a_hook_that_takes_too_long_holds_a_run_no_longer_than_its_time() -> TestResult {
    let home = Home::with_one_source()?;
    configure(&home, "tail -f /dev/null", "hook_timeout = \"1s\"\n")?;
    home.origin("team").write("a.md", "one\n")?;
    let daemon = home.start()?;
    let outcome = home.homing(&["sync"])?;
    ensure!(
        outcome.code == 3 && outcome.stdout.contains("hook_timeout"),
        "{outcome}"
    );
    daemon.stop()
}

#[test]
fn a_changed_file_puts_no_new_command_in_force_and_an_explicit_reload_does() -> TestResult {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    origin.write("a.md", "one\n")?;
    let mut daemon = home.start()?;
    // The other setting shows that the file was taken over.
    configure(&home, "echo ran >> {home}/ran", "deletions = \"keep\"\n")?;
    daemon.wait_for_line("configuration reloaded")?;
    let told = condition(&home, "ReloadNeeded")?.context("status says that it waits")?;
    ensure!(
        told["message"].to_string().contains("targets.agents.after"),
        "{told:#}"
    );
    home.ok(&["sync"])?;
    ensure!(read(&home, "ran").is_empty(), "the hook ran");

    let told = home.json_ok(&["config", "reload"])?;
    ensure!(told["targets"]["changed"][0] == "agents", "{told:#}");
    daemon.wait_for_line("configuration reloaded")?;
    ensure!(condition(&home, "ReloadNeeded")?.is_none());
    origin.write("a.md", "changed\n")?;
    home.ok(&["sync"])?;
    ensure!(read(&home, "ran") == "ran\n");

    // A changed one waits too, and the old one stays; taking it away needs no asking.
    configure(&home, "echo other >> {home}/ran", "layout = \"tree\"\n")?;
    daemon.wait_for_line("configuration reloaded")?;
    origin.write("a.md", "again\n")?;
    home.ok(&["sync"])?;
    ensure!(read(&home, "ran") == "ran\nran\n", "{}", read(&home, "ran"));
    home.configure(ONE_SOURCE)?;
    daemon.wait_for_line("configuration reloaded")?;
    origin.write("a.md", "and again\n")?;
    home.ok(&["sync"])?;
    ensure!(read(&home, "ran") == "ran\nran\n");
    ensure!(condition(&home, "ReloadNeeded")?.is_none());
    daemon.stop()
}

/// Asks until a condition holds, or does not; each question takes some milliseconds.
fn until(home: &Home, kind: &str, holds: bool) -> TestResult {
    for _ in 0..1000 {
        if condition(home, kind)?.is_some() == holds {
            return Ok(());
        }
    }
    anyhow::bail!("{kind} is not {holds} after 1000 questions")
}

#[test]
fn a_file_that_is_away_for_a_moment_takes_nothing_out_of_force() -> TestResult {
    let home = with_hook("echo ran >> {home}/ran")?;
    let origin = home.origin("team");
    origin.write("a.md", "one\n")?;
    let mut daemon = home.start()?;
    home.ok(&["sync"])?;
    let text = std::fs::read(home.config_path())?;
    std::fs::remove_file(home.config_path())?;
    daemon.wait_for_line("is gone; what it said stays in force")?;
    ensure!(condition(&home, "ConfigInvalid")?.is_some());
    home.target("agents").expect(&[("a.md", "one\n")])?;
    // Its sources run on, with their hooks.
    origin.write("a.md", "two\n")?;
    home.ok(&["sync"])?;
    ensure!(read(&home, "ran") == "ran\nran\n");
    crate::harness::write(&home.config_path(), &text)?;
    until(&home, "ConfigInvalid", false)?;
    ensure!(condition(&home, "ReloadNeeded")?.is_none());
    origin.write("a.md", "three\n")?;
    home.ok(&["sync"])?;
    ensure!(read(&home, "ran") == "ran\nran\nran\n");

    // A drop-in that goes and comes back is as it was, too, and another command in it still waits.
    let drop_in = home.path(".config/homing/config.d/hook.toml");
    crate::harness::write(&drop_in, b"[targets.agents]\nafter = [\"/bin/false\"]\n")?;
    daemon.wait_for_line("take effect by `homing config reload` only")?;
    ensure!(condition(&home, "ReloadNeeded")?.is_some());
    std::fs::remove_file(&drop_in)?;
    until(&home, "ReloadNeeded", false)?;
    // What a person takes over without it is without it.
    std::fs::remove_file(home.config_path())?;
    daemon.wait_for_line("is gone")?;
    home.ok(&["config", "reload"])?;
    ensure!(condition(&home, "ConfigInvalid")?.is_none());
    crate::harness::write(&home.config_path(), &text)?;
    daemon.wait_for_line("configuration reloaded")?;
    until(&home, "ReloadNeeded", true)?;
    daemon.stop()
}

#[test]
fn a_daemon_whose_first_configuration_is_mended_by_a_file_runs_no_command_of_it() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    home.configure("[daemon]\nmax_rnus = 2\n")?;
    let mut daemon = home.start()?;
    configure(&home, "echo ran >> {home}/ran", "")?;
    daemon.wait_for_line("configuration reloaded")?;
    home.ok(&["sync"])?;
    ensure!(read(&home, "ran").is_empty());
    daemon.stop()?;
    // A start is as explicit as a reload.
    home.origin("team").write("a.md", "changed\n")?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    ensure!(read(&home, "ran") == "ran\n");
    daemon.stop()
}

#[cfg(feature = "failpoints")]
#[test]
fn a_hook_that_was_pending_when_homingd_was_killed_runs_after_the_next_start() -> TestResult {
    // Applied but not recorded, recorded but not told, told but not done.
    for point in ["run::applied", "run::recorded", "hook::begun"] {
        let home = with_hook("cat >> {home}/heard")?;
        home.origin("team").write("a.md", "one\n")?;
        let failpoint = format!("{point}=return");
        let mut daemon = home.start_with(&[], &[("FAILPOINTS", &failpoint)])?;
        home.homing(&["sync"])?;
        ensure!(daemon.wait()? != 0, "{point} was not reached");
        ensure!(read(&home, "heard").is_empty(), "{point}");
        let daemon = home.start()?;
        // A sync waits for the hook that is under way.
        home.ok(&["sync"])?;
        let heard = read(&home, "heard");
        ensure!(
            heard.lines().count() == 1 && heard.contains("\"a.md\""),
            "{point}: {heard}"
        );
        home.ok(&["sync"])?;
        ensure!(read(&home, "heard") == heard, "{point}: it ran again");
        daemon.stop()?;
    }
    Ok(())
}

/// Tells whether a process still runs; one that has ended and that nobody asks for does not.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn a_hook_that_outlives_a_killed_homingd_does_not_run_beside_the_next_one() -> TestResult {
    let home = with_hook(
        "cat > /dev/null; echo $$ > {home}/began; exec tail -f /dev/null > /dev/null 2>&1",
    )?;
    let began = home.path("began");
    let mut fifo = Command::new("mkfifo");
    fifo.arg(&began);
    run(fifo)?.expect(0, &[])?;
    let next_hook = || -> Result<String> {
        let (sender, pid) = channel();
        let began = began.clone();
        thread::spawn(move || {
            // Waits until the hook opens it too.
            sender.send(std::fs::read_to_string(began)).ok();
        });
        let pid = pid.recv_timeout(PATIENCE).context("no hook begins")??;
        Ok(pid.trim().to_owned())
    };
    home.origin("team").write("a.md", "one\n")?;
    let daemon = home.start()?;
    let mut sync = home.homing_command(&["sync"]);
    let mut sync = sync.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let first = next_hook()?;
    daemon.kill()?;
    sync.wait()?;
    ensure!(runs(&first), "the hook ended with its homingd");

    let mut daemon = home.start()?;
    let second = next_hook()?;
    ensure!(!runs(&first) && runs(&second), "{}", daemon.log());
    // It may have come before the daemon was ready.
    if !daemon.log().contains("outlived") {
        daemon.wait_for_line("outlived")?;
    }
    daemon.kill()?;
    let mut kill = Command::new("kill");
    kill.args(["-KILL", &second]);
    run(kill)?.expect(0, &[])
}
