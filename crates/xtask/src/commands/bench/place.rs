//! Where it is measured.
//!
//! A root file system that is ext4 without a journal is up to ten times slower when files are created soon after others
//! were deleted. So it is a fresh journaled ext4 in a file, unless a directory is given.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{root, run};
use crate::tools::is_root;

const IMAGE_BYTES: u64 = 6 * 1024 * 1024 * 1024;

/// A directory for measurements; what is mounted goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    image: Option<PathBuf>,
}

impl Place {
    /// Makes it ready.
    pub(crate) fn prepare(given: Option<&Path>) -> Result<Self> {
        if let Some(given) = given {
            let directory = given.join(format!("homing-bench-{}", std::process::id()));
            fs::create_dir_all(&directory)?;
            return Ok(Self {
                directory: directory.canonicalize()?,
                image: None,
            });
        }
        if !is_root() {
            bail!(
                "without root no file system can be mounted: name a directory with --dir, on tmpfs or a journaled ext4"
            );
        }
        let base = root().join("target/bench");
        let directory = base.join("mounted");
        fs::create_dir_all(&directory)?;
        let image = base.join("image.ext4");
        File::create(&image)?.set_len(IMAGE_BYTES)?;
        // Tables that are made later, in the background, would be measured too.
        run(Command::new("mkfs.ext4")
            .args([
                "-q",
                "-F",
                "-i",
                "4096",
                "-E",
                "lazy_itable_init=0,lazy_journal_init=0",
            ])
            .arg(&image))?;
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(&directory))?;
        Ok(Self {
            directory,
            image: Some(image),
        })
    }

    /// Returns an empty directory of its own.
    pub(crate) fn fresh(&self, name: &str) -> Result<PathBuf> {
        let directory = self.directory.join(name);
        fs::create_dir_all(&directory)
            .with_context(|| format!("could not make {}", directory.display()))?;
        Ok(directory)
    }

    /// Writes out what is waiting, so that one measurement does not pay for another.
    pub(crate) fn settle(&self) -> Result<()> {
        let status = Command::new("sync")
            .arg("-f")
            .arg(&self.directory)
            .status()?;
        anyhow::ensure!(status.success(), "sync ended with {status}");
        Ok(())
    }

    /// Says what it is.
    pub(crate) fn describe(&self) -> String {
        if self.image.is_some() {
            return "a fresh journaled ext4, loop-mounted from a file on this machine's disk"
                .to_owned();
        }
        let output = Command::new("findmnt")
            .args(["-n", "-o", "FSTYPE", "-T"])
            .arg(&self.directory)
            .output();
        let kind = output
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
            .unwrap_or_default();
        format!("a given directory ({kind})")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The measurements are over; what cannot be removed now is in target/ and shows there.
        if let Some(image) = &self.image {
            drop(Command::new("umount").arg(&self.directory).status());
            drop(fs::remove_file(image));
        } else {
            drop(fs::remove_dir_all(&self.directory));
        }
    }
}
