//! A connection to homingd that is kept open, and figures of many answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// From the first byte sent to the last one read.
    took: Duration,
    body: String,
}

/// A connection that is asked again and again.
#[derive(Debug)]
pub(crate) struct Kept {
    stream: BufReader<UnixStream>,
}

impl Kept {
    /// Connects.
    pub(crate) fn open(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_mins(2)))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends one request and reads its answer whole.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: homing\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let begun = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut status, mut length) = (String::new(), None, 0);
        loop {
            line.clear();
            ensure!(self.stream.read_line(&mut line)? > 0, "homingd hung up");
            let text = line.trim_end().to_ascii_lowercase();
            if text.is_empty() {
                break;
            }
            if let Some(number) = text.strip_prefix("http/1.1 ") {
                status = number.get(..3).and_then(|number| number.parse().ok());
            }
            if let Some(number) = text.strip_prefix("content-length: ") {
                length = number.parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answer {
            took: begun.elapsed(),
            status: status.context("an answer has a status")?,
            body: String::from_utf8(body)?,
        })
    }

    /// Asks what must succeed and returns how long it took.
    pub(crate) fn time(&mut self, method: &str, path: &str, body: &str) -> Result<Duration> {
        Ok(self.well(method, path, body)?.took)
    }

    /// Returns the sum of a histogram's observations, over all that have `label`: seconds, as homingd counts them.
    pub(crate) fn sum_of(&mut self, histogram: &str, label: &str) -> Result<f64> {
        let answer = self.well("GET", "/v1/metrics", "")?;
        let name = format!("{histogram}_sum");
        let lines = answer.body.lines().filter(|line| {
            let rest = line.strip_prefix(&name);
            rest.is_some_and(|rest| rest.contains(label))
        });
        let mut sum = 0.0;
        for line in lines {
            let value = line.rsplit(' ').next().context("a line has a value")?;
            sum += value.parse::<f64>()?;
        }
        Ok(sum)
    }

    fn well(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let answer = self.ask(method, path, body)?;
        let status = answer.status;
        ensure!(status < 300, "{method} {path} was answered with {status}");
        Ok(answer)
    }
}

/// Returns the value below which so many of a hundred times lie, in milliseconds.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted
        .get(at)
        .map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let times: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        assert!((percentile(&times, 50) - 100.0).abs() < 1e-9);
        assert!((percentile(&times, 99) - 198.0).abs() < 1e-9);
        assert!((percentile(&times[..1], 99) - 200.0).abs() < 1e-9);
        assert!(percentile(&[], 50).is_nan());
    }
}
