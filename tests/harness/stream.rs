//! The stream of events, read as it comes over the socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{Home, PATIENCE};

/// An open stream of events.
pub(crate) struct Stream {
    reader: BufReader<UnixStream>,
}

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

impl Told {
    /// Returns the number in its id.
    pub(crate) fn number(&self) -> Result<u64> {
        let (_, number) = self.id.rsplit_once(':').context("an id has a number")?;
        Ok(number.parse()?)
    }
}

impl Stream {
    /// Opens it and reads the head; `last` is the id of the last event that was read.
    pub(crate) fn open(home: &Home, last: Option<&str>) -> Result<Self> {
        let mut stream = UnixStream::connect(home.socket())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let last = last.map(|last| format!("Last-Event-ID: {last}\r\n"));
        let request = format!(
            "GET /v1/events HTTP/1.1\r\nHost: homing\r\n{}\r\n",
            last.unwrap_or_default()
        );
        stream.write_all(request.as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            ensure!(reader.read_line(&mut head)? > 0, "no whole head: {head}");
        }
        ensure!(
            head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"),
            "{head}"
        );
        Ok(Self { reader })
    }

    /// Waits for the next event; `None` when the stream has ended.
    pub(crate) fn next(&mut self) -> Result<Option<Told>> {
        let (mut name, mut id, mut data) = (String::new(), String::new(), None);
        loop {
            let mut line = String::new();
            // Sizes of chunks stand on lines of their own, and are no fields.
            if self.reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.trim_end().split_once(": ") {
                Some(("event", value)) => value.clone_into(&mut name),
                Some(("id", value)) => value.clone_into(&mut id),
                Some(("data", value)) => data = Some(serde_json::from_str(value)?),
                _ => {}
            }
            if line == "\n"
                && let Some(data) = data.take()
            {
                return Ok(Some(Told { name, id, data }));
            }
        }
    }

    /// Waits for an event that is `wanted`.
    pub(crate) fn until(&mut self, wanted: impl Fn(&Told) -> bool) -> Result<Told> {
        let mut passed = Vec::new();
        while let Some(told) = self.next()? {
            if wanted(&told) {
                return Ok(told);
            }
            passed.push(told.name);
        }
        bail!("the stream ended after {passed:?}")
    }

    /// Waits for the phase of a run, and returns the run's number.
    pub(crate) fn until_phase(&mut self, phase: &str) -> Result<i64> {
        let told =
            self.until(|told| told.name == "run-phase" && told.data["progress"]["phase"] == phase)?;
        told.data["run"].as_i64().context("a run has a number")
    }

    /// Waits for the end of a run, and returns the run.
    pub(crate) fn until_finished(&mut self, run: i64) -> Result<Value> {
        let told =
            self.until(|told| told.name == "run-finished" && told.data["run"]["id"] == run)?;
        Ok(told.data["run"].clone())
    }
}
