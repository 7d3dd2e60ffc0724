//! `homing status --watch`: a screen that follows what happens.

use anyhow::ensure;

use crate::harness::{Home, Program, TestResult, skip};

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
