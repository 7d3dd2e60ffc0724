//! How Git speaks over ssh: never with a question, and over one connection to a host where that can be.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use homing_core::{ContentHash, Progress, SideError};
use rustix::process::{Pid, test_kill_process};
use tokio::process::Command;

use crate::git::Git;

/// What is asked of OpenSSH whatever its configuration says.
pub(crate) const OPTIONS: &str =
    "-oBatchMode=yes -oConnectTimeout=10 -oServerAliveInterval=15 -oServerAliveCountMax=2";
/// How long a connection that nobody uses is kept, in seconds: a sync of many sources takes less.
const KEPT: u32 = 30;
/// Letters that tell one name of a host from another.
const NAME: usize = 6;
/// Bytes that a socket's path may have, less what is put behind the directory's: a slash, two names, and for a moment
/// a dot and 16 letters of ssh's.
const LONGEST_DIRECTORY: usize = 107 - 1 - NAME - 40 - 17;
/// A connection that does not end by then is left to its own time.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where connections are kept for the next command.
#[derive(Debug, Clone, Default)]
pub struct SshConnections {
    directory: Option<PathBuf>,
    /// Other processes have theirs beside it.
    is_of_process: bool,
}

/// How Git is to call ssh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SshCommand {
    pub(crate) text: String,
    /// A program of the user's that is not known to take options as OpenSSH does, so it gets none.
    pub(crate) other_program: Option<String>,
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
            is_of_process: false,
        }
    }

    /// Does the same in a directory of this process alone, below `parent`: nobody else uses its connections, or ends them.
    pub fn of_process(parent: &Path) -> Self {
        Self {
            is_of_process: true,
            ..Self::new(&parent.join(std::process::id().to_string()))
        }
    }

    /// Returns the command that Git is to use, made of the user's own (`core.sshCommand`).
    pub(crate) async fn command(
        &self,
        git: &Git,
        host: &str,
        progress: &Progress,
    ) -> Result<SshCommand, SideError> {
        let arguments = ["config", "--get", "core.sshCommand"].map(OsStr::new);
        let own = git.setting(&arguments, progress).await?;
        let own = own.unwrap_or_else(|| "ssh".to_owned());
        let program = program(&own);
        let name = program
            .as_deref()
            .and_then(|program| Path::new(program).file_name());
        if name != Some(OsStr::new("ssh")) {
            // Another program takes other options.
            return Ok(SshCommand {
                other_program: Some(program.unwrap_or_else(|| own.clone())),
                text: own,
            });
        }
        let mut text = format!("{own} {OPTIONS}");
        // Without a directory every command has a connection of its own.
        if let Some(directory) = self.directory.as_ref().filter(|it| self.is_private(it)) {
            let directory = directory.display();
            // `%C` is of the host that is reached; another name for it may mean another key.
            let mut name = ContentHash::of(format!("{host}\n{own}").as_bytes()).to_string();
            name.truncate(NAME);
            write!(
                text,
                " -oControlMaster=auto -oControlPersist={KEPT} -oControlPath='{directory}/{name}%C'"
            )
            .expect("a string takes everything");
        }
        Ok(SshCommand {
            text,
            other_program: None,
        })
    }

    /// Tells whether the directory, which is made if it is not there, is the user's alone: whoever can write to it could
    /// speak for the user.
    fn is_private(&self, directory: &Path) -> bool {
        if !directory.exists()
            && let (true, Some(parent)) = (self.is_of_process, directory.parent())
        {
            remove_those_of_ended_processes(parent);
        }
        is_private(directory)
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
        if self.is_of_process {
            fs::remove_dir(directory).ok();
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

/// Removes directories of processes that are no more; their connections end by themselves.
fn remove_those_of_ended_processes(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            continue;
        };
        if test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// Returns the program that a command of the shell's calls, behind variables that are set for it; `None` where it does
/// more than that.
fn program(command: &str) -> Option<String> {
    let words = words(command)?;
    let is_before = |word: &String| {
        let name = word.split_once('=').map(|(name, _)| name);
        let is_variable = name.is_some_and(|name| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        });
        is_variable || word == "env" || word == "exec"
    };
    words.into_iter().find(|word| !is_before(word))
}

/// Returns the words of a simple command, without their quotes; `None` of one that is not simple.
fn words(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' => words.extend(word.take()),
            ';' | '&' | '|' | '<' | '>' | '(' | ')' | '`' | '#' | '\n' => return None,
            '\'' | '"' => {
                let quoted = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        end if end == letter => break,
                        '\\' if letter == '"' => quoted.push(letters.next()?),
                        other => quoted.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next()?),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_behind_quotes_and_variables() {
        for (command, expected) in [
            ("ssh -i ~/.ssh/key", Some("ssh")),
            ("\"ssh\" -i 'a b'", Some("ssh")),
            ("'/opt/my programs/ssh' -v", Some("/opt/my programs/ssh")),
            ("/opt/my\\ programs/ssh", Some("/opt/my programs/ssh")),
            ("SSH_AUTH_SOCK=\"$HOME/a b\" X=1 ssh", Some("ssh")),
            ("env X=1 ssh -F none", Some("ssh")),
            ("  exec ssh", Some("ssh")),
            ("my-wrapper ssh", Some("my-wrapper")),
            ("true; ssh", None),
            ("ssh $(cat options)", None),
            ("'ssh", None),
            ("X=1", None),
        ] {
            assert_eq!(program(command).as_deref(), expected, "{command}");
        }
    }

    #[test]
    fn what_an_ended_process_left_goes_and_what_another_one_has_stays() {
        let parent = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let (gone, alive) = (child.id().to_string(), std::os::unix::process::parent_id());
        for name in [gone.as_str(), &alive.to_string(), "other"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let connections = SshConnections::of_process(parent.path());
        let directory = connections.directory.clone().unwrap();
        assert!(connections.is_private(&directory));
        let mut names: Vec<_> = fs::read_dir(parent.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let mut expected = [
            alive.to_string(),
            std::process::id().to_string(),
            "other".to_owned(),
        ];
        expected.sort();
        assert_eq!(names, expected);
    }

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
