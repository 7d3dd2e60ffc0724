//! A process that ends at a named point of a run: each file is old or new, and the next start completes the work.
//!
//! Needs the feature `failpoints`. The crash checker does the same at random; here each point is reached for certain.

use anyhow::{Result, ensure};

use crate::harness::{Daemon, Gate, Home, TestResult};
use crate::history::of_sources;

const BEFORE: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
const EDITED: &str = "1, mine\n2\n3\n4\n5\n6\n7\n8\n9\n";
const CHANGED: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9, theirs\n";
const MERGED: &str = "1, mine\n2\n3\n4\n5\n6\n7\n8\n9, theirs\n";

/// Makes a home that is synced, and then changed on both sides.
pub(crate) fn with_work_to_do() -> Result<Home> {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    origin.write("changed.md", "old\n")?;
    origin.write("both.md", BEFORE)?;
    origin.write("gone.md", "gone\n")?;
    origin.write("same.md", "same\n")?;
    target.write("mine.md", "my own\n")?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    daemon.stop()?;
    origin.write("changed.md", "new\n")?;
    origin.write("both.md", CHANGED)?;
    origin.remove("gone.md")?;
    origin.write("deep/down/new.md", "brand new\n")?;
    target.write("both.md", EDITED)?;
    Ok(home)
}

fn is_old_or_new(home: &Home) -> TestResult {
    let found = home.target("agents").texts()?;
    for (path, allowed) in [
        ("changed.md", &["old\n", "new\n"][..]),
        ("both.md", &[EDITED, MERGED]),
        ("same.md", &["same\n"]),
        ("mine.md", &["my own\n"]),
    ] {
        let text = found.get(path).map(String::as_str);
        ensure!(
            text.is_some_and(|text| allowed.contains(&text)),
            "`{path}` holds {text:?}"
        );
    }
    for (path, whole) in [("gone.md", "gone\n"), ("deep/down/new.md", "brand new\n")] {
        ensure!(
            found.get(path).is_none_or(|text| text == whole),
            "`{path}` holds {:?}",
            found[path]
        );
    }
    Ok(())
}

pub(crate) fn is_done(home: &Home) -> TestResult {
    home.target("agents").expect(&[
        ("both.md", MERGED),
        ("changed.md", "new\n"),
        ("deep/down/new.md", "brand new\n"),
        ("mine.md", "my own\n"),
        ("same.md", "same\n"),
    ])
}

/// Starts a homingd that ends at `point`, which is reached by `arguments` at the latest.
pub(crate) fn ended_at(home: &Home, point: &str, arguments: &[&str]) -> TestResult {
    let mut command = home.homingd(&[]);
    command.env("FAILPOINTS", format!("{point}=return"));
    let mut daemon = Daemon::spawn(command)?;
    // It may end before it answers: the first publish to a target comes with the start.
    if daemon.wait_for_line("ready").is_ok() {
        let outcome = home.homing(arguments)?;
        ensure!(outcome.code == 4, "`{point}` was not reached: {outcome}");
    }
    let code = daemon.wait()?;
    ensure!(
        code == 128 + 6,
        "homingd ended with {code} and not at `{point}`:\n{}",
        daemon.log()
    );
    Ok(())
}

fn killed_at(point: &str) -> TestResult {
    let home = with_work_to_do()?;
    ended_at(&home, point, &["sync"])?;
    is_old_or_new(&home)?;

    let daemon = home.start()?;
    home.ok(&["sync"])?;
    is_done(&home)?;
    let runs = of_sources(&home)?;
    ensure!(
        !runs.iter().any(|run| run["status"] == "running"),
        "{runs:#?}"
    );
    home.ok(&["sync"])?;
    is_done(&home)?;
    daemon.stop()
}

#[test]
fn a_run_that_is_cut_off_before_it_has_recorded_anything_is_in_the_history() -> TestResult {
    let home = with_work_to_do()?;
    ended_at(&home, "run::transferred", &["sync"])?;
    let daemon = home.start()?;
    let runs = of_sources(&home)?;
    let cut_off = runs.iter().filter(|run| run["status"] == "interrupted");
    ensure!(cut_off.count() == 1, "{runs:#?}");
    daemon.stop()
}

