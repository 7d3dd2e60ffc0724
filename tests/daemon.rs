//! homingd's life: one at a time, signals, crashes, exit codes.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;

use anyhow::ensure;

use crate::harness::{Daemon, Home, ONE_SOURCE, TestResult};
use crate::history::of_sources;

#[test]
fn a_second_homingd_is_refused_with_the_pid_of_the_first() -> TestResult {
    let home = Home::with_one_source()?;
    let first = home.start()?;
    let refused = home.refused(&[])?;
    let pid = format!("another homingd (pid {}) holds ", first.pid());
    refused.expect(1, &["error:", &pid, "homingd.lock", "hint:"])?;
    ensure!(refused.stdout.is_empty(), "{refused}");
    home.ok(&["status"])?;
    first.stop()
}

#[test]
fn a_second_homingd_with_its_own_data_does_not_take_the_socket() -> TestResult {
    let home = Home::with_one_source()?;
    let first = home.start()?;
    let other = home.path("other-data");
    home.refused(&["--data-dir", &other.to_string_lossy()])?
        .expect(1, &["answers on", "hint:"])?;
    ensure!(!other.exists(), "it made what it cannot use");
    // One that has been there before has its lock, and no database is made in it.
    fs::DirBuilder::new().mode(0o700).create(&other)?;
    fs::File::create(other.join("homingd.lock"))?;
    home.refused(&["--data-dir", &other.to_string_lossy()])?
        .expect(1, &["answers on", "hint:"])?;
    ensure!(
        fs::read_dir(&other)?.count() == 1,
        "it made a database that it cannot use"
    );
    home.ok(&["status"])?;
    first.stop()
}

#[test]
fn after_a_change_of_the_socket_the_daemon_at_the_old_one_is_named() -> TestResult {
    let home = Home::with_one_source()?;
    let daemon = home.start()?;
    home.configure(&format!(
        "{ONE_SOURCE}\n[daemon]\nsocket = \"{{home}}/elsewhere/s.sock\"\n"
    ))?;
    let old = home.socket();
    let named = format!("--socket {}", old.display());
    home.homing(&["status"])?.expect(
        4,
        &["homingd is not running", "hint:", "restart it", &named],
    )?;
    home.ok(&["status", "--socket", &old.to_string_lossy()])?;
    daemon.stop()?;
    let outcome = home.homing(&["status"])?;
    ensure!(!outcome.stderr.contains("--socket"), "{outcome}");
    Ok(())
}

#[test]
fn a_stale_socket_is_replaced() -> TestResult {
    let home = Home::with_one_source()?;
    home.start()?.kill()?;
    ensure!(home.socket().exists(), "a killed daemon leaves its socket");
    let daemon = home.start()?;
    home.ok(&["status"])?;
    daemon.stop()?;
    ensure!(!home.socket().exists(), "a stopped daemon leaves no socket");
    Ok(())
}

#[test]
fn a_socket_that_nobody_ever_listened_on_for_us_is_replaced_too() -> TestResult {
    let home = Home::with_one_source()?;
    home.start()?.stop()?;
    drop(UnixListener::bind(home.socket())?);
    home.start()?.stop()
}

#[test]
fn a_file_in_the_place_of_the_socket_is_left_alone() -> TestResult {
    let home = Home::with_one_source()?;
    home.start()?.stop()?;
    fs::File::create(home.socket())?;
    home.refused(&[])?
        .expect(1, &["is not a socket", "hint:"])?;
    ensure!(home.socket().is_file());
    Ok(())
}

#[test]
fn sigterm_lets_a_run_finish() -> TestResult {
    let home = Home::with_one_source()?;
    for number in 0..300 {
        home.origin("team")
            .write(&format!("{number}.md"), format!("{number}\n"))?;
    }
    let daemon = home.start()?;
    home.ok(&["sync", "--no-wait"])?;
    daemon.stop()?;
    let daemon = home.start()?;
    let runs = of_sources(&home)?;
    ensure!(
        runs.len() == 1 && runs[0]["status"] == "success",
        "{runs:#?}"
    );
    ensure!(home.target("agents").snapshot()?.len() == 300);
    daemon.stop()
}

#[test]
fn sigint_ends_it_too_and_sighup_reloads() -> TestResult {
    let home = Home::with_one_source()?;
    let mut daemon = home.start()?;
    daemon.signal("HUP")?;
    daemon.wait_for_line("configuration reloaded")?;
    home.ok(&["status"])?;
    daemon.signal("INT")?;
    ensure!(daemon.wait()? == 0, "{}", daemon.log());
    ensure!(daemon.stdout()?.is_empty(), "homingd prints nothing");
    Ok(())
}

