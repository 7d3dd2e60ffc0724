//! A repository at GitHub: first sync, unchanged, one file changed.

use std::path::Path;

use anyhow::{Result, ensure};
use testkit::github::GitHub;

use super::super::super::service::{AS_INSTALLED, Service};
use super::super::super::table::{Table, Target};
use super::super::Bench;
use super::super::files::count_files;
use super::agent_sync::AgentSync;
use super::curl::Curl;
use super::repository::Repository;
use super::web::Web;
use super::{BYTES, FILES, Measured, Synced};

/// What it is called at the emulator.
pub(super) const NAME: &str = "team/agents";

pub(super) fn rows(
    bench: &Bench<'_>,
    table: &mut Table,
    agent_sync: Option<&AgentSync>,
) -> Result<()> {
    let repository = bench.place.fresh("github/repository")?;
    let repository = Repository::make(&repository, FILES, BYTES)?;
    let github = GitHub::start()?;
    github.serve(NAME, repository.directory())?;
    let contest = Contest {
        bench,
        web: Web::serve(&repository, false)?,
        repository,
        github,
        agent_sync,
    };
    let round = contest.first(table)?;
    contest.unchanged(table, &round)?;
    contest.one_changed(table, &round)
}

/// Whoever brings the files, and from where.
struct Contest<'a> {
    bench: &'a Bench<'a>,
    repository: Repository,
    github: GitHub,
    web: Web,
    agent_sync: Option<&'a AgentSync>,
}

/// Homing and its peers, each with a directory of its own.
struct Round {
    service: Service,
    curl: Curl,
    agents: std::path::PathBuf,
}

/// The times of all.
#[derive(Default)]
struct Times {
    homing: Synced,
    curl: Measured,
    agent_sync: Measured,
}

impl Contest<'_> {
    fn first(&self, table: &mut Table) -> Result<Round> {
        let mut times = Times::default();
        let mut last = None;
        for number in 0..self.bench.runs {
            // The one before is not to run beside this one.
            drop(last.take());
            let round = self.begin(number)?;
            self.measure(&round, &mut times)?;
            let target = self.bench.place.fresh(&format!("github/{number}/target"))?;
            for directory in [target.as_path(), round.curl.directory()] {
                let count = count_files(directory)?;
                ensure!(count == FILES, "{count} files in {}", directory.display());
            }
            last = Some(round);
        }
        let what = "GitHub, 500 files of 2 KiB: first sync";
        self.row(table, what, times, &[Target::Ratio("curl", 2.0)]);
        Ok(last.expect("there is at least one run"))
    }

    fn unchanged(&self, table: &mut Table, round: &Round) -> Result<()> {
        let mut times = Times::default();
        for _ in 0..self.bench.runs {
            self.measure(round, &mut times)?;
        }
        let run = times.homing.run.clone();
        let requests = times.homing.command.requests;
        self.row(table, "GitHub, unchanged", times, &[Target::None]);
        let most = Target::Millis(10.0);
        table.add("… the run itself", &run, &[], &[most]);
        ensure!(
            requests == 1,
            "an unchanged repository took {requests} requests"
        );
        Ok(())
    }

    fn one_changed(&self, table: &mut Table, round: &Round) -> Result<()> {
        let mut times = Times::default();
        for number in 0..self.bench.runs {
            let path = self.repository.change(number)?;
            self.web.put(&self.repository, path)?;
            self.measure(round, &mut times)?;
        }
        self.row(table, "GitHub, one file changed", times, &[Target::None]);
        Ok(())
    }

    fn begin(&self, number: usize) -> Result<Round> {
        let place = self.bench.place;
        let base = place.fresh(&format!("github/{number}"))?;
        let target = place.fresh(&format!("github/{number}/target"))?;
        let sections = sections(&self.github, &target);
        let binaries = self.bench.binaries;
        let curl = place.fresh(&format!("github/{number}/curl"))?;
        Ok(Round {
            service: Service::start_with(binaries, &base.join("home"), &sections, AS_INSTALLED)?,
            curl: Curl::new(&curl, &self.web.base(), &self.repository.paths(), None)?,
            agents: place.fresh(&format!("github/{number}/agent-sync"))?,
        })
    }

    /// Has all of them bring what changed, one after the other.
    fn measure(&self, round: &Round, times: &mut Times) -> Result<()> {
        self.github.renew();
        self.bench.place.settle()?;
        self.github.take_requests();
        let requests = || Ok(self.github.take_requests().len());
        times.homing.sync(&round.service, requests)?;
        self.bench.place.settle()?;
        self.web.take_requests()?;
        let took = round.curl.get()?;
        times.curl.push((took, self.web.take_requests()?));
        if let Some(agent_sync) = self.agent_sync {
            self.bench.place.settle()?;
            let files = FILES as u64;
            let measured = agent_sync.sync(&self.github, NAME, &round.agents, files)?;
            times.agent_sync.push(measured);
        }
        Ok(())
    }

    fn row(&self, table: &mut Table, what: &str, times: Times, targets: &[Target]) {
        let mut peers = vec![times.curl.peer("curl")];
        if self.agent_sync.is_some() {
            peers.push(times.agent_sync.peer("claude-mpm"));
        }
        times.homing.row(table, what, &peers, targets);
    }
}

/// Returns the sections of a source at the emulator and of its target.
pub(super) fn sections(github: &GitHub, target: &Path) -> String {
    format!(
        "[sources.s0]\nkind = \"github\"\nurl = \"https://github.com/{NAME}\"\napi = \"{}\"\nref = \"main\"\n\
         path = \"agents\"\n\n[targets.t0]\npath = \"{}\"\nfrom = [\"s0\"]\n",
        github.api(),
        target.display()
    )
}
