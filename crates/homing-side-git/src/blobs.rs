//! Contents out of a mirror: how long they are, and the bytes.

use std::io::{self, BufRead, BufReader, PipeReader, Read, Write};
use std::sync::Arc;

use homing_core::{ContentHash, Contents, Progress, SideError};
use homing_process::Conversation;
use homing_remote::Witness;
use homing_remote::git_id::BlobCheck;

use crate::git::Git;
use crate::lfs::Pointer;
use crate::mirror::{Mirror, Trouble};

/// A line that says what follows is shorter.
const LONGEST_HEAD: u64 = 1024;

/// No Git LFS pointer is longer.
const LONGEST_POINTER: usize = 1024;

/// What a mirror has of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// It is there, with so many bytes.
    Size(u64),
    /// It is not: a partial fetch left it out.
    Missing,
}

/// What became of a blob.
#[derive(Debug)]
pub(crate) enum Brought {
    /// It is in the contents.
    Kept { hash: ContentHash, size: u64 },
    /// It only names a content that is elsewhere (Git LFS): which, where it says so.
    Pointer(Option<Pointer>),
}

/// Tells how long each blob is, in the order of `ids`.
pub(crate) async fn sizes(
    git: &Git,
    mirror: &Mirror,
    ids: Vec<String>,
    progress: &Progress,
) -> Result<Vec<Held>, Trouble> {
    let counted = progress.clone();
    ask(
        git,
        mirror,
        "--batch-check",
        ids,
        progress,
        move |mut output, ids| {
            let mut sizes = Vec::with_capacity(ids.len());
            for id in ids {
                sizes.push(head(&mut output, id)?);
                counted.advance(0);
            }
            Ok(sizes)
        },
    )
    .await
}

/// Keeps the bytes of blobs, in the order of `ids`; each is verified by its id.
pub(crate) async fn bring(
    git: &Git,
    mirror: &Mirror,
    ids: Vec<String>,
    contents: &Arc<dyn Contents>,
    progress: &Progress,
) -> Result<Vec<Brought>, Trouble> {
    let contents = Arc::clone(contents);
    let counted = progress.clone();
    ask(
        git,
        mirror,
        "--batch",
        ids,
        progress,
        move |mut output, ids| {
            let mut brought = Vec::with_capacity(ids.len());
            for id in ids {
                let Held::Size(size) = head(&mut output, id)? else {
                    return Err(Trouble::Broken(format!("it lacks the blob {id}")));
                };
                brought.push(keep(&mut output, id, size, &*contents)?);
                counted.advance(size);
            }
            contents.flush()?;
            Ok(brought)
        },
    )
    .await
}

/// Has `git cat-file` tell of `ids`, which `read` hears on a thread of its own.
async fn ask<T: Send + 'static>(
    git: &Git,
    mirror: &Mirror,
    how: &str,
    ids: Vec<String>,
    progress: &Progress,
    read: impl FnOnce(BufReader<PipeReader>, &[String]) -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    if ids.is_empty() {
        // It would be asked nothing, and that is answered without a process.
        let (output, _) = io::pipe().map_err(|error| unheard(&error))?;
        return read(BufReader::new(output), &[]);
    }
    let mut command = mirror.reading(git);
    command.args(["cat-file", how, "--buffer"]);
    let mut talk: Conversation = Git::begin(command, progress)?;
    let (Some(mut input), Some(output)) = (talk.input(), talk.output()) else {
        return Err(Trouble::Side(SideError::Cancelled));
    };
    let ids = Arc::new(ids);
    let asked = Arc::clone(&ids);
    let asking = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        for chunk in asked.chunks(512) {
            text.clear();
            for id in chunk {
                text += id;
                text.push('\n');
            }
            // Whoever ended early says why.
            if input.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    });
    let reading =
        tokio::task::spawn_blocking(move || read(BufReader::with_capacity(64 << 10, output), &ids));
    let result = reading
        .await
        .map_err(|_ended| Trouble::Side(SideError::Cancelled))?;
    let ended = talk.end().await.map_err(|error| unheard(&error))?;
    asking.await.ok();
    match result {
        Ok(result) if ended.status.success() => Ok(result),
        Ok(_) => Err(Trouble::Broken(ended.complaints)),
        Err(Trouble::Broken(why)) if !ended.complaints.is_empty() => {
            Err(Trouble::Broken(format!("{why}: {}", ended.complaints)))
        }
        Err(trouble) => Err(trouble),
    }
}

/// Reads the line that comes before a blob's bytes: `ID TYPE SIZE`, or `ID missing`.
fn head(output: &mut BufReader<PipeReader>, id: &str) -> Result<Held, Trouble> {
    let mut line = String::new();
    let read = output.by_ref().take(LONGEST_HEAD).read_line(&mut line);
    let is_read = matches!(read, Ok(1..));
    let line = line.trim_end();
    let mut words = line.split(' ');
    if is_read && words.next() == Some(id) {
        match (words.next(), words.next()) {
            (Some("missing"), None) => return Ok(Held::Missing),
            (Some("blob"), Some(size)) => {
                if let Ok(size) = size.parse() {
                    return Ok(Held::Size(size));
                }
            }
            _ => {}
        }
    }
    Err(Trouble::Broken(format!("it cannot tell of the blob {id}")))
}

fn keep(
    output: &mut BufReader<PipeReader>,
    id: &str,
    size: u64,
    contents: &dyn Contents,
) -> Result<Brought, Trouble> {
    let mut checked = Checked {
        inner: output.by_ref().take(size),
        check: BlobCheck::new(id, size),
        beginning: Vec::new(),
        read: 0,
    };
    let (hash, kept) = contents.keep(&mut checked, size)?;
    let Checked {
        check,
        beginning,
        read,
        ..
    } = checked;
    let mut end = [0];
    let is_whole = kept == size && read == size && output.read_exact(&mut end).is_ok();
    if !is_whole || end != *b"\n" {
        return Err(Trouble::Broken(format!("the blob {id} is cut off")));
    }
    match check.finish(id) {
        None => Err(Trouble::Broken(format!(
            "the blob {id} has other bytes than its id says"
        ))),
        Some(blob) if blob.is_pointer => Ok(Brought::Pointer(Pointer::read(&beginning))),
        Some(_) => Ok(Brought::Kept { hash, size }),
    }
}

/// Sees what is read.
struct Checked<R> {
    inner: R,
    check: BlobCheck,
    /// As much as a pointer has.
    beginning: Vec<u8>,
    read: u64,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.check.see(&buffer[..read]);
        let room = LONGEST_POINTER.saturating_sub(self.beginning.len());
        self.beginning.extend_from_slice(&buffer[..read.min(room)]);
        self.read += read as u64;
        Ok(read)
    }
}

fn unheard(error: &io::Error) -> Trouble {
    Trouble::Side(SideError::Storage {
        message: format!("`git cat-file` cannot be heard: {error}"),
        source: None,
    })
}
