//! The catalog: the heads of a target's sources, merged by priority, as paths of that target.

mod unit;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use homing_core::{Item, ItemKey, Manifest, Problem, ProblemKind, SourceId, TargetId, Version};
use homing_items::Kind;
use homing_store::{HeadRow, HoldRow};

use crate::past::Past;
use crate::pipeline::check;
use crate::spec::{Layout, OnFinding, TargetSpec};
use unit::{Unit, units};

/// The head of one source with the holds on it.
#[derive(Debug, Clone)]
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
    pub(crate) rank: Rank,
}

/// What an item's place among others is decided by, beside the order of the target's `from`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rank {
    pub(crate) priority: u16,
    /// The version that it gives itself.
    pub(crate) version: Option<Arc<str>>,
}

/// An entry that lost its path, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loser {
    pub(crate) entry: Entry,
    pub(crate) reason: String,
    /// Where the item is that it lost to, when that is another path.
    pub(crate) to: Option<ItemKey>,
}

/// What a target should hold.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) entries: BTreeMap<ItemKey, Entry>,
    pub(crate) losers: BTreeMap<ItemKey, Vec<Loser>>,
    pub(crate) problems: Vec<Problem>,
    /// Holds whose time is over: upstream has moved on from what was refused.
    pub(crate) ended_holds: Vec<(SourceId, ItemKey)>,
    /// What findings keep from being published as it is, a sentence each.
    pub(crate) stopped: Vec<String>,
}

/// Under which path the agents and skills with a name are published, so far.
type Names = HashMap<(Kind, String), ItemKey>;

