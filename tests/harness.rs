//! A throwaway home, the daemon in it, and the command line.

mod daemon;
#[cfg(feature = "failpoints")]
mod gate;
mod program;
mod schema;
mod stream;
mod tree;

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use daemon::Daemon;
#[cfg(feature = "failpoints")]
pub(crate) use gate::Gate;
pub(crate) use program::Program;
pub(crate) use schema::Description;
pub(crate) use stream::Stream;
pub(crate) use tree::{Tree, write};

/// What every test returns.
pub(crate) type TestResult = Result<()>;

/// Far longer than anything takes: whoever waits this long waits for ever.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A home with nothing in it but what a test puts there.
pub(crate) struct Home {
    root: TempDir,
    /// Root's tests may act as somebody whom modes stop.
    ordinary_user: bool,
}

impl Home {
    /// Makes an empty home: `home` is `$HOME`, `run` the runtime directory, `origins` holds what sources read.
    pub(crate) fn new() -> Result<Self> {
        let root = tempfile::Builder::new().prefix("homing-").tempdir()?;
        for directory in ["home", "run", "origins"] {
            DirBuilder::new()
                .mode(0o700)
                .create(root.path().join(directory))?;
        }
        Ok(Self {
            root,
            ordinary_user: false,
        })
    }

    /// Gives everything to a user whom modes stop, and runs the commands as that user from now on.
    ///
    /// Whoever is not root is such a user already. Returns `false` where root cannot become another user.
    pub(crate) fn hand_over(&mut self) -> Result<bool> {
        if !is_root()? {
            return Ok(true);
        }
        self.ordinary_user = true;
        let mut probe = self.command(env!("CARGO_BIN_EXE_homingd"));
        probe.arg("--version").current_dir("/");
        if !run(probe).is_ok_and(|probed| probed.code == 0) {
            return Ok(false);
        }
        let mut chown = Command::new("/bin/chown");
        chown.arg("-R").arg(NOBODY).arg(self.root());
        run(chown)?.expect(0, &[])?;
        Ok(true)
    }

    /// Makes a home with one source, `team`, and one target, `agents`, that follows it.
    pub(crate) fn with_one_source() -> Result<Self> {
        Self::with_settings("", "")
    }

    /// Makes a home with one source and one target, whose sections have these lines too.
    pub(crate) fn with_settings(source: &str, target: &str) -> Result<Self> {
        let home = Self::new()?;
        home.make_origin("team")?;
        let (of_source, of_target) = ONE_SOURCE
            .split_once("\n[targets")
            .context("one source and one target")?;
        home.configure(&format!("{of_source}{source}\n[targets{of_target}{target}"))?;
        Ok(home)
    }

