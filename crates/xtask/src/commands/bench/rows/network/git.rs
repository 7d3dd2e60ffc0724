//! Git repositories over HTTP, beside the `git` command.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::{GitHttp, NginxOptions};

use super::super::super::delay;
use super::super::super::service::{AS_INSTALLED, Service};
use super::super::super::table::{Peer, Table, Target, median, verdict};
use super::super::Bench;
use super::super::files::count_files;
use super::repository::Repository;
use super::{BYTES, Measured, Synced};

/// Files of the repository that most rows are of.
const FILES: usize = 5_000;
/// Repositories that are looked at together, and the files of each.
const REPOSITORIES: usize = 100;
const SMALL: usize = 20;
/// What is added to each answer of a server that is far away.
const FAR: Duration = Duration::from_millis(50);

pub(super) fn rows(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let server = GitHttp::start(&NginxOptions::default(), true)?
        .context("nginx, fcgiwrap or git http-backend is missing")?;
    let mut changed = Vec::new();
    for files in [500, FILES, 50_000] {
        let name = format!("git/{files}");
        let repository = Repository::make(&bench.place.fresh(&name)?, files, BYTES)?;
        let contest = Contest {
            bench,
            url: serve(&server, &repository, &format!("{files}.git"))?,
            server: &server,
            repository,
            files,
        };
        changed.push((files, contest.measure(table)?));
    }
    let of = |wanted: usize| {
        let mut all = changed.iter();
        all.find(|(files, _)| *files == wanted)
            .map_or(f64::NAN, |(_, took)| *took)
    };
    table.tell(
        "… 50,000 files against 500",
        &format!("{:.2} ×", of(50_000) / of(500)),
        &verdict(of(50_000) / of(500), 2.0, "×"),
    );
    directory(bench, table, &server)?;
    many(bench, table, &server, None)?;
    many(bench, table, &server, Some(FAR))
}

fn serve(server: &GitHttp, repository: &Repository, name: &str) -> Result<String> {
    repository.allow_filters()?;
    server.serve(name, &repository.directory().join(".git"))
}

/// One repository, and whoever follows it.
struct Contest<'a> {
    bench: &'a Bench<'a>,
    server: &'a GitHttp,
    url: String,
    repository: Repository,
    files: usize,
}

