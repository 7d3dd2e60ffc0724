//! `homing pause` and `homing resume`.

use anyhow::{Context, ensure};

use crate::harness::{Home, TestResult, line_with};
use crate::history::of_sources;

const SCHEDULED: &str = r#"
[sources.team]
kind = "dir"
root = "{origins}/team"
every = "1s"
at_start = "never"

[sources.other]
kind = "dir"
root = "{origins}/other"
every = "1s"

[targets.agents]
path = "{home}/agents"
from = ["team", "other"]
"#;

fn scheduled() -> anyhow::Result<Home> {
    let home = Home::new()?;
    for name in ["team", "other"] {
        home.make_origin(name)?;
        home.origin(name).write(&format!("{name}.md"), "one\n")?;
    }
    home.configure(SCHEDULED)?;
    Ok(home)
}

#[test]
fn a_pause_outlives_a_restart_and_ends_with_a_catch_up() -> TestResult {
    let home = scheduled()?;
    let daemon = home.start()?;
    let text = home.ok(&["pause", "--for", "2h"])?;
    line_with(&text, &["everything is paused for", "until 20"])?;
    daemon.stop()?;

    let mut daemon = home.start()?;
    let status = home.ok(&["status"])?;
    line_with(&status, &["warning: everything is paused for"])?;
    line_with(&status, &["team", "paused"])?;
    let document = home.json_ok(&["status"])?;
    ensure!(
        document["daemon"]["paused"]["until"].is_string(),
        "{document:#}"
    );
    let before = of_sources(&home)?.len();

    // What a person asks for is done, and tells how late it is: until the turn of the other source has come and gone.
    let due = document["sources"][0]["next_due"].clone();
    let due = due.as_str().context("a time")?;
    let mut asked = 0;
    loop {
        home.ok(&["sync", "team"])?;
        asked += 1;
        let runs = of_sources(&home)?;
        ensure!(runs.len() == before + asked, "{runs:#?}");
        if runs[0]["started_at"].as_str().context("a time")? > due {
            break;
        }
    }
    let text = home.ok(&["pause", "other"])?;
    line_with(&text, &["other is paused until `homing resume`"])?;
    let text = home.ok(&["resume"])?;
    ensure!(
        text.starts_with("resumed: everything") && text.lines().count() == 1,
        "{text}"
    );
    let text = home.ok(&["resume"])?;
    ensure!(
        text == "there was no such pause to end\nnothing is paused\n",
        "{text}"
    );
    home.homing(&["pause", "--for", "0s"])?
        .expect(2, &["no time at all", "hint: give a time such as 30m"])?;
    daemon.wait_for_line("source=other")?;
    let runs = of_sources(&home)?;
    ensure!(
        runs.iter().any(|run| run["trigger"] == "resume"),
        "{runs:#?}"
    );
    daemon.stop()
}

#[test]
fn one_source_pauses_alone() -> TestResult {
    let home = scheduled()?;
    let mut daemon = home.start()?;
    let (document, code) = home.json(&["pause", "team", "--for", "90s"])?;
    ensure!(code == 0 && document["all"].is_null(), "{document:#}");
    ensure!(
        document["sources"]["team"]["until"].is_string(),
        "{document:#}"
    );
    daemon.wait_for_line("source=other")?;
    let status = home.json_ok(&["status"])?;
    let sources = status["sources"].as_array().cloned().unwrap_or_default();
    let paused = |name: &str| {
        let source = sources.iter().find(|source| source["id"] == name);
        source.is_some_and(|source| source["paused"]["since"].is_string())
    };
    ensure!(paused("team") && !paused("other"), "{status:#}");
    home.homing(&["resume", "team"])?.expect(0, &[])?;
    daemon.wait_for_line("source=team")?;
    daemon.stop()
}

#[test]
fn what_cannot_be_paused_is_refused_and_nothing_is_paused() -> TestResult {
    let home = scheduled()?;
    let daemon = home.start()?;
    home.homing(&["pause", "team", "nobody"])?
        .expect(8, &["nobody", "hint:"])?;
    home.homing(&["pause", "--for", "0s"])?
        .expect(2, &["no time at all"])?;
    home.homing(&["pause", "--for", "soon"])?
        .expect(2, &["soon"])?;
    let status = home.json_ok(&["status"])?;
    ensure!(status["daemon"]["paused"].is_null(), "{status:#}");
    ensure!(status["sources"][1]["paused"].is_null(), "{status:#}");
    daemon.stop()
}
