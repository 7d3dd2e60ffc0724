//! claude-mpm's sync service, which Homing takes over from.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use testkit::github::GitHub;

use crate::shell::{root, run};

/// An installed claude-mpm, in a directory that goes with this value.
#[derive(Debug)]
pub(super) struct AgentSync {
    environment: TempDir,
    version: String,
    python: String,
}

impl AgentSync {
    /// Installs the newest that this Python takes.
    pub(super) fn install(python: &str) -> Result<Self> {
        let environment = tempfile::tempdir()?;
        run(Command::new(python)
            .args(["-m", "venv"])
            .arg(environment.path()))?;
        let program = environment.path().join("bin/python");
        run(Command::new(&program).args(["-m", "pip", "install", "--quiet", "claude-mpm"]))?;
        let ask = |code: &str| super::first_line(Command::new(&program).args(["-c", code]));
        Ok(Self {
            version: ask("from importlib.metadata import version; print(version('claude-mpm'))")?,
            python: ask("import platform; print(platform.python_version())")?,
            environment,
        })
    }

    /// Says which it is.
    pub(super) fn describe(&self) -> String {
        format!("claude-mpm {} on Python {}", self.version, self.python)
    }

    /// Syncs `agents` of the emulator's repository into the home and cache that are in `directory`.
    ///
    /// Returns how long that took, with the requests.
    pub(super) fn sync(
        &self,
        github: &GitHub,
        repository: &str,
        directory: &Path,
        files: u64,
    ) -> Result<(Duration, usize)> {
        github.renew();
        github.take_requests();
        let output = Command::new(self.environment.path().join("bin/python"))
            .arg(root().join("crates/xtask/bench/agent_sync.py"))
            .args([&github.api(), &github.files(), repository, "main", "agents"])
            .arg(directory.join("cache"))
            .env_clear()
            .env("HOME", directory)
            .env("PATH", "/usr/bin:/bin")
            .current_dir(directory)
            .stdin(Stdio::null())
            .output()?;
        ensure!(
            output.status.success(),
            "the agent sync ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        let told: Value = serde_json::from_slice(&output.stdout).context("it tells JSON")?;
        let count = |name: &str| told[name].as_u64().unwrap_or(0);
        ensure!(
            count("synced") + count("cached") == files,
            "the agent sync did not get all files: {told}"
        );
        let seconds = told["seconds"].as_f64().context("it tells its time")?;
        Ok((
            Duration::from_secs_f64(seconds),
            github.take_requests().len(),
        ))
    }
}
