//! One operation at its place: looking, keeping, putting back.

use std::os::fd::OwnedFd;
use std::time::SystemTime;

use homing_core::{Change, ContentHash, Item, Operation, Outcome, SideError, Version};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, FileType, fstat, renameat, unlinkat};
use rustix::io::Errno;

use crate::apply::place::{Displaced, Placed};
use crate::apply::{Batch, State};
use crate::below::{file_type, stat_name};
use crate::errors::side_error;
use crate::inspect::{Found, Seen, inspect, open_file};
use crate::moves::{exchange, is_unsupported, rename_new};
use crate::signature::Signature;

/// An operation and the directory in which it takes place.
pub(crate) struct Spot<'a> {
    pub(crate) batch: &'a Batch<'a>,
    directory: &'a OwnedFd,
    pub(crate) operation: &'a Operation,
    /// The last component of the key.
    pub(crate) name: &'a str,
}

/// What stands at a path, against what an operation expects.
pub(crate) enum Ready {
    /// Nothing, as expected.
    Nothing,
    /// The expected file.
    File(Seen),
}

impl<'a> Spot<'a> {
    /// Brings an operation to its directory.
    pub(crate) fn new(
        batch: &'a Batch<'a>,
        directory: &'a OwnedFd,
        operation: &'a Operation,
    ) -> Self {
        Self {
            batch,
            directory,
            operation,
            name: operation.key.file_name(),
        }
    }

