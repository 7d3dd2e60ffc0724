//! Writes a file of the configuration so that a reader sees the old text or the new one.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::EditError;

/// Others hold the lock for as long as it takes to write a file or two.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);
/// Links that lead to links are followed so far.
const MAX_LINKS: usize = 40;

/// Held while files are compared and written, so that two editors do not lose each other's change.
#[derive(Debug)]
pub(super) struct EditLock(#[expect(dead_code, reason = "it is held, not read")] File);

impl EditLock {
    /// Locks the directory of the configuration file, which is made when it is not there.
    pub(super) fn take(config_file: &Path) -> Result<Self, EditError> {
        let dir = config_file.parent().unwrap_or(Path::new("/"));
        let failed = |source| EditError::Write {
            path: config_file.to_owned(),
            written: Vec::new(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed)?;
        let file = File::open(dir).map_err(failed)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                    return Err(EditError::Busy {
                        dir: dir.to_owned(),
                    });
                }
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            }
        }
    }
}

/// Replaces a file's text at once and durably; the mode stays, and a link is followed. A new file is the user's alone.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = behind_links(path)?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    let permissions = match fs::metadata(&path) {
        Ok(metadata) => Some(metadata.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".homing-{}", std::process::id()));
    let temporary = Temporary(dir.join(name));
    // What a killed process of the same number left is nobody's.
    fs::remove_file(&temporary.0).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary.0)?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions)?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary.0, &path)?;
    File::open(dir)?.sync_all()
}

/// Returns where a link leads, be it to nothing yet.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(link) => path = path.parent().unwrap_or(Path::new("/")).join(link),
            // Not a link, or not there.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::NotFound
                ) =>
            {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many links lead to it"))
}

/// A temporary file, gone when its owner is, unless it was renamed.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap_or_default();
    }
}