impl Contest<'_> {
    /// Measures all rows of this repository, and returns the median of one that changed, in milliseconds.
    fn measure(&self, table: &mut Table) -> Result<f64> {
        let (mut first, mut cloned) = (Synced::default(), Measured::default());
        let mut last = None;
        for number in 0..self.bench.runs {
            drop(last.take());
            let base = self
                .bench
                .place
                .fresh(&format!("git/{}-{number}", self.files))?;
            let target = self
                .bench
                .place
                .fresh(&format!("git/{}-{number}/target", self.files))?;
            let sections = sections(0, &self.url, "path = \"agents\"\n", &target);
            let service = Service::start_with(
                self.bench.binaries,
                &base.join("home"),
                &sections,
                AS_INSTALLED,
            )?;
            self.homing(&service, &mut first)?;
            let clone = base.join("clone");
            cloned.push(self.timed(|| {
                git(
                    None,
                    &[
                        "clone".as_ref(),
                        "--quiet".as_ref(),
                        "--depth=1".as_ref(),
                        self.url.as_ref(),
                        clone.as_os_str(),
                    ],
                )
            })?);
            let count = count_files(&target)?;
            ensure!(count == self.files, "{count} files were published");
            last = Some((service, clone));
        }
        let (service, clone) = last.context("there is at least one run")?;
        if self.files == FILES {
            let what = "Git, 5,000 files of 2 KiB: first sync";
            let peers = [cloned.peer("git clone --depth 1")];
            first.row(
                table,
                what,
                &peers,
                &[Target::Ratio("git clone --depth 1", 1.3)],
            );
            let (_, most) = service.memory()?;
            table.tell(
                "… memory of homingd",
                &format!("at most {most:.1} MiB"),
                &verdict(most, 48.0, "MiB"),
            );
            self.unchanged(table, &service)?;
        }
        self.changed(table, &service, &clone)
    }

    fn unchanged(&self, table: &mut Table, service: &Service) -> Result<()> {
        let (mut homing, mut asked) = (Synced::default(), Measured::default());
        for _ in 0..self.bench.runs.max(10) {
            self.homing(service, &mut homing)?;
            asked.push(self.timed(|| {
                git(
                    None,
                    &["ls-remote".as_ref(), self.url.as_ref(), "HEAD".as_ref()],
                )
            })?);
        }
        let requests = homing.command.requests;
        ensure!(
            requests == 1,
            "an unchanged repository took {requests} requests"
        );
        let peers = [asked.peer("git ls-remote")];
        homing.row(
            table,
            "Git, unchanged",
            &peers,
            &[Target::Ratio("git ls-remote", 0.5)],
        );
        homing.run_row(table, &[Target::None]);
        Ok(())
    }

    fn changed(&self, table: &mut Table, service: &Service, clone: &Path) -> Result<f64> {
        let (mut homing, mut fetched) = (Synced::default(), Measured::default());
        for number in 0..self.bench.runs {
            self.repository.change(number)?;
            self.homing(service, &mut homing)?;
            fetched.push(self.timed(|| {
                git(
                    Some(clone),
                    &["fetch", "--quiet", "--depth=1"].map(OsStr::new),
                )?;
                git(
                    Some(clone),
                    &["reset", "--quiet", "--hard", "FETCH_HEAD"].map(OsStr::new),
                )
            })?);
        }
        let took = median(&homing.command.times);
        let what = format!("Git, one file of {} changed", self.files);
        let target = if self.files == FILES {
            Target::Ratio("fetch, reset", 0.8)
        } else {
            Target::None
        };
        homing.row(table, &what, &[fetched.peer("fetch, reset")], &[target]);
        Ok(took)
    }

    fn homing(&self, service: &Service, times: &mut Synced) -> Result<()> {
        self.bench.place.settle()?;
        self.server.requests()?;
        times.sync(service, || Ok(self.server.requests()?.len()))
    }

    fn timed(&self, work: impl FnOnce() -> Result<()>) -> Result<(Duration, usize)> {
        self.bench.place.settle()?;
        self.server.requests()?;
        let begun = Instant::now();
        work()?;
        let took = begun.elapsed();
        Ok((took, self.server.requests()?.len()))
    }
}

/// One directory of a repository that is far away.
fn directory(bench: &Bench<'_>, table: &mut Table, server: &GitHttp) -> Result<()> {
    let repository = bench.place.fresh("git/directory")?;
    let repository = Repository::make(&repository, FILES, BYTES)?;
    repository.add_directory("few", SMALL)?;
    let url = far(&serve(server, &repository, "directory.git")?, FAR)?;
    let (mut homing, mut cloned) = (Synced::default(), Measured::default());
    for number in 0..bench.runs {
        let base = bench.place.fresh(&format!("git/directory-{number}"))?;
        let target = bench
            .place
            .fresh(&format!("git/directory-{number}/target"))?;
        let sections = sections(0, &url, "path = \"few\"\n", &target);
        let service =
            Service::start_with(bench.binaries, &base.join("home"), &sections, AS_INSTALLED)?;
        bench.place.settle()?;
        server.requests()?;
        homing.sync(&service, || Ok(server.requests()?.len()))?;
        let count = count_files(&target)?;
        ensure!(count == SMALL, "{count} files were published");
        bench.place.settle()?;
        server.requests()?;
        let clone = base.join("clone");
        let begun = Instant::now();
        git(
            None,
            &[
                "clone".as_ref(),
                "--quiet".as_ref(),
                "--depth=1".as_ref(),
                url.as_ref(),
                clone.as_os_str(),
            ],
        )?;
        cloned.push((begun.elapsed(), server.requests()?.len()));
    }
    homing.row(
        table,
        "Git with 50 ms, 20 files in a directory of 5,000: first sync",
        &[cloned.peer("git clone --depth 1")],
        &[Target::Ratio("git clone --depth 1", 0.5)],
    );
    Ok(())
}

