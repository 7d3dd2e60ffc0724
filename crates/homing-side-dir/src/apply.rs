//! Carrying out operations: stage, sync, place, check, sync.

mod delete;
mod place;
mod rename;
mod spot;
mod stage;
mod sync;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::SystemTime;

use homing_core::{Change, Contents, Operation, Outcome, Progress, SideError};
use rustix::io::Errno;

use crate::apply::spot::stranded;
use crate::below::Root;
use crate::errors::side_error;
use crate::parallel::{Cancel, each};

pub(crate) use crate::apply::delete::remove_empty;
pub(crate) use crate::apply::spot::Spot;
pub(crate) use crate::apply::sync::Touched;

/// So many operations are one task for a thread.
const CHUNK: usize = 64;

/// What all operations of one call share.
pub(crate) struct Batch<'a> {
    /// Where to write.
    pub(crate) root: &'a Root,
    /// Where the bytes are, and where displaced ones go.
    pub(crate) contents: &'a Arc<dyn Contents>,
    /// Told of every step.
    pub(crate) progress: &'a Progress,
    /// Set when nobody waits any more.
    pub(crate) cancel: &'a Cancel,
    /// Whether the file system stores it.
    pub(crate) executable_bit: bool,
}

/// How far one operation has come.
pub(crate) enum State {
    /// Nothing more is to be done.
    Ended(Outcome),
    /// The new content is in the temporary file.
    Staged(stage::Staged),
    /// The path is as it should be.
    Placed(place::Placed),
}

/// Operations in one directory.
pub(crate) struct Group<'a> {
    parent: &'a str,
    members: Vec<usize>,
}

