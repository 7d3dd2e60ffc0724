//! Units: what is published or left away as a whole, a file or a skill.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use homing_core::{ItemKey, SourceId, Version};
use homing_items::{Finding, Kind, Precedence, Skills};
use homing_store::{Facts, HeadRow, HoldRow};

use super::place::{Placed, place};
use super::{Entry, Rank, SourceHead, Stop};
use crate::examine;
use crate::missing::{Missing, Unfetched};
use crate::past::Past;
use crate::pipeline::check;
use crate::spec::{OnFinding, TargetSpec};

/// One file, or a skill with all its files.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) source: SourceId,
    pub(super) kind: Kind,
    /// The directory of a skill; `""` is the whole source.
    pub(super) directory: Option<String>,
    name: Option<String>,
    version: Option<Arc<str>>,
    precedence: Option<Precedence>,
    priority: u16,
    pub(super) entries: Vec<Entry>,
    /// What of it could not be had.
    unfetched: Vec<(ItemKey, Missing)>,
    /// The blocking finding of each file that has any.
    findings: Vec<(ItemKey, Finding)>,
    /// What is published of it may be the user's own edit.
    pub(super) takes_edits: bool,
    /// What was published of it before, and stays if it may not be published as it is.
    pub(super) before: Option<Before>,
}

/// What a target holds of an item.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) entries: Vec<Entry>,
    /// Nothing is to be said against it.
    pub(super) is_sound: bool,
}

impl Unit {
    /// Returns what comes first comes first by: priority, then the higher version.
    pub(super) fn rank_key(&self) -> (u16, Reverse<&Option<Precedence>>) {
        (self.priority, Reverse(&self.precedence))
    }

    /// Returns the name that only one item of all sources may have.
    pub(super) fn name_key(&self) -> Option<(Kind, String)> {
        match self.kind {
            Kind::Agent | Kind::Skill => Some((self.kind, self.name.clone()?)),
            Kind::Command | Kind::File => None,
        }
    }
}

impl Unit {
    /// Returns what decides the places of its files; `name` is its [`Unit::whole_name`].
    pub(super) fn placed<'u>(&'u self, name: &'u str) -> Placed<'u> {
        Placed {
            kind: self.kind,
            skill: self.directory.as_deref(),
            name,
        }
    }

    /// Returns each of its files with its place, where the target has one for it.
    pub(super) fn paths(&self, target: &TargetSpec) -> impl Iterator<Item = (ItemKey, &Entry)> {
        let name = self.whole_name();
        let path = move |entry: &Entry| place(target.layout, &entry.key, self.placed(&name));
        let entries = self.entries.iter();
        entries.filter_map(move |entry| Some((path(entry)?, entry)))
    }

    /// Returns the files of a skill that a tool would run or obey where they are to lie, and what they are.
    pub(super) fn active(
        &self,
        target: &TargetSpec,
    ) -> impl Iterator<Item = (&ItemKey, &'static str)> {
        let allowed = &target.allow_active;
        let files = self.paths(target).filter(|_| self.kind == Kind::Skill);
        files.filter_map(|(path, entry)| {
            let rule = check::active_file(&path, allowed)?;
            let is_named = allowed.iter().any(|name| name == entry.key.as_str());
            (!is_named).then_some((&entry.key, rule))
        })
    }

    /// Returns what keeps it from being published as it is, with the first of its files, and how many they are.
    pub(super) fn stop(&self, target: &TargetSpec) -> Option<(Stop, ItemKey, usize)> {
        // What somebody has to do something about comes first.
        let lasting = self.unfetched.iter().find(|(_, one)| !one.passes());
        if let Some((key, missing)) = lasting.or(self.unfetched.first()) {
            let stop = Stop::Missing(missing.clone());
            return Some((stop, key.clone(), self.unfetched.len()));
        }
        let mut active = self.active(target);
        if let Some((key, rule)) = active.next() {
            return Some((Stop::Active(rule), key.clone(), 1 + active.count()));
        }
        let finding = self.findings.first();
        let (key, finding) = finding.filter(|_| target.on_finding != OnFinding::Allow)?;
        let stop = Stop::Finding(finding.clone());
        Some((stop, key.clone(), self.findings.len()))
    }

    /// Returns what the directory of a skill is called that is the whole source: its name, if that can be one.
    pub(super) fn whole_name(&self) -> String {
        let fits = |name: &&String| {
            let key = ItemKey::new(name).ok().filter(|_| !name.contains('/'));
            key.is_some_and(|key| check::active_file(&key, &[]).is_none())
        };
        let name = self.name.as_ref().filter(fits).cloned();
        name.unwrap_or_else(|| self.source.to_string())
    }
}

/// Returns the order of a version among others.
pub(super) fn precedence(version: Option<&str>) -> Option<Precedence> {
    version.and_then(Precedence::of)
}

/// Finds the directories that are skills, also where only the origin has the `SKILL.md` so far.
pub(super) fn skills<'k>(
    rows: &'k BTreeMap<ItemKey, HeadRow>,
    unfetched: &'k Unfetched,
) -> Skills<'k> {
    let present = rows.values().filter(|row| row.head.is_some());
    Skills::among(present.map(|row| &row.key).chain(unfetched.keys()))
}

