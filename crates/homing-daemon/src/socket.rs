//! The Unix socket: who may connect, and where it stands.

use std::fs::{DirBuilder, Permissions, remove_file, set_permissions, symlink_metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::lock::{Lock, shell_word};
use crate::start::StartError;

/// The longest path that fits into a socket address beside its closing NUL.
const MAX_PATH_BYTES: usize = 107;

/// A bound socket, whose file goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    /// What accepts connections.
    pub(crate) listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file, so that a successor's socket is never removed.
    identity: (u64, u64),
}

impl Socket {
    /// Binds a socket at `path`, for this user alone, in a directory of this user alone.
    ///
    /// A stale socket is removed; that is why the lock must be held. The lock's file says where it is. Needs a runtime of tokio.
    pub(crate) fn bind(path: &Path, held: &Lock) -> Result<Self, StartError> {
        let length = path.as_os_str().as_bytes().len();
        if length > MAX_PATH_BYTES {
            return Err(StartError::SocketPathTooLong {
                path: path.to_owned(),
                length,
            });
        }
        let directory = path.parent().unwrap_or(Path::new("/"));
        make_directory(directory)?;
        remove_stale(path)?;
        let listener = UnixListener::bind(path)
            .map_err(|error| StartError::path("bind the socket", path, error))?;
        // Between bind and chmod the directory's mode keeps others out.
        set_permissions(path, Permissions::from_mode(0o600))
            .map_err(|error| StartError::path("set the mode of", path, error))?;
        let metadata =
            symlink_metadata(path).map_err(|error| StartError::path("look at", path, error))?;
        held.note_socket(path);
        Ok(Self {
            listener,
            path: path.to_owned(),
            identity: (metadata.dev(), metadata.ino()),
        })
    }

    /// Returns where it stands.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let ours =
            symlink_metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == self.identity);
        if ours && let Err(error) = remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket could not be removed");
        }
    }
}

/// Refuses to go on when another daemon answers at `path`. Makes nothing and removes nothing.
pub(crate) fn refuse_if_answered(path: &Path) -> Result<(), StartError> {
    match BlockingStream::connect(path) {
        Ok(_) => Err(StartError::SocketInUse {
            path: path.to_owned(),
        }),
        // Whatever else is there is looked at when the socket is bound.
        Err(_) => Ok(()),
    }
}

/// Tells whether the process at the other end may speak to this daemon: its own user, or root.
pub(crate) fn may_connect(stream: &UnixStream) -> io::Result<bool> {
    Ok(is_admitted(
        stream.peer_cred()?.uid(),
        rustix::process::geteuid().as_raw(),
    ))
}

fn is_admitted(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

fn make_directory(directory: &Path) -> Result<(), StartError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| StartError::path("make the directory", directory, error))?;
    let metadata = symlink_metadata(directory)
        .map_err(|error| StartError::path("look at", directory, error))?;
    let unsafe_because = |problem: String, remedy: String| {
        Err(StartError::Unsafe {
            path: directory.to_owned(),
            problem,
            remedy,
        })
    };
    let user = rustix::process::geteuid().as_raw();
    if !metadata.is_dir() {
        return unsafe_because(
            "is a link, and the socket's directory must be a real one".to_owned(),
            "set `socket` in [daemon] to a path without links".to_owned(),
        );
    }
    if metadata.uid() != user {
        return unsafe_because(
            format!(
                "belongs to user {} and not to user {user}, who runs homingd",
                metadata.uid()
            ),
            "set `socket` in [daemon] to a directory of your own".to_owned(),
        );
    }
    if metadata.mode() & 0o077 != 0 {
        return unsafe_because(
            format!(
                "is open to other users (mode {:04o}), and the socket's directory must be 0700",
                metadata.mode() & 0o7777
            ),
            format!(
                "chmod 700 {}, or set `socket` in [daemon] to a directory of its own",
                shell_word(directory)
            ),
        );
    }
    Ok(())
}

