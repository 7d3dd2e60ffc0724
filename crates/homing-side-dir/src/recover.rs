//! Repairing what a killed process left behind.
//!
//! Every state that `apply` passes through shows in two names: the path and the temporary one. Bytes under the
//! temporary name that are neither the old nor the new content may be an edit that was displaced, so they are kept.

use std::sync::Arc;
use std::time::SystemTime;

use homing_core::{
    Change, ContentHash, Contents, Interrupted, Item, ItemKey, ItemState, Progress, Recovered,
    SideError, UnknownReason,
};
use rustix::fd::AsFd;
use rustix::fs::{FileType, fsync};
use rustix::io::Errno;

use crate::ASIDE;
use crate::apply::{Batch, Spot, Touched, remove_empty};
use crate::below::{Root, file_type, not_a_file};
use crate::inspect::{Found, Seen, open_file};
use crate::moves::rename_new;
use crate::parallel::Cancel;

/// What all interrupted operations of one call share.
pub(crate) struct Recovery<'a> {
    /// Where they took place.
    pub(crate) root: &'a Root,
    /// Where rescued bytes go.
    pub(crate) contents: &'a Arc<dyn Contents>,
    /// Set when nobody waits any more.
    pub(crate) cancel: &'a Cancel,
    /// Whether the file system stores it.
    pub(crate) executable_bit: bool,
}

impl Recovery<'_> {
    /// Repairs all and returns what is there now.
    pub(crate) fn run(&self, interrupted: &[Interrupted]) -> Result<Vec<Recovered>, SideError> {
        let now = SystemTime::now();
        let progress = Progress::default();
        let batch = Batch {
            root: self.root,
            contents: self.contents,
            progress: &progress,
            cancel: self.cancel,
            executable_bit: self.executable_bit,
        };
        let touched = Touched::for_batch_of(interrupted.len());
        let mut all = Vec::with_capacity(interrupted.len());
        for one in interrupted {
            if self.cancel.is_cancelled() {
                return Err(SideError::Cancelled);
            }
            all.push(self.one(&batch, one, &touched, now)?);
        }
        // The engine takes what it is told here for durable.
        touched.sync(self.root)?;
        Ok(all)
    }

    fn one(
        &self,
        batch: &Batch<'_>,
        interrupted: &Interrupted,
        touched: &Touched,
        now: SystemTime,
    ) -> Result<Recovered, SideError> {
        let operation = &interrupted.operation;
        let key = operation.key.clone();
        let parent = key.parent().unwrap_or("");
        let directory = match self.root.directory(parent) {
            Ok(directory) => directory,
            Err(errno) => {
                return Ok(Recovered {
                    state: self.blocked(&key, errno),
                    key,
                    was_placed: false,
                    rescued: Vec::new(),
                });
            }
        };
        touched.directory(parent, &directory);
        let spot = Spot::new(batch, &directory, operation);
        let mut rescued = Vec::new();
        let was_placed = was_placed(&spot);
        let aside = format!("{}{ASIDE}", operation.temporary);
        for held in [operation.temporary.as_str(), aside.as_str()] {
            match spot.inspect(held) {
                Ok(Found::Absent) | Err(_) => {}
                Ok(Found::File(seen)) if is_ours(&spot, &seen) => {
                    self.finish(&spot, held, interrupted.power_lost, &mut rescued)?;
                }
                Ok(Found::File(_) | Found::Changing | Found::Other(_)) => {
                    give_back(&spot, held, interrupted.power_lost, &mut rescued)?;
                }
            }
        }
        let state = match spot.inspect(spot.name) {
            Ok(Found::Absent) => {
                remove_empty(self.root, parent, touched);
                ItemState::Absent
            }
            Ok(Found::File(seen)) => {
                let version = seen.version;
                let is_old_or_new = [operation.expected, spot.after()]
                    .into_iter()
                    .flatten()
                    .any(|known| known.hash == version.hash);
                if interrupted.power_lost && !is_old_or_new {
                    rescued.extend(spot.keep(spot.name)?);
                }
                make_durable(&spot, touched);
                ItemState::Present(Item {
                    hash: version.hash,
                    size: seen.signature.size,
                    executable: version.executable,
                    identity: seen.signature.identity(now),
                })
            }
            Ok(Found::Changing) => ItemState::Unknown(UnknownReason::Changing),
            Ok(Found::Other(what)) => ItemState::Unknown(UnknownReason::NotAFile(what)),
            Err(_) => ItemState::Unknown(UnknownReason::Unreadable(
                "permission denied, or the disk fails".to_owned(),
            )),
        };
        rescued.sort_unstable();
        rescued.dedup();
        Ok(Recovered {
            key,
            state,
            was_placed,
            rescued,
        })
    }

    /// The temporary name holds the old or the new content: the path is right as it is, but for a rename in two steps.
    fn finish(
        &self,
        spot: &Spot<'_>,
        held: &str,
        power_lost: bool,
        rescued: &mut Vec<ContentHash>,
    ) -> Result<(), SideError> {
        if let Change::Rename { .. } = spot.operation.change {
            return give_back(spot, held, power_lost, rescued);
        }
        // The old content should be in the contents; where it is not, this is the last copy.
        if let Some(expected) = spot.operation.expected
            && Some(expected) != spot.after()
            && matches!(
                self.contents.open(&expected.hash),
                Err(SideError::NotFound { .. })
            )
        {
            rescued.extend(spot.keep(held)?);
        }
        spot.remove(held);
        Ok(())
    }

    /// Returns what can be said of a key whose directory cannot be opened.
    fn blocked(&self, key: &ItemKey, errno: Errno) -> ItemState {
        let unreadable = |errno| {
            ItemState::Unknown(UnknownReason::Unreadable(
                std::io::Error::from(errno).to_string(),
            ))
        };
        match errno {
            Errno::NOENT => ItemState::Absent,
            Errno::NOTDIR | Errno::LOOP | Errno::MLINK => {
                match self.root.obstacle(key.parent().unwrap_or("")) {
                    Ok(Some((_, stat))) if file_type(&stat) != FileType::RegularFile => {
                        ItemState::Unknown(UnknownReason::NotAFile(not_a_file(file_type(&stat))))
                    }
                    Ok(_) => ItemState::Absent,
                    Err(errno) => unreadable(errno),
                }
            }
            other => unreadable(other),
        }
    }
}

