//! Listing single keys, whose directories need not exist and whose way may be blocked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use homing_core::{ItemKey, Manifest, SideError, UnknownReason};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::below::{file_type, not_a_file};
use crate::parallel::Queue;
use crate::scan::{Findings, Scan, Tally, Task, push_files, refuse, vanished};

impl Scan<'_> {
    /// Lists `keys` alone.
    pub(crate) fn keys(&self, keys: &BTreeSet<ItemKey>) -> Result<Manifest, SideError> {
        let mut parents: BTreeMap<&str, Vec<ItemKey>> = BTreeMap::new();
        for key in keys {
            parents
                .entry(key.parent().unwrap_or(""))
                .or_default()
                .push(key.clone());
        }
        let tasks = parents
            .into_iter()
            .map(|(prefix, keys)| Task::Keys {
                prefix: prefix.to_owned(),
                keys,
            })
            .collect();
        let tally = Tally::of(keys.clone());
        Ok(self.manifest(self.pass(self.known, tasks, tally)?))
    }

    /// Looks for keys in a directory that may be missing, or have something else on the way.
    pub(crate) fn requested(
        &self,
        prefix: &str,
        keys: Vec<ItemKey>,
        findings: &mut Findings,
        queue: &Queue<Task>,
    ) {
        match self.root.directory(prefix) {
            Ok(directory) => push_files(&Arc::new(directory), keys, queue),
            Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => {
                self.blocked(prefix, findings, queue);
            }
            Err(errno) => findings.unreadable(prefix, errno),
        }
    }

    fn blocked(&self, prefix: &str, findings: &mut Findings, queue: &Queue<Task>) {
        match self.root.obstacle(prefix) {
            // It went away meanwhile, and with it whatever was below.
            Ok(None) => {}
            Ok(Some((path, stat))) if file_type(&stat) == FileType::RegularFile => {
                let Ok(key) = ItemKey::new(&path) else { return };
                match self.root.directory(key.parent().unwrap_or("")) {
                    Ok(directory) => queue.push(Task::Files {
                        directory: Arc::new(directory),
                        keys: vec![key],
                    }),
                    Err(errno) => findings.unreadable(&path, errno),
                }
            }
            Ok(Some((path, stat))) => refuse(&path, file_type(&stat), true, findings),
            Err(errno) => findings.unreadable(prefix, errno),
        }
    }
}

/// Notes what stands where a file was looked for.
pub(crate) fn no_file_at(key: &ItemKey, kind: FileType, findings: &mut Findings, tally: &Tally) {
    match (&tally.requested, kind) {
        // It was a file a moment ago.
        (None, _) => vanished(key, findings, tally),
        // Keys below it were asked for as well: they tell whether it can make room.
        (Some(requested), FileType::Directory) => {
            let is_needed = ItemKey::new(&format!("{key}/ ")).is_ok_and(|first| {
                requested
                    .range(first..)
                    .next()
                    .is_some_and(|other| other.is_within(key.as_str()))
            });
            if !is_needed {
                findings.unknown.push((
                    key.as_str().to_owned(),
                    UnknownReason::NotAFile(not_a_file(kind)),
                ));
            }
        }
        (Some(_), _) => refuse(key.as_str(), kind, true, findings),
    }
}
