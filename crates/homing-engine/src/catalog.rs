//! The catalog: the heads of a target's sources, merged by priority, as paths of that target.

use std::collections::BTreeMap;
use std::ops::Bound;

use homing_core::{Item, ItemKey, Manifest, Problem, ProblemKind, SourceId, TargetId, Version};
use homing_store::{HeadRow, HoldRow};

use crate::pipeline::check;
use crate::spec::{Layout, TargetSpec};

/// The head of one source with the holds on it.
#[derive(Debug)]
pub(crate) struct SourceHead {
    pub(crate) source: SourceId,
    pub(crate) priority: u16,
    pub(crate) rows: BTreeMap<ItemKey, HeadRow>,
    pub(crate) holds: BTreeMap<ItemKey, HoldRow>,
}

/// One path of a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) source: SourceId,
    pub(crate) key: ItemKey,
    pub(crate) version: Version,
    pub(crate) size: u64,
    pub(crate) held: bool,
}

/// An entry that lost its path, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loser {
    pub(crate) entry: Entry,
    pub(crate) reason: String,
}

/// What a target should hold.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) entries: BTreeMap<ItemKey, Entry>,
    pub(crate) losers: BTreeMap<ItemKey, Vec<Loser>>,
    pub(crate) problems: Vec<Problem>,
    /// Holds whose time is over: upstream has moved on from what was refused.
    pub(crate) ended_holds: Vec<(SourceId, ItemKey)>,
}

impl Catalog {
    /// Merges `heads`, which stand in the order of the target's `from`.
    pub(crate) fn merge(id: &TargetId, mut heads: Vec<SourceHead>, target: &TargetSpec) -> Self {
        let mut catalog = Self::default();
        // A stable sort: between equal priorities the order of `from` stays.
        heads.sort_by_key(|head| head.priority);
        for head in heads {
            catalog.add(head, (id, target));
        }
        catalog
    }

    /// Returns the catalog as the far side of a plan.
    pub(crate) fn manifest(&self) -> Manifest {
        let item = |entry: &Entry| Item {
            hash: entry.version.hash,
            size: entry.size,
            executable: entry.version.executable,
            identity: None,
        };
        Manifest {
            items: self
                .entries
                .iter()
                .map(|(path, entry)| (path.clone(), item(entry)))
                .collect(),
            ..Manifest::default()
        }
    }

    fn add(&mut self, head: SourceHead, target: (&TargetId, &TargetSpec)) {
        let SourceHead {
            source,
            priority,
            rows,
            holds,
        } = head;
        for (key, hold) in &holds {
            // A hold on an item that is gone stays while a deletion is what was refused.
            let current = rows.get(key).and_then(|row| row.head);
            if current != hold.refused {
                self.ended_holds.push((source.clone(), key.clone()));
            } else if current.is_none()
                && let Some(version) = hold.held
            {
                let entry = Entry {
                    source: source.clone(),
                    key: key.clone(),
                    version,
                    size: hold.size,
                    held: true,
                };
                self.offer(entry, priority, target);
            }
        }
        for (key, row) in rows {
            let Some(version) = row.head else { continue };
            let hold = holds.get(&key).filter(|hold| hold.refused == Some(version));
            let entry = match hold {
                None => Entry {
                    source: source.clone(),
                    key,
                    version,
                    size: row.size,
                    held: false,
                },
                Some(HoldRow { held: None, .. }) => continue,
                Some(HoldRow {
                    held: Some(held),
                    size,
                    ..
                }) => Entry {
                    source: source.clone(),
                    key,
                    version: *held,
                    size: *size,
                    held: true,
                },
            };
            self.offer(entry, priority, target);
        }
    }

    fn offer(&mut self, entry: Entry, priority: u16, (id, target): (&TargetId, &TargetSpec)) {
        if let Some(rule) = check::active_file(&entry.key, &target.allow_active) {
            self.problems.push(Problem {
                kind: ProblemKind::Active,
                path: entry.key.to_string(),
                message: format!(
                    "source `{}` offers {rule}, which is not published in target `{id}` (name it in `allow_active` to allow it)",
                    entry.source
                ),
            });
            return;
        }
        let path = match target.layout {
            Layout::Tree => entry.key.clone(),
            Layout::Flat => match ItemKey::new(entry.key.file_name()) {
                Ok(path) => path,
                Err(_) => return, // every component of a key is a key
            },
        };
        match self.taken(&path, &entry, priority) {
            Some(reason) => self.lose(id, path, entry, reason),
            None => {
                self.entries.insert(path, entry);
            }
        }
    }

    /// Returns why `entry` cannot have `path`. Offers come in the order of their rank: whatever stands here already comes
    /// first.
    fn taken(&self, path: &ItemKey, entry: &Entry, priority: u16) -> Option<String> {
        let next = self.entries_from(path.as_str()).next();
        if let Some((_, winner)) = next.filter(|(next, _)| *next == path) {
            return Some(if winner.source == entry.source {
                format!(
                    "`{}` of the same source has this file name too and comes first",
                    winner.key
                )
            } else {
                format!(
                    "source `{}` comes first (`{}` has priority {priority})",
                    winner.source, entry.source
                )
            });
        }
        let published = |dir| self.entries.get_key_value::<str>(dir);
        if let Some((file, _)) = path.ancestors().find_map(published) {
            return Some(format!(
                "`{file}` is a file, so that nothing can lie below it"
            ));
        }
        // Only now, for the items of a source come in order, and mostly nothing stands after them.
        next?;
        // `a-b` stands between `a` and `a/b`.
        let (below, _) = self.entries_from(&format!("{path}/")).next()?;
        below
            .is_within(path.as_str())
            .then(|| format!("`{below}` is published, so that this cannot be a file"))
    }

    fn entries_from(&self, path: &str) -> impl Iterator<Item = (&ItemKey, &Entry)> {
        self.entries
            .range::<str, _>((Bound::Included(path), Bound::Unbounded))
    }

    fn lose(&mut self, target: &TargetId, path: ItemKey, entry: Entry, reason: String) {
        self.problems.push(Problem {
            kind: ProblemKind::Shadowed,
            path: path.to_string(),
            message: format!(
                "`{}` of source `{}` is not published in target `{target}`: {reason}",
                entry.key, entry.source
            ),
        });
        self.losers
            .entry(path)
            .or_default()
            .push(Loser { entry, reason });
    }
}
