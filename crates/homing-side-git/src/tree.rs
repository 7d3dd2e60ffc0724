//! All that is at a commit, as the mirror tells.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};

use homing_core::{Progress, SideError};
use homing_remote::git_id;
use tokio::sync::mpsc;

use crate::git::{Git, Question};
use crate::mirror::{Mirror, Trouble};

/// Entries of a tree, and their bytes; a real repository has far fewer.
const MOST_ENTRIES: usize = 4_000_000;
const MOST_BYTES: usize = 512 << 20;
/// No entry is longer, whatever its path.
const LONGEST_ENTRY: usize = 1 << 20;
/// Entries that are handed on at once, about so many bytes of them, and batches that wait.
const BATCH: usize = 1024;
const BATCH_BYTES: usize = 256 << 10;
const WAITING: usize = 2;

/// What stands under a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File { executable: bool },
    Link,
    Submodule,
}

/// An entry of a commit's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    /// From the repository's root.
    pub(crate) path: Box<[u8]>,
}

/// Gives `take` all that is at a commit, below `path` alone if there is one: entry by entry, for a small pack may have a
/// tree in it that fills the memory.
pub(crate) async fn each(
    git: &Git,
    mirror: &Mirror,
    commit: &str,
    path: Option<&str>,
    progress: &Progress,
    mut take: impl FnMut(Entry) -> Result<(), SideError>,
) -> Result<(), Trouble> {
    let mut command = mirror.reading(git);
    command.env("GIT_LITERAL_PATHSPECS", "1").args([
        "ls-tree",
        "-r",
        "-z",
        "--full-tree",
        "--end-of-options",
        commit,
    ]);
    if let Some(path) = path {
        command.args([OsStr::new("--"), OsStr::new(path)]);
    }
    let mut talk = Git::begin(command, progress)?;
    let Some(output) = talk.output() else {
        return Err(Trouble::Side(SideError::Cancelled));
    };
    let (sender, mut batches) = mpsc::channel(WAITING);
    let reading = tokio::task::spawn_blocking(move || {
        read(BufReader::with_capacity(64 << 10, output), &sender)
    });
    while let Some(batch) = batches.recv().await {
        for entry in batch {
            take(entry)?;
        }
        progress.advance(0);
    }
    let read = reading
        .await
        .map_err(|_ended| Trouble::Side(SideError::Cancelled))?;
    let ended = talk.end().await.map_err(|error| {
        Trouble::Side(SideError::Storage {
            message: format!("`git ls-tree` cannot be heard: {error}"),
            source: None,
        })
    })?;
    read?;
    if !ended.status.success() {
        return Err(Trouble::Broken(ended.complaints));
    }
    Ok(())
}

/// Returns the submodule that stands on the way to a path.
pub(crate) async fn link_on_the_way(
    git: &Git,
    mirror: &Mirror,
    commit: &str,
    path: &str,
    progress: &Progress,
) -> Result<Option<Entry>, Trouble> {
    for (end, _) in path.match_indices('/') {
        let mut command = mirror.reading(git);
        command.env("GIT_LITERAL_PATHSPECS", "1");
        let way = &path[..end];
        let arguments = [
            "ls-tree",
            "-z",
            "--full-tree",
            "--end-of-options",
            commit,
            "--",
            way,
        ];
        let question = Question {
            arguments: &arguments.map(OsStr::new),
            input: Vec::new(),
            most: LONGEST_ENTRY,
        };
        let (answer, _) = Git::ask(command, question, progress).await?;
        let found = answer.strip_suffix(b"\0").and_then(entry);
        if let Some(found) = found.filter(|found| found.kind == Kind::Submodule) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Sends entries in batches until all are read, or nobody wants more.
fn read(mut output: impl BufRead, sender: &mpsc::Sender<Vec<Entry>>) -> Result<(), Trouble> {
    let mut line = Vec::new();
    let (mut entries, mut bytes) = (0, 0);
    let mut batch = Vec::new();
    let mut batch_bytes = 0;
    loop {
        line.clear();
        let mut limited = std::io::Read::take(&mut output, LONGEST_ENTRY as u64);
        let read = limited.read_until(0, &mut line);
        let is_end = read.is_err() || line.is_empty();
        if is_end || batch.len() == BATCH || batch_bytes > BATCH_BYTES {
            batch_bytes = 0;
            if sender.blocking_send(std::mem::take(&mut batch)).is_err() {
                return Ok(());
            }
        }
        if is_end {
            // How it ended says why.
            return Ok(());
        }
        let Some(entry) = line.strip_suffix(b"\0").and_then(entry) else {
            return Err(Trouble::Broken("it lists an entry that is none".to_owned()));
        };
        entries += 1;
        bytes += line.len();
        batch_bytes += line.len();
        if entries > MOST_ENTRIES || bytes > MOST_BYTES {
            return Err(Trouble::Side(SideError::Untrusted {
                message: format!(
                    "the repository has more than {MOST_ENTRIES} files, or {} MiB of paths; narrow `path`",
                    MOST_BYTES >> 20
                ),
            }));
        }
        batch.push(entry);
    }
}

/// Reads `MODE TYPE ID\tPATH`.
fn entry(line: &[u8]) -> Option<Entry> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let (head, path) = (std::str::from_utf8(&line[..tab]).ok()?, &line[tab + 1..]);
    let mut words = head.split(' ');
    let (mode, kind, id) = (words.next()?, words.next()?, words.next()?);
    let kind = match (kind, mode) {
        ("commit", _) => Kind::Submodule,
        ("blob", "120000") => Kind::Link,
        ("blob", mode) => Kind::File {
            executable: mode == "100755",
        },
        _ => return None,
    };
    git_id::is_full(id).then(|| Entry {
        kind,
        id: id.to_owned(),
        path: path.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Result<Vec<Entry>, Trouble> {
        let (sender, mut batches) = mpsc::channel(16);
        read(text, &sender)?;
        drop(sender);
        let mut entries = Vec::new();
        while let Some(batch) = batches.blocking_recv() {
            entries.extend(batch);
        }
        Ok(entries)
    }

    #[test]
    fn an_entry_is_read_whatever_its_path() {
        let id = "a".repeat(40);
        let text =
            format!("100755 blob {id}\ta\tb\nc\0160000 commit {id}\td\0120000 blob {id}\te\0");
        let entries = all(text.as_bytes()).unwrap();
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| (entry.kind, &entry.path[..]))
            .collect();
        assert_eq!(
            seen,
            [
                (Kind::File { executable: true }, &b"a\tb\nc"[..]),
                (Kind::Submodule, b"d"),
                (Kind::Link, b"e"),
            ]
        );
    }

    #[test]
    fn what_is_no_entry_means_that_the_mirror_is_broken() {
        for text in ["100644 blob x\ta\0", "nothing", "100644 tree a\tb\0"] {
            let read = all(text.as_bytes());
            assert!(matches!(read, Err(Trouble::Broken(_))), "{text}");
        }
    }
}
