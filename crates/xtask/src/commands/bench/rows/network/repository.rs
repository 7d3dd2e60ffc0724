//! The files that are served, in a Git repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use super::super::files::{make_files, write};

/// A repository whose work tree holds files below `agents`.
pub(super) struct Repository {
    directory: PathBuf,
    count: usize,
}

impl Repository {
    /// Makes one of so many files.
    pub(super) fn make(directory: &Path, count: usize, bytes: usize) -> Result<Self> {
        let repository = Self {
            directory: directory.to_owned(),
            count,
        };
        repository.git(&["init", "--quiet", "--initial-branch=main"])?;
        make_files(&repository.files(), count, bytes, 0)?;
        repository.commit()?;
        Ok(repository)
    }

    /// Changes one file, commits that, and returns its path.
    pub(super) fn change(&self, version: usize) -> Result<&'static str> {
        let path = "d0/file-0.md";
        let text = format!("changed {version}, and no longer as it was\n");
        write(&self.files().join(path), text.as_bytes())?;
        self.commit()?;
        Ok(path)
    }

    /// Adds a directory beside `agents` and commits that.
    pub(super) fn add_directory(&self, name: &str, count: usize) -> Result<()> {
        make_files(&self.directory.join(name), count, 2_048, 7)?;
        self.commit()
    }

    /// Lets those that fetch from it leave out what they do not want, as the large hosts do.
    pub(super) fn allow_filters(&self) -> Result<()> {
        self.git(&["config", "uploadpack.allowFilter", "true"])
    }

    /// Returns its directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns where the files are.
    pub(super) fn files(&self) -> PathBuf {
        self.directory.join("agents")
    }

    /// Returns the paths of the files, as seen from there.
    pub(super) fn paths(&self) -> Vec<String> {
        (0..self.count)
            .map(|number| format!("d{}/file-{number}.md", number / 100))
            .collect()
    }

    fn commit(&self) -> Result<()> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message=bench"])
    }

    fn git(&self, arguments: &[&str]) -> Result<()> {
        let output = Command::new("git")
            .arg("-C")
            .arg(&self.directory)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_NAME", "Bench")
            .env("GIT_AUTHOR_EMAIL", "bench@example.invalid")
            .env("GIT_COMMITTER_NAME", "Bench")
            .env("GIT_COMMITTER_EMAIL", "bench@example.invalid")
            .stdin(Stdio::null())
            .output()?;
        ensure!(
            output.status.success(),
            "git {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}
