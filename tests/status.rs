//! `homing status`: what it tells in detail, of what is stale, of what was done in part, and as a screen that follows
//! what happens.

use std::time::Instant;

use anyhow::ensure;

use crate::harness::{Home, ONE_SOURCE, PATIENCE, Program, TestResult, line_with, skip};

#[test]
fn a_detailed_status_tells_all_there_is_to_know() -> TestResult {
    let home = Home::with_one_source()?;
    home.configure(&ONE_SOURCE.replace("kind = \"dir\"", "kind = \"dir\"\nevery = \"2h\""))?;
    home.origin("team").write("a.md", "twelve bytes")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let text = home.ok(&["status", "--detailed"])?;
    for words in [
        &["root", "origins/team"][..],
        &["states", "synced"],
        &["conditions", "Ready (Synced)"],
        &["contents", "1 file, 12 B"],
        &["last attempt", ", sync, success"],
        &["last success", "(now)"],
        &["stale at", "(in "],
        &["next due", "(in"],
        &["hook", "none waits"],
        &["contents", "1 content, 12 B"],
        &["history", "run"],
    ] {
        line_with(&text, words)?;
    }
    let document = home.json_ok(&["status", "team", "--detailed"])?;
    let source = &document["sources"][0];
    ensure!(source["content_bytes"] == 12, "{document:#}");
    ensure!(source["stale_at"].is_string(), "{document:#}");
    ensure!(
        document["daemon"]["store"]["content_bytes"] == 12,
        "{document:#}"
    );
    ensure!(document["targets"] == serde_json::json!([]), "{document:#}");
    let document = home.json_ok(&["status", "agents", "--detailed"])?;
    ensure!(document["targets"][0]["hooks_waiting"] == 0, "{document:#}");
    home.homing(&["status", "nobody", "--detailed"])?
        .expect(8, &["nobody"])
}

#[test]
fn only_what_is_stale_is_listed() -> TestResult {
    let home = Home::with_one_source()?;
    home.make_origin("other")?.write("b.md", "two\n")?;
    home.origin("team").write("a.md", "one\n")?;
    let team = ONE_SOURCE.replace("kind = \"dir\"", "kind = \"dir\"\nstale_after = \"1s\"");
    let others = "[sources.other]\nkind = \"dir\"\nroot = \"{origins}/other\"\n
[sources.off]\nkind = \"dir\"\nroot = \"{origins}/off\"\nenabled = false\n";
    home.configure(&(team + others))?;
    let _daemon = home.start()?;
    home.ok(&["sync", "team"])?;
    // By its own limit; who was never synced and has no limit is not late.
    let asked_first = Instant::now();
    let text = loop {
        let text = home.ok(&["status", "--stale"])?;
        if !text.contains("nothing is stale") {
            break text;
        }
        ensure!(asked_first.elapsed() < PATIENCE, "{text}");
    };
    line_with(&text, &["team", "stale"])?;
    line_with(&text, &["stale: 1 of 2 enabled sources"])?;
    ensure!(!text.contains("other") && !text.contains("off"), "{text}");
    // By an age; who was never synced is older than any.
    let text = home.ok(&["status", "--stale=7d"])?;
    line_with(&text, &["no success for 7d: 1 of 2 enabled sources"])?;
    ensure!(text.contains("other") && !text.contains("team"), "{text}");
    home.ok(&["sync"])?;
    let text = home.ok(&["status", "--stale=7d"])?;
    ensure!(
        text.contains("nothing is stale: 2 enabled sources, all synced within 7d"),
        "{text}"
    );
    let text = home.ok(&["status", "other", "--stale"])?;
    ensure!(
        text.contains("nothing is stale: 1 enabled source"),
        "{text}"
    );
    // A target stands for its sources.
    let document = home.json_ok(&["status", "agents", "--stale=1ms", "--detailed"])?;
    ensure!(document["sources"][0]["id"] == "team", "{document:#}");
    ensure!(document["sources"][0]["content_bytes"] == 4, "{document:#}");
    let document = home.json_ok(&["status", "--stale=7d"])?;
    ensure!(document["sources"] == serde_json::json!([]), "{document:#}");
    home.homing(&["status", "nobody", "--stale"])?
        .expect(8, &["nobody"])
}

