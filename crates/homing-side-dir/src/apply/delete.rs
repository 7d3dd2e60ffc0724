//! Deleting items, and the directories that this leaves empty.

use std::collections::BTreeSet;

use homing_core::{Change, Operation, Outcome, SideError};
use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use crate::apply::place::Placed;
use crate::apply::spot::{Ready, Spot};
use crate::apply::sync::Touched;
use crate::apply::{Batch, State, groups};
use crate::below::Root;
use crate::moves::rename_new;

impl Batch<'_> {
    /// Carries out all deletions, and finishes them: what is written next may need their directories or their names.
    pub(crate) fn delete(
        &self,
        operations: &[Operation],
        states: &mut [Option<State>],
        touched: &Touched,
    ) {
        let deletions = groups(operations, |at| {
            matches!(operations[at].change, Change::Delete)
        });
        if deletions.is_empty() {
            return;
        }
        let mut missing = BTreeSet::new();
        for group in &deletions {
            match self.root.directory(group.parent) {
                Ok(directory) => touched.directory(group.parent, &directory),
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    missing.insert(group.parent);
                }
                Err(_) => {}
            }
        }
        let (gone, there): (Vec<_>, Vec<_>) = deletions
            .into_iter()
            .partition(|group| missing.contains(group.parent));
        for at in gone.into_iter().flat_map(|group| group.members) {
            let outcome = if operations[at].expected.is_none() {
                Outcome::Done(None)
            } else {
                Outcome::Changed
            };
            states[at] = Some(State::Ended(outcome));
        }
        let open = |parent: &str| self.root.directory(parent);
        self.for_each(operations, there, states, open, |spot, _| {
            if self.cancel.is_cancelled() {
                return Some(State::Ended(Outcome::Failed(SideError::Cancelled)));
            }
            let state = spot.delete().unwrap_or_else(State::Ended);
            self.progress.finish_item();
            Some(state)
        });
        self.settle(operations, states);
        let parents: BTreeSet<&str> = operations
            .iter()
            .zip(states.iter())
            .filter(|(operation, state)| {
                operation.change == Change::Delete && matches!(state, Some(State::Placed(_)))
            })
            .filter_map(|(operation, _)| operation.key.parent())
            .collect();
        for parent in parents.into_iter().rev() {
            remove_empty(self.root, parent, touched);
        }
    }
}

impl Spot<'_> {
    fn delete(&self) -> Result<State, Outcome> {
        let done = |displaced| {
            State::Placed(Placed {
                signature: None,
                size: 0,
                displaced,
            })
        };
        if let Ready::Nothing = self.look()? {
            return Ok(done(None));
        }
        let aside = self.operation.temporary.as_str();
        match rename_new(self.directory(), self.name, aside) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(Outcome::Failed(self.left_over(aside))),
            Err(errno) => return Err(self.refused(errno)),
        }
        crate::kill_point!("dir::renamed_one");
        crate::kill_point!("dir::exchanged_unchecked");
        let displaced = self.check(aside.to_owned(), None)?;
        fail::fail_point!("dir::checked");
        Ok(done(Some(displaced)))
    }
}

/// Removes the directory at `path` and those above it, as far as they are empty; never the root.
pub(crate) fn remove_empty(root: &Root, path: &str, touched: &Touched) {
    let mut path = path;
    while !path.is_empty() && remove_directory(root, path) {
        path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if let Ok(directory) = root.directory(path) {
            touched.directory(path, &directory);
        }
    }
}

/// Removes the directory at `path` when it is empty, and tells whether it is gone.
pub(crate) fn remove_directory(root: &Root, path: &str) -> bool {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let removed = root
        .directory(parent)
        .and_then(|parent| unlinkat(&parent, name, AtFlags::REMOVEDIR));
    matches!(removed, Ok(()) | Err(Errno::NOENT))
}
