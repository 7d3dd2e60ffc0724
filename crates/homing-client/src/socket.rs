//! Makes sure that the socket is the daemon's before anything is said to it.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use crate::ClientError;

/// Connects to a socket that belongs to `uid` or root, in a directory that nobody else may write, and whose other end
/// is held by `uid` or root.
pub(crate) async fn connect(path: &Path, uid: u32) -> Result<UnixStream, ClientError> {
    let not_running = |source| ClientError::NotRunning {
        socket: path.to_owned(),
        elsewhere: None,
        source,
    };
    check(path, uid)?;
    let stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(denied(path)),
        Err(error) => return Err(not_running(error)),
    };
    let peer = stream.peer_cred().map_err(not_running)?.uid();
    if peer != uid && peer != 0 {
        return Err(ClientError::Forbidden {
            message: format!("another user (uid {peer}) listens on `{}`", path.display()),
            hint: "end that process, or name your own daemon's socket with --socket".to_owned(),
        });
    }
    Ok(stream)
}

fn check(path: &Path, uid: u32) -> Result<(), ClientError> {
    let look = |path: &Path| match fs::symlink_metadata(path) {
        Ok(found) => Ok(found),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(denied(path)),
        Err(source) => Err(ClientError::NotRunning {
            socket: path.to_owned(),
            elsewhere: None,
            source,
        }),
    };
    let refused = |message: String, hint: String| ClientError::Forbidden { message, hint };
    let foreign = |found: &Metadata| found.uid() != uid && found.uid() != 0;
    let socket = look(path)?;
    if !socket.file_type().is_socket() {
        return Err(refused(
            format!("`{}` is no socket", path.display()),
            "name the daemon's socket with --socket, or in [daemon] of the configuration"
                .to_owned(),
        ));
    }
    if foreign(&socket) {
        return Err(refused(
            format!(
                "the socket `{}` belongs to another user (uid {})",
                path.display(),
                socket.uid()
            ),
            "speak to your own daemon: check --socket and [daemon] of the configuration".to_owned(),
        ));
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    let directory = fs::metadata(parent).map_err(|source| ClientError::NotRunning {
        socket: path.to_owned(),
        elsewhere: None,
        source,
    })?;
    if foreign(&directory) {
        return Err(refused(
            format!(
                "the directory `{}` of the socket belongs to another user (uid {})",
                parent.display(),
                directory.uid()
            ),
            "put the socket into a directory of your own".to_owned(),
        ));
    }
    if directory.mode() & 0o022 != 0 {
        return Err(refused(
            format!(
                "others may write the directory `{}` of the socket",
                parent.display()
            ),
            format!("take that away: `chmod go-w {}`", parent.display()),
        ));
    }
    Ok(())
}

fn denied(path: &Path) -> ClientError {
    ClientError::Forbidden {
        message: format!("`{}` may not be opened", path.display()),
        hint: "it is for the user who runs homingd only".to_owned(),
    }
}

/// Returns where the daemon answers that has noted its socket in this file; `None` when none does.
///
/// The second line of the daemon's lock file is the place of its socket.
pub(crate) async fn noted(note: &Path, uid: u32) -> Option<PathBuf> {
    let text = fs::read(note).ok()?;
    let line = text.split(|byte| *byte == b'\n').nth(1)?;
    let path = PathBuf::from(OsStr::from_bytes(line));
    connect(&path, uid).await.is_ok().then_some(path)
}
