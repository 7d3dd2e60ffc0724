//! Writing new contents into temporary files.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use homing_core::{
    Change, ContentHash, ContentReader, Hasher, Operation, Outcome, SideError, Version,
};
use rustix::fs::{Mode, OFlags, fchmod, fstat, fsync, openat};
use rustix::io::{Errno, retry_on_intr, write};

use crate::apply::place::Placed;
use crate::apply::spot::{Ready, Spot};
use crate::apply::sync::Touched;
use crate::apply::{Batch, Group, State};
use crate::inspect::{BUFFER_BYTES, Seen, open_file, permissions};
use crate::signature::Signature;

/// A new content in its temporary file.
pub(crate) struct Staged {
    /// The temporary file, as it was when it was complete.
    pub(crate) signature: Signature,
    /// Whether a file is replaced.
    pub(crate) replaces: bool,
}

/// Why a content is not in its temporary file.
enum StageError {
    /// For a reason that concerns this one alone.
    Item(Outcome),
    /// The disk is full or failing: no other one will fare better.
    Disk(SideError),
}

impl From<Outcome> for StageError {
    fn from(outcome: Outcome) -> Self {
        Self::Item(outcome)
    }
}

impl Batch<'_> {
    /// Stages all writes; returns the error of a disk that is full or failing, which ends the batch.
    pub(crate) fn stage(
        &self,
        operations: &[Operation],
        groups: Vec<Group<'_>>,
        states: &mut [Option<State>],
        touched: &Touched,
    ) -> Option<SideError> {
        let failure: Mutex<Option<SideError>> = Mutex::new(None);
        let failing = AtomicBool::new(false);
        let open = |parent: &str| -> Result<OwnedFd, Errno> {
            let directory = self
                .root
                .directory_made(parent, &mut |made| touched.made(made));
            if let Ok(directory) = &directory {
                touched.directory(parent, directory);
            }
            directory
        };
        self.for_each(operations, groups, states, open, |spot, _| {
            if failing.load(Ordering::Relaxed) {
                return None;
            }
            if self.cancel.is_cancelled() {
                return Some(State::Ended(Outcome::Failed(SideError::Cancelled)));
            }
            match spot.stage(touched) {
                Ok(state) => Some(state),
                Err(StageError::Item(outcome)) => Some(State::Ended(outcome)),
                Err(StageError::Disk(error)) => {
                    failing.store(true, Ordering::Relaxed);
                    failure
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .get_or_insert(error);
                    None
                }
            }
        });
        let failure = failure
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        failure.or_else(|| self.cancel.is_cancelled().then_some(SideError::Cancelled))
    }
}

