//! `watch = true`, and edits in targets that go upstream without waiting for an interval.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::harness::{Daemon, Home, TestResult, Tree, run, skip};
use crate::history::of_sources;

const WATCHED: &str = r#"
[sources.team]
kind = "dir"
root = "{origins}/team"
watch = true

[targets.agents]
path = "{home}/agents"
from = ["team"]
"#;

/// Its turn comes once an hour; nothing but a watch brings anything sooner.
const PUSHING: &str = r#"
[sources.team]
kind = "dir"
root = "{origins}/team"
every = "1h"
push = "direct"

[targets.agents]
path = "{home}/agents"
from = ["team"]
new_files_to = "team"
"#;

/// Makes a home whose daemon has had its first run.
fn running(config: &str) -> Result<(Home, Daemon)> {
    let home = Home::new()?;
    home.make_origin("team")?;
    home.origin("team").write("a.md", "one\n")?;
    home.configure(config)?;
    let mut daemon = home.start()?;
    daemon.wait_for_line("run ended")?;
    Ok((home, daemon))
}

/// Waits for runs until what they are to bring is there.
fn runs_until(daemon: &mut Daemon, is_there: impl Fn() -> bool) -> TestResult {
    while !is_there() {
        daemon.wait_for_line("run ended")?;
    }
    Ok(())
}

fn condition(home: &Home, kind: &str) -> Result<Option<Value>> {
    let status = home.json_ok(&["status", "team"])?;
    let conditions = status["sources"][0]["conditions"].as_array().cloned();
    Ok(conditions
        .unwrap_or_default()
        .into_iter()
        .find(|condition| condition["type"] == kind))
}

#[test]
fn a_change_starts_a_run_and_what_homing_writes_does_not() -> TestResult {
    let (home, mut daemon) = running(WATCHED)?;
    home.origin("team").write("new/b.md", "two\n")?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    let holds = |path: &str, text: &str| target.read(path).is_ok_and(|read| read == text);
    runs_until(&mut daemon, || holds("new/b.md", "two\n"))?;
    origin.write("new/b.md", "three\n")?;
    runs_until(&mut daemon, || holds("new/b.md", "three\n"))?;
    origin.remove("a.md")?;
    runs_until(&mut daemon, || !target.has("a.md"))?;
    let runs = of_sources(&home)?;
    let watched = runs.iter().filter(|run| run["trigger"] == "watch");
    ensure!(
        watched
            .clone()
            .all(|run| run["synced"] != 0 || run["removed"] != 0),
        "a run found nothing: {runs:#?}"
    );
    ensure!(watched.count() >= 3, "{runs:#?}");
    ensure!(condition(&home, "Unwatched")?.is_none());
    daemon.stop()
}

#[test]
fn many_changes_at_once_are_few_runs() -> TestResult {
    let (home, mut daemon) = running(WATCHED)?;
    for number in 0..200 {
        home.origin("team")
            .write(&format!("{number}.md"), format!("{number}\n"))?;
    }
    let target = home.target("agents");
    runs_until(&mut daemon, || {
        target.snapshot().is_ok_and(|files| files.len() == 201)
    })?;
    let runs = of_sources(&home)?;
    ensure!(runs.len() <= 5, "{} runs", runs.len());
    daemon.stop()
}

#[test]
fn an_edit_and_a_new_file_in_a_target_go_upstream_at_once() -> TestResult {
    let (home, mut daemon) = running(PUSHING)?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    let holds = |path: &str, text: &str| origin.read(path).is_ok_and(|read| read == text);
    target.write("a.md", "edited\n")?;
    runs_until(&mut daemon, || holds("a.md", "edited\n"))?;
    target.write("mine.md", "new\n")?;
    runs_until(&mut daemon, || holds("mine.md", "new\n"))?;
    let runs = of_sources(&home)?;
    let watched = runs.iter().filter(|run| run["trigger"] == "watch").count();
    ensure!((2..=4).contains(&watched), "{runs:#?}");
    daemon.stop()
}