#[test]
fn a_crash_loses_nothing_and_the_next_start_shows_the_same() -> TestResult {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    origin.write("a.md", "one\n")?;
    origin.write("b.md", "two\n")?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    home.target("agents").write("a.md", "edited\n")?;
    home.ok(&["sync"])?;
    let tree = home.target("agents").snapshot()?;
    let history = of_sources(&home)?;
    let status = home.json_ok(&["status"])?;
    daemon.kill()?;

    let daemon = home.start()?;
    let after = of_sources(&home)?;
    ensure!(
        after == history,
        "the history is another one: {history:#?} became {after:#?}"
    );
    let again = home.status_when_recovered()?;
    for field in ["states", "files", "conflicts", "last_success"] {
        let (before, after) = (&status["sources"][0][field], &again["sources"][0][field]);
        ensure!(before == after, "`{field}` was {before} and is {after}");
    }
    home.ok(&["sync"])?;
    ensure!(home.target("agents").snapshot()? == tree);
    daemon.stop()
}

#[test]
fn a_run_that_is_killed_is_told_as_interrupted_and_the_next_one_completes_it() -> TestResult {
    let home = Home::with_one_source()?;
    for number in 0..400 {
        home.origin("team").write(
            &format!("dir{}/{number}.md", number % 7),
            format!("{number}\n"),
        )?;
    }
    let daemon = home.start()?;
    home.ok(&["sync", "--no-wait"])?;
    daemon.kill()?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    let expected = home.origin("team").texts()?;
    ensure!(
        home.target("agents").texts()? == expected,
        "the target is not what the origin is"
    );
    let statuses: Vec<_> = of_sources(&home)?
        .iter()
        .map(|run| run["status"].clone())
        .collect();
    ensure!(
        !statuses.iter().any(|status| status == "running"),
        "{statuses:?}"
    );
    daemon.stop()
}

#[test]
fn shutdown_over_the_interface_is_a_shutdown() -> TestResult {
    let home = Home::with_one_source()?;
    let mut daemon = home.start()?;
    let answer = crate::socket::request(
        &home,
        "POST /v1/shutdown HTTP/1.1\r\nHost: homing\r\nContent-Length: 0\r\n\r\n",
    )?;
    ensure!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    ensure!(daemon.wait()? == 0, "{}", daemon.log());
    Ok(())
}

#[test]
fn version_help_and_wrong_arguments() -> TestResult {
    let home = Home::new()?;
    let version = home.refused(&["--version"])?;
    version.expect(0, &[])?;
    ensure!(version.stdout.starts_with("homingd "), "{version}");
    ensure!(home.refused(&["--help"])?.stdout.contains("--check-store"));
    home.refused(&["--nonsense"])?
        .expect(2, &["--nonsense", "hint:"])?;
    home.refused(&["--config"])?.expect(2, &["--config"])?;
    ensure!(
        !home.data_dir().exists(),
        "a question made a data directory"
    );
    Ok(())
}

#[test]
fn without_any_configuration_it_runs_and_has_nothing_to_do() -> TestResult {
    let home = Home::new()?;
    let daemon = home.start()?;
    let status = home.json_ok(&["status"])?;
    ensure!(
        status["sources"].as_array().is_some_and(Vec::is_empty),
        "{status:#}"
    );
    home.ok(&["version"])?;
    daemon.stop()
}

#[test]
fn own_files_are_for_the_user_only_and_published_ones_are_not() -> TestResult {
    use std::os::unix::fs::PermissionsExt;

    let home = Home::with_one_source()?;
    home.origin("team").write("dir/a.md", "one\n")?;
    home.origin("team").write("big.bin", vec![7_u8; 2 << 20])?;
    let daemon: Daemon = home.start()?;
    home.ok(&["sync"])?;
    daemon.stop()?;
    let data = crate::harness::Tree(home.data_dir());
    for (path, (mode, _)) in data.snapshot()? {
        let rights_of_others = mode & 0o077;
        ensure!(
            rights_of_others == 0,
            "{} has mode {mode:o}",
            path.display()
        );
    }
    ensure!(fs::metadata(home.data_dir())?.permissions().mode() & 0o077 == 0);
    let published = fs::metadata(home.target("agents").path("dir/a.md"))?
        .permissions()
        .mode()
        & 0o777;
    ensure!(published == 0o644, "{published:o}");
    Ok(())
}
