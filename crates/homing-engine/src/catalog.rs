//! The catalog: the heads of a target's sources, merged by priority, as paths of that target.

mod flagged;
mod place;
mod unit;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use homing_core::{
    Item, ItemKey, Manifest, Problem, ProblemKind, SideError, SourceId, TargetId, Version,
};
use homing_items::{Kind, Skills};
use homing_store::{HeadRow, HoldRow};

use crate::missing::Unfetched;
use crate::past::Past;
use crate::pipeline::check;
use crate::spec::{OnFinding, TargetSpec};
pub(crate) use flagged::{Flagged, Outcome, Stop};
use place::place;
use unit::{Before, Unit, units};

/// The head of one source with the holds on it.
#[derive(Debug, Clone)]
pub(crate) struct SourceHead {
    pub(crate) source: SourceId,
    pub(crate) priority: u16,
    /// Edits in targets go into it: what it holds may be the user's own.
    pub(crate) takes_edits: bool,
    pub(crate) rows: BTreeMap<ItemKey, HeadRow>,
    pub(crate) holds: BTreeMap<ItemKey, HoldRow>,
    /// What its origin has and did not give: of these files the rows are not what they are to be, or missing.
    pub(crate) unfetched: Unfetched,
}

impl SourceHead {
    /// Finds the directories that are skills.
    pub(crate) fn skills(&self) -> Skills<'_> {
        unit::skills(&self.rows, &self.unfetched)
    }
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

/// Why an entry is not offered at all.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) problem: Problem,
    pub(crate) reason: String,
}

/// Tells why a target cannot take an entry under a path.
pub(crate) type Refuse<'r> = dyn FnMut(&ItemKey, &Entry) -> Result<Option<Refused>, SideError> + 'r;

/// What a target should hold.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) entries: BTreeMap<ItemKey, Entry>,
    pub(crate) losers: BTreeMap<ItemKey, Vec<Loser>>,
    pub(crate) problems: Vec<Problem>,
    /// Holds whose time is over: upstream has moved on from what was refused.
    pub(crate) ended_holds: Vec<(SourceId, ItemKey)>,
    /// Items that may not be published as they are, unless the target does not mind.
    pub(crate) flagged: Vec<Flagged>,
    /// Which of them what is offered belongs to.
    flagged_keys: BTreeMap<(SourceId, ItemKey), usize>,
    /// What is not offered for one of them, by the path that it would have.
    kept_back: BTreeMap<ItemKey, Vec<(Entry, usize)>>,
}

/// Under which path the agents and skills with a name are published, so far.
type Names = HashMap<(Kind, String), ItemKey>;

impl Catalog {
    /// Merges `heads`, which stand in the order of the target's `from`.
    ///
    /// What is refused does not compete, so that it cannot win and then leave its path empty.
    pub(crate) fn merge(
        id: &TargetId,
        heads: Vec<SourceHead>,
        target: &TargetSpec,
        past: &Past,
        refuse: &mut Refuse<'_>,
    ) -> Result<Self, SideError> {
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
            catalog.offer(unit, &mut names, (id, target), refuse)?;
        }
        Ok(catalog)
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

    fn offer(
        &mut self,
        mut unit: Unit,
        names: &mut Names,
        at: (&TargetId, &TargetSpec),
        refuse: &mut Refuse<'_>,
    ) -> Result<(), SideError> {
        let (id, target) = at;
        if !self.flag(&mut unit, at) {
            return Ok(());
        }
        let entries = std::mem::take(&mut unit.entries);
        let (name, whole) = (unit.name_key(), unit.whole_name());
        let placed = unit.placed(&whole);
        let mut offered = Vec::with_capacity(entries.len());
        for entry in entries {
            // A skill moves as a whole: one with such a file was not let through.
            if unit.kind != Kind::Skill
                && let Some(rule) = check::active_file(&entry.key, &target.allow_active)
            {
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
            // A target of a tool's takes only what is for it.
            let Some(path) = place(target.layout, &entry.key, placed) else {
                continue;
            };
            match refuse(&path, &entry)? {
                None => offered.push((path, entry)),
                Some(Refused { problem, reason }) => {
                    self.problems.push(problem);
                    let losers = self.losers.entry(path).or_default();
                    let to = None;
                    losers.push(Loser { entry, reason, to });
                }
            }
        }
        let Some((_, first)) = offered.first() else {
            return Ok(());
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
        Ok(())
    }

    /// Decides what becomes of an item that may not be published as it is: its entries become what is offered of it.
    fn judge(unit: &mut Unit, stop: &Stop, target: &TargetSpec) -> Outcome {
        if matches!(stop, Stop::Finding(_)) && target.on_finding == OnFinding::Warn {
            return Outcome::Published;
        }
        // What is there may be no better.
        match unit.before.take() {
            Some(Before { entries, is_sound }) => {
                let now = std::mem::replace(&mut unit.entries, entries);
                if is_sound && unit.active(target).next().is_none() {
                    Outcome::LastGoodStays
                } else if unit.takes_edits {
                    Outcome::OwnStays
                } else {
                    unit.entries = now;
                    Outcome::NotPublished
                }
            }
            None => Outcome::NotPublished,
        }
    }

    /// Notes what becomes of an item that may not be published as it is; tells whether anything of it is offered.
    fn flag(&mut self, unit: &mut Unit, (id, target): (&TargetId, &TargetSpec)) -> bool {
        let Some((stop, key, count)) = unit.stop(target) else {
            return true;
        };
        // What the target takes in no case is nothing that it has to keep back.
        if unit.paths(target).next().is_none() {
            return true;
        }
        let outcome = Self::judge(unit, &stop, target);
        self.flagged.push(Flagged {
            source: unit.source.clone(),
            outcome,
            stop,
            target: id.clone(),
            kind: unit.kind,
            key,
            more: count - 1,
        });
        let at = self.flagged.len() - 1;
        if outcome != Outcome::NotPublished {
            let keys = unit.entries.iter().map(|entry| entry.key.clone());
            self.flagged_keys
                .extend(keys.map(|key| ((unit.source.clone(), key), at)));
            return true;
        }
        for (path, entry) in unit.paths(target) {
            let kept_back = self.kept_back.entry(path).or_default();
            kept_back.push((entry.clone(), at));
        }
        false
    }

    /// Returns what is to be said against an entry.
    pub(crate) fn flagged(&self, entry: &Entry) -> Option<&Flagged> {
        let at = self
            .flagged_keys
            .get(&(entry.source.clone(), entry.key.clone()))?;
        self.flagged.get(*at)
    }

    /// Returns the items that findings keep from a path, with the findings.
    pub(crate) fn kept_back(&self, path: &ItemKey) -> impl Iterator<Item = (&Entry, &Flagged)> {
        let kept_back = self.kept_back.get(path).into_iter().flatten();
        kept_back.filter_map(|(entry, at)| Some((entry, self.flagged.get(*at)?)))
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
