//! A process that ends at a named point of what a person asked for: an undo, a resolution, a repair, a push.

use anyhow::{Result, ensure};

use crate::conflicts::{home_with_a_conflict, open};
use crate::harness::{Home, TestResult};
use crate::kill::{ended_at, is_done, with_work_to_do};
use crate::push::{settle, two_way};

/// Two states of four files, one of which is only in each.
const OLDER: &[(&str, &str)] = &[
    ("a.md", "one\n"),
    ("b.md", "two\n"),
    ("c.md", "three\n"),
    ("d.md", "four\n"),
];
const NEWER: &[(&str, &str)] = &[
    ("a.md", "one, changed\n"),
    ("c.md", "three\n"),
    ("d.md", "four\n"),
    ("new.md", "new\n"),
];

const TWO_TARGETS: &str = r#"
[sources.team]
kind = "dir"
root = "{origins}/team"
[targets.agents]
path = "{home}/agents"
from = ["team"]
[targets.second]
path = "{home}/second"
from = ["team"]
"#;

/// Makes a home in which a run has just replaced [`OLDER`] by [`NEWER`].
fn just_synced() -> Result<Home> {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    for (path, text) in OLDER {
        origin.write(path, text)?;
    }
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    origin.write("a.md", "one, changed\n")?;
    origin.remove("b.md")?;
    origin.write("new.md", "new\n")?;
    home.ok(&["sync"])?;
    daemon.stop()?;
    home.target("agents").expect(NEWER)?;
    Ok(home)
}

/// The holds are part of the intent, so that the next publish finishes what they ask for.
fn undo_ends_at(point: &str) -> TestResult {
    let home = just_synced()?;
    ended_at(&home, point, &["undo"])?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    home.target("agents").expect(OLDER)?;
    home.ok(&["sync"])?;
    home.target("agents").expect(OLDER)?;
    daemon.stop()
}

/// A file that only this target is to lose is there or away, as the kill left it, and the next undo finishes the rest.
fn undo_of_a_first_publish_ends_at(point: &str) -> TestResult {
    let home = just_synced()?;
    home.configure(TWO_TARGETS)?;
    let daemon = home.start()?;
    home.status_when_recovered()?;
    home.target("second").expect(NEWER)?;
    daemon.stop()?;
    ended_at(&home, point, &["undo"])?;
    let mut left = home.target("second").texts()?;
    left.retain(|path, _| !path.starts_with(".homing-"));
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    ensure!(
        home.target("second").texts()? == left,
        "what was undone came back: {left:?}, then {:?}",
        home.target("second").texts()?
    );
    // The run that is left to be undone is this one still, until all of it is.
    if !left.is_empty() {
        home.ok(&["undo"])?;
        home.ok(&["sync"])?;
    }
    home.target("second").expect(&[])?;
    home.target("agents").expect(NEWER)?;
    daemon.stop()
}

fn resolution_ends_at(point: &str) -> TestResult {
    const THEIRS: &str = "first, theirs\nsecond\n";
    let (home, daemon) = home_with_a_conflict()?;
    daemon.stop()?;
    let decide = ["resolve", "agents", "a.md", "--theirs"];
    ended_at(&home, point, &decide)?;
    let daemon = home.start()?;
    home.homing(&["sync"])?;
    let text = home.target("agents").read("a.md")?;
    if open(&home)?.is_empty() {
        ensure!(
            text == THEIRS,
            "the conflict is gone, and the file holds {text}"
        );
    } else {
        ensure!(
            text == "first, mine\nsecond\n",
            "it is open, and the file holds {text}"
        );
        home.ok(&decide)?;
    }
    home.ok(&["sync"])?;
    home.target("agents").expect(&[("a.md", THEIRS)])?;
    daemon.stop()
}

fn repair_ends_at(point: &str) -> TestResult {
    let home = just_synced()?;
    let target = home.target("agents");
    let mut daemon = home.start_with(&[], &[("FAILPOINTS", &format!("{point}=return"))])?;
    home.status_when_recovered()?;
    target.remove("a.md")?;
    target.write("c.md", "edited\n")?;
    home.homing(&["verify", "--repair"])?
        .expect(4, &["ended before it had answered"])?;
    daemon.wait()?;
    ensure!(target.read("c.md")? == "edited\n", "an edit was repaired");
    let daemon = home.start()?;
    home.homing(&["verify", "--repair"])?;
    ensure!(target.read("a.md")? == "one, changed\n");
    ensure!(target.read("c.md")? == "edited\n", "an edit was repaired");
    daemon.stop()
}

fn push_ends_at(point: &str) -> TestResult {
    const EDITED: &str = "1, edited\n2\n3\n4\n5\n6\n7\n";
    let (home, daemon) = two_way()?;
    daemon.stop()?;
    let target = home.target("agents");
    target.write("a.md", EDITED)?;
    settle(&target, "a.md")?;
    ended_at(&home, point, &["sync"])?;
    ensure!(target.read("a.md")? == EDITED);
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    for tree in [home.origin("team"), target, home.target("other")] {
        tree.expect(&[("a.md", EDITED), ("b.md", "b\n")])?;
    }
    daemon.stop()
}

macro_rules! at_each_point {
    ($scenario:ident: $($name:ident = $point:literal),+ $(,)?) => {
        mod $scenario {
            $(#[test]
            fn $name() -> super::TestResult {
                super::$scenario($point)
            })+
        }
    };
}

at_each_point! { undo_ends_at:
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

at_each_point! { undo_of_a_first_publish_ends_at:
    journalled = "run::journalled",
    renamed_one = "dir::renamed_one",
    renamed_all = "dir::renamed_all",
    applied = "run::applied",
    recorded = "run::recorded",
}

at_each_point! { resolution_ends_at:
    journalled = "run::journalled",
    exchanged_unchecked = "dir::exchanged_unchecked",
    applied = "run::applied",
    recorded = "run::recorded",
}

at_each_point! { repair_ends_at:
    journalled = "run::journalled",
    renamed_one = "dir::renamed_one",
    applied = "run::applied",
    recorded = "run::recorded",
}

at_each_point! { push_ends_at:
    captured = "run::captured",
    journalled = "run::journalled",
    exchanged_unchecked = "dir::exchanged_unchecked",
    applied = "run::applied",
    recorded = "run::recorded",
}

#[test]
fn a_recovery_that_is_cut_short_is_begun_again() -> TestResult {
    let home = with_work_to_do()?;
    ended_at(&home, "dir::renamed_one", &["sync"])?;
    ended_at(&home, "recover::settled", &["sync"])?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    is_done(&home)?;
    daemon.stop()
}

#[test]
fn a_run_that_was_cut_short_counts_what_it_did() -> TestResult {
    let home = just_synced()?;
    ended_at(&home, "run::applied", &["undo"])?;
    let daemon = home.start()?;
    home.status_when_recovered()?;
    let runs = home.json_ok(&["history", "-n", "50"])?;
    let undo = runs["runs"]
        .as_array()
        .and_then(|runs| runs.iter().find(|run| run["verb"] == "undo"));
    ensure!(
        undo.is_some_and(|undo| undo["status"] == "interrupted"
            && undo["synced"] == 2
            && undo["removed"] == 1),
        "{undo:#?}"
    );
    daemon.stop()
}
