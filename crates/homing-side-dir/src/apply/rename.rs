//! Changing the case or the Unicode form of a name.

use homing_core::{ItemKey, Operation, Outcome, SideError};
use rustix::fd::AsFd;
use rustix::fs::renameat;
use rustix::io::Errno;

use crate::apply::delete::remove_empty;
use crate::apply::place::Placed;
use crate::apply::spot::Spot;
use crate::apply::sync::Touched;
use crate::apply::{Batch, State};
use crate::below::stat_name;
use crate::inspect::{Found, Seen, inspect};
use crate::moves::{rename_new, rename_new_between};

impl Batch<'_> {
    /// Gives the item at `from` the operation's key.
    pub(crate) fn rename(&self, operation: &Operation, from: &ItemKey, touched: &Touched) -> State {
        if self.cancel.is_cancelled() {
            return State::Ended(Outcome::Failed(SideError::Cancelled));
        }
        self.try_rename(operation, from, touched)
            .unwrap_or_else(State::Ended)
    }

    fn try_rename(
        &self,
        operation: &Operation,
        from: &ItemKey,
        touched: &Touched,
    ) -> Result<State, Outcome> {
        let failed = |errno| Outcome::Failed(self.blocked(errno, operation));
        let source_prefix = from.parent().unwrap_or("");
        let goal_prefix = operation.key.parent().unwrap_or("");
        let source = match self.root.directory(source_prefix) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(Outcome::Changed),
            other => other.map_err(failed)?,
        };
        let before = match inspect(
            source.as_fd(),
            from.file_name(),
            self.executable_bit,
            self.progress,
        )
        .map_err(failed)?
        {
            Found::File(seen) => seen,
            Found::Absent | Found::Changing => return Err(Outcome::Changed),
            Found::Other(what) => {
                return Err(Outcome::Failed(SideError::Conflict {
                    message: format!("{what} stands at `{from}`"),
                }));
            }
        };
        self.rename_directories(source_prefix, goal_prefix);
        let goal = self
            .root
            .directory_made(goal_prefix, &mut |made| touched.made(made))
            .map_err(failed)?;
        touched.directory(source_prefix, &source);
        touched.directory(goal_prefix, &goal);
        let spot = Spot::new(self, &goal, operation);
        if !operation
            .expected
            .is_some_and(|expected| spot.same(before.version, expected))
        {
            return Err(Outcome::Changed);
        }
        match rename_new_between(source.as_fd(), from.file_name(), goal.as_fd(), spot.name) {
            Ok(()) => {}
            Err(Errno::EXIST) if is_same_file(&spot, &before) => {
                // The file system takes both for one name: it needs a third one in between.
                let temporary = operation.temporary.as_str();
                rename_new_between(source.as_fd(), from.file_name(), goal.as_fd(), temporary)
                    .map_err(|errno| spot.refused(errno))?;
                crate::kill_point!("dir::exchanged_unchecked");
                rename_new(goal.as_fd(), temporary, spot.name).map_err(|errno| {
                    // Whoever took the name meanwhile keeps it; the file goes back to its own.
                    match rename_new_between(
                        goal.as_fd(),
                        temporary,
                        source.as_fd(),
                        from.file_name(),
                    ) {
                        Ok(()) => spot.refused(errno),
                        Err(errno) => Outcome::Failed(spot.error(errno, "rename")),
                    }
                })?;
            }
            Err(errno) => return Err(spot.refused(errno)),
        }
        crate::kill_point!("dir::renamed_one");
        match spot.inspect(spot.name) {
            Ok(Found::File(seen)) if spot.same(seen.version, before.version) => {
                if source_prefix != goal_prefix {
                    drop(source);
                    remove_empty(self.root, source_prefix, touched);
                }
                Ok(State::Placed(Placed {
                    signature: Some(seen.signature),
                    size: seen.signature.size,
                    displaced: None,
                }))
            }
            other => {
                // Edited in between, or unreadable: it goes back as it is, unless somebody took its old name.
                rename_new_between(goal.as_fd(), spot.name, source.as_fd(), from.file_name()).ok();
                Err(other.err().unwrap_or(Outcome::Changed))
            }
        }
    }

    /// Changes the case of the directories on the way, where the file system takes old and new for one.
    fn rename_directories(&self, from: &str, to: &str) {
        for ((from_part, to_part), end) in from
            .split('/')
            .zip(to.split('/'))
            .zip(to.match_indices('/').map(|(at, _)| at).chain([to.len()]))
        {
            let (parent, _) = to[..end].rsplit_once('/').unwrap_or(("", to));
            let Ok(parent) = self.root.directory(parent) else {
                return;
            };
            let inode = |name: &str| {
                stat_name(parent.as_fd(), name)
                    .ok()
                    .flatten()
                    .map(|stat| (stat.st_dev, stat.st_ino))
            };
            if from_part == to_part {
                continue;
            }
            match (inode(from_part), inode(to_part)) {
                // Where this is refused or does nothing, the old spelling stays; the content is right either way.
                (Some(one), Some(other)) if one == other => {
                    renameat(&parent, from_part, &parent, to_part).unwrap_or(());
                }
                _ => return,
            }
        }
    }
}

fn is_same_file(spot: &Spot<'_>, before: &Seen) -> bool {
    stat_name(spot.directory(), spot.name).is_ok_and(|stat| {
        stat.is_some_and(|stat| stat.st_nlink == 1 && stat.st_ino == before.signature.inode)
    })
}