#[test]
fn a_paused_source_takes_a_change_when_it_is_resumed() -> TestResult {
    let (home, mut daemon) = running(WATCHED)?;
    home.ok(&["pause", "team"])?;
    // Another source that is watched too tells when a change would have been taken.
    home.make_origin("other")?.write("c.md", "one\n")?;
    let other = "[sources.other]\nkind = \"dir\"\nroot = \"{origins}/other\"\nwatch = true\n";
    home.configure(&format!("{WATCHED}\n{other}"))?;
    home.ok(&["config", "reload"])?;
    home.ok(&["sync", "other"])?;
    home.origin("team").write("b.md", "two\n")?;
    home.origin("other").write("c.md", "two\n")?;
    let by_watch = |name: &str| -> Result<bool> {
        let runs = of_sources(&home)?;
        Ok(runs
            .iter()
            .any(|run| run["source"] == name && run["trigger"] == "watch"))
    };
    while !by_watch("other")? {
        daemon.wait_for_line("run ended")?;
    }
    let target = home.target("agents");
    ensure!(
        !by_watch("team")? && !target.has("b.md"),
        "a paused source took a change"
    );
    home.ok(&["resume"])?;
    runs_until(&mut daemon, || target.has("b.md"))?;
    daemon.stop()
}

#[test]
fn a_root_that_is_replaced_is_watched_again_and_looked_through() -> TestResult {
    let (home, mut daemon) = running(WATCHED)?;
    let (origin, away) = (home.origin("team").path(""), home.path("away"));
    fs::rename(&origin, &away)?;
    daemon.wait_for_line("it is not watched")?;
    let told = condition(&home, "Unwatched")?;
    ensure!(
        told.is_some_and(|told| told["message"].to_string().contains("every few minutes")),
        "status does not tell"
    );
    // While nobody watches.
    Tree(away.clone()).write("new/b.md", "two\n")?;
    fs::rename(&away, &origin)?;
    daemon.wait_for_line("it is watched again")?;
    let target = home.target("agents");
    runs_until(&mut daemon, || target.has("new/b.md"))?;
    ensure!(condition(&home, "Unwatched")?.is_none());
    daemon.stop()
}

#[test]
fn a_limit_of_the_system_is_told_by_its_name_and_the_interval_goes_on() -> TestResult {
    let home = Home::new()?;
    for number in 0..8 {
        home.origin("team")
            .write(&format!("{number}/a.md"), "one\n")?;
    }
    home.configure(&WATCHED.replace("watch = true", "watch = true\nevery = \"1s\""))?;
    // In a name space of its own the limit can be lowered for this daemon alone.
    let lowered = "echo 3 > /proc/sys/user/max_inotify_watches && exec \"$0\"";
    let mut probe = std::process::Command::new("unshare");
    probe.args(["--user", "--map-root-user", "sh", "-c", lowered, "true"]);
    if !run(probe).is_ok_and(|probed| probed.code == 0) {
        return skip("this system has no user name spaces whose limits can be lowered");
    }
    let homingd = home.homingd(&[]);
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "sh", "-c", lowered])
        .arg(homingd.get_program())
        .env_clear();
    for (name, value) in homingd.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let mut daemon = Daemon::spawn(command)?;
    daemon.wait_for_line("it is not watched")?;
    daemon.wait_for_line("run ended")?;
    let told = condition(&home, "Unwatched")?;
    ensure!(
        told.as_ref().is_some_and(|told| {
            let message = told["message"].to_string();
            message.contains("fs.inotify.max_user_watches") && message.contains("its turn")
        }),
        "{told:#?}"
    );
    home.origin("team").write("0/b.md", "two\n")?;
    let target = home.target("agents");
    runs_until(&mut daemon, || target.has("0/b.md"))?;
    daemon.stop()
}
