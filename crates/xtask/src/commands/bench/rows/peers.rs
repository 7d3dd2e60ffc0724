//! The peers: how they are run, and their times beside those of Homing.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::super::table::{Peer, Table, Target};
use super::Bench;

/// Homing's times and those of both peers.
#[derive(Default)]
pub(super) struct Three {
    pub(super) homing: Vec<Duration>,
    rsync: Vec<Duration>,
    rclone: Vec<Duration>,
}

impl Three {
    pub(super) fn peers(&mut self, bench: &Bench<'_>, source: &Path, base: &Path) -> Result<()> {
        bench.place.settle()?;
        self.rsync.push(rsync(source, &base.join("rsync"))?);
        bench.place.settle()?;
        self.rclone.push(rclone(source, &base.join("rclone"))?);
        Ok(())
    }

    pub(super) fn row(self, table: &mut Table, what: &str, targets: &[Target]) {
        let rsync = Peer {
            name: "rsync -a",
            times: self.rsync,
            note: String::new(),
        };
        let rclone = Peer {
            name: "rclone copy",
            times: self.rclone,
            note: String::new(),
        };
        table.add(what, &self.homing, &[rsync, rclone], targets);
    }
}

pub(super) fn rsync(source: &Path, target: &Path) -> Result<Duration> {
    fs::create_dir_all(target)?;
    let mut from = source.as_os_str().to_owned();
    from.push("/");
    time(Command::new("rsync").arg("-a").arg(from).arg(target))
}

fn rclone(source: &Path, target: &Path) -> Result<Duration> {
    time(
        Command::new("rclone")
            .args(["--config", "", "-q", "copy"])
            .arg(source)
            .arg(target),
    )
}

fn time(command: &mut Command) -> Result<Duration> {
    let begun = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    let took = begun.elapsed();
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(took)
}
