//! Sources that are reached over HTTP, beside what else brings the same files.

mod agent_sync;
mod curl;
mod git;
mod github;
mod http;
mod memory;
mod repository;
mod web;

use std::time::Duration;

use anyhow::{Context, Result};

use super::super::service::Service;
use super::super::table::{Peer, Table, Target, first_line};
use super::Bench;
use agent_sync::AgentSync;

/// How many files the rows have, and how long each is.
const FILES: usize = 500;
const BYTES: usize = 2_048;

/// What the section says before its table.
const ABOUT: &str = "\
Homing, its peers and the servers share this machine and speak over its loopback interface; homingd runs in the \
environment that the installed unit gives it. Times are wall-clock, medians of runs that alternate with the peers'; \
requests are counted in the server's log. Homing's time is that of the whole command `homing sync`, after which the \
files are published and durable; \"the run itself\" is what homingd tells of it. `curl --parallel` gets the files from \
nginx with one `--etag-save` and `--etag-compare` for each and is not durable when it ends. claude-mpm is driven by a \
script that calls its sync service, whose time is that of the call alone, without the start of Python; it keeps what \
it got in a cache and publishes nothing. GitHub is the emulator of the tests, which serves a Git repository of this \
machine; other Git repositories are served by nginx with `git http-backend`. What `git clone` and `git fetch` write is \
not durable when they end.";

/// The measured rows and what surrounds them.
pub(crate) struct Network {
    table: Table,
    versions: String,
}

impl Network {
    /// Measures all rows.
    pub(crate) fn measure(bench: &Bench<'_>, mut table: Table, python: &str) -> Result<Self> {
        let agent_sync = AgentSync::install(python);
        let mut versions = vec![
            format!("homing {}", env!("CARGO_PKG_VERSION")),
            version(&["curl", "--version"], 2)?,
            nginx_version()?,
            version(&["git", "--version"], 3)?,
        ];
        let agent_sync = match agent_sync {
            Ok(installed) => {
                versions.push(installed.describe());
                Some(installed)
            }
            Err(error) => {
                table.note(format!("claude-mpm was not measured: {error:#}"));
                None
            }
        };
        github::rows(bench, &mut table, agent_sync.as_ref()).context("GitHub")?;
        http::rows(bench, &mut table).context("HTTP")?;
        memory::rows(bench, &mut table).context("memory")?;
        git::rows(bench, &mut table).context("Git")?;
        Ok(Self {
            table,
            versions: versions.join(", "),
        })
    }

    /// Returns them as a section of the page.
    pub(crate) fn render(&self, title: &str) -> Result<String> {
        self.table.render_section(title, &self.versions, ABOUT)
    }
}

/// Times of one row, with the requests of the last run.
#[derive(Debug, Default)]
struct Measured {
    times: Vec<Duration>,
    requests: usize,
}

impl Measured {
    fn push(&mut self, (took, requests): (Duration, usize)) {
        self.times.push(took);
        self.requests = requests;
    }

    fn note(&self) -> String {
        match self.requests {
            1 => "1 request".to_owned(),
            many => format!("{many} requests"),
        }
    }

    fn peer(self, name: &'static str) -> Peer {
        Peer {
            name,
            note: self.note(),
            times: self.times,
        }
    }
}

/// Homing's times of one row: of the command and of the run in it.
#[derive(Debug, Default)]
struct Synced {
    command: Measured,
    run: Vec<Duration>,
}

impl Synced {
    /// Syncs the only source; `requests` tells how many the server got.
    fn sync(&mut self, service: &Service, requests: impl FnOnce() -> Result<usize>) -> Result<()> {
        let took = service.time(&["sync", "s0"])?;
        self.command.push((took, requests()?));
        let history = service.ask(&["history", "-n", "1"])?;
        let run = history["runs"][0]["duration_ms"].as_u64();
        let run = run.context("a run in the history has a duration")?;
        self.run.push(Duration::from_millis(run));
        Ok(())
    }

    fn row(&self, table: &mut Table, what: &str, peers: &[Peer], targets: &[Target]) {
        table.add_noted(
            what,
            &self.command.times,
            &self.command.note(),
            peers,
            targets,
        );
    }

    fn run_row(&self, table: &mut Table, targets: &[Target]) {
        table.add("… the run itself", &self.run, &[], targets);
    }
}

fn version(command: &[&str], words: usize) -> Result<String> {
    let line = first_line(std::process::Command::new(command[0]).args(&command[1..]))?;
    let words: Vec<&str> = line.split_whitespace().take(words).collect();
    Ok(words.join(" "))
}

/// nginx tells its version on standard error.
fn nginx_version() -> Result<String> {
    let output = std::process::Command::new("nginx").arg("-v").output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let version = text.trim().rsplit('/').next().unwrap_or("?");
    Ok(format!("nginx {version}"))
}
