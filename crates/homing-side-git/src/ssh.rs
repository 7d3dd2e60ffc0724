//! How Git speaks over ssh: never with a question, and over one connection to a host where that can be.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use homing_core::{ContentHash, Progress, SideError};
use tokio::process::Command;

use crate::git::Git;

/// What is asked of OpenSSH whatever its configuration says.
const OPTIONS: &str =
    "-oBatchMode=yes -oConnectTimeout=10 -oServerAliveInterval=15 -oServerAliveCountMax=2";
/// How long a connection that nobody uses is kept, in seconds: a sync of many sources takes less.
const KEPT: u32 = 30;
/// Letters that tell one name of a host from another.
const NAME: usize = 8;
/// Bytes that a socket's path may have, less what is put behind the directory's: a slash, two names, and for a moment
/// a dot and 16 letters of ssh's.
const LONGEST_DIRECTORY: usize = 107 - 1 - NAME - 40 - 17;
/// A connection that does not end by then is left to its own time.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where connections are kept for the next command.
#[derive(Debug, Clone, Default)]
pub struct SshConnections {
    directory: Option<PathBuf>,
}

impl SshConnections {
    /// Keeps their sockets in a directory of the user's alone, which need not be there yet; nowhere when its path is too
    /// long for a socket.
    pub fn new(directory: &Path) -> Self {
        let fits = directory.as_os_str().len() <= LONGEST_DIRECTORY
            && !directory.as_os_str().as_encoded_bytes().contains(&b'%')
            && !directory.as_os_str().as_encoded_bytes().contains(&b'\'');
        Self {
            directory: fits.then(|| directory.to_owned()),
        }
    }

    /// Returns the command that Git is to use, made of the user's own (`core.sshCommand`).
    pub(crate) async fn command(
        &self,
        git: &Git,
        host: &str,
        progress: &Progress,
    ) -> Result<String, SideError> {
        let arguments = ["config", "--get", "core.sshCommand"].map(OsStr::new);
        let own = git.setting(&arguments, progress).await?;
        let own = own.unwrap_or_else(|| "ssh".to_owned());
        let program = own.split_whitespace().next().unwrap_or_default();
        if Path::new(program).file_name() != Some(OsStr::new("ssh")) {
            // Another program takes other options.
            return Ok(own);
        }
        let command = format!("{own} {OPTIONS}");
        if let Some(directory) = &self.directory {
            // Without it every command has a connection of its own.
            if is_private(directory) {
                let directory = directory.display();
                // `%C` is of the host that is reached; another name for it may mean another key.
                let mut name = ContentHash::of(format!("{host}\n{own}").as_bytes()).to_string();
                name.truncate(NAME);
                return Ok(format!(
                    "{command} -oControlMaster=auto -oControlPersist={KEPT} -oControlPath='{directory}/{name}%C'"
                ));
            }
        }
        Ok(command)
    }

    /// Ends the connections that are kept.
    pub async fn end(&self) {
        let Some(directory) = &self.directory else {
            return;
        };
        let sockets = fs::read_dir(directory).into_iter().flatten().flatten();
        for entry in sockets {
            if !entry.file_type().is_ok_and(|kind| kind.is_socket()) {
                continue;
            }
            let mut path = std::ffi::OsString::from("-oControlPath=");
            path.push(entry.path());
            let mut command = Command::new("ssh");
            command
                .args([
                    OsStr::new("-O"),
                    OsStr::new("exit"),
                    &path,
                    OsStr::new("kept"),
                ])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true);
            // One that has just ended by itself is as good.
            drop(tokio::time::timeout(PATIENCE, command.status()).await);
            // It says that it ends before its name is gone.
            fs::remove_file(entry.path()).ok();
        }
    }
}

/// Tells whether a directory, which is made if it is not there, is the user's alone: whoever can write to it could speak
/// for the user.
fn is_private(directory: &Path) -> bool {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    if builder.create(directory).is_err() {
        return false;
    }
    let found = fs::symlink_metadata(directory);
    found.is_ok_and(|found| {
        found.is_dir()
            && found.uid() == rustix::process::getuid().as_raw()
            && found.mode() & 0o777 == 0o700
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_whose_sockets_would_have_no_name_is_not_used() {
        assert!(
            SshConnections::new(Path::new("/run/user/1000/homing/ssh"))
                .directory
                .is_some()
        );
        assert!(
            SshConnections::new(Path::new(&"/x".repeat(40)))
                .directory
                .is_none()
        );
        assert!(
            SshConnections::new(Path::new("/run/100%C"))
                .directory
                .is_none()
        );
    }
}