    /// Returns the directory.
    pub(crate) fn directory(&self) -> BorrowedFd<'a> {
        self.directory.as_fd()
    }

    /// Looks at what is there before anything is done.
    pub(crate) fn look(&self) -> Result<Ready, Outcome> {
        match (self.inspect(self.name)?, &self.operation.expected) {
            (Found::Absent, None) => Ok(Ready::Nothing),
            (Found::File(seen), Some(expected)) if self.same(seen.version, *expected) => {
                Ok(Ready::File(seen))
            }
            (Found::Other(what), _) => Err(Outcome::Failed(self.in_the_way(what))),
            (Found::Absent | Found::File(_) | Found::Changing, _) => Err(Outcome::Changed),
        }
    }

    /// Hashes what is under `name`.
    pub(crate) fn inspect(&self, name: &str) -> Result<Found, Outcome> {
        inspect(
            self.directory(),
            name,
            self.batch.executable_bit,
            self.batch.progress,
        )
        .map_err(|errno| self.failed(errno, "read"))
    }

    /// Compares two versions as far as the file system can store them.
    pub(crate) fn same(&self, one: Version, other: Version) -> bool {
        one.hash == other.hash && (!self.batch.executable_bit || one.executable == other.executable)
    }

    /// Returns the version that the operation places.
    pub(crate) fn after(&self) -> Option<Version> {
        match &self.operation.change {
            Change::Write { version, .. } => Some(*version),
            Change::Delete => None,
            Change::Rename { .. } => self.operation.expected,
        }
    }

    /// Returns the outcome for an error of the operating system.
    pub(crate) fn failed(&self, errno: Errno, verb: &str) -> Outcome {
        Outcome::Failed(self.error(errno, verb))
    }

    /// Returns the error for an error of the operating system.
    pub(crate) fn error(&self, errno: Errno, verb: &str) -> SideError {
        side_error(
            errno,
            &format!(
                "could not {verb} `{}` in {}",
                self.operation.key,
                self.batch.root.path()
            ),
        )
    }

    /// Returns the error for something that is no regular file.
    pub(crate) fn in_the_way(&self, what: &str) -> SideError {
        SideError::Conflict {
            message: format!(
                "{what} stands at `{}` in {}; move it away and sync again",
                self.operation.key,
                self.batch.root.path()
            ),
        }
    }

    /// Removes a file of our own; one that is gone is as good.
    pub(crate) fn remove(&self, name: &str) {
        // What could not be removed is found again by `recover`, for its name is in the journal.
        unlinkat(self.directory(), name, AtFlags::empty()).ok();
    }

    /// Lets go of a displaced file when it still is what was checked, else undoes the operation.
    pub(crate) fn settle(&self, mut placed: Placed) -> State {
        let Some(displaced) = placed.displaced.take() else {
            return State::Placed(placed);
        };
        match stat_name(self.directory(), displaced.name.as_str()) {
            Ok(Some(stat)) if Signature::of(&stat) == displaced.signature => {
                self.remove(&displaced.name);
                State::Placed(placed)
            }
            // Somebody took it away: there is nothing left to check.
            Ok(None) => State::Placed(placed),
            // An editor that had it open wrote into it.
            Ok(Some(_)) => State::Ended(self.put_back_over(&displaced.name, placed.signature)),
            Err(errno) => State::Ended(self.failed(errno, "check")),
        }
    }

    /// Checks a displaced file against what was expected; if it differs, puts it back, over the file that was `placed`.
    pub(crate) fn check(
        &self,
        held: String,
        placed: Option<Signature>,
    ) -> Result<Displaced, Outcome> {
        match self.inspect(&held) {
            Ok(Found::File(seen))
                if self
                    .operation
                    .expected
                    .is_some_and(|expected| self.same(seen.version, expected)) =>
            {
                Ok(Displaced {
                    name: held,
                    signature: seen.signature,
                })
            }
            Ok(_) => Err(self.put_back_over(&held, placed)),
            Err(unreadable) => Err(match self.put_back_over(&held, placed) {
                Outcome::Changed => unreadable,
                other => other,
            }),
        }
    }

    /// Gives the displaced file under `held` its path back. Whatever is not put there is kept in the contents.
    pub(crate) fn put_back(&self, held: &str) -> Outcome {
        self.put_back_over(held, None)
    }

    /// Does the same where the file that was `placed` is known, so that it need not be readable.
    fn put_back_over(&self, held: &str, placed: Option<Signature>) -> Outcome {
        let kept = self.keep(held);
        for _ in 0..4 {
            let step = match self.inspect(self.name) {
                Ok(Found::Absent) => rename_new(self.directory(), held, self.name).map(|()| true),
                Ok(Found::File(seen))
                    if self
                        .after()
                        .is_some_and(|after| self.same(seen.version, after)) =>
                {
                    self.swap_back(held)
                }
                Err(_) if self.is_the_file(self.name, placed) => {
                    self.swap_back_unread(held, placed)
                }
                // Somebody put something newer there: it stays, and what it follows is in the contents.
                Ok(_) => {
                    return match kept {
                        Ok(Some(_)) => {
                            self.remove(held);
                            Outcome::Changed
                        }
                        Ok(None) => Outcome::Failed(self.stranded(None, held)),
                        Err(error) => Outcome::Failed(self.stranded(Some(error.into()), held)),
                    };
                }
                Err(Outcome::Failed(error)) => {
                    return Outcome::Failed(self.stranded(Some(error.into()), held));
                }
                Err(outcome) => return outcome,
            };
            match step {
                Ok(true) if matches!(kept, Ok(None)) => {
                    return Outcome::Failed(self.in_the_way("something that is no regular file"));
                }
                Ok(true) => return Outcome::Changed,
                // Somebody was quicker: look again.
                Ok(false) | Err(Errno::NOENT | Errno::EXIST) => {}
                Err(errno) => {
                    return Outcome::Failed(
                        self.stranded(Some(std::io::Error::from(errno).into()), held),
                    );
                }
            }
        }
        Outcome::Failed(self.stranded(None, held))
    }

    /// Exchanges the displaced file with ours, and back if what comes out is not ours; tells whether it was.
    pub(crate) fn swap_back(&self, held: &str) -> Result<bool, Errno> {
        match exchange(self.directory(), held, self.name) {
            Ok(()) => {}
            Err(errno) if is_unsupported(errno) => {
                renameat(self.directory(), held, self.directory(), self.name)?;
                return Ok(true);
            }
            Err(errno) => return Err(errno),
        }
        let ours = inspect(
            self.directory(),
            held,
            self.batch.executable_bit,
            self.batch.progress,
        )?;
        if matches!(ours, Found::File(seen) if self.after().is_some_and(|after| self.same(seen.version, after)))
        {
            self.remove(held);
            return Ok(true);
        }
        exchange(self.directory(), held, self.name)?;
        Ok(false)
    }

    /// Does the same by what can be told without opening a file.
    fn swap_back_unread(&self, held: &str, placed: Option<Signature>) -> Result<bool, Errno> {
        exchange(self.directory(), held, self.name)?;
        if self.is_the_file(held, placed) {
            self.remove(held);
            return Ok(true);
        }
        exchange(self.directory(), held, self.name)?;
        Ok(false)
    }

    /// Tells whether the file that was `placed` stands under `name`, unchanged.
    fn is_the_file(&self, name: &str, placed: Option<Signature>) -> bool {
        let found = stat_name(self.directory(), name).ok().flatten();
        found.is_some_and(|stat| {
            placed.is_some_and(|placed| Signature::of(&stat).same_content_as(&placed))
        })
    }

    /// Keeps the bytes under `name`, durably; `None` when it is no regular file and has none.
    pub(crate) fn keep(&self, name: &str) -> Result<Option<ContentHash>, SideError> {
        let failed = |errno| self.error(errno, "keep what was at");
        let stat = stat_name(self.directory(), name).map_err(failed)?;
        if stat.is_none_or(|stat| file_type(&stat) != FileType::RegularFile) {
            return Ok(None);
        }
        let Some(file) = open_file(self.directory(), name).map_err(failed)? else {
            return Ok(None);
        };
        let size = fstat(&file).map_or(0, |stat| Signature::of(&stat).size);
        let (hash, _) = self
            .batch
            .contents
            .keep(&mut std::fs::File::from(file), size)?;
        self.batch.contents.flush()?;
        Ok(Some(hash))
    }

    fn stranded(
        &self,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
        held: &str,
    ) -> SideError {
        stranded(self.batch, self.operation, held, source)
    }

    /// Returns the item as the operation left it, with an identity if it still is that file.
    pub(crate) fn item(&self, placed: &Placed, now: SystemTime) -> Option<Item> {
        let version = self.after()?;
        let signature = stat_name(self.directory(), self.name)
            .ok()
            .flatten()
            .map(|stat| Signature::of(&stat))
            .filter(|signature| {
                placed
                    .signature
                    .is_some_and(|placed| signature.same_content_as(&placed))
            });
        Some(Item {
            hash: version.hash,
            size: placed.size,
            executable: self.batch.executable_bit && version.executable,
            identity: signature.and_then(|signature| signature.identity(now)),
        })
    }
}

/// Returns the error for a user's bytes that could not be put back: they stay where they are, and it says where that is.
pub(crate) fn stranded(
    batch: &Batch<'_>,
    operation: &Operation,
    held: &str,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
) -> SideError {
    SideError::Storage {
        message: format!(
            "`{}` in {} changed while it was published; what was there is in `{held}` beside it",
            operation.key,
            batch.root.path()
        ),
        source,
    }
}