/// Removes a socket on which nobody answers.
fn remove_stale(path: &Path) -> Result<(), StartError> {
    let metadata = match symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StartError::path("look at", path, error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(StartError::NotASocket {
            path: path.to_owned(),
        });
    }
    match BlockingStream::connect(path) {
        Ok(_) => Err(StartError::SocketInUse {
            path: path.to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(path = %path.display(), "a socket that nobody answers on was removed");
            remove_file(path)
                .map_err(|error| StartError::path("remove the old socket", path, error))
        }
        Err(error) => Err(StartError::path("ask who is at", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, create_dir};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener as BlockingListener;

    use super::*;

    struct Place {
        _home: tempfile::TempDir,
        lock: Lock,
        path: PathBuf,
    }

    fn place() -> Place {
        let home = tempfile::tempdir().unwrap();
        let lock = Lock::take(&home.path().join("data")).unwrap();
        let path = home.path().join("run/homingd.sock");
        Place {
            lock,
            path,
            _home: home,
        }
    }

    #[tokio::test]
    async fn socket_and_directory_are_for_their_owner_only_and_the_socket_goes_with_its_daemon() {
        let place = place();
        let socket = Socket::bind(&place.path, &place.lock).unwrap();
        assert_eq!(
            symlink_metadata(&place.path).unwrap().mode() & 0o7777,
            0o600
        );
        assert_eq!(
            symlink_metadata(place.path.parent().unwrap())
                .unwrap()
                .mode()
                & 0o7777,
            0o700
        );
        drop(socket);
        assert!(symlink_metadata(&place.path).is_err());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let place = place();
        drop(Socket::bind(&place.path, &place.lock).unwrap());
        drop(BlockingListener::bind(&place.path).unwrap());
        assert!(
            symlink_metadata(&place.path).is_ok(),
            "the stale socket is there"
        );
        let live = Socket::bind(&place.path, &place.lock).unwrap();
        let error = Socket::bind(&place.path, &place.lock).unwrap_err();
        assert!(matches!(error, StartError::SocketInUse { .. }), "{error:?}");
        drop(live);
    }

    #[tokio::test]
    async fn a_successors_socket_is_not_removed() {
        let place = place();
        let first = Socket::bind(&place.path, &place.lock).unwrap();
        remove_file(&place.path).unwrap();
        // Keeps the inode number of the first one from being given out again.
        let _filler = File::create(place.path.with_extension("filler")).unwrap();
        let second = Socket::bind(&place.path, &place.lock).unwrap();
        drop(first);
        assert!(symlink_metadata(&place.path).is_ok());
        drop(second);
    }

    #[tokio::test]
    async fn a_file_in_its_place_is_left_alone() {
        let place = place();
        create_dir(place.path.parent().unwrap()).unwrap();
        set_permissions(place.path.parent().unwrap(), Permissions::from_mode(0o700)).unwrap();
        File::create(&place.path).unwrap();
        let error = Socket::bind(&place.path, &place.lock).unwrap_err();
        assert!(matches!(error, StartError::NotASocket { .. }), "{error:?}");
        assert!(symlink_metadata(&place.path).unwrap().is_file());
    }

    #[tokio::test]
    async fn a_directory_that_is_open_to_others_is_refused_with_the_remedy() {
        let place = place();
        let directory = place.path.parent().unwrap();
        create_dir(directory).unwrap();
        for mode in [0o710, 0o701, 0o755, 0o777] {
            set_permissions(directory, Permissions::from_mode(mode)).unwrap();
            let error = Socket::bind(&place.path, &place.lock).unwrap_err();
            assert_eq!(error.exit_code(), 6, "{error}");
            assert!(
                error.to_string().contains(&format!("{mode:04o}")),
                "{error}"
            );
            assert!(error.hint().unwrap().starts_with("chmod 700 "), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_link_for_a_directory_is_refused() {
        let place = place();
        let directory = place.path.parent().unwrap();
        let real = directory.with_extension("real");
        create_dir(&real).unwrap();
        set_permissions(&real, Permissions::from_mode(0o700)).unwrap();
        symlink(&real, directory).unwrap();
        assert_eq!(
            Socket::bind(&place.path, &place.lock)
                .unwrap_err()
                .exit_code(),
            6
        );
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_told_before_anything_is_made() {
        let place = place();
        let directory = place.path.parent().unwrap();
        let room = MAX_PATH_BYTES - directory.as_os_str().len() - 1;
        drop(Socket::bind(&directory.join("x".repeat(room)), &place.lock).unwrap());
        let error = Socket::bind(&directory.join("x".repeat(room + 1)), &place.lock).unwrap_err();
        assert!(
            matches!(error, StartError::SocketPathTooLong { length: 108, .. }),
            "{error:?}"
        );
        assert_eq!(error.exit_code(), 5);
    }

    #[test]
    fn only_the_owner_and_root_are_admitted() {
        assert!(is_admitted(1000, 1000));
        assert!(is_admitted(0, 1000));
        assert!(!is_admitted(1001, 1000));
        assert!(!is_admitted(1000, 0));
    }
}
