//! A Git repository that a test makes commit by commit.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use homing_core::Side;
use tempfile::TempDir;

use crate::Place;

/// A bare repository in a temporary directory.
pub struct GitRepository {
    directory: TempDir,
}

/// What a commit makes of a path.
#[derive(Debug, Clone, Copy)]
pub enum Node<'a> {
    /// A file.
    File(&'a [u8]),
    /// A file that may be executed.
    Executable(&'a [u8]),
    /// A symbolic link to there.
    Link(&'a str),
    /// A commit of another repository.
    Submodule(&'a str),
    /// Nothing.
    Gone,
}

impl GitRepository {
    /// Makes an empty repository whose default branch is `main`.
    pub fn new() -> Result<Self> {
        Self::with_format("sha1")
    }

    /// Makes an empty repository whose objects have ids of this kind, `sha1` or `sha256`.
    pub fn with_format(format: &str) -> Result<Self> {
        let repository = Self {
            directory: tempfile::Builder::new().prefix("homing-git-").tempdir()?,
        };
        let format = format!("--object-format={format}");
        repository.git(&[
            "init",
            "--quiet",
            "--bare",
            "--initial-branch=main",
            &format,
        ])?;
        Ok(repository)
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Commits changes on top of a branch and returns the commit's id.
    pub fn commit(&self, branch: &str, changes: &[(&str, Node<'_>)]) -> Result<String> {
        self.commit_at(branch, 1_700_000_000, "change", changes)
    }

    /// Commits changes with a subject, made so many seconds after 1970.
    pub fn commit_at(
        &self,
        branch: &str,
        seconds: u64,
        subject: &str,
        changes: &[(&str, Node<'_>)],
    ) -> Result<String> {
        let reference = format!("refs/heads/{branch}");
        let parent = self.git(&["rev-parse", "--verify", "--quiet", &reference]);
        let mut stream = format!(
            "commit {reference}\ncommitter Test <test@example.invalid> {seconds} +0000\ndata {}\n{subject}\n",
            subject.len()
        )
        .into_bytes();
        if let Ok(parent) = parent {
            stream.extend(format!("from {parent}\n").into_bytes());
        }
        for (path, node) in changes {
            let path = quoted(path);
            let (mode, bytes): (&str, &[u8]) = match node {
                Node::File(bytes) => ("100644", bytes),
                Node::Executable(bytes) => ("100755", bytes),
                Node::Link(to) => ("120000", to.as_bytes()),
                Node::Submodule(commit) => {
                    stream.extend(format!("M 160000 {commit} {path}\n").into_bytes());
                    continue;
                }
                Node::Gone => {
                    stream.extend(format!("D {path}\n").into_bytes());
                    continue;
                }
            };
            stream.extend(format!("M {mode} inline {path}\ndata {}\n", bytes.len()).into_bytes());
            stream.extend(bytes);
            stream.push(b'\n');
        }
        self.git_with(&["fast-import", "--quiet", "--force"], &stream)?;
        self.git(&["rev-parse", &reference])
    }

    /// Writes a tree with names that Git itself refuses; each line has a mode, a name and an object's id.
    pub fn literal_tree(&self, lines: &[(&str, &[u8], &str)]) -> Result<String> {
        let mut tree = Vec::new();
        for (mode, name, id) in lines {
            tree.extend(mode.as_bytes());
            tree.push(b' ');
            tree.extend(*name);
            tree.push(0);
            for at in (0..id.len()).step_by(2) {
                tree.push(u8::from_str_radix(&id[at..at + 2], 16)?);
            }
        }
        let arguments = ["hash-object", "-t", "tree", "--literally", "-w", "--stdin"];
        self.git_with(&arguments, &tree)
    }

    /// Writes a blob and returns its id.
    pub fn blob(&self, bytes: &[u8]) -> Result<String> {
        self.git_with(&["hash-object", "-w", "--stdin"], bytes)
    }

    /// Makes a tree the new state of a branch.
    pub fn commit_tree(&self, branch: &str, tree: &str) -> Result<String> {
        let commit = self.git(&["commit-tree", "-m", "change", tree])?;
        self.git(&["update-ref", &format!("refs/heads/{branch}"), &commit])?;
        Ok(commit)
    }

    /// Returns a branch's files with their executable bits, as far as their contents are text; none where there is no branch.
    fn files(&self, branch: &str) -> BTreeMap<String, (Vec<u8>, bool)> {
        let Ok(listed) = self.git(&["ls-tree", "-r", branch]) else {
            return BTreeMap::new();
        };
        let file = |line: &str| {
            let (words, path) = line.split_once('\t').expect("a line of a tree");
            let id = words.split(' ').nth(2).expect("an id");
            let bytes = self.git(&["cat-file", "blob", id]).expect("a blob");
            let executable = words.starts_with("100755");
            (path.to_owned(), (bytes.into_bytes(), executable))
        };
        listed.lines().map(file).collect()
    }

    /// Runs `git` in it and returns what it says, without the last newline.
    pub fn git(&self, arguments: &[&str]) -> Result<String> {
        self.git_with(arguments, b"")
    }

    fn git_with(&self, arguments: &[&str], input: &[u8]) -> Result<String> {
        let mut child = command(self.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("standard input is a pipe")?;
        // Git may end without reading all of it; what it says then is told below.
        drop(stdin.write_all(input));
        drop(stdin);
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "git {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned())
    }
}

/// The default branch of a repository that something in `world` serves, as the conformance suite changes it.
pub struct RepositoryPlace<W> {
    /// Whatever has to stay for as long as the place does.
    pub world: W,
    /// What reads the repository.
    pub side: Arc<dyn Side>,
    /// Where the repository is.
    pub repository: fn(&W) -> &GitRepository,
    /// Takes it away.
    pub destroy: fn(&W),
}

impl<W> RepositoryPlace<W> {
    fn commit(&self, path: &str, node: Node<'_>) {
        let repository = (self.repository)(&self.world);
        repository
            .commit("main", &[(path, node)])
            .expect("a commit");
    }
}

impl<W: Send + Sync> Place for RepositoryPlace<W> {
    fn side(&self) -> Arc<dyn Side> {
        Arc::clone(&self.side)
    }

    fn put(&self, path: &str, bytes: &[u8], executable: bool) {
        self.commit(
            path,
            if executable {
                Node::Executable(bytes)
            } else {
                Node::File(bytes)
            },
        );
    }

    fn remove(&self, path: &str) {
        self.commit(path, Node::Gone);
    }

    fn files(&self) -> BTreeMap<String, (Vec<u8>, bool)> {
        (self.repository)(&self.world).files("main")
    }

    fn destroy(&self) {
        (self.destroy)(&self.world);
    }
}

/// Returns the directories of the oldest and the newest `git` of this machine; says so where there is only one.
pub fn gits() -> Result<Vec<PathBuf>> {
    let mut found: Vec<(Vec<u32>, PathBuf)> = Vec::new();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from);
    for directory in std::env::split_paths(&path).chain(usual) {
        let Ok(output) = Command::new(directory.join("git"))
            .arg("--version")
            .output()
        else {
            continue;
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let number = said.split_whitespace().nth(2).unwrap_or_default();
        let number: Vec<u32> = number
            .split('.')
            .filter_map(|word| word.parse().ok())
            .collect();
        if !found.iter().any(|(known, _)| *known == number) {
            found.push((number, directory));
        }
    }
    found.sort();
    if found.len() < 2 {
        crate::skipped("there is only one version of `git` on this machine");
    }
    let newest = found.split_off(found.len().saturating_sub(1));
    let oldest = found.into_iter().take(1);
    Ok(oldest
        .chain(newest)
        .map(|(_, directory)| directory)
        .collect())
}

/// A `git` that reads no configuration but the repository's own.
pub(crate) fn command(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(directory)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Test")
        .env("GIT_AUTHOR_EMAIL", "test@example.invalid")
        .env("GIT_COMMITTER_NAME", "Test")
        .env("GIT_COMMITTER_EMAIL", "test@example.invalid")
        .env("LC_ALL", "C");
    command
}

/// Returns a path as `fast-import` reads it: in quotes, bytes beyond plain text as octal escapes.
fn quoted(path: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in path.bytes() {
        match byte {
            b'"' | b'\\' | 0..0x20 | 0x7f.. => {
                write!(quoted, "\\{byte:03o}").expect("a string takes everything");
            }
            _ => quoted.push(char::from(byte)),
        }
    }
    quoted.push('"');
    quoted
}