fn is_ours(spot: &Spot<'_>, seen: &Seen) -> bool {
    [spot.operation.expected, spot.after()]
        .into_iter()
        .flatten()
        .any(|known| spot.same(seen.version, known))
}

/// Tells whether the expected content was made to give way.
///
/// Without an exchange it has a second name before it gives way; then the new content is still in its temporary file.
fn was_placed(spot: &Spot<'_>) -> bool {
    let temporary = &spot.operation.temporary;
    let holds_expected = |name: &str| {
        matches!((spot.inspect(name), spot.operation.expected), (Ok(Found::File(seen)), Some(expected))
            if Some(expected) != spot.after() && spot.same(seen.version, expected))
    };
    holds_expected(temporary)
        || (holds_expected(&format!("{temporary}{ASIDE}"))
            && matches!(spot.inspect(temporary), Ok(Found::Absent)))
}

/// Tells whether a new content was being written when the process ended: the path was not touched yet.
fn is_half_written(
    spot: &Spot<'_>,
    held: &str,
    path: &Result<Found, homing_core::Outcome>,
) -> bool {
    let untouched = match (path, spot.operation.expected) {
        (Ok(Found::File(seen)), Some(expected)) => spot.same(seen.version, expected),
        (Ok(Found::Absent), None) => true,
        _ => false,
    };
    untouched
        && matches!(spot.operation.change, Change::Write { .. })
        && held == spot.operation.temporary
}

fn make_durable(spot: &Spot<'_>, touched: &Touched) {
    if touched.each_file()
        && let Ok(Some(file)) = open_file(spot.directory(), spot.name)
        && fsync(file.as_fd()).is_err()
    {
        touched.not_durable();
    }
}

/// The temporary name holds what may be an edit that was displaced, and not yet checked.
fn give_back(
    spot: &Spot<'_>,
    held: &str,
    power_lost: bool,
    rescued: &mut Vec<ContentHash>,
) -> Result<(), SideError> {
    let path = spot.inspect(spot.name);
    let is_rename = matches!(spot.operation.change, Change::Rename { .. });
    if is_half_written(spot, held, &path) {
        spot.remove(held);
        return Ok(());
    }
    let kept = spot.keep(held)?;
    if !is_rename {
        rescued.extend(kept);
    }
    // After a power cut the bytes may be damage as well as an edit: the path keeps the content that is known to be whole.
    let goes_back = is_rename || kept.is_none() || !power_lost;
    let is_back = match path {
        Ok(Found::Absent)
            if goes_back && (is_rename || spot.after().is_none() || kept.is_none()) =>
        {
            rename_new(spot.directory(), held, spot.name).is_ok()
        }
        Ok(Found::File(seen))
            if goes_back
                && !is_rename
                && spot
                    .after()
                    .is_some_and(|after| spot.same(seen.version, after)) =>
        {
            matches!(spot.swap_back(held), Ok(true))
        }
        _ => false,
    };
    if !is_back && kept.is_some() {
        spot.remove(held);
    }
    Ok(())
}
