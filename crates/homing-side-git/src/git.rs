//! Running the `git` command: without the repository's or the environment's say, and without a question to anybody.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::SystemTime;

use homing_core::{Limits, Progress, SideError};
use homing_process::{Conversation, Ended};
use tokio::process::Command;

use crate::ceilings::Ceilings;
use crate::errors;

/// What a fetched repository, or the user's own configuration, has no say in.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.alternateRefsCommand=",
    "credential.interactive=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "fetch.writeCommitGraph=false",
    "fetch.prune=false",
    // What is fetched stays in packs, which can be counted and verified.
    "fetch.unpackLimit=1",
    "fetch.bundleURI=",
    "transfer.bundleURI=false",
    "protocol.version=2",
    "protocol.allow=never",
    "protocol.https.allow=always",
    "protocol.http.allow=always",
    "protocol.ssh.allow=always",
    "protocol.git.allow=always",
    "protocol.file.allow=always",
    // Where a server leads is judged by us.
    "http.followRedirects=false",
    // A server that sends nothing is not waited for.
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=30",
];

/// The `git` of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    environment: Arc<Vec<(OsString, OsString)>>,
    /// Where the user's configuration is, and that of the machine.
    files: Arc<[PathBuf]>,
    /// Where it runs that is to be in no repository.
    nowhere: Arc<Path>,
    /// What a fetch may cost.
    ceilings: Ceilings,
}

/// When the files of the configuration were written, and how long they are.
pub(crate) type Stamp = Vec<Option<(SystemTime, u64)>>;

/// A question to Git that has an answer of bounded length.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) arguments: &'a [&'a OsStr],
    /// Written to its standard input.
    pub(crate) input: Vec<u8>,
    /// More than so many bytes are no answer.
    pub(crate) most: usize,
}

impl Git {
    /// Takes what Git finds in its environment; variables of Git's own are left out.
    pub(crate) fn new(environment: &[(OsString, OsString)]) -> Self {
        let given = environment
            .iter()
            .filter(|(name, _)| !is_of_git(name) && !opens_windows(name))
            .cloned();
        let own = [
            // Messages are read by us.
            ("LC_ALL", "C"),
            // Nobody is there to answer a question.
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", "false"),
            ("SSH_ASKPASS_REQUIRE", "never"),
            ("GCM_INTERACTIVE", "never"),
            // What a partial mirror lacks is fetched by us, and never while something is read.
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_CONFIG_NOSYSTEM", "0"),
        ];
        let own = own.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let environment: Vec<(OsString, OsString)> = given.chain(own).collect();
        let directory = |variable: &str| {
            let found = environment.iter().find(|(name, _)| name == variable);
            found.map(|(_, value)| PathBuf::from(value))
        };
        let home = directory("HOME");
        let config =
            directory("XDG_CONFIG_HOME").or(home.as_ref().map(|home| home.join(".config")));
        let files = [
            home.map(|home| home.join(".gitconfig")),
            config.map(|config| config.join("git/config")),
            Some(PathBuf::from("/etc/gitconfig")),
        ];
        Self {
            files: files.into_iter().flatten().collect(),
            environment: Arc::new(environment),
            nowhere: Path::new("/").into(),
            ceilings: Ceilings::default(),
        }
    }

    /// Has it run in an empty directory of ours, beside that of the mirrors: even `/` may be somebody's repository.
    pub(crate) fn away_from_repositories(self, mirrors: &Path) -> Self {
        Self {
            nowhere: mirrors.with_file_name("nowhere").into(),
            ..self
        }
    }

    /// Has its fetches cost what a source with these limits may cost.
    pub(crate) fn within(self, limits: &Limits) -> Self {
        Self {
            ceilings: Ceilings::of(limits),
            ..self
        }
    }

    /// Returns what a fetch may cost.
    pub(crate) fn ceilings(&self) -> Ceilings {
        self.ceilings
    }

    /// Tells whether the configuration may be another one: what it includes does not show here.
    pub(crate) fn stamp(&self) -> Stamp {
        let files = self.files.iter();
        files
            .map(|path| {
                let found = std::fs::metadata(path).ok()?;
                Some((found.modified().ok()?, found.len()))
            })
            .collect()
    }

