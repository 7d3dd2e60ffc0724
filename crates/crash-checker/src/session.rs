//! Starts, asks and kills the real programs, each with an empty environment and the world's own home.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// How long a program may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The command line.
    pub homing: PathBuf,
    /// The daemon, built with the feature `failpoints`.
    pub homingd: PathBuf,
}

/// What a command answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed, as JSON; null when it printed something else.
    pub json: Value,
    /// What it complained about.
    pub stderr: String,
}

/// A command that runs while the history goes on.
#[derive(Debug)]
pub struct Running {
    child: Child,
    command: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// The programs of one world.
#[derive(Debug)]
pub struct Session {
    binaries: Binaries,
    home: PathBuf,
    daemon: Option<Child>,
    /// When set, the daemon sees this file's text as the boot id of the machine.
    boot_id: Option<PathBuf>,
    commands: u32,
    /// Failpoints of every start.
    standing: Option<&'static str>,
}

impl Session {
    fn new(binaries: Binaries, home: PathBuf) -> Self {
        Self {
            binaries,
            home,
            daemon: None,
            boot_id: None,
            commands: 0,
            standing: None,
        }
    }

    /// Makes a home with that configuration and returns its session.
    pub fn prepare(binaries: Binaries, home: &Path, config: &str) -> Result<Self> {
        for directory in ["", ".config/homing", "run"] {
            fs::create_dir_all(home.join(directory))?;
        }
        // The daemon refuses a socket's directory that others may write.
        fs::set_permissions(home.join("run"), fs::Permissions::from_mode(0o700))?;
        File::create(home.join(".config/homing/config.toml"))?.write_all(config.as_bytes())?;
        Ok(Self::new(binaries, home.to_owned()))
    }

    /// Replaces the configuration. The daemon reads it when it starts.
    pub fn reconfigure(&self, config: &str) -> Result<()> {
        let file = self.home.join(".config/homing/config.toml");
        File::create(file)?.write_all(config.as_bytes())?;
        Ok(())
    }

    /// Sets a failpoint for every start from now on, for example one that makes a system call fail.
    pub fn always(&mut self, failpoint: &'static str) {
        self.standing = Some(failpoint);
    }

    /// Makes the daemon see another boot id from its next start on, as after a power cut.
    pub fn pretend_boot(&mut self, id: &str) -> Result<()> {
        let path = self.home.join("boot-id");
        File::create(&path)?.write_all(format!("{id}\n").as_bytes())?;
        self.boot_id = Some(path);
        Ok(())
    }

    /// Starts the daemon and waits until it answers. `failpoints` is in the syntax of the crate `fail`.
    pub fn start(&mut self, failpoints: Option<&str>) -> Result<()> {
        debug_assert!(self.daemon.is_none(), "one daemon at a time");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.home.join("homingd.log"))?;
        let mut command = match &self.boot_id {
            None => Command::new(&self.binaries.homingd),
            Some(path) => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "sh", "-c"]);
                command.arg("mount --bind \"$1\" /proc/sys/kernel/random/boot_id && exec \"$2\"");
                command.arg("sh").arg(path).arg(&self.binaries.homingd);
                command
            }
        };
        self.environment(&mut command);
        let points: Vec<&str> = self.standing.into_iter().chain(failpoints).collect();
        if !points.is_empty() {
            command.env("FAILPOINTS", points.join(";"));
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let mut child = child.context("could not start homingd")?;
        let begun = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            if let Some(status) = child.try_wait()? {
                if status.code().is_none() && failpoints.is_some() {
                    // A point on the way to readiness: as good a place to die as any.
                    return Ok(());
                }
                bail!("homingd ended at its start: {status}\n{}", self.log_tail());
            }
            if begun.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                bail!(
                    "homingd does not answer after {PATIENCE:?}\n{}",
                    self.log_tail()
                );
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.daemon = Some(child);
        Ok(())
    }

    /// Tells whether the daemon runs.
    pub fn is_alive(&mut self) -> Result<bool> {
        let Some(child) = &mut self.daemon else {
            return Ok(false);
        };
        if let Some(status) = child.try_wait()? {
            self.daemon = None;
            // `abort` at a failpoint and our own SIGKILL are signals; an orderly exit in mid-life is a defect.
            if let Some(code) = status.code() {
                bail!(
                    "homingd ended by itself with code {code}\n{}",
                    self.log_tail()
                );
            }
            return Ok(false);
        }
        Ok(true)
    }

    /// Ends the daemon at whatever instruction it is.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.daemon.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Ends the daemon in an orderly way.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.daemon.take() else {
            return Ok(());
        };
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let status = wait(&mut child, "homingd after SIGTERM")?;
        if !status.success() && status.code().is_some() {
            bail!(
                "homingd ended with {status} after SIGTERM\n{}",
                self.log_tail()
            );
        }
        Ok(())
    }

    /// Runs a command to its end.
    pub fn run(&mut self, arguments: &[&str]) -> Result<Answer> {
        let running = self.begin(arguments)?;
        self.finish(running)
    }

    /// Starts a command.
    pub fn begin(&mut self, arguments: &[&str]) -> Result<Running> {
        self.commands += 1;
        let stdout = self.home.join(format!("out-{}", self.commands));
        let stderr = self.home.join(format!("err-{}", self.commands));
        let mut command = Command::new(&self.binaries.homing);
        self.environment(&mut command);
        command.args(arguments).arg("--json").stdin(Stdio::null());
        command
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?);
        let child = command.spawn().context("could not start homing")?;
        Ok(Running {
            child,
            command: arguments.join(" "),
            stdout,
            stderr,
        })
    }

    /// Waits for a command.
    pub fn finish(&mut self, mut running: Running) -> Result<Answer> {
        let what = format!("`homing {}`", running.command);
        let status = wait(&mut running.child, &what).with_context(|| self.log_tail())?;
        let stdout = fs::read(&running.stdout)?;
        let stderr = String::from_utf8_lossy(&fs::read(&running.stderr)?).into_owned();
        fs::remove_file(&running.stdout)?;
        fs::remove_file(&running.stderr)?;
        let json = serde_json::from_slice(&stdout).unwrap_or(Value::Null);
        if status.success() && json.is_null() {
            bail!(
                "{what} ended well and printed no JSON:\n{}",
                String::from_utf8_lossy(&stdout)
            );
        }
        Ok(Answer {
            code: status.code(),
            json,
            stderr,
        })
    }

    /// Returns the last lines that the daemon logged.
    pub fn log_tail(&self) -> String {
        let log = fs::read(self.home.join("homingd.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        format!(
            "the end of homingd's log:\n{}",
            lines[lines.len().saturating_sub(25)..].join("\n")
        )
    }

    fn socket(&self) -> PathBuf {
        self.home.join("run/homing/homingd.sock")
    }

    fn environment(&self, command: &mut Command) {
        command
            .env_clear()
            .env("HOME", &self.home)
            .env("XDG_RUNTIME_DIR", self.home.join("run"));
        command
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("RUST_BACKTRACE", "1")
            .current_dir(Path::new("/"));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            // Nothing is left to tell of an error here, and the world goes away.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn wait(child: &mut Child, what: &str) -> Result<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if begun.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            bail!("{what} hangs: no end after {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(1));
    }
}
