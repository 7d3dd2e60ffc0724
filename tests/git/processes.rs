//! What Homing starts ends with it, and is nobody else's.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use testkit::{GitRepository, GitSsh, Node};

use super::home;
use crate::harness::{TestResult, write};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until whoever is at the other end has gone, however much it says before.
fn expect_end(mut client: TcpStream) -> TestResult {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut said = [0; 1024];
    loop {
        match client.read(&mut said) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error).context("it goes on"),
        }
    }
}

#[test]
fn a_check_that_is_ended_leaves_no_git_behind() -> TestResult {
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let home = home(&format!("git://{}/x.git", silent.local_addr()?), "", "")?;
    let mut command = home.homing_command(&["source", "check", "community"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut check = command.process_group(0).spawn()?;
    let (client, _) = silent.accept()?;
    let group = i32::try_from(check.id()).ok().and_then(Pid::from_raw);
    kill_process_group(group.context("it has a group")?, Signal::TERM)?;
    expect_end(client)?;
    ensure!(!check.wait()?.success());
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn a_git_that_outlives_a_killed_homingd_is_ended_by_the_next_one() -> TestResult {
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let home = home(&format!("git://{}/x.git", silent.local_addr()?), "", "")?;
    let daemon = home.start()?;
    home.json_ok(&["sync", "community", "--no-wait"])?;
    let (client, _) = silent.accept()?;
    daemon.kill()?;
    let _daemon = home.start()?;
    expect_end(client)
}

#[test]
fn a_check_leaves_the_daemons_connections_alone() -> TestResult {
    let Some(server) = GitSsh::start()? else {
        return Ok(());
    };
    let repository = GitRepository::new()?;
    repository.commit("main", &[("a.md", Node::File(b"a\n"))])?;
    let home = home(&server.url(repository.path())?, "every = \"1h\"", "")?;
    let config = format!("[core]\nsshCommand = {}\n", server.command()?);
    write(&home.path(".gitconfig"), config.as_bytes())?;
    let daemon = home.start()?;
    home.json_ok(&["sync", "community"])?;
    ensure!(server.connections()? == 1);
    home.ok(&["source", "check", "community"])?;
    ensure!(server.connections()? == 2);
    home.json_ok(&["sync", "community"])?;
    ensure!(server.connections()? == 2, "its connection was ended");
    // Neither leaves anything behind.
    daemon.stop()?;
    let left: Result<Vec<_>, _> = std::fs::read_dir(home.root().join("run/homing/ssh"))?.collect();
    ensure!(left?.is_empty());
    Ok(())
}