    /// Returns the directory of everything.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Returns a path below `$HOME`.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root().join("home").join(relative)
    }

    /// Returns the tree of the target directory `name`.
    pub(crate) fn target(&self, name: &str) -> Tree {
        Tree(self.path(name))
    }

    /// Returns the tree of the origin `name`.
    pub(crate) fn origin(&self, name: &str) -> Tree {
        Tree(self.root().join("origins").join(name))
    }

    /// Makes an origin's directory.
    pub(crate) fn make_origin(&self, name: &str) -> Result<Tree> {
        let tree = self.origin(name);
        fs::create_dir_all(&tree.0)?;
        Ok(tree)
    }

    /// Writes the configuration; `{origins}` and `{home}` stand for their directories.
    pub(crate) fn configure(&self, text: &str) -> Result<PathBuf> {
        let text = text
            .replace(
                "{origins}",
                &self.root().join("origins").display().to_string(),
            )
            .replace("{home}", &self.path("").display().to_string());
        let path = self.config_path();
        write(&path, text.as_bytes())?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(path)
    }

    /// Returns where the configuration is.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.path(".config/homing/config.toml")
    }

    /// Returns where the database is.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path(".local/share/homing")
    }

    /// Returns where the socket is.
    pub(crate) fn socket(&self) -> PathBuf {
        self.root().join("run/homing/homingd.sock")
    }

    /// Starts homingd and waits until it answers.
    pub(crate) fn start(&self) -> Result<Daemon> {
        self.start_with(&[], &[])
    }

    /// Starts homingd with arguments and variables, and waits until it answers.
    pub(crate) fn start_with(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Daemon> {
        let mut command = self.homingd(arguments);
        command.envs(variables.iter().copied());
        let mut daemon = Daemon::spawn(command)?;
        daemon.wait_for_line("ready")?;
        Ok(daemon)
    }

    /// Starts a homingd that is expected to end by itself, and waits for it.
    pub(crate) fn refused(&self, arguments: &[&str]) -> Result<Outcome> {
        run(self.homingd(arguments))
    }

    /// Returns a homingd that is not started yet.
    pub(crate) fn homingd(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_homingd"));
        command.args(arguments);
        command
    }

    /// Returns a `homing` on a terminal that is not started yet; `None` where there is no `script` to make one.
    /// The arguments are plain words.
    pub(crate) fn on_a_terminal(&self, arguments: &[&str]) -> Option<Command> {
        const SCRIPT: &str = "/usr/bin/script";
        if !Path::new(SCRIPT).exists() {
            return None;
        }
        let mut command = self.command(SCRIPT);
        let line = format!(
            "exec {} {}",
            env!("CARGO_BIN_EXE_homing"),
            arguments.join(" ")
        );
        command
            .args(["--quiet", "--return", "--flush", "--command", &line])
            .arg("/dev/null")
            .env("TERM", "xterm");
        Some(command)
    }

    /// Runs `homing` and returns how it ended.
    pub(crate) fn homing<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Outcome> {
        run(self.homing_command(arguments))
    }

    /// Returns a `homing` that is not started yet.
    pub(crate) fn homing_command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_homing"));
        command.args(arguments);
        command
    }

    /// Runs `homing`, which must succeed, and returns what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Result<String> {
        let outcome = self.homing(arguments)?;
        ensure!(
            outcome.code == 0,
            "`homing {}` ended with {outcome}",
            arguments.join(" ")
        );
        Ok(outcome.stdout)
    }

    /// Runs `homing … --json` and returns the document and the exit code.
    pub(crate) fn json(&self, arguments: &[&str]) -> Result<(Value, i32)> {
        let mut all = arguments.to_vec();
        all.push("--json");
        let outcome = self.homing(&all)?;
        let document = serde_json::from_str(&outcome.stdout)
            .with_context(|| format!("`homing {}` printed no JSON: {outcome}", all.join(" ")))?;
        Ok((document, outcome.code))
    }

    /// Runs `homing … --json`, which must succeed.
    pub(crate) fn json_ok(&self, arguments: &[&str]) -> Result<Value> {
        let (document, code) = self.json(arguments)?;
        ensure!(
            code == 0,
            "`homing {}` ended with {code}: {document:#}",
            arguments.join(" ")
        );
        Ok(document)
    }

    /// Returns `homing status` once every target was looked at after a start; each question takes some milliseconds.
    pub(crate) fn status_when_recovered(&self) -> Result<Value> {
        for _ in 0..500 {
            let status = self.json_ok(&["status"])?;
            if status["daemon"]["recovered"] == true {
                return Ok(status);
            }
        }
        bail!("homingd has not looked at its targets after 500 questions")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = if self.ordinary_user {
            let mut command = Command::new("/usr/bin/setpriv");
            command.args([
                "--reuid",
                NOBODY,
                "--regid",
                NOBODY,
                "--clear-groups",
                program,
            ]);
            command
        } else {
            Command::new(program)
        };
        command
            .env_clear()
            .env("HOME", self.path(""))
            .env("XDG_RUNTIME_DIR", self.root().join("run"))
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.path(""))
            .stdin(Stdio::null());
        command
    }
}

/// The user that owns nothing.
const NOBODY: &str = "65534";

/// One source that never pushes, one target.
pub(crate) const ONE_SOURCE: &str = r#"
[sources.team]
kind = "dir"
root = "{origins}/team"

[targets.agents]
path = "{home}/agents"
from = ["team"]
"#;

/// How a process ended and what it said.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit code; 128 and more for a signal.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Outcome {
    /// Fails unless the exit code and every text in the standard error are as expected.
    pub(crate) fn expect(&self, code: i32, texts: &[&str]) -> TestResult {
        ensure!(self.code == code, "expected exit code {code}, got {self}");
        for text in texts {
            ensure!(
                self.stderr.contains(text),
                "expected `{text}` in standard error, got {self}"
            );
        }
        Ok(())
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "code {}\n--- stdout\n{}\n--- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }
}

/// Runs a command to its end, which must come within [`PATIENCE`].
pub(crate) fn run(mut command: Command) -> Result<Outcome> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdout = collect(child.stdout.take().context("standard output is a pipe")?);
    let stderr = collect(child.stderr.take().context("standard error is a pipe")?);
    let Ok(stdout) = stdout.recv_timeout(PATIENCE) else {
        child.kill()?;
        child.wait()?;
        bail!(
            "{command:?} does not end; it said: {}",
            stderr.recv_timeout(PATIENCE).unwrap_or_default()
        );
    };
    let stderr = stderr
        .recv_timeout(PATIENCE)
        .context("standard error is closed with standard output")?;
    Ok(Outcome {
        code: code(child.wait()?),
        stdout,
        stderr,
    })
}

fn collect(mut stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        drop(read);
        sender
            .send(String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
    });
    receiver
}

fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;

    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Returns the lines of a table or list, for tests that look for one.
pub(crate) fn line_with<'a>(text: &'a str, words: &[&str]) -> Result<&'a str> {
    text.lines()
        .find(|line| words.iter().all(|word| line.contains(word)))
        .with_context(|| format!("no line has {words:?} in:\n{text}"))
}

/// Tells why a test does not run here, visibly.
#[allow(clippy::unnecessary_wraps, reason = "`return skip(…)` ends a test")]
pub(crate) fn skip(why: &str) -> TestResult {
    testkit::skipped(why);
    Ok(())
}

/// Tells whether the tests run as root.
pub(crate) fn is_root() -> Result<bool> {
    let mut command = Command::new("id");
    command.arg("-u");
    Ok(run(command)?.stdout.trim() == "0")
}
