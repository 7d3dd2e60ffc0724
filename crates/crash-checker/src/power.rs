//! Power cuts: a journaled ext4 in a file, of which only what reached the block device is kept.
//!
//! The daemon is killed, the image is copied while it is still mounted, and the copy is mounted in its place. What the
//! file system held in memory and had not written is not in the copy. A long commit interval keeps the kernel from
//! writing by itself, so that only what Homing synced survives: the worst power cut that the kernel allows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

const SIZE_BYTES: u64 = 48 * 1024 * 1024;

/// Where worlds are made: in memory where that can be had, for on a busy disk every `syncfs` waits for all others.
#[derive(Debug)]
pub(crate) struct Arena {
    directory: tempfile::TempDir,
    mounted: bool,
}

impl Arena {
    /// Makes one.
    pub(crate) fn create() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("homing-arena-").tempdir()?;
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "mode=0755", "homing-arena"])
            .arg(directory.path());
        let mounted = rustix::process::geteuid().is_root() && run(&mut mount).is_ok();
        Ok(Self { directory, mounted })
    }

    /// Returns where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if self.mounted {
            // What cannot be unmounted now stays visible in the mount table; there is nobody to tell.
            drop(unmount(self.directory.path()));
        }
    }
}

/// A mounted image.
#[derive(Debug)]
pub(crate) struct Disk {
    image: PathBuf,
    mount: PathBuf,
    cuts: u32,
}

/// Says why power cuts cannot be simulated here, or `None` when they can.
pub fn unavailable() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("power cuts need root for loop mounts".to_owned());
    }
    let Ok(scratch) = tempfile::tempdir() else {
        return Some("no temporary directory".to_owned());
    };
    let mount = scratch.path().join("disk");
    match fs::create_dir(&mount)
        .map_err(anyhow::Error::from)
        .and_then(|()| Disk::create(scratch.path(), &mount))
    {
        Ok(disk) => {
            drop(disk);
            let bind = "mount --bind /proc/self/comm /proc/sys/kernel/random/boot_id";
            run(Command::new("unshare").args(["--mount", "sh", "-c", bind]))
                .err()
                .map(|error| format!("{error:#}"))
        }
        Err(error) => Some(format!("{error:#}")),
    }
}

impl Disk {
    /// Makes an image in `directory` and mounts it on `mount`.
    pub(crate) fn create(directory: &Path, mount: &Path) -> Result<Self> {
        let image = directory.join("image-0");
        fs::File::create(&image)?.set_len(SIZE_BYTES)?;
        run(Command::new("mkfs.ext4").arg("-q").arg(&image))?;
        mount_image(&image, mount)?;
        Ok(Self {
            image,
            mount: mount.to_owned(),
            cuts: 0,
        })
    }

    /// Makes durable all that was written up to now.
    pub(crate) fn sync(&self) -> Result<()> {
        rustix::fs::syncfs(fs::File::open(&self.mount)?)?;
        Ok(())
    }

    /// Cuts the power and boots again. Nothing may have a file of it open.
    pub(crate) fn cut(&mut self) -> Result<()> {
        self.cuts += 1;
        let copy = self.image.with_file_name(format!("image-{}", self.cuts));
        run(Command::new("cp")
            .arg("--sparse=always")
            .arg(&self.image)
            .arg(&copy))?;
        unmount(&self.mount)?;
        fs::remove_file(&self.image)?;
        self.image = copy;
        mount_image(&self.image, &self.mount)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What cannot be unmounted now stays visible in the mount table; there is nobody to tell.
        drop(unmount(&self.mount));
    }
}

fn mount_image(image: &Path, mount: &Path) -> Result<()> {
    run(Command::new("mount")
        .args(["-t", "ext4", "-o", "loop,commit=300"])
        .arg(image)
        .arg(mount))
}

fn unmount(mount: &Path) -> Result<()> {
    run(Command::new("umount").arg(mount))
}

fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not start {shown}"))?;
    if !output.status.success() {
        bail!(
            "{shown} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
