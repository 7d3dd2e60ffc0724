//! Servers that are not what they were: what is published stays, and the reason is told.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Result, ensure};
use serde_json::Value;
use testkit::{GitRepository, GitSsh, Node};

use super::{home, serve, sync};
use crate::harness::{Home, TestResult, is_root, skip, write};

/// Syncs, which must fail; returns the error.
fn failure(home: &Home) -> Result<Value> {
    let (document, code) = home.json(&["sync", "community"])?;
    ensure!(code != 0, "{document:#}");
    Ok(document["runs"][0]["error"].clone())
}

#[test]
fn a_wrong_host_key_and_a_key_that_counts_no_more_leave_what_is_published() -> TestResult {
    let Some(server) = GitSsh::start()? else {
        return Ok(());
    };
    let repository = GitRepository::new()?;
    repository.commit("main", &[("a.md", Node::File(b"a\n"))])?;
    let home = home(&server.url(repository.path())?, "every = \"1h\"", "")?;
    // Each command has a connection of its own.
    let command = server.command()?;
    let config = format!("[core]\nsshCommand = {command} -oControlPath=none\n");
    write(&home.path(".gitconfig"), config.as_bytes())?;
    let _daemon = home.start()?;
    sync(&home)?;
    repository.commit("main", &[("a.md", Node::File(b"new\n"))])?;
    server.lock()?;
    let error = failure(&home)?;
    ensure!(error["kind"] == "auth", "{error:#}");
    home.target("agents").expect(&[("a.md", "a\n")])?;
    server.change_host_key()?;
    let error = failure(&home)?;
    ensure!(error["kind"] == "untrusted", "{error:#}");
    ensure!(error.to_string().contains("known_hosts"), "{error:#}");
    home.target("agents").expect(&[("a.md", "a\n")])
}

#[test]
fn a_server_that_hangs_is_not_waited_for() -> TestResult {
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let address = silent.local_addr()?;
    for url in [
        format!("git://{address}/x.git"),
        format!("ssh://x@{address}/x.git"),
        format!("https://{address}/x.git"),
    ] {
        let home = Home::new()?;
        home.configure(&format!(
            "[daemon]\nstall_timeout = \"1s\"\n[sources.community]\nkind = \"git\"\nurl = \"{url}\"\nevery = \"1h\"\n"
        ))?;
        let _daemon = home.start()?;
        let error = failure(&home)?;
        ensure!(error["kind"] == "stalled", "{url}: {error:#}");
    }
    Ok(())
}

#[test]
fn another_repository_in_its_place_is_told_and_waits_for_a_person() -> TestResult {
    let files: Vec<String> = (0..9).map(|number| format!("{number}.md")).collect();
    let nodes: Vec<_> = files
        .iter()
        .map(|name| (name.as_str(), Node::File(b"a\n")))
        .collect();
    let repository = GitRepository::new()?;
    repository.commit("main", &nodes)?;
    let Some((server, url)) = serve(repository.path())? else {
        return Ok(());
    };
    let home = home(&url, "every = \"1h\"", "")?;
    let _daemon = home.start()?;
    sync(&home)?;
    let published = home.target("agents").texts()?;
    ensure!(published.len() == 9);
    let other = GitRepository::new()?;
    other.commit("main", &[("other.md", Node::File(b"other\n"))])?;
    server.serve("agents.git", other.path())?;
    home.homing(&["sync", "community"])?
        .expect(7, &["--accept-deletions"])?;
    ensure!(home.target("agents").texts()? == published);
    // One that has nothing at all is no directory that could be mounted.
    let empty = GitRepository::new()?;
    server.serve("agents.git", empty.path())?;
    let outcome = home.homing(&["sync", "community"])?;
    outcome.expect(7, &["is empty", "--accept-root"])?;
    ensure!(!outcome.to_string().contains("mount"), "{outcome}");
    ensure!(home.target("agents").texts()? == published);
    Ok(())
}

#[test]
fn a_repository_of_somebody_else_is_told_as_that() -> TestResult {
    let repository = GitRepository::new()?;
    repository.commit("main", &[("a.md", Node::File(b"a\n"))])?;
    let mut home = home(&repository.path().display().to_string(), "", "")?;
    if !is_root()? || !home.hand_over()? {
        return skip("only root can act as somebody else");
    }
    let _daemon = home.start()?;
    fs::set_permissions(repository.path(), Permissions::from_mode(0o700))?;
    let error = failure(&home)?;
    ensure!(error["kind"] == "auth", "{error:#}");
    ensure!(error.to_string().contains("may not read"), "{error:#}");
    fs::set_permissions(repository.path(), Permissions::from_mode(0o755))?;
    let error = failure(&home)?;
    ensure!(error["kind"] == "auth", "{error:#}");
    ensure!(error.to_string().contains("safe.directory"), "{error:#}");
    Ok(())
}