/// Many repositories that did not change.
fn many(
    bench: &Bench<'_>,
    table: &mut Table,
    server: &GitHttp,
    delay: Option<Duration>,
) -> Result<()> {
    let name = if delay.is_some() { "far" } else { "near" };
    let base = bench.place.fresh(&format!("git/many-{name}"))?;
    let mut config = String::new();
    let mut clones = Vec::new();
    let mut way = None;
    for number in 0..REPOSITORIES {
        let repository = bench.place.fresh(&format!("git/many-{name}/{number}"))?;
        let repository = Repository::make(&repository, SMALL, BYTES)?;
        let url = serve(server, &repository, &format!("{name}-{number}.git"))?;
        let url = match (delay, &way) {
            (None, _) => url,
            (Some(delay), None) => {
                let url = far(&url, delay)?;
                way = Some(url.clone());
                url
            }
            (Some(_), Some(first)) => with_host_of(&url, first)?,
        };
        let target = bench
            .place
            .fresh(&format!("git/many-{name}/targets/{number}"))?;
        write!(config, "{}", sections(number, &url, "", &target))?;
        let clone = base.join(format!("clone-{number}"));
        git(
            None,
            &[
                "clone".as_ref(),
                "--quiet".as_ref(),
                "--depth=1".as_ref(),
                url.as_ref(),
                clone.as_os_str(),
            ],
        )?;
        clones.push(clone);
    }
    let service = Service::start_with(bench.binaries, &base.join("home"), &config, AS_INSTALLED)?;
    service.time(&["sync", "--all", "--timeout", "300s"])?;
    let (mut homing, mut fetched) = (Measured::default(), Measured::default());
    for _ in 0..bench.runs {
        bench.place.settle()?;
        server.requests()?;
        let took = service.time(&["sync", "--all"])?;
        homing.push((took, server.requests()?.len()));
        bench.place.settle()?;
        let took = fetch_all(&clones)?;
        fetched.push((took, server.requests()?.len()));
    }
    let (what, target) = match delay {
        None => ("Git, 100 repositories of 20 files, unchanged", 0.35),
        Some(_) => ("… with 50 ms", 0.5),
    };
    let note = homing.note();
    let peer: Peer = fetched.peer("git fetch, 8 at once");
    table.add_noted(
        what,
        &homing.times,
        &note,
        &[peer],
        &[Target::Ratio("git fetch, 8 at once", target)],
    );
    Ok(())
}

fn fetch_all(clones: &[PathBuf]) -> Result<Duration> {
    let begun = Instant::now();
    let mut child = Command::new("xargs")
        .args(["-P8", "-I{}", "git", "-C", "{}", "fetch", "--quiet"])
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .spawn()?;
    let list: Vec<String> = clones
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let mut input = child.stdin.take().context("xargs reads")?;
    std::io::Write::write_all(&mut input, list.join("\n").as_bytes())?;
    drop(input);
    let status = child.wait()?;
    ensure!(status.success(), "xargs ended with {status}");
    Ok(begun.elapsed())
}

/// Returns the same URL by a longer way.
fn far(url: &str, delay: Duration) -> Result<String> {
    let rest = url.strip_prefix("http://").context("it is over HTTP")?;
    let (host, path) = rest.split_once('/').context("it has a path")?;
    let way = delay::begin(host.parse()?, delay)?;
    Ok(format!("http://{way}/{path}"))
}

fn with_host_of(url: &str, other: &str) -> Result<String> {
    let host = other.split('/').nth(2).context("it has a host")?;
    let path = url.splitn(4, '/').nth(3).context("it has a path")?;
    Ok(format!("http://{host}/{path}"))
}

fn sections(number: usize, url: &str, more: &str, target: &Path) -> String {
    format!(
        "[sources.s{number}]\nkind = \"git\"\nurl = \"{url}\"\nmax_files = 200000\n{more}\n\
         [targets.t{number}]\npath = \"{}\"\nfrom = [\"s{number}\"]\n\n",
        target.display()
    )
}

fn git(directory: Option<&Path>, arguments: &[&OsStr]) -> Result<()> {
    let mut command = Command::new("git");
    if let Some(directory) = directory {
        command.arg("-C").arg(directory);
    }
    let output = command
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        output.status.success(),
        "git: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