impl Catalog {
    /// Merges `heads`, which stand in the order of the target's `from`.
    pub(crate) fn merge(
        id: &TargetId,
        heads: Vec<SourceHead>,
        target: &TargetSpec,
        past: &Past,
    ) -> Self {
        let mut catalog = Self::default();
        let mut all = Vec::new();
        for head in heads {
            units(head, past, &mut all, &mut catalog.ended_holds);
        }
        all.retain(|unit| target.include_kinds.contains(&unit.kind));
        // A stable sort: between equals the order of `from` stays, and within a source that of the keys.
        all.sort_by(|one, other| one.rank_key().cmp(&other.rank_key()));
        let mut names = Names::new();
        for unit in all {
            catalog.offer(unit, &mut names, (id, target));
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

    fn offer(&mut self, mut unit: Unit, names: &mut Names, at: (&TargetId, &TargetSpec)) {
        let (id, target) = at;
        if !self.judge(&mut unit, at) {
            return;
        }
        let name = unit.name_key();
        let mut offered = Vec::with_capacity(unit.entries.len());
        for entry in unit.entries {
            if let Some(rule) = check::active_file(&entry.key, &target.allow_active) {
                self.problems.push(Problem {
                    kind: ProblemKind::Active,
                    path: entry.key.to_string(),
                    message: format!(
                        "source `{}` offers {rule}, which is not published in target `{id}` (name it in `allow_active` to allow it)",
                        entry.source
                    ),
                });
                continue;
            }
            let path = match target.layout {
                Layout::Tree => entry.key.clone(),
                Layout::Flat => match ItemKey::new(entry.key.file_name()) {
                    Ok(path) => path,
                    Err(_) => continue, // every component of a key is a key
                },
            };
            offered.push((path, entry));
        }
        let Some((_, first)) = offered.first() else {
            return;
        };
        let taken = name
            .as_ref()
            .and_then(|name| self.name_taken(name, first, names));
        let path_taken = |(path, entry): &(ItemKey, Entry)| {
            let reason = self.taken(path, entry)?;
            Some((path.clone(), reason))
        };
        // A skill wins or loses as a whole.
        if let Some((lost, reason)) = offered.iter().find_map(path_taken) {
            for (path, entry) in offered {
                let reason = if path == lost {
                    reason.clone()
                } else {
                    format!("of its skill `{lost}` is not published: {reason}")
                };
                self.lose(id, path, entry, reason, None);
            }
        } else if let Some((winner, reason)) = taken {
            for (path, entry) in offered {
                self.lose(id, path, entry, reason.clone(), Some(winner.clone()));
            }
        } else {
            if let Some(name) = name {
                let speaks = |(path, _): &&(ItemKey, Entry)| path.file_name() == "SKILL.md";
                let (path, _) = offered.iter().find(speaks).unwrap_or(&offered[0]);
                names.entry(name).or_insert_with(|| path.clone());
            }
            for (path, entry) in offered {
                // Two files of one skill may still have one name where a target has no directories.
                match self.taken(&path, &entry) {
                    Some(reason) => self.lose(id, path, entry, reason, None),
                    None => {
                        self.entries.insert(path, entry);
                    }
                }
            }
        }
    }

    /// Looks at what is to be said against an item; tells whether it, or what was published of it before, is offered.
    fn judge(&mut self, unit: &mut Unit, (id, target): (&TargetId, &TargetSpec)) -> bool {
        let Some((key, finding)) = unit
            .findings
            .first()
            .filter(|_| target.on_finding != OnFinding::Allow)
        else {
            return true;
        };
        let more = match unit.findings.len() {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let place = format!("{key}:{}:{}", finding.line, finding.column);
        let what = format!(
            "`{place}` of source `{}`: {}: {}{more}",
            unit.source, finding.rule, finding.message
        );
        let path = key.to_string();
        let (is_offered, outcome) = if target.on_finding == OnFinding::Warn {
            (
                true,
                format!("it is published in target `{id}` all the same"),
            )
        } else if let Some(last_good) = unit.last_good.take() {
            unit.entries = last_good;
            (
                true,
                format!("the last version without it stays in target `{id}`"),
            )
        } else {
            (
                false,
                format!("the {} is not published in target `{id}`", unit.kind),
            )
        };
        let message = format!("{what}; {outcome}");
        if target.on_finding == OnFinding::Block {
            self.stopped.push(message.clone());
        }
        self.problems.push(Problem {
            kind: ProblemKind::Finding,
            path,
            message,
        });
        is_offered
    }

    /// Returns where an agent or skill of another source has the name already, and why this one cannot have it.
    fn name_taken(
        &self,
        name: &(Kind, String),
        entry: &Entry,
        names: &Names,
    ) -> Option<(ItemKey, String)> {
        let path = names.get(name)?;
        let winner = self.entries.get(path)?;
        if winner.source == entry.source {
            return None;
        }
        let (kind, name) = name;
        let reason = format!(
            "the {kind} `{}` is `{path}` already: {}",
            name.escape_debug(),
            came_first(winner, entry)
        );
        Some((path.clone(), reason))
    }

    /// Returns why `entry` cannot have `path`. Offers come in the order of their rank: whatever stands here already comes
    /// first.
    fn taken(&self, path: &ItemKey, entry: &Entry) -> Option<String> {
        let next = self.entries_from(path.as_str()).next();
        if let Some((_, winner)) = next.filter(|(next, _)| *next == path) {
            return Some(if winner.source == entry.source {
                format!(
                    "`{}` of the same source has this file name too and comes first",
                    winner.key
                )
            } else {
                came_first(winner, entry)
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

    fn lose(
        &mut self,
        target: &TargetId,
        path: ItemKey,
        entry: Entry,
        reason: String,
        to: Option<ItemKey>,
    ) {
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
            .push(Loser { entry, reason, to });
    }
}

/// Says why the winner stands before another source's item.
fn came_first(winner: &Entry, loser: &Entry) -> String {
    let (first, second) = (&winner.rank, &loser.rank);
    if first.priority == second.priority
        && let Some(version) = &first.version
        && unit::precedence(Some(version)) > unit::precedence(second.version.as_deref())
    {
        let other = second.version.as_deref().unwrap_or("none");
        return format!(
            "source `{}` has the higher version ({} over {})",
            winner.source,
            version.escape_debug(),
            other.escape_debug()
        );
    }
    format!(
        "source `{}` comes first (`{}` has priority {})",
        winner.source, loser.source, second.priority
    )
}
