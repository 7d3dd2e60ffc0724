//! Looking after the state database: check, size, vacuum, backup, restore, prune.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::harness::{Home, TestResult, run};

/// A home with a source of three files that was synced; the daemon runs.
fn synced() -> Result<(Home, crate::harness::Daemon)> {
    let home = Home::with_one_source()?;
    for name in ["a.md", "b.md", "c.md"] {
        home.origin("team").write(name, format!("{name}\n"))?;
    }
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    Ok((home, daemon))
}

fn text(path: &std::path::Path) -> Result<&str> {
    path.to_str().context("it is UTF-8")
}

#[test]
fn a_sound_state_is_sound_and_its_size_is_told() -> TestResult {
    let (home, daemon) = synced()?;
    ensure!(home.ok(&["db", "check"])?.contains("sound"));
    ensure!(home.json_ok(&["db", "check", "--deep"])?["contents"] == 3);
    let size = home.json_ok(&["db", "size"])?;
    ensure!(
        size["contents"] == 3 && size["database"].as_u64() > Some(0),
        "{size:#}"
    );
    let vacuumed = home.json_ok(&["db", "vacuum"])?;
    ensure!(vacuumed["after"].as_u64() > Some(0), "{vacuumed:#}");
    home.ok(&["sync"])?;
    daemon.stop()
}

#[test]
fn a_content_whose_file_is_gone_is_found_and_fetched_again() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team")
        .write("large.bin", "x".repeat(2 << 20))?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    fs::remove_dir_all(home.data_dir().join("contents"))?;
    let (found, code) = home.json(&["db", "check"])?;
    ensure!(code == 1 && found["sound"] == false, "{found:#}");
    ensure!(
        found["lost_contents"][0].as_str().map(str::len) == Some(64),
        "{found:#}"
    );
    home.ok(&["sync"])?;
    ensure!(home.ok(&["db", "check", "--deep"])?.contains("sound"));
    daemon.stop()
}

#[test]
fn a_backup_is_restored_and_later_edits_stay() -> TestResult {
    let (home, daemon) = synced()?;
    let backup = home.path("backup.tar");
    let done = home.json_ok(&["db", "backup", text(&backup)?])?;
    ensure!(
        done["bytes"].as_u64() == Some(fs::metadata(&backup)?.len()),
        "{done:#}"
    );
    // All this happens after the backup: an update, an edit here, a deletion upstream.
    home.origin("team").write("a.md", "newer\n")?;
    home.ok(&["sync"])?;
    home.target("agents").write("b.md", "edited\n")?;
    home.origin("team").remove("c.md")?;

    let refused = home.homing(&["db", "restore", text(&backup)?])?;
    refused.expect(1, &["another homingd", "holds", "hint:"])?;
    daemon.stop()?;
    let restored = home.json_ok(&["db", "restore", text(&backup)?])?;
    let replaced = restored["replaced"].as_str().context("there was a state")?;
    ensure!(fs::metadata(replaced).is_ok(), "{replaced} is not there");

    let daemon = home.start()?;
    let status = home.status_when_recovered()?;
    ensure!(
        status["daemon"]["conditions"]
            .to_string()
            .contains("was restored"),
        "{status:#}"
    );
    home.homing(&["sync"])?;
    let target = home.target("agents");
    ensure!(target.read("a.md")? == "newer\n");
    ensure!(target.read("b.md")? == "edited\n", "an edit was lost");
    ensure!(
        target.read("c.md")? == "c.md\n",
        "it was deleted before anybody said so"
    );
    home.ok(&["db", "accept-rebuild"])?;
    home.homing(&["sync", "--accept-deletions"])?;
    ensure!(target.read("c.md").is_err());
    ensure!(target.read("b.md")? == "edited\n");
    daemon.stop()
}

#[test]
fn a_backup_never_writes_over_a_file_unless_it_is_told_to() -> TestResult {
    let (home, daemon) = synced()?;
    let file = home.path("mine.tar");
    crate::harness::write(&file, b"mine")?;
    let refused = home.homing(&["db", "backup", text(&file)?])?;
    refused.expect(1, &["is there already", "--force"])?;
    ensure!(fs::read_to_string(&file)? == "mine");
    home.ok(&["db", "backup", "--force", text(&file)?])?;
    ensure!(fs::metadata(&file)?.len() > 4);
    let nowhere = home.path("no/such/directory/backup.tar");
    home.homing(&["db", "backup", text(&nowhere)?])?
        .expect(1, &["could not write"])?;
    daemon.stop()
}

#[test]
fn a_backup_goes_through_a_pipe() -> TestResult {
    let (home, daemon) = synced()?;
    let mut command = home.homing_command(&["db", "backup", "-"]);
    let bytes = command.stderr(Stdio::inherit()).output()?.stdout;
    daemon.stop()?;
    let mut homingd = home.homingd(&["--restore-store", "-"]);
    let mut child = homingd
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .context("it is piped")?
        .write_all(&bytes)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success());
    ensure!(String::from_utf8_lossy(&output.stdout).contains("restored the backup"));
    Ok(())
}

#[test]
fn what_is_no_backup_is_refused_and_the_state_stays() -> TestResult {
    let (home, daemon) = synced()?;
    let backup = home.path("backup.tar");
    home.ok(&["db", "backup", text(&backup)?])?;
    daemon.stop()?;
    let whole = fs::read(&backup)?;
    let cut = home.path("cut.tar");
    crate::harness::write(&cut, &whole[..whole.len() / 2])?;
    let before = fs::read(home.data_dir().join("state.db"))?;
    home.homing(&["db", "restore", text(&cut)?])?
        .expect(1, &["could not restore", "no whole backup", "hint:"])?;
    let (problem, code) = home.json(&["db", "restore", text(&cut)?])?;
    ensure!(
        code == 1
            && problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("could not restore")),
        "{problem:#}"
    );
    home.homing(&["db", "restore", "/no/such/file"])?
        .expect(1, &["could not open /no/such/file"])?;
    ensure!(fs::read(home.data_dir().join("state.db"))? == before);
    Ok(())
}

#[test]
fn old_runs_are_forgotten_when_a_person_says_so() -> TestResult {
    let (home, daemon) = synced()?;
    home.ok(&["sync"])?;
    let kept = home.json_ok(&["history", "prune", "--older-than", "1d"])?;
    ensure!(kept["runs"] == 0, "{kept:#}");
    let pruned = home.json_ok(&["history", "prune", "--older-than", "1ms"])?;
    ensure!(pruned["runs"].as_u64() >= Some(2), "{pruned:#}");
    ensure!(
        home.json_ok(&["history"])?["runs"]
            .as_array()
            .is_some_and(Vec::is_empty)
    );
    home.ok(&["sync"])?;
    daemon.stop()
}

#[test]
fn the_store_is_examined_without_a_daemon() -> TestResult {
    let (home, daemon) = synced()?;
    daemon.stop()?;
    let mut command: Command = home.homingd(&["--check-store", "--json"]);
    command.stdin(Stdio::null());
    let outcome = run(command)?;
    outcome.expect(0, &[])?;
    let found: serde_json::Value = serde_json::from_str(&outcome.stdout)?;
    ensure!(
        found["sound"] == true && found["contents"] == 3,
        "{found:#}"
    );
    Ok(())
}
