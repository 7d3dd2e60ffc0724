//! The lock that makes a data directory belong to one daemon.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::start::StartError;

/// The name of the lock file in the data directory.
const LOCK_FILE: &str = "homingd.lock";

/// The lock, held until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Closing it gives the lock back; the file itself stays, for removing it would let two daemons lock two files.
    file: File,
}

impl Lock {
    /// Takes the lock of `data_dir`, which it makes when it is not there, and notes who has it.
    ///
    /// [`StartError::Held`] when another process has it. Never waits.
    pub(crate) fn take(data_dir: &Path) -> Result<Self, StartError> {
        let lock = Self::acquire_for(data_dir, true)?;
        // For people only: the lock is what counts, so a disk that is full does not keep the daemon from starting.
        if let Err(error) = write_note(&lock.file, None) {
            tracing::debug!(%error, "the pid was not written into the lock file");
        }
        Ok(lock)
    }

    /// Notes where the daemon answers, for whoever looks for it in another place.
    pub(crate) fn note_socket(&self, path: &Path) {
        if let Err(error) = write_note(&self.file, Some(path)) {
            tracing::debug!(%error, "the socket was not written into the lock file");
        }
    }

    /// Tells whether a daemon has ever had `data_dir`.
    pub(crate) fn is_known(data_dir: &Path) -> bool {
        data_dir.join(LOCK_FILE).exists()
    }

    /// Does what [`Lock::take`] does without a note, for a moment's work.
    pub(crate) fn acquire(data_dir: &Path) -> Result<Self, StartError> {
        Self::acquire_for(data_dir, false)
    }

    fn acquire_for(data_dir: &Path, starting: bool) -> Result<Self, StartError> {
        make_private_directory(data_dir)?;
        let path = data_dir.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| StartError::path("open", &path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StartError::Held {
                    pid: read_pid(&mut file),
                    path,
                    starting,
                });
            }
            Err(TryLockError::Error(error)) => return Err(StartError::path("lock", &path, error)),
        }
        Ok(Self { file })
    }
}

/// Makes `path` for this user alone, or verifies that it is this user's and that nobody else may write there.
pub(crate) fn make_private_directory(path: &Path) -> Result<(), StartError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| StartError::path("make the directory", path, error))?;
    let metadata = path
        .metadata()
        .map_err(|error| StartError::path("look at", path, error))?;
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(StartError::Unsafe {
            path: path.to_owned(),
            problem: format!(
                "belongs to user {} and not to user {user}, who runs homingd",
                metadata.uid()
            ),
            remedy: "run homingd as its owner, or use another directory".to_owned(),
        });
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(StartError::Unsafe {
            path: path.to_owned(),
            problem: format!(
                "can be written by others (mode {:04o})",
                metadata.mode() & 0o7777
            ),
            remedy: format!("chmod go-w {}", shell_word(path)),
        });
    }
    Ok(())
}

/// Returns `path` as it can be typed into a shell.
pub(crate) fn shell_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = Vec::new();
    file.take(32).read_to_end(&mut text).ok()?;
    let line = text.split(|byte| *byte == b'\n').next()?;
    std::str::from_utf8(line).ok()?.trim().parse().ok()
}

/// Writes a line with the pid, and one with the socket when there is one.
fn write_note(mut file: &File, socket: Option<&Path>) -> std::io::Result<()> {
    let mut text = format!("{}\n", std::process::id()).into_bytes();
    if let Some(socket) = socket {
        text.extend_from_slice(socket.as_os_str().as_bytes());
        text.push(b'\n');
    }
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&text)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, metadata, read_to_string, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn lock_path(data_dir: &Path) -> std::path::PathBuf {
        data_dir.join(LOCK_FILE)
    }

    #[test]
    fn a_second_taker_hears_who_has_it() {
        let home = tempfile::tempdir().unwrap();
        let data_dir = home.path().join("a/b");
        let lock = Lock::take(&data_dir).unwrap();
        let error = Lock::take(&data_dir).unwrap_err();
        assert!(error.hint().unwrap().contains("--data-dir"));
        // Whoever restores or examines this state is not sent to another one.
        let hint = Lock::acquire(&data_dir).unwrap_err().hint().unwrap();
        assert!(
            hint.contains(&format!("kill {}", std::process::id())) && !hint.contains("--data-dir"),
            "{hint}"
        );
        lock.note_socket(Path::new("/run/somewhere/homingd.sock"));
        assert_eq!(
            Lock::take(&data_dir).unwrap_err().to_string(),
            error.to_string(),
            "the socket beside it is no part of the pid"
        );
        let expected = format!(
            "another homingd (pid {}) holds {}",
            std::process::id(),
            lock_path(&data_dir).display()
        );
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.exit_code(), 1);
        drop(lock);
        Lock::take(&data_dir).unwrap();
    }

    #[test]
    fn directory_and_file_are_for_their_owner_only() {
        let home = tempfile::tempdir().unwrap();
        let data_dir = home.path().join("data");
        let _lock = Lock::take(&data_dir).unwrap();
        assert_eq!(metadata(&data_dir).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(
            metadata(lock_path(&data_dir)).unwrap().mode() & 0o7777,
            0o600
        );
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused() {
        let home = tempfile::tempdir().unwrap();
        set_permissions(home.path(), Permissions::from_mode(0o777)).unwrap();
        let error = Lock::take(home.path()).unwrap_err();
        assert_eq!(error.exit_code(), 6, "{error}");
        assert!(
            error.hint().unwrap().starts_with("chmod go-w "),
            "{error:?}"
        );
    }

    #[test]
    fn a_longer_pid_of_an_earlier_daemon_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
        let mut file = File::create(lock_path(home.path())).unwrap();
        file.write_all(b"12345678901234567890\n").unwrap();
        let _lock = Lock::take(home.path()).unwrap();
        assert_eq!(
            read_to_string(lock_path(home.path())).unwrap(),
            format!("{}\n", std::process::id())
        );
    }

    #[test]
    fn paths_are_quoted_for_the_shell() {
        assert_eq!(shell_word(Path::new("/a/b-c.d")), "/a/b-c.d");
        assert_eq!(shell_word(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
