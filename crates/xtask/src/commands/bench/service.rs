//! A `homingd` to measure, and the commands that ask it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::shell::Binaries;

/// A source directory and the target that it goes to.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// The source's root.
    pub(crate) source: PathBuf,
    /// The target's directory; equal ones are one target.
    pub(crate) target: PathBuf,
    /// When the source is synced by itself: lines of its section.
    pub(crate) schedule: &'static str,
}

/// A daemon with a home of its own.
#[derive(Debug)]
pub(crate) struct Service {
    binaries: (PathBuf, PathBuf),
    home: PathBuf,
    environment: &'static [(&'static str, &'static str)],
    daemon: Option<Child>,
}

/// What the unit that `homing service install` writes sets in the daemon's environment.
pub(crate) const AS_INSTALLED: &[(&str, &str)] = &[("MALLOC_ARENA_MAX", "2")];

impl Service {
    /// Makes a home with sources `s0`, `s1`, … and starts the daemon.
    pub(crate) fn start(binaries: &Binaries, home: &Path, pairs: &[Pair]) -> Result<Self> {
        let mut config = String::new();
        let mut targets: Vec<(&Path, Vec<String>)> = Vec::new();
        for (number, pair) in pairs.iter().enumerate() {
            writeln!(
                config,
                "[sources.s{number}]\nkind = \"dir\"\nroot = \"{}\"",
                pair.source.display()
            )?;
            writeln!(config, "max_files = 200000\n{}", pair.schedule)?;
            let name = format!("\"s{number}\"");
            match targets.iter_mut().find(|(path, _)| *path == pair.target) {
                Some((_, from)) => from.push(name),
                None => targets.push((&pair.target, vec![name])),
            }
        }
        for (number, (path, from)) in targets.iter().enumerate() {
            writeln!(
                config,
                "[targets.t{number}]\npath = \"{}\"\nfrom = [{}]\n",
                path.display(),
                from.join(", ")
            )?;
        }
        Self::start_with(binaries, home, &config, &[])
    }

    /// Makes a home with these sections of a configuration and starts the daemon in an environment with these variables.
    pub(crate) fn start_with(
        binaries: &Binaries,
        home: &Path,
        sections: &str,
        environment: &'static [(&'static str, &'static str)],
    ) -> Result<Self> {
        fs::create_dir_all(home.join(".config/homing"))?;
        fs::create_dir_all(home.join("run"))?;
        fs::set_permissions(home.join("run"), fs::Permissions::from_mode(0o700))?;
        let config = format!(
            "[daemon]\ndata_dir = \"{}\"\nlog = \"warn\"\n\n{sections}",
            home.join("data").display()
        );
        File::create(home.join(".config/homing/config.toml"))?.write_all(config.as_bytes())?;
        let mut service = Self {
            binaries: (binaries.homing.clone(), binaries.homingd.clone()),
            home: home.to_owned(),
            environment,
            daemon: None,
        };
        service.launch()?;
        Ok(service)
    }

    /// Changes the text of the configuration.
    pub(crate) fn reconfigure(&self, change: impl FnOnce(String) -> String) -> Result<()> {
        let path = self.home.join(".config/homing/config.toml");
        let text = change(fs::read_to_string(&path)?);
        // At once, as an editor does: a half file is no configuration.
        let new = path.with_extension("new");
        File::create(&new)?.write_all(text.as_bytes())?;
        Ok(fs::rename(new, path)?)
    }

