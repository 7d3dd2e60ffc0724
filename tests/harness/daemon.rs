//! A running homingd.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::{PATIENCE, TestResult, code, run};

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
