//! A point of the daemon at which it waits until a test lets it go on.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{Daemon, Home};

/// A gate at a `kill_point!`; needs the feature `failpoints`.
pub(crate) struct Gate {
    pipe: PathBuf,
    point: String,
    passes: usize,
}

impl Gate {
    /// Makes a gate, which is closed.
    pub(crate) fn at(home: &Home, point: &str) -> Result<Self> {
        Self::after(0, home, point)
    }

    /// Makes a gate that lets `passes` go by before it closes.
    pub(crate) fn after(passes: usize, home: &Home, point: &str) -> Result<Self> {
        let pipe = home
            .root()
            .join(format!("gate {}", point.replace(':', "-")));
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        Ok(Self {
            pipe,
            point: point.to_owned(),
            passes,
        })
    }

    /// Returns what `FAILPOINTS` has to say for it.
    pub(crate) fn configuration(&self) -> Result<String> {
        let Self {
            pipe,
            point,
            passes,
        } = self;
        let pipe = pipe.to_str().context("its path is text")?;
        let first = match passes {
            0 => String::new(),
            passes => format!("{passes}*off->"),
        };
        Ok(format!(
            "before {point}={first}print(held at {point});{point}={first}return({pipe})"
        ))
    }

    /// Waits until something stands at it.
    pub(crate) fn wait(&self, daemon: &mut Daemon) -> Result<()> {
        daemon.wait_for_line(&format!("held at {}", self.point))
    }

    /// Opens it for good.
    pub(crate) fn open(&self) -> Result<()> {
        // Whoever waits has it open for reading, or is about to; whoever comes later does not find it.
        let writer = OpenOptions::new().write(true).open(&self.pipe)?;
        fs::remove_file(&self.pipe)?;
        drop(writer);
        Ok(())
    }
}