#[test]
fn what_was_done_in_part_is_no_success() -> TestResult {
    let home = Home::with_one_source()?;
    home.configure(&(ONE_SOURCE.to_owned() + "after = [\"/bin/false\"]\n"))?;
    home.origin("team").write("a.md", "one\n")?;
    let daemon = home.start()?;
    home.homing(&["sync"])?.expect(3, &[])?;
    let told = |home: &Home| -> TestResult {
        let text = home.ok(&["status"])?;
        line_with(&text, &["team", "hook failed", "never"])?;
        line_with(
            &text,
            &[
                "warning:",
                "the hook of target `agents` failed",
                "`homing run show",
            ],
        )?;
        line_with(&text, &["1 source (1 partial)"])?;
        let document = home.json_ok(&["status"])?;
        let ready = &document["sources"][0]["conditions"][0];
        ensure!(ready["status"] == false, "{document:#}");
        ensure!(ready["reason"] == "HookFailed", "{document:#}");
        Ok(())
    };
    told(&home)?;
    daemon.stop()?;
    let daemon = home.start()?;
    told(&home)?;

    // A success ends it.
    home.configure(ONE_SOURCE)?;
    home.ok(&["config", "reload"])?;
    home.ok(&["sync"])?;
    line_with(&home.ok(&["status"])?, &["team", "synced", "now"])?;

    // An item that fails is not here yet.
    let limit = ONE_SOURCE.replace("kind = \"dir\"", "kind = \"dir\"\nmax_file_size = \"4B\"");
    home.configure(&limit)?;
    home.ok(&["config", "reload"])?;
    home.origin("team").write("large.md", "more than four\n")?;
    home.homing(&["sync"])?.expect(3, &[])?;
    let text = home.ok(&["status"])?;
    line_with(&text, &["team", "outdated, partial"])?;
    line_with(&text, &["warning:", "large.md"])?;
    let before = home.json_ok(&["status"])?["sources"][0]["last_success"].clone();
    home.homing(&["sync"])?.expect(3, &[])?;
    let after = home.json_ok(&["status"])?["sources"][0].clone();
    ensure!(
        before.is_string() && after["last_success"] == before,
        "{after:#}"
    );
    ensure!(after["last_attempt"] != before, "{after:#}");
    daemon.stop()
}

#[test]
fn a_watch_needs_a_terminal() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    home.homing(&["status", "--watch"])?
        .expect(2, &["needs a terminal", "homing events --follow"])?;
    home.homing(&["status", "--watch", "--json"])?
        .expect(2, &[])
}

#[test]
fn a_watch_draws_what_changes_and_gives_the_terminal_back() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let daemon = home.start()?;
    home.status_when_recovered()?;
    let Some(command) = home.on_a_terminal(&["status", "--watch"]) else {
        return skip("there is no `script` to make a terminal with");
    };
    let mut watch = Program::spawn(command)?;
    watch.wait_for("\x1b[?1049h")?;
    watch.wait_for("never")?;
    home.ok(&["sync"])?;
    watch.wait_for("now")?;

    daemon.stop()?;
    watch.wait_for("this is how it was before")?;
    watch.wait_for("homingd is not running")?;
    let _daemon = home.start()?;
    home.origin("team").write("b.md", "two\n")?;
    home.ok(&["sync"])?;
    watch.wait_for("      2  now")?;
    watch.type_in("\x03")?;
    watch.wait_for("\x1b[?1049l")?;
    let code = watch.wait()?;
    ensure!(code == 0, "{code}: {}", watch.said());
    Ok(())
}

#[test]
fn a_watch_that_cannot_begin_is_an_error_and_no_screen() -> TestResult {
    let home = Home::with_one_source()?;
    let Some(command) = home.on_a_terminal(&["status", "--watch"]) else {
        return skip("there is no `script` to make a terminal with");
    };
    let mut watch = Program::spawn(command)?;
    let code = watch.wait()?;
    ensure!(code == 4, "{code}: {}", watch.said());
    ensure!(!watch.said().contains("\x1b[?1049h"), "{}", watch.said());
    let _daemon = home.start()?;
    if let Some(command) = home.on_a_terminal(&["status", "--watch", "nobody"]) {
        let mut watch = Program::spawn(command)?;
        let code = watch.wait()?;
        ensure!(code == 8, "{code}: {}", watch.said());
    }
    Ok(())
}

#[test]
fn an_output_that_is_lost_is_a_failure_with_a_word() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    if !std::path::Path::new("/dev/full").exists() {
        return skip("there is no /dev/full");
    }
    for line in ["status", "status --json", "sync", "config show"] {
        let mut command = std::process::Command::new("/bin/sh");
        let homing = env!("CARGO_BIN_EXE_homing");
        command
            .args(["-c", &format!("exec {homing} {line} > /dev/full")])
            .env_clear()
            .env("HOME", home.path(""))
            .env("XDG_RUNTIME_DIR", home.root().join("run"))
            .stdin(std::process::Stdio::null());
        let outcome = crate::harness::run(command)?;
        ensure!(outcome.code != 0, "{line}: {outcome}");
        ensure!(
            outcome.stderr.contains("the output could not be written")
                && outcome.stderr.contains("No space left on device"),
            "{line}: {outcome}"
        );
    }
    Ok(())
}

#[test]
fn what_is_only_skipped_does_not_make_a_run_partial() -> TestResult {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    origin.write("a.md", "one\n")?;
    std::os::unix::fs::symlink("a.md", origin.path("link.md"))?;
    let _daemon = home.start()?;
    for _ in 0..2 {
        let text = home.ok(&["sync"])?;
        line_with(&text, &["link:", "link.md"])?;
    }
    line_with(&home.ok(&["status"])?, &["team", "synced"])?;
    Ok(())
}
