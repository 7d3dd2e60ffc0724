//! Servers that go away and come back: told once, and made good without any command. Needs the feature `failpoints`,
//! for half a minute between attempts is long for a test.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use testkit::RawServer;

use crate::harness::{Daemon, Home, PATIENCE, TestResult};

const SOURCES: [&str; 2] = ["docs", "team"];

/// Two sources of a server each, which are synced by themselves.
struct World {
    home: Home,
    addresses: [SocketAddr; 2],
}

impl World {
    /// Makes one whose sources have these lines in their sections.
    fn new(lines: &str) -> Result<Self> {
        let home = Home::new()?;
        let free = [
            TcpListener::bind("127.0.0.1:0")?,
            TcpListener::bind("127.0.0.1:0")?,
        ];
        let addresses = [free[0].local_addr()?, free[1].local_addr()?];
        let mut sections = Vec::new();
        for (name, address) in SOURCES.iter().zip(addresses) {
            sections.push(format!(
                "[sources.{name}]\nkind = \"http\"\nurl = \"http://{address}/\"\nfiles = [\"{name}.md\"]\n{lines}\n"
            ));
        }
        let target = "[targets.agents]\npath = \"{home}/agents\"\nfrom = [\"docs\", \"team\"]\n";
        sections.push(target.to_owned());
        home.configure(&sections.concat())?;
        Ok(Self { home, addresses })
    }

    /// Starts homingd, which tries again soon what failed.
    fn start(&self) -> Result<Daemon> {
        let soon = [("FAILPOINTS", "engine::first_backoff=return(100)")];
        self.home.start_with(&[], &soon)
    }

    /// Starts both servers, which have files with this text.
    fn serve(&self, text: &'static str) -> Result<[RawServer; 2]> {
        let serve = |address| {
            RawServer::start_at(address, move |_, stream| {
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
                    text.len()
                )
                .ok();
            })
        };
        Ok([serve(self.addresses[0])?, serve(self.addresses[1])?])
    }

    /// Waits until both files have this text, without a word to homingd.
    fn wait_for_files(&self, text: &str) -> TestResult {
        let expected = SOURCES
            .map(|name| (format!("{name}.md"), text.to_owned()))
            .into();
        self.home
            .target("agents")
            .wait_until(|found| found == &expected)
    }

    /// Waits until status has as many `Offline` conditions, and returns it with their message.
    fn wait_for_offline(&self, sources: usize) -> Result<(Value, String)> {
        let since = Instant::now();
        loop {
            let status = self.home.json_ok(&["status"])?;
            let conditions = status["daemon"]["conditions"].as_array();
            let offline: Vec<&Value> = conditions
                .into_iter()
                .flatten()
                .filter(|condition| condition["type"] == "Offline")
                .collect();
            ensure!(offline.len() <= 1, "it is told more than once: {status:#}");
            let message = offline
                .first()
                .and_then(|offline| offline["message"].as_str())
                .unwrap_or_default()
                .to_owned();
            if SOURCES
                .iter()
                .filter(|name| message.contains(&format!("`{name}`:")))
                .count()
                == sources
                && offline.is_empty() == (sources == 0)
            {
                return Ok((status, message));
            }
            if since.elapsed() > PATIENCE {
                bail!("not {sources} sources are offline: {status:#}");
            }
        }
    }
}

fn stop(servers: [RawServer; 2]) {
    servers.into_iter().for_each(RawServer::stop);
}

/// Checks that each source has its line, with the time of its last success.
fn is_stale_since_its_success(status: &Value, message: &str) -> TestResult {
    for source in status["sources"].as_array().into_iter().flatten() {
        let name = source["id"].as_str().unwrap_or_default();
        let success = source["last_success"].as_str().unwrap_or("no success");
        let line = message
            .lines()
            .find(|line| line.starts_with(&format!("`{name}`:")));
        ensure!(
            line.is_some_and(|line| line.contains(&format!("stale since {success}"))),
            "{name}, {success}: {message}"
        );
    }
    Ok(())
}

#[test]
fn servers_that_went_away_and_came_back_are_synced_without_a_command() -> TestResult {
    let world = World::new("every = \"1s\"")?;
    let mut servers = world.serve("one\n")?;
    let daemon = world.start()?;
    world.wait_for_files("one\n")?;
    world.wait_for_offline(0)?;
    for text in ["two\n", "three\n"] {
        let before = world.home.target("agents").snapshot()?;
        stop(servers);
        let (status, message) = world.wait_for_offline(2)?;
        is_stale_since_its_success(&status, &message)?;
        ensure!(world.home.target("agents").snapshot()? == before);
        servers = world.serve(text)?;
        world.wait_for_files(text)?;
        world.wait_for_offline(0)?;
    }
    daemon.stop()
}

#[test]
fn one_server_that_answers_is_a_network() -> TestResult {
    let world = World::new("every = \"1s\"")?;
    let [docs, team] = world.serve("one\n")?;
    let daemon = world.start()?;
    world.wait_for_files("one\n")?;
    team.stop();
    let since = Instant::now();
    loop {
        let (status, _) = world.wait_for_offline(0)?;
        let failures = status["sources"].to_string().contains("no connection");
        if failures {
            break;
        }
        ensure!(since.elapsed() < PATIENCE, "{status:#}");
    }
    docs.stop();
    world.wait_for_offline(2)?;
    daemon.stop()
}

#[test]
fn a_start_without_servers_that_never_synced_publishes_when_they_come() -> TestResult {
    let world = World::new("every = \"1h\"")?;
    let daemon = world.start()?;
    let (_, message) = world.wait_for_offline(2)?;
    ensure!(message.matches("never synced").count() == 2, "{message}");
    ensure!(!world.home.target("agents").has(""));
    let _servers = world.serve("one\n")?;
    world.wait_for_files("one\n")?;
    world.wait_for_offline(0)?;
    daemon.stop()
}

#[test]
fn a_start_without_servers_keeps_what_was_synced_and_goes_on_when_they_come() -> TestResult {
    let world = World::new("every = \"1h\"\nat_start = \"always\"")?;
    let servers = world.serve("one\n")?;
    let daemon = world.start()?;
    world.wait_for_files("one\n")?;
    daemon.stop()?;
    stop(servers);
    let before = world.home.target("agents").snapshot()?;
    let daemon = world.start()?;
    let (status, message) = world.wait_for_offline(2)?;
    is_stale_since_its_success(&status, &message)?;
    ensure!(world.home.target("agents").snapshot()? == before);
    let _servers = world.serve("two\n")?;
    world.wait_for_files("two\n")?;
    world.wait_for_offline(0)?;
    daemon.stop()
}
