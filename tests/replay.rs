//! Real repositories, commit by commit: what is published is what `git archive` has.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::harness::{Home, TestResult};

/// Files with their bytes, and whether their owner may execute them.
type Files = BTreeMap<PathBuf, (bool, Vec<u8>)>;

/// A real repository whose branch `walk` moves commit by commit.
pub(crate) struct Replay {
    _scratch: tempfile::TempDir,
    pub(crate) repository: PathBuf,
    /// Only this subdirectory is published, if it is not empty.
    path: &'static str,
    commits: Vec<String>,
}

impl Replay {
    /// Makes one of a bundle and as many commits, spread over its history; `None`, visibly, where the bundle is not.
    pub(crate) fn of(bundle: &str, path: &'static str, commits: usize) -> Result<Option<Self>> {
        let Some(bundle) = testkit::real_bundle(bundle) else {
            return Ok(None);
        };
        let scratch = tempfile::tempdir()?;
        let repository = scratch.path().join("repository");
        let bundle = bundle.display().to_string();
        git(
            scratch.path(),
            &["clone", "--quiet", "--bare", &bundle, "repository"],
        )?;
        Ok(Some(Self {
            commits: self::commits(&repository, path, commits)?,
            _scratch: scratch,
            repository,
            path,
        }))
    }

    /// Returns the settings of a source that follows it.
    pub(crate) fn settings(&self) -> String {
        if self.path.is_empty() {
            "ref = \"walk\"".to_owned()
        } else {
            format!("ref = \"walk\"\npath = \"{}\"", self.path)
        }
    }

    /// Moves the branch from commit to commit; the source `community` must publish each in `agents` as `git archive` has
    /// it.
    pub(crate) fn run(&self, home: &Home) -> TestResult {
        let mut found: Files = BTreeMap::new();
        for (number, commit) in self.commits.iter().enumerate() {
            git(&self.repository, &["update-ref", "refs/heads/walk", commit])?;
            let run = sync(home)?;
            let mut expected = archive(&self.repository, commit, self.path)?;
            // What a tool would run or obey is not published unless the target allows it.
            for blocked in told(&run, "active") {
                ensure!(
                    expected.remove(Path::new(&blocked)).is_some(),
                    "{blocked} is blocked and not there"
                );
            }
            // A file that becomes a link is left as it is, and told.
            for link in told(&run, "link") {
                let link = PathBuf::from(link);
                if let Some(file) = found.get(&link) {
                    expected.insert(link, file.clone());
                }
            }
            let published = home.target("agents").snapshot()?;
            found = published
                .into_iter()
                .map(|(path, (mode, bytes))| (path, (mode & 0o100 != 0, bytes)))
                .collect();
            compare(&found, &expected, &format!("commit {number}, {commit}"))?;
        }
        Ok(())
    }
}

/// Syncs, and lets a plan continue that the guard has blocked: upstream does delete much at times.
fn sync(home: &Home) -> Result<Value> {
    let (document, _) = home.json(&["sync", "community"])?;
    let run = &document["runs"][0];
    if run["status"] != "blocked" {
        let links = told(run, "link");
        let items = run["items"].as_array().into_iter().flatten();
        let failed = items.filter(|item| item["action"] == "failed");
        let is_link = |item: &Value| links.iter().any(|link| item["path"] == link.as_str());
        ensure!(
            run["status"] == "success" || failed.clone().all(is_link),
            "{document:#}"
        );
        return Ok(run.clone());
    }
    let document = home.json_ok(&["sync", "community", "--accept-deletions"])?;
    Ok(document["runs"][0].clone())
}

fn told(run: &Value, kind: &str) -> Vec<String> {
    let problems = run["problems"].as_array().into_iter().flatten();
    problems
        .filter(|problem| problem["kind"] == kind)
        .filter_map(|problem| problem["path"].as_str())
        .map(str::to_owned)
        .collect()
}

/// Returns commits that change something there, spread over all of it, oldest first.
fn commits(repository: &Path, path: &str, count: usize) -> Result<Vec<String>> {
    let path = if path.is_empty() { "." } else { path };
    let all = git(repository, &["rev-list", "--reverse", "HEAD", "--", path])?;
    let all: Vec<&str> = all.lines().collect();
    ensure!(all.len() > count, "{} commits", all.len());
    Ok((1..=count)
        .map(|number| all[number * (all.len() - 1) / count].to_owned())
        .collect())
}

/// Returns the files of a commit as `git archive` packs them, without links, which are not published.
fn archive(repository: &Path, commit: &str, path: &str) -> Result<Files> {
    let tree = format!("{commit}:{path}");
    let packed = command(repository)
        .args(["archive", "--format=tar", &tree])
        .output()?;
    ensure!(packed.status.success(), "git archive {tree}");
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(packed.stdout.as_slice()).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            let executable = entry.header().mode()? & 0o100 != 0;
            files.insert(entry.path()?.into_owned(), (executable, bytes));
        }
    }
    Ok(files)
}

fn compare(found: &Files, expected: &Files, when: &str) -> TestResult {
    let all = found.keys().chain(expected.keys());
    let wrong: Vec<String> = all
        .filter(|path| found.get(*path) != expected.get(*path))
        .take(5)
        .map(|path| path.display().to_string())
        .collect();
    ensure!(wrong.is_empty(), "{when}: {wrong:?} are not as upstream");
    Ok(())
}

fn command(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
}

fn git(directory: &Path, arguments: &[&str]) -> Result<String> {
    let output = command(directory).args(arguments).output()?;
    ensure!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