/// Makes units of what a source offers, in the order of its keys, and notes the holds whose time is over.
pub(super) fn units(
    head: SourceHead,
    past: &Past,
    all: &mut Vec<Unit>,
    ended_holds: &mut Vec<(SourceId, ItemKey)>,
) {
    let SourceHead {
        source,
        priority,
        takes_edits,
        rows,
        holds,
        unfetched,
    } = head;
    let skills = skills(&rows, &unfetched);
    let ended = |(key, hold): &(&ItemKey, &HoldRow)| {
        // A hold on an item that is gone stays while a deletion is what was refused.
        rows.get(*key).and_then(|row| row.head) != hold.refused
    };
    let ended = holds.iter().filter(ended);
    ended_holds.extend(ended.map(|(key, _)| (source.clone(), key.clone())));
    let begin = all.len();
    let mut of_skills: BTreeMap<&str, usize> = BTreeMap::new();
    for (entry, facts) in offered(&source, priority, &rows, &holds) {
        let skill = skills.of(&entry.key);
        let at = skill.and_then(|directory| of_skills.get(directory).copied());
        let unit = if let Some(unit) = at.and_then(|at| all.get_mut(at)) {
            unit
        } else {
            if let Some(directory) = skill {
                of_skills.insert(directory, all.len());
            }
            all.push(Unit {
                source: source.clone(),
                kind: if skill.is_some() {
                    Kind::Skill
                } else {
                    examine::kind(&entry.key, facts)
                },
                directory: skill.map(str::to_owned),
                name: None,
                version: None,
                precedence: None,
                priority,
                entries: Vec::new(),
                unfetched: Vec::new(),
                findings: Vec::new(),
                takes_edits,
                before: None,
            });
            all.last_mut().expect("it was just put there")
        };
        // A skill is what its SKILL.md says.
        let speaks = skill.is_none() || examine::kind(&entry.key, facts) == Kind::Skill;
        if speaks && unit.kind != Kind::File {
            unit.name = examine::name(&entry.key, unit.kind, facts).map(str::to_owned);
            unit.version.clone_from(&entry.rank.version);
            unit.precedence = precedence(entry.rank.version.as_deref());
        }
        // What an undo holds is a person's word.
        if !entry.held
            && let Some(finding) = examine::blocking(facts)
        {
            unit.findings.push((entry.key.clone(), finding));
        }
        unit.entries.push(entry);
    }
    for (key, missing) in &unfetched {
        let at = skills.of(key).and_then(|skill| of_skills.get(skill));
        if let Some(unit) = at.and_then(|at| all.get_mut(*at)) {
            unit.unfetched.push((key.clone(), missing.clone()));
        }
    }
    for at in of_skills.into_values() {
        let Unit {
            version, entries, ..
        } = &mut all[at];
        for entry in entries {
            entry.rank.version.clone_from(version);
        }
    }
    if past.is_empty() {
        return;
    }
    let may_be_stopped = |unit: &&mut Unit| unit.kind == Kind::Skill || !unit.findings.is_empty();
    for unit in all.iter_mut().skip(begin).filter(may_be_stopped) {
        let directory = skills.of(&unit.entries[0].key);
        let first = &unit.entries[0];
        let belongs = |key: &ItemKey| match directory {
            Some(_) => skills.of(key) == directory,
            None => *key == first.key,
        };
        unit.before = before(first, &belongs, takes_edits, past);
    }
}

/// Returns what the source's items are now, with what is known of their contents, by key.
fn offered<'r>(
    source: &SourceId,
    priority: u16,
    rows: &'r BTreeMap<ItemKey, HeadRow>,
    holds: &BTreeMap<ItemKey, HoldRow>,
) -> Vec<(Entry, Option<&'r Facts>)> {
    let entry = |key: &ItemKey, version, size, held, version_text: Option<&str>| Entry {
        source: source.clone(),
        key: key.clone(),
        version,
        size,
        held,
        rank: Rank {
            priority,
            version: version_text.map(Arc::from),
        },
    };
    let mut offered = Vec::with_capacity(rows.len());
    for (key, row) in rows {
        let Some(version) = row.head else { continue };
        let facts = row.facts.as_ref();
        let own = facts.and_then(|facts| facts.version.as_deref());
        let hold = holds.get(key).filter(|hold| hold.refused == Some(version));
        match hold {
            None => offered.push((entry(key, version, row.size, false, own), facts)),
            Some(HoldRow { held: None, .. }) => {}
            Some(HoldRow {
                held: Some(held),
                size,
                ..
            }) => offered.push((entry(key, *held, *size, true, own), facts)),
        }
    }
    for (key, hold) in holds {
        let is_gone = rows.get(key).and_then(|row| row.head).is_none();
        if is_gone
            && hold.refused.is_none()
            && let Some(version) = hold.held
        {
            offered.push((entry(key, version, hold.size, true, None), None));
        }
    }
    offered.sort_by(|(one, _), (other, _)| one.key.cmp(&other.key));
    offered
}

/// Returns what a target holds of an item; nothing when that is no better, unless it may be the user's own edit.
fn before(
    first: &Entry,
    belongs: &dyn Fn(&ItemKey) -> bool,
    takes_edits: bool,
    past: &Past,
) -> Option<Before> {
    let is_part = |((source, key), _): &(&(SourceId, ItemKey), &(Version, u64))| {
        *source == first.source && belongs(key)
    };
    let is_sound = !past.bad.iter().any(|one| is_part(&one));
    if !is_sound && !takes_edits {
        return None;
    }
    let kept = past.good.iter().chain(&past.bad).filter(is_part);
    let mut entries: Vec<Entry> = kept
        .map(|((_, key), (version, size))| Entry {
            source: first.source.clone(),
            key: key.clone(),
            version: *version,
            size: *size,
            held: false,
            rank: first.rank.clone(),
        })
        .collect();
    entries.sort_by(|one, other| one.key.cmp(&other.key));
    (!entries.is_empty()).then_some(Before { entries, is_sound })
}
