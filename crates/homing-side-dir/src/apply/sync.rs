//! Making a batch durable.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use homing_core::SideError;
use rustix::fd::BorrowedFd;
use rustix::fs::{fstat, fsync};
use rustix::io::Errno;

use crate::below::Root;
use crate::errors::side_error;

/// From so many operations on, one `syncfs` is cheaper than an `fsync` for each.
const SYNC_ALL_FROM: usize = 64;

/// The directories that a batch changed.
pub(crate) struct Touched {
    /// One sync of each file system instead of one of each file.
    all_at_once: bool,
    state: Mutex<TouchedState>,
}

#[derive(Default)]
struct TouchedState {
    directories: BTreeMap<String, u64>,
    created: BTreeSet<String>,
    /// A file system that cannot be synced as a whole, or a file that could not be synced.
    failed: bool,
}

impl Touched {
    /// Begins with nothing; large batches sync whole file systems.
    pub(crate) fn for_batch_of(operations: usize) -> Self {
        Self {
            all_at_once: operations >= SYNC_ALL_FROM && cfg!(target_os = "linux"),
            state: Mutex::default(),
        }
    }

    /// Tells whether each file must be synced by itself.
    pub(crate) fn each_file(&self) -> bool {
        !self.all_at_once
    }

    /// Notes a directory whose names change.
    pub(crate) fn directory(&self, prefix: &str, directory: &OwnedFd) {
        let mut state = self.lock();
        if !state.directories.contains_key(prefix) {
            let device = fstat(directory).map_or(0, |stat| stat.st_dev);
            state.directories.insert(prefix.to_owned(), device);
        }
    }

    /// Notes a directory that was made: its parent's names changed.
    pub(crate) fn made(&self, path: &str) {
        self.lock().created.insert(path.to_owned());
    }

    /// Notes that a change could not be made durable by itself.
    pub(crate) fn not_durable(&self) {
        self.lock().failed = true;
    }

    /// Returns the directories that were made, parents before children.
    pub(crate) fn created(&self) -> BTreeSet<String> {
        self.lock().created.clone()
    }

    /// Makes the temporary files durable, where each was not synced by itself.
    pub(crate) fn sync_written(&self, root: &Root) -> Result<(), SideError> {
        if self.all_at_once {
            self.sync_file_systems(root)
        } else {
            Ok(())
        }
    }

    /// Makes all names durable.
    pub(crate) fn sync(&self, root: &Root) -> Result<(), SideError> {
        if self.all_at_once {
            self.sync_file_systems(root)?;
        } else {
            let state = self.lock();
            let parents = state
                .created
                .iter()
                .map(|path| path.rsplit_once('/').map_or("", |(parent, _)| parent));
            let all: BTreeSet<&str> = state
                .directories
                .keys()
                .map(String::as_str)
                .chain(parents)
                .collect();
            for prefix in all {
                sync_directory(root, prefix)?;
            }
        }
        if self.lock().failed {
            return Err(SideError::Storage {
                message: "a file could not be synced".to_owned(),
                source: None,
            });
        }
        Ok(())
    }

    fn sync_file_systems(&self, root: &Root) -> Result<(), SideError> {
        let mut devices: BTreeMap<u64, String> = BTreeMap::new();
        for (prefix, device) in &self.lock().directories {
            devices.entry(*device).or_insert_with(|| prefix.clone());
        }
        for prefix in devices.values() {
            let (directory, _) =
                nearest(root, prefix).map_err(|errno| failed(errno, root, prefix))?;
            sync_file_system(rustix::fd::AsFd::as_fd(&directory))
                .map_err(|errno| failed(errno, root, prefix))?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, TouchedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(target_os = "linux")]
fn sync_file_system(directory: BorrowedFd<'_>) -> Result<(), Errno> {
    fail::fail_point!("dir::sync_fails", |_| Err(Errno::IO));
    rustix::fs::syncfs(directory)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(directory: BorrowedFd<'_>) -> Result<(), Errno> {
    fsync(directory)
}

fn sync_directory(root: &Root, prefix: &str) -> Result<(), SideError> {
    fail::fail_point!("dir::sync_fails", |_| Err(failed(Errno::IO, root, prefix)));
    let (directory, _) = nearest(root, prefix).map_err(|errno| failed(errno, root, prefix))?;
    match fsync(&directory) {
        // Some file systems do not sync directories by themselves, and say so.
        Err(Errno::INVAL) => sync_file_system(rustix::fd::AsFd::as_fd(&directory)),
        other => other,
    }
    .map_err(|errno| failed(errno, root, prefix))
}

/// Opens the directory, or the nearest one above that is left.
fn nearest<'a>(root: &Root, prefix: &'a str) -> Result<(OwnedFd, &'a str), Errno> {
    let mut prefix = prefix;
    loop {
        match root.directory(prefix) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if !prefix.is_empty() => {
                prefix = prefix.rsplit_once('/').map_or("", |(parent, _)| parent);
            }
            other => return other.map(|directory| (directory, prefix)),
        }
    }
}

fn failed(errno: Errno, root: &Root, prefix: &str) -> SideError {
    match side_error(
        errno,
        &format!("could not sync `{prefix}` in {}", root.path()),
    ) {
        storage @ SideError::Storage { .. } => storage,
        other => SideError::Storage {
            message: other.to_string(),
            source: Some(std::io::Error::from(errno).into()),
        },
    }
}