    /// Starts the daemon and returns how long it took until it answered.
    pub(crate) fn launch(&mut self) -> Result<Duration> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.home.join("homingd.log"))?;
        let mut command = Command::new(&self.binaries.1);
        self.environment(&mut command);
        command.envs(self.environment.iter().copied());
        let begun = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let socket = self.socket();
        while UnixStream::connect(&socket).is_err() {
            ensure!(
                child.try_wait()?.is_none(),
                "homingd ended: {}",
                self.log()?
            );
            ensure!(
                begun.elapsed() < Duration::from_mins(1),
                "homingd does not answer: {}",
                self.log()?
            );
            thread::sleep(Duration::from_micros(500));
        }
        self.daemon = Some(child);
        self.ask(&["version"])?;
        Ok(begun.elapsed())
    }

    /// Runs a command that must end well and returns its document.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.binaries.0);
        self.environment(&mut command);
        let output = command.args(arguments).arg("--json").output()?;
        ensure!(
            output.status.success(),
            "`homing {}` ended with {}: {}{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr),
            self.log()?
        );
        serde_json::from_slice(&output.stdout).context("homing printed no JSON")
    }

    /// Runs a command as a person would, without JSON, and returns how long it took from start to end.
    pub(crate) fn time(&self, arguments: &[&str]) -> Result<Duration> {
        let mut command = Command::new(&self.binaries.0);
        self.environment(&mut command);
        command.args(arguments).stdout(Stdio::null());
        let begun = Instant::now();
        let output = command.output()?;
        let took = begun.elapsed();
        ensure!(
            output.status.success(),
            "`homing {}` ended with {}: {}{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr),
            self.log()?
        );
        Ok(took)
    }

    /// Starts a command and does not wait for it.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = Command::new(&self.binaries.0);
        self.environment(&mut command);
        Ok(command
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?)
    }

    /// Ends the daemon at whatever instruction it is.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.daemon.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Ends the daemon in an orderly way.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if let Some(mut child) = self.daemon.take() {
            let status = Command::new("kill").arg(child.id().to_string()).status()?;
            ensure!(status.success(), "homingd could not be told to stop");
            let status = child.wait()?;
            ensure!(
                status.success(),
                "homingd ended with {status}: {}",
                self.log()?
            );
        }
        Ok(())
    }

    /// Returns resident memory now and at its highest, in MiB.
    pub(crate) fn memory(&self) -> Result<(f64, f64)> {
        let pid = self.daemon.as_ref().context("no daemon runs")?.id();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let field = |name: &str| -> Option<f64> {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace()
                .nth(1)?
                .parse::<f64>()
                .ok()
                .map(|kib| kib / 1024.0)
        };
        Ok((
            field("VmRSS:").context("no VmRSS")?,
            field("VmHWM:").context("no VmHWM")?,
        ))
    }

    /// Returns the processor time that the daemon has used, in seconds.
    pub(crate) fn processor_seconds(&self) -> Result<f64> {
        let pid = self.daemon.as_ref().context("no daemon runs")?.id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = |index: usize| {
            fields
                .get(index)
                .and_then(|field| field.parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        // USER_HZ is 100 on every Linux that Rust runs on.
        Ok((ticks(11) + ticks(12)) / 100.0)
    }

    /// Returns the processor time of each thread that the daemon has, to the nanosecond: [`Self::processor_seconds`] is
    /// counted in steps of 10 ms.
    pub(crate) fn threads(&self) -> Result<BTreeMap<OsString, Duration>> {
        let pid = self.daemon.as_ref().context("no daemon runs")?.id();
        let mut threads = BTreeMap::new();
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let thread = thread?;
            // One that has ended since the directory was read is left out.
            let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else {
                continue;
            };
            let used = text.split_whitespace().next().unwrap_or_default();
            threads.insert(thread.file_name(), Duration::from_nanos(used.parse()?));
        }
        Ok(threads)
    }

    /// Returns where the daemon listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.home.join("run/homing/homingd.sock")
    }

    /// Returns the size of the database's file.
    pub(crate) fn database_bytes(&self) -> Result<u64> {
        Ok(fs::metadata(self.home.join("data/state.db"))?.len())
    }

    fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.home.join("homingd.log"))?)
    }

    fn environment(&self, command: &mut Command) {
        command
            .env_clear()
            .env("HOME", &self.home)
            .env("XDG_RUNTIME_DIR", self.home.join("run"));
        command.env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A failed measurement is told by its error; the daemon only has to be gone.
        drop(self.kill());
    }
}
