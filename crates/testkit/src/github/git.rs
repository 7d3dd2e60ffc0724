//! A repository as Git reads it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;

use super::lock;
use crate::git_repository::command;

/// A repository.
pub(crate) struct Git {
    directory: PathBuf,
    reader: Mutex<Option<Reader>>,
    /// What an object's id names never changes.
    trees: Mutex<HashMap<(String, bool), Tree>>,
    archives: Mutex<HashMap<(String, String), Bytes>>,
}

/// A tree that was listed.
pub(crate) type Tree = Arc<Vec<Entry>>;

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) size: u64,
}

/// A line of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) mode: String,
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) size: Option<u64>,
    pub(crate) path: String,
}

/// A `git cat-file --batch-command` that stays.
struct Reader {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Git {
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let git = Self {
            directory: directory.to_owned(),
            reader: Mutex::default(),
            trees: Mutex::default(),
            archives: Mutex::default(),
        };
        git.run(["rev-parse", "--git-dir"])
            .with_context(|| format!("{} is no repository", directory.display()))?;
        Ok(git)
    }

    /// Finds what an expression names.
    pub(crate) fn find(&self, expression: &str) -> Result<Option<Object>> {
        self.ask(|reader| reader.info(expression))
    }

    /// Reads an object.
    pub(crate) fn read(&self, id: &str) -> Result<Option<(Object, Vec<u8>)>> {
        self.ask(|reader| reader.contents(id))
    }

    /// Returns the branch that `HEAD` names.
    pub(crate) fn head_branch(&self) -> Result<String> {
        let head = self.run(["symbolic-ref", "HEAD"])?;
        let head = String::from_utf8(head)?;
        Ok(head
            .trim()
            .strip_prefix("refs/heads/")
            .unwrap_or(head.trim())
            .to_owned())
    }

    /// Tells whether a tree is that of a commit, and not of a directory in it.
    pub(crate) fn is_root(&self, tree: &str) -> Result<bool> {
        let roots = self.run(["log", "--all", "--format=%T"])?;
        Ok(roots
            .split(|byte| *byte == b'\n')
            .any(|id| id == tree.as_bytes()))
    }

    /// Tells whether there is no branch at all.
    pub(crate) fn is_empty(&self) -> Result<bool> {
        Ok(self
            .run(["for-each-ref", "--count=1", "refs/heads", "refs/tags"])?
            .is_empty())
    }

    /// Lists a tree.
    pub(crate) fn tree(&self, id: &str, recursive: bool) -> Result<Tree> {
        let name = (id.to_owned(), recursive);
        if let Some(known) = lock(&self.trees).get(&name) {
            return Ok(known.clone());
        }
        let mut arguments = vec!["ls-tree", "-z", "-l"];
        if recursive {
            arguments.extend(["-r", "-t"]);
        }
        arguments.push(id);
        let listed = self.run(arguments)?;
        let lines = listed.split(|&byte| byte == 0);
        let entries: Result<Vec<Entry>> = lines
            .filter(|line| !line.is_empty())
            .map(|line| entry(&String::from_utf8_lossy(line)))
            .collect();
        let entries = Arc::new(entries?);
        lock(&self.trees).insert(name, entries.clone());
        Ok(entries)
    }

    /// Packs a commit, with everything below `directory`.
    pub(crate) fn archive(&self, commit: &str, directory: &str) -> Result<Bytes> {
        let name = (commit.to_owned(), directory.to_owned());
        if let Some(known) = lock(&self.archives).get(&name) {
            return Ok(known.clone());
        }
        let prefix = format!("--prefix={directory}/");
        let packed =
            Bytes::from(self.run(["archive", "-1", "--format=tar.gz", &prefix, commit])?);
        lock(&self.archives).insert(name, packed.clone());
        Ok(packed)
    }

    fn ask<T>(&self, question: impl FnOnce(&mut Reader) -> Result<T>) -> Result<T> {
        let mut reader = lock(&self.reader);
        let running = match reader.as_mut() {
            Some(running) => running,
            None => reader.insert(Reader::start(&self.directory)?),
        };
        let answer = question(running);
        if answer.is_err() {
            // What it says next would be the answer to this question.
            *reader = None;
        }
        answer
    }

    fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Vec<u8>> {
        let output = command(&self.directory)
            .args(arguments)
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            bail!(
                "git failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(output.stdout)
    }
}

impl Reader {
    fn start(directory: &Path) -> Result<Self> {
        let mut child = command(directory)
            .args(["cat-file", "--batch-command"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let input = child.stdin.take().context("standard input is a pipe")?;
        let output = child.stdout.take().context("standard output is a pipe")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    fn info(&mut self, expression: &str) -> Result<Option<Object>> {
        if expression.contains(['\n', '\0']) {
            return Ok(None);
        }
        self.input
            .write_all(format!("info {expression}\n").as_bytes())?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "git ended");
        let words: Vec<&str> = line.split_whitespace().collect();
        let [id, kind, size] = words[..] else {
            return Ok(None);
        };
        Ok(Some(Object {
            id: id.to_owned(),
            kind: kind.to_owned(),
            size: size.parse()?,
        }))
    }

    fn contents(&mut self, id: &str) -> Result<Option<(Object, Vec<u8>)>> {
        let Some(object) = self.info(id)? else {
            return Ok(None);
        };
        self.input
            .write_all(format!("contents {}\n", object.id).as_bytes())?;
        self.output.read_until(b'\n', &mut Vec::new())?;
        let mut bytes = vec![0; usize::try_from(object.size)?];
        self.output.read_exact(&mut bytes)?;
        self.output.read_exact(&mut [0])?;
        Ok(Some((object, bytes)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Reads `MODE KIND ID SIZE\tPATH`.
fn entry(line: &str) -> Result<Entry> {
    let (words, path) = line.split_once('\t').context("a tab")?;
    let words: Vec<&str> = words.split_whitespace().collect();
    let [mode, kind, id, size] = words[..] else {
        bail!("git listed `{line}`");
    };
    Ok(Entry {
        mode: mode.to_owned(),
        kind: kind.to_owned(),
        id: id.to_owned(),
        size: size.parse().ok(),
        path: path.to_owned(),
    })
}
