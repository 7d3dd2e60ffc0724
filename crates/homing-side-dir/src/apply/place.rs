//! Giving staged contents their path.

use homing_core::{Change, Operation, Outcome};
use rustix::fs::renameat;
use rustix::io::Errno;

use crate::ASIDE;
use crate::apply::spot::Spot;
use crate::apply::stage::Staged;
use crate::apply::{Batch, State, groups};
use crate::below::{file_type, not_a_file, stat_name};
use crate::inspect::{Found, open_file};
use crate::moves::{exchange, is_unsupported, link, rename_new};
use crate::signature::Signature;

/// A path that is as the operation wants it.
pub(crate) struct Placed {
    /// The file there, when the operation was no deletion.
    pub(crate) signature: Option<Signature>,
    /// Its bytes.
    pub(crate) size: u64,
    /// The file that was there before and is still kept aside.
    pub(crate) displaced: Option<Displaced>,
}

/// A file that gave way, checked to be what was expected.
pub(crate) struct Displaced {
    /// The name under which it is kept aside.
    pub(crate) name: String,
    /// As it was when it was checked.
    pub(crate) signature: Signature,
}

impl Batch<'_> {
    /// Places all staged contents.
    pub(crate) fn place(&self, operations: &[Operation], states: &mut [Option<State>]) {
        let staged = groups(operations, |at| {
            matches!(states[at], Some(State::Staged(_)))
        });
        let open = |parent: &str| self.root.directory(parent);
        self.for_each(
            operations,
            staged,
            states,
            open,
            |spot, state| match state {
                Some(State::Staged(_)) if self.cancel.is_cancelled() => {
                    spot.remove(&spot.operation.temporary);
                    None
                }
                Some(State::Staged(staged)) => {
                    let state = spot.place(&staged).unwrap_or_else(State::Ended);
                    self.progress.finish_item();
                    Some(state)
                }
                other => other,
            },
        );
    }
}

impl Spot<'_> {
    fn place(&self, staged: &Staged) -> Result<State, Outcome> {
        let displaced = if staged.replaces {
            Some(self.replace(staged)?)
        } else {
            self.create().map(|()| None)?
        };
        let size = match self.operation.change {
            Change::Write { size, .. } => size,
            Change::Delete | Change::Rename { .. } => 0,
        };
        Ok(State::Placed(Placed {
            signature: Some(staged.signature),
            size,
            displaced,
        }))
    }

    fn create(&self) -> Result<(), Outcome> {
        let temporary = &self.operation.temporary;
        let renamed = rename_new(self.directory(), temporary, self.name);
        crate::kill_point!("dir::renamed_one");
        renamed.map_err(|errno| {
            self.remove(temporary);
            self.refused(errno)
        })
    }

    fn replace(&self, staged: &Staged) -> Result<Displaced, Outcome> {
        let temporary = &self.operation.temporary;
        match exchange(self.directory(), temporary, self.name) {
            Ok(()) => {
                crate::kill_point!("dir::renamed_one");
                crate::kill_point!("dir::exchanged_unchecked");
                self.check(temporary.clone(), Some(staged.signature))
            }
            Err(errno) if is_unsupported(errno) => {
                let displaced = self.replace_step_by_step(staged);
                if displaced.is_err() {
                    self.remove_if_ours(temporary, staged);
                }
                displaced
            }
            Err(errno) => {
                self.remove(temporary);
                Err(self.refused(errno))
            }
        }
    }

    /// For file systems without an exchange: a second name keeps the old file while the new one takes its path.
    fn replace_step_by_step(&self, staged: &Staged) -> Result<Displaced, Outcome> {
        let aside = format!("{}{ASIDE}", self.operation.temporary);
        match link(self.directory(), self.name, self.directory(), &aside) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(Outcome::Failed(self.left_over(&aside))),
            Err(errno) if is_unsupported(errno) || matches!(errno, Errno::PERM | Errno::MLINK) => {
                self.copy_aside(&aside)?;
            }
            Err(errno) => return Err(self.refused(errno)),
        }
        let expected = self.operation.expected;
        let seen = match self.inspect(&aside) {
            Ok(Found::File(seen))
                if expected.is_some_and(|expected| self.same(seen.version, expected)) =>
            {
                seen
            }
            other => {
                self.remove(&aside);
                return Err(other.map_or_else(|outcome| outcome, |_| Outcome::Changed));
            }
        };
        // A look right before the rename: without an exchange nothing closes the moment between the two.
        let unchanged = matches!(self.inspect(self.name), Ok(Found::File(now))
            if expected.is_some_and(|expected| self.same(now.version, expected)));
        let renamed = if unchanged {
            renameat(
                self.directory(),
                self.operation.temporary.as_str(),
                self.directory(),
                self.name,
            )
        } else {
            self.remove(&aside);
            return Err(Outcome::Changed);
        };
        crate::kill_point!("dir::renamed_one");
        crate::kill_point!("dir::exchanged_unchecked");
        if let Err(errno) = renamed {
            self.remove(&aside);
            return Err(self.refused(errno));
        }
        // The new name changed the inode's time stamp, and losing the old one did again: the content is compared.
        match stat_name(self.directory(), aside.as_str()) {
            Ok(Some(stat)) if Signature::of(&stat).same_content_as(&seen.signature) => {
                Ok(Displaced {
                    name: aside,
                    signature: Signature::of(&stat),
                })
            }
            _ => {
                debug_assert!(staged.replaces, "only a replaced file is kept aside");
                Err(self.put_back(&aside))
            }
        }
    }

    /// Copies the old file, where it cannot have a second name.
    fn copy_aside(&self, aside: &str) -> Result<(), Outcome> {
        use rustix::fs::{Mode, OFlags, openat};
        let failed = |errno| self.failed(errno, "copy");
        let opened = open_file(self.directory(), self.name);
        let Some(source) = opened.map_err(|errno| self.refused(errno))? else {
            return Err(Outcome::Changed);
        };
        let mode = rustix::fs::fstat(&source).map_err(failed)?.st_mode & 0o777;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let goal = match openat(self.directory(), aside, flags, Mode::from_raw_mode(mode)) {
            Ok(goal) => goal,
            Err(Errno::EXIST) => return Err(Outcome::Failed(self.left_over(aside))),
            Err(errno) => return Err(failed(errno)),
        };
        let mut goal = std::fs::File::from(goal);
        let copied = std::io::copy(&mut std::fs::File::from(source), &mut goal)
            .and_then(|_| goal.sync_all());
        copied.map_err(|error| {
            self.remove(aside);
            failed(Errno::from_io_error(&error).unwrap_or(Errno::IO))
        })
    }

    /// Removes the temporary file unless something else got its name.
    fn remove_if_ours(&self, temporary: &str, staged: &Staged) {
        if let Ok(Some(stat)) = stat_name(self.directory(), temporary)
            && Signature::of(&stat).same_content_as(&staged.signature)
        {
            self.remove(temporary);
        }
    }

    /// Returns the outcome of a rename that was refused.
    pub(crate) fn refused(&self, errno: Errno) -> Outcome {
        match errno {
            Errno::NOENT => Outcome::Changed,
            Errno::EXIST | Errno::ISDIR | Errno::NOTDIR | Errno::NOTEMPTY => {
                match stat_name(self.directory(), self.name) {
                    Ok(Some(stat)) if file_type(&stat) != rustix::fs::FileType::RegularFile => {
                        Outcome::Failed(self.in_the_way(not_a_file(file_type(&stat))))
                    }
                    _ => Outcome::Changed,
                }
            }
            other => self.failed(other, "publish"),
        }
    }
}