impl Batch<'_> {
    /// Carries out all operations and returns their outcomes in order.
    pub(crate) fn run(&self, operations: &[Operation]) -> Vec<Outcome> {
        let mut states: Vec<Option<State>> = operations.iter().map(|_| None).collect();
        let touched = Touched::for_batch_of(operations.len());
        self.delete(operations, &mut states, &touched);
        for (at, operation) in operations.iter().enumerate() {
            if let Change::Rename { from } = &operation.change {
                states[at] = Some(self.rename(operation, from, &touched));
            }
        }
        self.write(operations, &mut states, &touched);
        crate::kill_point!("dir::renamed_all");
        self.settle(operations, &mut states);
        self.remove_unused(&states, &touched);
        let is_durable = touched.sync(self.root).is_ok();
        crate::kill_point!("dir::synced");
        self.outcomes(operations, states, is_durable)
    }

    fn write(&self, operations: &[Operation], states: &mut [Option<State>], touched: &Touched) {
        let groups = groups(operations, |at| {
            matches!(operations[at].change, Change::Write { .. })
        });
        if groups.is_empty() {
            return;
        }
        let failure = self.stage(operations, groups, states, touched);
        crate::kill_point!("dir::temps_written");
        let failure = failure.or_else(|| touched.sync_written(self.root).err());
        crate::kill_point!("dir::temps_synced");
        if let Some(error) = failure {
            self.discard(operations, states, &error);
            return;
        }
        self.place(operations, states);
    }

    /// Does `work` with every member of `groups`, in the directory of the group, and notes the states.
    fn for_each(
        &self,
        operations: &[Operation],
        groups: Vec<Group<'_>>,
        states: &mut [Option<State>],
        open: impl Fn(&str) -> Result<OwnedFd, Errno> + Sync,
        work: impl Fn(&Spot<'_>, Option<State>) -> Option<State> + Sync,
    ) {
        let tasks: Vec<_> = groups
            .into_iter()
            .map(|group| {
                let members: Vec<_> = group
                    .members
                    .into_iter()
                    .map(|at| (at, states[at].take()))
                    .collect();
                (group.parent, members)
            })
            .collect();
        let done = each(tasks, |(parent, members)| {
            let directory = open(parent);
            members
                .into_iter()
                .map(|(at, state)| {
                    let operation = &operations[at];
                    self.progress.advance(0);
                    let state = match &directory {
                        Ok(directory) => work(&Spot::new(self, directory, operation), state),
                        Err(errno) => Some(State::Ended(Outcome::Failed(self.unreached(
                            *errno,
                            operation,
                            state.as_ref(),
                        )))),
                    };
                    (at, state)
                })
                .collect::<Vec<_>>()
        });
        for (at, state) in done.into_iter().flatten() {
            states[at] = state;
        }
    }

    /// Returns the error for an operation whose directory cannot be opened; it names what was displaced there.
    fn unreached(&self, errno: Errno, operation: &Operation, state: Option<&State>) -> SideError {
        let error = self.blocked(errno, operation);
        match state {
            Some(State::Placed(placed)) => match &placed.displaced {
                Some(displaced) => stranded(self, operation, &displaced.name, Some(error.into())),
                None => error,
            },
            _ => error,
        }
    }

    fn blocked(&self, errno: Errno, operation: &Operation) -> SideError {
        side_error(
            errno,
            &format!(
                "could not reach `{}` in {}",
                operation.key,
                self.root.path()
            ),
        )
    }

    /// Takes every temporary file of the batch away again.
    fn discard(&self, operations: &[Operation], states: &mut [Option<State>], error: &SideError) {
        let staged = groups(operations, |at| {
            matches!(states[at], Some(State::Staged(_)))
        });
        self.for_each(
            operations,
            staged,
            states,
            |parent| self.root.directory(parent),
            |spot, _| {
                spot.remove(&spot.operation.temporary);
                Some(State::Ended(Outcome::Failed(error.repeat())))
            },
        );
        for (at, operation) in operations.iter().enumerate() {
            if states[at].is_none() && matches!(operation.change, Change::Write { .. }) {
                states[at] = Some(State::Ended(Outcome::Failed(error.repeat())));
            }
        }
    }

    /// Looks at each displaced file once more and lets go of it.
    fn settle(&self, operations: &[Operation], states: &mut [Option<State>]) {
        let displaced = groups(
            operations,
            |at| matches!(&states[at], Some(State::Placed(placed)) if placed.displaced.is_some()),
        );
        self.for_each(
            operations,
            displaced,
            states,
            |parent| self.root.directory(parent),
            |spot, state| match state {
                Some(State::Placed(placed)) => Some(spot.settle(placed)),
                other => other,
            },
        );
    }

    /// Removes directories that were made for operations that then failed.
    fn remove_unused(&self, states: &[Option<State>], touched: &Touched) {
        if states
            .iter()
            .all(|state| matches!(state, Some(State::Placed(_))))
        {
            return;
        }
        for path in touched.created().iter().rev() {
            delete::remove_directory(self.root, path);
        }
    }

    fn outcomes(
        &self,
        operations: &[Operation],
        mut states: Vec<Option<State>>,
        is_durable: bool,
    ) -> Vec<Outcome> {
        let now = SystemTime::now();
        let placed = groups(operations, |at| {
            matches!(states[at], Some(State::Placed(_)))
        });
        let finish = |spot: &Spot<'_>, state: Option<State>| match state {
            Some(State::Placed(placed)) => {
                let item = spot.item(&placed, now);
                let outcome = if is_durable {
                    Outcome::Done(item)
                } else {
                    Outcome::Placed(item)
                };
                Some(State::Ended(outcome))
            }
            other => other,
        };
        // A deletion may have taken the directory along.
        let open = |parent: &str| {
            self.root
                .directory(parent)
                .or_else(|_gone| self.root.directory(""))
        };
        self.for_each(operations, placed, &mut states, open, finish);
        states
            .into_iter()
            .map(|state| match state {
                Some(State::Ended(outcome)) => outcome,
                _ => Outcome::Failed(SideError::Cancelled),
            })
            .collect()
    }
}

/// Groups the operations that `takes` by their directory, in pieces that are worth a thread.
fn groups(operations: &[Operation], takes: impl Fn(usize) -> bool) -> Vec<Group<'_>> {
    let mut by_parent: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, operation) in operations.iter().enumerate().filter(|(at, _)| takes(*at)) {
        by_parent
            .entry(operation.key.parent().unwrap_or(""))
            .or_default()
            .push(at);
    }
    let pieces = |(parent, members): (_, Vec<usize>)| {
        members
            .chunks(CHUNK)
            .map(|chunk| Group {
                parent,
                members: chunk.to_vec(),
            })
            .collect::<Vec<_>>()
    };
    by_parent.into_iter().flat_map(pieces).collect()
}