/// SIGTERM while a run is held at a point for a moment: the run ends well, and so does the daemon.
fn terminated_at(point: &str) -> TestResult {
    let home = with_work_to_do()?;
    let held = format!("before {point}=print(held at {point});{point}=sleep(200)");
    let mut daemon = home.start_with(&[], &[("FAILPOINTS", &held)])?;
    home.status_when_recovered()?;
    // The start may have been held as well; what it said is over when the answer to the signal is there.
    daemon.signal("HUP")?;
    daemon.wait_for_line("SIGHUP")?;
    home.ok(&["sync", "--no-wait"])?;
    daemon.wait_for_line(&format!("held at {point}"))?;
    daemon.stop()?;
    is_done(&home)?;
    let daemon = home.start()?;
    let runs = of_sources(&home)?;
    ensure!(runs[0]["status"] == "success", "{runs:#?}");
    is_done(&home)?;
    daemon.stop()
}

macro_rules! at_each_point {
    ($($name:ident = $point:literal),+ $(,)?) => {
        mod killed {
            $(#[test]
            fn $name() -> super::TestResult {
                super::killed_at($point)
            })+
        }

        mod terminated {
            $(#[test]
            fn $name() -> super::TestResult {
                super::terminated_at($point)
            })+
        }
    };
}

at_each_point! {
    names_read = "dir::names_read",
    file_read = "dir::file_read",
    surveyed = "run::surveyed",
    planned = "run::planned",
    transferred = "run::transferred",
    journalled = "run::journalled",
    temporary_files_written = "dir::temps_written",
    temporary_files_synced = "dir::temps_synced",
    renamed_one = "dir::renamed_one",
    exchanged_unchecked = "dir::exchanged_unchecked",
    renamed_all = "dir::renamed_all",
    synced = "dir::synced",
    applied = "run::applied",
    recorded = "run::recorded",
}

#[test]
fn a_second_signal_ends_it_at_once() -> TestResult {
    let home = with_work_to_do()?;
    // Far longer than the test's patience.
    let mut daemon = home.start_with(&[], &[("FAILPOINTS", "run::planned=sleep(60000)")])?;
    home.ok(&["sync", "--no-wait"])?;
    daemon.signal("TERM")?;
    daemon.wait_for_line("stopping")?;
    daemon.signal("TERM")?;
    let code = daemon.wait()?;
    ensure!(
        code == 128 + 15,
        "homingd ended with {code}:\n{}",
        daemon.log()
    );
    is_old_or_new(&home)?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    is_done(&home)?;
    daemon.stop()
}

#[test]
fn a_run_that_outlasts_the_grace_is_cut_off_and_the_store_is_closed() -> TestResult {
    let home = Home::with_one_source()?;
    let text = std::fs::read_to_string(home.config_path())?;
    home.configure(&format!("[daemon]\nshutdown_grace = \"1s\"\n{text}"))?;
    home.origin("team").write("a.md", "one\n")?;
    // A file system that does not answer: the listing never ends by itself.
    let stuck = "before dir::names_read=print(held);dir::names_read=pause";
    let mut daemon = home.start_with(&[], &[("FAILPOINTS", stuck)])?;
    home.status_when_recovered()?;
    let started = home.json_ok(&["sync", "--no-wait"])?;
    let id = &started["runs"][0]["id"];
    daemon.wait_for_line("held")?;
    daemon.signal("TERM")?;
    let code = daemon.wait()?;
    let log = daemon.log();
    ensure!(code == 0 && log.contains("stopped"), "{code}: {log}");
    let logged = std::fs::metadata(home.data_dir().join("state.db-wal"));
    ensure!(
        logged.is_err(),
        "the store was not closed: its log is still there"
    );

    let daemon = home.start()?;
    let (run, _) = home.json(&["run", "show", &id.to_string()])?;
    ensure!(
        run["status"] == "cancelled" && run["error"]["kind"] == "cancelled",
        "{run:#}"
    );
    home.ok(&["sync"])?;
    home.target("agents").expect(&[("a.md", "one\n")])?;
    daemon.stop()
}

#[test]
fn a_run_that_is_cancelled_says_so_and_changes_nothing_more() -> TestResult {
    let home = with_work_to_do()?;
    let before = home.target("agents").snapshot()?;
    let gate = Gate::at(&home, "run::surveyed")?;
    let mut daemon = home.start_with(&[], &[("FAILPOINTS", &gate.configuration()?)])?;
    home.ok(&["sync", "--no-wait"])?;
    gate.wait(&mut daemon)?;
    let id = of_sources(&home)?[0]["id"].clone();
    home.ok(&["run", "cancel", &id.to_string()])?;
    gate.open()?;
    let runs = crate::history::wait_for(&home, |runs| {
        runs.iter()
            .any(|run| run["id"] == id && run["status"] == "cancelled")
    })?;
    ensure!(
        home.target("agents").snapshot()? == before,
        "a cancelled run published something: {runs:#?}"
    );
    daemon.stop()
}