    /// Returns a command of Git's, in a repository or in none.
    pub(crate) fn command(&self, repository: Option<&Path>) -> Command {
        let mut command = Command::new("git");
        command.env_clear().envs(self.environment.iter().cloned());
        // It must not find a repository that happens to be around it.
        if let Some(repository) = repository {
            command.current_dir(repository);
            command.arg("--git-dir").arg(repository);
        } else {
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.nowhere);
            let root = Path::new("/");
            let nowhere = if made.is_ok() { &self.nowhere } else { root };
            command.current_dir(nowhere);
            // It looks there, and nowhere above.
            command.env("GIT_CEILING_DIRECTORIES", nowhere.parent().unwrap_or(root));
        }
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command
    }

    /// Tells whether there is a program of this name on its PATH.
    pub(crate) fn finds(&self, program: &str) -> bool {
        let path = self.environment.iter().find(|(name, _)| name == "PATH");
        path.is_some_and(|(_, path)| {
            std::env::split_paths(path).any(|directory| directory.join(program).is_file())
        })
    }

    /// Returns a command of another program, in the same environment.
    pub(crate) fn companion(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment.iter().cloned());
        command.current_dir("/");
        command
    }

    /// Starts it; whatever it says on standard error counts as a step.
    pub(crate) fn begin(command: Command, progress: &Progress) -> Result<Conversation, SideError> {
        let progress = progress.clone();
        let place = command.as_std().get_current_dir().map(Path::to_owned);
        Conversation::begin(command, move || progress.advance(0)).map_err(|error| {
            let is_away = |place: &PathBuf| !place.is_dir();
            if error.kind() == io::ErrorKind::NotFound && place.as_ref().is_some_and(is_away) {
                return SideError::Transient {
                    message: "the mirror of the repository is just being made anew".to_owned(),
                    retry_after: None,
                    source: Some(Box::new(error)),
                };
            }
            not_started(&error)
        })
    }

    /// Asks, and returns the answer with how it ended.
    pub(crate) async fn ask(
        command: Command,
        question: Question<'_>,
        progress: &Progress,
    ) -> Result<(Vec<u8>, Ended), SideError> {
        Self::hold_and_ask(command, question, None, progress).await
    }

    /// As [`Git::ask`], of what strangers send: it is held to what a fetch may cost.
    pub(crate) async fn take_in(
        &self,
        command: Command,
        question: Question<'_>,
        progress: &Progress,
    ) -> Result<(Vec<u8>, Ended), SideError> {
        Self::hold_and_ask(command, question, Some(self.ceilings), progress).await
    }

    async fn hold_and_ask(
        mut command: Command,
        question: Question<'_>,
        ceilings: Option<Ceilings>,
        progress: &Progress,
    ) -> Result<(Vec<u8>, Ended), SideError> {
        command.args(question.arguments);
        if question.input.is_empty() {
            command.stdin(Stdio::null());
        }
        let mut talk = Self::begin(command, progress)?;
        if let Some(ceilings) = ceilings {
            ceilings.hold(&talk);
        }
        let input = talk.input();
        if let (Some(mut input), false) = (input, question.input.is_empty()) {
            let bytes = question.input;
            // It blocks when it is long; whoever does not want to know closes it.
            drop(tokio::task::spawn_blocking(move || {
                io::Write::write_all(&mut input, &bytes).unwrap_or_default();
            }));
        }
        let answer = talk.answer(question.most).await;
        let answer = answer.map_err(|error| not_started(&error))?;
        let Some(answer) = answer else {
            return Err(SideError::Untrusted {
                message: format!(
                    "`git` answers with more than {} bytes, which is the most that is taken of it",
                    question.most
                ),
            });
        };
        let ended = talk.end().await.map_err(|error| not_started(&error))?;
        Ok((answer, ended))
    }

    /// Returns what a question to `git config` is answered with; `None` where nothing is set.
    pub(crate) async fn setting(
        &self,
        arguments: &[&OsStr],
        progress: &Progress,
    ) -> Result<Option<String>, SideError> {
        let question = Question {
            arguments,
            input: Vec::new(),
            most: 64 << 10,
        };
        let (answer, ended) = Self::ask(self.command(None), question, progress).await?;
        let text = String::from_utf8_lossy(&answer).trim_end().to_owned();
        Ok((ended.status.success() && !text.is_empty()).then_some(text))
    }

    /// Does something that has no answer but its success; `doing` says what, for the error.
    pub(crate) async fn run(
        command: Command,
        arguments: &[&OsStr],
        progress: &Progress,
        doing: &str,
    ) -> Result<Vec<u8>, SideError> {
        let question = Question {
            arguments,
            input: Vec::new(),
            most: 1 << 20,
        };
        let (answer, ended) = Self::ask(command, question, progress).await?;
        if ended.status.success() {
            return Ok(answer);
        }
        Err(errors::of_git(doing, &ended))
    }
}

/// Tells whether a variable changes what Git does in a way that only Git's own commands are meant to.
fn is_of_git(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.starts_with(b"GIT_") || bytes == b"SSH_ASKPASS"
}

/// Tells whether a variable leads to a screen, where a helper would ask somebody.
fn opens_windows(name: &OsStr) -> bool {
    name == "DISPLAY" || name == "WAYLAND_DISPLAY"
}

fn not_started(error: &io::Error) -> SideError {
    if error.kind() == io::ErrorKind::NotFound {
        return SideError::Config {
            message: "there is no `git` on homingd's PATH; install Git 2.36 or newer, or add its directory to PATH"
                .to_owned(),
        };
    }
    SideError::Storage {
        message: format!("`git` cannot be run: {error}"),
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_mirror_that_is_away_is_no_git_that_is_missing() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let git = Git::new(&[("PATH".into(), path)]);
        let nowhere = tempfile::tempdir().unwrap().path().join("nowhere");
        let begun = Git::begin(git.command(Some(&nowhere)), &Progress::default());
        assert!(matches!(begun, Err(SideError::Transient { .. })));
        let none = Git::new(&[("PATH".into(), "/nowhere".into())]);
        let begun = Git::begin(none.command(None), &Progress::default());
        assert!(matches!(begun, Err(SideError::Config { .. })));
    }
}
