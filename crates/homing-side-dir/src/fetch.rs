//! Reading items into the content store.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use homing_core::{Contents, FetchRequest, Progress, SideError};
use rustix::fd::AsFd;
use rustix::fs::{Stat, fstat, fsync};
use rustix::io::Errno;

use crate::below::Root;
use crate::errors::side_error;
use crate::inspect::open_file;
use crate::parallel::{Cancel, each};
use crate::signature::Signature;

/// So many requests are one task for a thread.
const CHUNK: usize = 64;

/// What all requests of one call share.
pub(crate) struct Fetch<'a> {
    /// Where to read.
    pub(crate) root: &'a Root,
    /// Where the bytes go.
    pub(crate) contents: &'a Arc<dyn Contents>,
    /// Told of every step.
    pub(crate) progress: &'a Progress,
    /// Set when nobody waits any more.
    pub(crate) cancel: &'a Cancel,
}

impl Fetch<'_> {
    /// Fetches all requests and returns their results in order.
    pub(crate) fn run(&self, requests: &[FetchRequest]) -> Vec<Result<(), SideError>> {
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_by_key(|&at| requests[at].key.parent());
        let chunks: Vec<&[usize]> = order.chunks(CHUNK).collect();
        let mut results: Vec<(usize, Result<(), SideError>)> =
            each(chunks, |chunk| self.chunk(requests, chunk))
                .into_iter()
                .flatten()
                .collect();
        results.sort_by_key(|(at, _)| *at);
        results.into_iter().map(|(_, result)| result).collect()
    }

    fn chunk(
        &self,
        requests: &[FetchRequest],
        chunk: &[usize],
    ) -> Vec<(usize, Result<(), SideError>)> {
        let mut opened: Option<(&str, Result<OwnedFd, SideError>)> = None;
        let mut results = Vec::with_capacity(chunk.len());
        for &at in chunk {
            let request = &requests[at];
            let parent = request.key.parent().unwrap_or("");
            if opened.as_ref().is_none_or(|(path, _)| *path != parent) {
                opened = Some((parent, self.directory(request, parent)));
            }
            let result = match &opened {
                _ if self.cancel.is_cancelled() => Err(SideError::Cancelled),
                Some((_, Ok(directory))) => self.fetch(directory, request),
                Some((_, Err(SideError::Changed { .. }))) | None => Err(changed(request)),
                Some((_, Err(error))) => Err(error.repeat()),
            };
            self.progress.finish_item();
            results.push((at, result));
        }
        results
    }

    fn directory(&self, request: &FetchRequest, parent: &str) -> Result<OwnedFd, SideError> {
        self.root.directory(parent).map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => changed(request),
            other => side_error(
                other,
                &format!("could not open `{parent}` in {}", self.root.path()),
            ),
        })
    }

    fn fetch(&self, directory: &OwnedFd, request: &FetchRequest) -> Result<(), SideError> {
        let failed = |errno| match errno {
            Errno::NOENT => changed(request),
            other => side_error(
                other,
                &format!("could not read `{}` in {}", request.key, self.root.path()),
            ),
        };
        let Some(file) = open_file(directory.as_fd(), request.key.file_name()).map_err(failed)?
        else {
            return Err(changed(request));
        };
        let status = fstat(&file).map_err(failed)?;
        let before = Signature::of(&status);
        if before.size != request.item.size || written_within(&status, request.settled_for) {
            return Err(changed(request));
        }
        let mut reader = Counted {
            // One byte more than expected shows that the file grew, and no more of it is taken.
            reader: std::fs::File::from(file).take(before.size + 1),
            progress: self.progress,
            failed: None,
        };
        let kept = self.contents.keep(&mut reader, before.size);
        if let Some(errno) = reader.failed {
            return Err(failed(errno));
        }
        let (hash, size) = kept?;
        let file = reader.reader.into_inner();
        if !request.settled_for.is_zero() {
            // The name too: an editor may have renamed the file into place a moment ago.
            fsync(&file).map_err(failed)?;
            fsync(directory).map_err(failed)?;
        }
        let after = Signature::of(&fstat(&file).map_err(failed)?);
        self.progress.advance(0);
        if hash == request.item.hash && size == request.item.size && before == after {
            Ok(())
        } else {
            Err(changed(request))
        }
    }
}

/// Tells whether the file was written less than `age` ago. A time in the future is an age like any other.
fn written_within(status: &Stat, age: Duration) -> bool {
    let modified = Duration::new(
        u64::try_from(status.st_mtime).unwrap_or(0),
        u32::try_from(status.st_mtime_nsec).unwrap_or(0),
    );
    !age.is_zero()
        && (UNIX_EPOCH + modified)
            .elapsed()
            .is_ok_and(|elapsed| elapsed < age)
}

fn changed(request: &FetchRequest) -> SideError {
    SideError::Changed {
        key: request.key.as_str().to_owned(),
    }
}

/// Counts what passes, and remembers that reading failed: the store cannot tell our errors from its own.
struct Counted<'a, R> {
    reader: R,
    progress: &'a Progress,
    failed: Option<Errno>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.failed = Some(Errno::from_io_error(error).unwrap_or(Errno::IO));
            }
        })?;
        self.progress.advance(count as u64);
        Ok(count)
    }
}