impl Spot<'_> {
    fn stage(&self, touched: &Touched) -> Result<State, StageError> {
        let Change::Write { version, size } = &self.operation.change else {
            return Err(StageError::Item(Outcome::Changed));
        };
        let seen = match self.look()? {
            Ready::Nothing => None,
            Ready::File(seen) => Some(seen),
        };
        if let Some(seen) = &seen
            && seen.version.hash == version.hash
        {
            return Ok(self.change_mode(seen, *version, touched)?);
        }
        let mut reader = self
            .batch
            .contents
            .open(&version.hash)
            .map_err(Outcome::Failed)?;
        let mode = mode(*version, seen.as_ref());
        let temporary = self.operation.temporary.as_str();
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(
            self.directory(),
            temporary,
            flags,
            Mode::from_raw_mode(mode),
        ) {
            Ok(file) => file,
            Err(Errno::EXIST) => {
                return Err(StageError::Item(Outcome::Failed(self.left_over(temporary))));
            }
            Err(errno) => return Err(self.classify(errno)),
        };
        let staged = self
            .write(&file, &mut reader, version.hash, *size)
            .and_then(|()| self.complete(&file, mode, seen.is_some(), touched));
        if staged.is_err() {
            self.remove(temporary);
        }
        staged.map(State::Staged)
    }

    fn write(
        &self,
        file: &OwnedFd,
        reader: &mut ContentReader,
        hash: ContentHash,
        size: u64,
    ) -> Result<(), StageError> {
        let (found, count) = match reader {
            ContentReader::Bytes(bytes) => {
                let bytes = bytes.get_ref().as_slice();
                self.write_all(file, bytes)?;
                (ContentHash::of(bytes), bytes.len() as u64)
            }
            ContentReader::File(source) => {
                let mut buffer = vec![0; BUFFER_BYTES];
                let mut hasher = Hasher::default();
                let mut count = 0_u64;
                loop {
                    let taken = match source.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(taken) => taken,
                        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                        Err(error) => {
                            return Err(StageError::Item(Outcome::Failed(self.unreadable(error))));
                        }
                    };
                    hasher.update(&buffer[..taken]);
                    self.write_all(file, &buffer[..taken])?;
                    count += taken as u64;
                }
                (hasher.finish(), count)
            }
        };
        if found == hash && count == size {
            Ok(())
        } else {
            self.batch.contents.report_damaged(&hash);
            Err(StageError::Item(Outcome::Failed(self.damaged())))
        }
    }

    fn write_all(&self, file: &OwnedFd, bytes: &[u8]) -> Result<(), StageError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written =
                retry_on_intr(|| write(file, rest)).map_err(|errno| self.classify(errno))?;
            if written == 0 {
                return Err(self.classify(Errno::NOSPC));
            }
            rest = &rest[written..];
            self.batch.progress.advance(written as u64);
        }
        Ok(())
    }

    fn complete(
        &self,
        file: &OwnedFd,
        mode: u32,
        replaces: bool,
        touched: &Touched,
    ) -> Result<Staged, StageError> {
        let classify = |errno| self.classify(errno);
        let stat = fstat(file).map_err(classify)?;
        let has = permissions(&stat);
        // A new file obeys the umask, but for the bit that was asked for; one that replaces another keeps its mode.
        let wanted = if replaces { mode } else { has | mode & 0o100 };
        let mut signature = Signature::of(&stat);
        if self.batch.executable_bit && has != wanted {
            fchmod(file, Mode::from_raw_mode(wanted)).map_err(classify)?;
            signature = Signature::of(&fstat(file).map_err(classify)?);
        }
        if touched.each_file() {
            fsync(file).map_err(classify)?;
        }
        Ok(Staged {
            signature,
            replaces,
        })
    }

    /// Changes the executable bit of a file whose content stays.
    fn change_mode(
        &self,
        seen: &Seen,
        version: Version,
        touched: &Touched,
    ) -> Result<State, Outcome> {
        let placed = |signature| {
            State::Placed(Placed {
                signature: Some(signature),
                size: seen.signature.size,
                displaced: None,
            })
        };
        if self.same(seen.version, version) {
            return Ok(placed(seen.signature));
        }
        let failed = |errno| self.failed(errno, "change the mode of");
        let Some(file) = open_file(self.directory(), self.name).map_err(failed)? else {
            return Err(Outcome::Changed);
        };
        if Signature::of(&fstat(&file).map_err(failed)?) != seen.signature {
            return Err(Outcome::Changed);
        }
        fchmod(&file, Mode::from_raw_mode(mode(version, Some(seen)))).map_err(failed)?;
        let now = crate::below::stat_name(self.directory(), self.name).map_err(failed)?;
        match now.map(|stat| Signature::of(&stat)) {
            Some(signature) if signature.same_content_as(&seen.signature) => {
                if touched.each_file() && fsync(&file).is_err() {
                    touched.not_durable();
                }
                Ok(placed(signature))
            }
            // It was edited, or replaced, between the two looks.
            _ => {
                fchmod(&file, Mode::from_raw_mode(seen.mode)).map_err(failed)?;
                Err(Outcome::Changed)
            }
        }
    }

    fn classify(&self, errno: Errno) -> StageError {
        match self.error(errno, "write") {
            error @ SideError::Storage { .. } => StageError::Disk(error),
            other => StageError::Item(Outcome::Failed(other)),
        }
    }

    fn damaged(&self) -> SideError {
        SideError::NotFound {
            message: format!(
                "the kept content of `{}` is damaged and was not published; the next sync fetches it again where a source \
                 or target still has it",
                self.operation.key
            ),
            source: None,
        }
    }

    fn unreadable(&self, error: std::io::Error) -> SideError {
        SideError::Storage {
            message: format!(
                "the kept content of `{}` cannot be read",
                self.operation.key
            ),
            source: Some(error.into()),
        }
    }

    /// Returns the error for a temporary file that an earlier run left behind.
    pub(crate) fn left_over(&self, temporary: &str) -> SideError {
        SideError::Transient {
            message: format!(
                "`{temporary}` of an earlier run still lies beside `{}`; it is recovered first",
                self.operation.key
            ),
            retry_after: None,
            source: None,
        }
    }
}

/// Returns the mode for a version: that of the file it replaces, but for the executable bits.
fn mode(version: Version, replaced: Option<&Seen>) -> u32 {
    match (replaced, version.executable) {
        (None, false) => 0o644,
        (None, true) => 0o755,
        (Some(seen), executable) if seen.version.executable == executable => seen.mode,
        (Some(seen), false) => seen.mode & !0o111,
        (Some(seen), true) => seen.mode | 0o100 | (seen.mode & 0o044) >> 2,
    }
}
