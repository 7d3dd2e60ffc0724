//! A program that goes on while the test does something else.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::{PATIENCE, TestResult, code, run};

/// A program that goes on, ended when it is dropped. Standard output and standard error are read together.
pub(crate) struct Program {
    child: Child,
    pieces: Receiver<Vec<u8>>,
    said: Vec<u8>,
    /// What was said up to here has been looked at.
    seen: usize,
}

impl Program {
    /// Starts it.
    pub(crate) fn spawn(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{command:?} does not start"))?;
        let (sender, pieces) = channel();
        let stdout = child.stdout.take().context("standard output is a pipe")?;
        let stderr = child.stderr.take().context("standard error is a pipe")?;
        let streams: [Box<dyn Read + Send>; 2] = [Box::new(stdout), Box::new(stderr)];
        for mut stream in streams {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                // A terminal whose program has ended gives an error instead of an end.
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    if sender.send(buffer[..count].to_vec()).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self {
            child,
            pieces,
            said: Vec::new(),
            seen: 0,
        })
    }

    /// Waits until it says `text`, after what was waited for before.
    pub(crate) fn wait_for(&mut self, text: &str) -> TestResult {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rest = &self.said[self.seen..];
            let found = rest
                .windows(text.len())
                .position(|window| window == text.as_bytes());
            if let Some(at) = found {
                self.seen += at + text.len();
                return Ok(());
            }
            if !self.listen(deadline)? {
                bail!("it ended before it said {text:?}: {:?}", self.said());
            }
        }
    }

    /// Types into it.
    pub(crate) fn type_in(&mut self, text: &str) -> TestResult {
        let stdin = self
            .child
            .stdin
            .as_mut()
            .context("standard input is a pipe")?;
        stdin.write_all(text.as_bytes())?;
        Ok(stdin.flush()?)
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) -> TestResult {
        let mut command = Command::new("kill");
        command
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string());
        run(command)?.expect(0, &[])
    }

    /// Waits for its end and returns the exit code.
    pub(crate) fn wait(&mut self) -> Result<i32> {
        let deadline = Instant::now() + PATIENCE;
        while self.listen(deadline)? {}
        Ok(code(self.child.wait()?))
    }

    /// Returns everything that it has said so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }

    /// Takes in more of what it says; `false` when it has ended.
    fn listen(&mut self, deadline: Instant) -> Result<bool> {
        let patience = deadline.saturating_duration_since(Instant::now());
        match self.pieces.recv_timeout(patience) {
            Ok(piece) => {
                self.said.extend(piece);
                Ok(true)
            }
            Err(RecvTimeoutError::Disconnected) => Ok(false),
            Err(RecvTimeoutError::Timeout) => bail!("it does not go on: {:?}", self.said()),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}
