//! A throwaway home, the daemon in it, and the command line.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

/// What every test returns.
pub(crate) type TestResult = Result<()>;

/// Far longer than anything takes: whoever waits this long waits for ever.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A home with nothing in it but what a test puts there.
pub(crate) struct Home {
    root: TempDir,
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
        Ok(Self { root })
    }

    /// Makes a home with one source, `team`, and one target, `agents`, that follows it.
    pub(crate) fn with_one_source() -> Result<Self> {
        let home = Self::new()?;
        home.make_origin("team")?;
        home.configure(ONE_SOURCE)?;
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

    /// Runs `homing` and returns how it ended.
    pub(crate) fn homing<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Outcome> {
        let mut command = self.command(env!("CARGO_BIN_EXE_homing"));
        command.args(arguments);
        run(command)
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

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
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

/// A running homingd, ended when it is dropped.
pub(crate) struct Daemon {
    child: Child,
    lines: Receiver<String>,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    /// Starts it and collects what it logs.
    pub(crate) fn spawn(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("homingd does not start")?;
        let errors = child.stderr.take().context("standard error is a pipe")?;
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = channel();
        let collected = Arc::clone(&log);
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let mut log = collected.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
                drop(log);
                // Nobody may be waiting any more.
                sender.send(line).unwrap_or_default();
            }
        });
        Ok(Self { child, lines, log })
    }

    /// Waits for a line of the log that has `text` in it.
    pub(crate) fn wait_for_line(&mut self, text: &str) -> TestResult {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) if line.contains(text) => return Ok(()),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    bail!("homingd did not say `{text}`:\n{}", self.log())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("homingd ended before it said `{text}`:\n{}", self.log())
                }
            }
        }
    }

    /// Returns everything that was logged so far.
    pub(crate) fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) -> TestResult {
        let mut command = Command::new("kill");
        command.arg(format!("-{name}")).arg(self.pid().to_string());
        run(command)?.expect(0, &[])
    }

    /// Asks it to end and waits for it; the exit code must be 0.
    pub(crate) fn stop(mut self) -> TestResult {
        self.signal("TERM")?;
        let code = self.wait()?;
        ensure!(code == 0, "homingd ended with {code}:\n{}", self.log());
        Ok(())
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(mut self) -> TestResult {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for its end and returns the exit code.
    pub(crate) fn wait(&mut self) -> Result<i32> {
        // Its standard error is closed when it has ended; until then lines come or the patience runs out.
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(code(self.child.wait()?)),
                Err(RecvTimeoutError::Timeout) => bail!("homingd does not end:\n{}", self.log()),
            }
        }
    }

    /// Returns what it printed on standard output, once it has ended.
    pub(crate) fn stdout(&mut self) -> Result<String> {
        let mut text = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut text)?;
        }
        Ok(text)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
        if thread::panicking() {
            let log = self.log();
            // Captured by the test runner and shown with the failure.
            std::io::stdout()
                .write_all(log.as_bytes())
                .unwrap_or_default();
        }
    }
}

/// A directory that tests write and read whole.
#[derive(Debug, Clone)]
pub(crate) struct Tree(pub(crate) PathBuf);

impl Tree {
    /// Returns a path in it.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.0.join(relative)
    }

    /// Writes a file as an editor does: a new file takes the place of the old one.
    pub(crate) fn write(&self, relative: &str, content: impl AsRef<[u8]>) -> TestResult {
        write(&self.path(relative), content.as_ref())
    }

    /// Reads a file as text.
    pub(crate) fn read(&self, relative: &str) -> Result<String> {
        let path = self.path(relative);
        fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
    }

    /// Removes a file.
    pub(crate) fn remove(&self, relative: &str) -> TestResult {
        let path = self.path(relative);
        fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))
    }

    /// Tells whether anything is under the path.
    pub(crate) fn has(&self, relative: &str) -> bool {
        fs::symlink_metadata(self.path(relative)).is_ok()
    }

    /// Returns every file with its bytes and its permissions; a link with where it points.
    pub(crate) fn snapshot(&self) -> Result<BTreeMap<PathBuf, (u32, Vec<u8>)>> {
        let mut found = BTreeMap::new();
        let mut waiting = vec![self.0.clone()];
        while let Some(directory) = waiting.pop() {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error)
                    if error.kind() == std::io::ErrorKind::NotFound && directory == self.0 =>
                {
                    continue;
                }
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("{} cannot be listed", directory.display()));
                }
            };
            for entry in entries {
                let path = entry?.path();
                let metadata = fs::symlink_metadata(&path)?;
                let relative = path.strip_prefix(&self.0)?.to_owned();
                let mode = metadata.permissions().mode();
                if metadata.is_dir() {
                    waiting.push(path);
                } else if metadata.is_symlink() {
                    found.insert(
                        relative,
                        (
                            mode,
                            fs::read_link(&path)?.into_os_string().into_encoded_bytes(),
                        ),
                    );
                } else if metadata.is_file() {
                    found.insert(relative, (mode, fs::read(&path)?));
                } else {
                    found.insert(relative, (mode, Vec::new()));
                }
            }
        }
        Ok(found)
    }

    /// Returns the names of all files with their text, to compare with what is expected.
    pub(crate) fn texts(&self) -> Result<BTreeMap<String, String>> {
        let snapshot = self.snapshot()?;
        let text = |(path, (_, bytes)): (PathBuf, (u32, Vec<u8>))| {
            (
                path.to_string_lossy().into_owned(),
                String::from_utf8_lossy(&bytes).into_owned(),
            )
        };
        Ok(snapshot.into_iter().map(text).collect())
    }

    /// Fails unless exactly these files with these texts are there.
    pub(crate) fn expect(&self, expected: &[(&str, &str)]) -> TestResult {
        let found = self.texts()?;
        let expected: BTreeMap<String, String> = expected
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        ensure!(
            found == expected,
            "{} holds {found:#?} and not {expected:#?}",
            self.0.display()
        );
        Ok(())
    }
}

/// Writes a file and the directories on the way, a temporary file first.
pub(crate) fn write(path: &Path, content: &[u8]) -> TestResult {
    let parent = path.parent().context("a file is in a directory")?;
    fs::create_dir_all(parent)?;
    let temporary = parent.join(format!(".test-{}", std::process::id()));
    File::create(&temporary)?.write_all(content)?;
    fs::rename(&temporary, path).with_context(|| format!("{} cannot be written", path.display()))
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
pub(crate) fn skip(why: &str) -> TestResult {
    std::io::stdout().write_all(format!("SKIPPED: {why}\n").as_bytes())?;
    Ok(())
}

/// Tells whether the tests run as root.
pub(crate) fn is_root() -> Result<bool> {
    let mut command = Command::new("id");
    command.arg("-u");
    Ok(run(command)?.stdout.trim() == "0")
}
