//! The files of a mirror: what an ended process left behind, and what is put aside.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use homing_core::SideError;
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Removes what processes that are no more left behind: nobody else writes here.
pub(crate) fn clean(mirror: &Path) -> io::Result<()> {
    unlock(mirror)?;
    let objects = mirror.join("objects");
    for entry in entries(&objects)? {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        // Objects of their own are in directories that are called by the first two digits of their ids.
        let is_of_objects = name.len() == 2 && name.iter().all(u8::is_ascii_hexdigit);
        if is_of_objects || name == b"pack" {
            for entry in entries(&entry.path())? {
                if entry.file_name().as_encoded_bytes().starts_with(b"tmp_") {
                    clear(&entry.path())?;
                }
            }
        }
    }
    Ok(())
}

/// Removes locks.
fn unlock(mirror: &Path) -> io::Result<()> {
    let mut waiting = vec![mirror.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in entries(&directory)? {
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            if entry.file_type()?.is_dir() {
                // Packs and objects have no locks of this kind, and are many.
                if name != b"objects" {
                    waiting.push(entry.path());
                }
            } else if name.ends_with(b".lock") {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// Returns the files of a directory that have this ending; none of a directory that is not there.
pub(crate) fn with_ending(directory: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    let paths = entries(directory)?.into_iter().map(|entry| entry.path());
    let has_ending = |path: &PathBuf| path.extension().is_some_and(|found| found == ending);
    Ok(paths.filter(has_ending).collect())
}

fn entries(directory: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other?.collect(),
    }
}

/// Returns the path beside a mirror that has this ending.
pub(super) fn beside(mirror: &Path, ending: &str) -> PathBuf {
    let mut path = mirror.as_os_str().to_owned();
    path.push(OsStr::new(ending));
    PathBuf::from(path)
}

/// Removes a mirror, first from its place.
pub(super) fn remove(mirror: &Path) -> io::Result<()> {
    let aside = beside(mirror, ".old");
    clear(&aside)?;
    match fs::rename(mirror, &aside) {
        Ok(()) => clear(&aside),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Gives a mirror's place to another one, at once where the file system can do that.
pub(super) fn replace(mirror: &Path, with: &Path) -> io::Result<()> {
    if renameat_with(CWD, with, CWD, mirror, RenameFlags::EXCHANGE).is_ok() {
        return remove(with);
    }
    remove(mirror)?;
    fs::rename(with, mirror)
}

/// Removes whatever is at a path.
pub(crate) fn clear(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn private(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, SideError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_ended| SideError::Cancelled)?
        .map_err(|error| SideError::Storage {
            message: format!("the mirror of the repository cannot be written: {error}"),
            source: Some(Box::new(error)),
        })
}
