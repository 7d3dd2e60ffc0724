//! What a sync writes: bug 4 of the predecessors.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::{nodes, skills};
use crate::api::figures;
use crate::github::Upstream;
use crate::harness::{Daemon, Home, TestResult, skip};

/// What was written so far.
#[derive(Debug, Clone, Copy)]
struct Written {
    /// Bytes that the process has handed to the system, whatever the file.
    bytes: u64,
    /// Transactions that write to the database.
    commits: u64,
}

impl Written {
    fn so_far(home: &Home, daemon: &Daemon) -> Result<Self> {
        let io = std::fs::read_to_string(format!("/proc/{}/io", daemon.pid()))?;
        let bytes = io.lines().find_map(|line| line.strip_prefix("wchar: "));
        let figures = figures(home)?;
        let name = "homing_store_transaction_duration_seconds_count{kind=\"write\"} ";
        let commits = figures.lines().find_map(|line| line.strip_prefix(name));
        Ok(Self {
            bytes: bytes.context("written bytes are counted")?.parse()?,
            commits: match commits {
                Some(commits) => commits.parse()?,
                None => bail!("{name}is missing in:\n{figures}"),
            },
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            bytes: self.bytes - before.bytes,
            commits: self.commits - before.commits,
        }
    }
}

/// Returns what a first sync of so many files and an unchanged one after it write.
fn of_files(files: usize) -> Result<(Written, Written)> {
    let upstream = Upstream::new(&nodes(&skills(files)))?;
    let daemon = upstream.home.start()?;
    upstream.home.status_when_recovered()?;
    let before = Written::so_far(&upstream.home, &daemon)?;
    let run = upstream.sync()?;
    ensure!(run["synced"] == files, "{run:#}");
    ensure!(upstream.requests().len() == 4);
    let synced = Written::so_far(&upstream.home, &daemon)?;
    upstream.sync()?;
    let unchanged = Written::so_far(&upstream.home, &daemon)?.since(synced);
    daemon.stop()?;
    Ok((synced.since(before), unchanged))
}

/// 4: the whole record was written anew for every file, and durably.
#[test]
fn what_is_written_grows_with_the_files_and_an_unchanged_run_writes_next_to_nothing() -> TestResult
{
    if !Path::new("/proc/self/io").exists() {
        return skip("this system does not count what a process writes");
    }
    let (few, _) = of_files(100)?;
    let (many, unchanged) = of_files(500)?;
    // A record for each file would be 400 more, and each as long as all.
    ensure!(many.commits <= few.commits + 20, "{few:?} {many:?}");
    ensure!(many.commits < 50, "{many:?}");
    ensure!(many.bytes < 8 * few.bytes, "{few:?} {many:?}");
    ensure!(many.bytes < 4 << 20, "{many:?}");
    ensure!(unchanged.commits < 10, "{unchanged:?}");
    ensure!(unchanged.bytes < 512 << 10, "{unchanged:?}");
    Ok(())
}
