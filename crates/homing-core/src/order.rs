//! The order in which a plan is carried out.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;

use crate::{Capabilities, ItemKey, Manifest, Version};

/// One change of a key on the written side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The key.
    pub key: ItemKey,
    /// Where the item is now when only the case or the Unicode form of its key changes.
    pub renamed_from: Option<ItemKey>,
    /// What is there now (for a rename: under the old key).
    pub before: Option<Version>,
    /// What will be there.
    pub after: Option<Version>,
}

/// A plan in an order that is safe, one step after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ordered {
    /// Deletions, deepest first; then renames; then creations and updates, outermost first.
    ///
    /// A rename changes nothing but the key (`before` is `after`); where the content changes too, an update of the new
    /// key is among the steps that follow.
    pub steps: Vec<Step>,
    /// Steps that cannot be done, for something that stays stands in the way; with the path of what it is.
    pub blocked: Vec<(Step, String)>,
}

/// Orders the steps for a side that holds `present` and can store `capabilities`.
///
/// On a side that cannot tell `A` from `a`, a deletion of one and a creation of the other become one rename, and of two
/// creations that it cannot tell apart the second is blocked by the first. A step at or below a place that `present`
/// does not know is blocked by that place.
pub fn order(steps: Vec<Step>, present: &Manifest, capabilities: Capabilities) -> Ordered {
    let (mut deletions, mut writes): (Vec<Step>, Vec<Step>) = steps
        .into_iter()
        .filter(|step| step.before.is_some() || step.after.is_some())
        .partition(|step| step.after.is_none());
    if !capabilities.case_sensitive || capabilities.normalises_unicode {
        pair_renames(&mut deletions, &mut writes, capabilities);
    }
    deletions.sort_by(|a, b| (depth(b), &a.key).cmp(&(depth(a), &b.key)));
    let after_renames = |step: &Step| step.renamed_from.is_none();
    writes.sort_by(|a, b| {
        (after_renames(a), depth(a), &a.key).cmp(&(after_renames(b), depth(b), &b.key))
    });

    let mut ordered = Ordered::default();
    let unknown = Places::of(present.unknown.keys().map(String::as_str), capabilities);
    for deletion in deletions {
        match unknown.at_or_above(&capabilities.fold(deletion.key.as_str())) {
            Some(place) => ordered.blocked.push((deletion, place.to_owned())),
            None => ordered.steps.push(deletion),
        }
    }
    let obstacles = obstacles(&writes, &ordered.steps, present, capabilities);
    for (write, obstacle) in writes.into_iter().zip(obstacles) {
        match obstacle {
            Some(place) => ordered.blocked.push((write, place)),
            None => ordered.steps.push(write),
        }
    }
    ordered
}

fn depth(step: &Step) -> usize {
    step.key.ancestors().count()
}

/// Makes one rename of the deletion of a key and the creation of another that the side takes for the same.
///
/// Done as two steps, the deletion would be of what was just created, or the creation of what is still there.
fn pair_renames(deletions: &mut Vec<Step>, writes: &mut Vec<Step>, capabilities: Capabilities) {
    let mut leaving: HashMap<String, (ItemKey, Version)> = HashMap::new();
    for step in deletions.iter() {
        if let Some(version) = step.before {
            let place = capabilities.fold(step.key.as_str()).into_owned();
            leaving
                .entry(place)
                .or_insert_with(|| (step.key.clone(), version));
        }
    }
    writes.sort_by(|a, b| a.key.cmp(&b.key));
    let mut renames = Vec::new();
    let mut paired = HashSet::new();
    writes.retain_mut(|step| {
        if step.before.is_some() || step.renamed_from.is_some() {
            return true;
        }
        let Some((from, version)) = leaving.remove(capabilities.fold(step.key.as_str()).as_ref())
        else {
            return true;
        };
        renames.push(Step {
            key: step.key.clone(),
            renamed_from: Some(from.clone()),
            before: Some(version),
            after: Some(version),
        });
        paired.insert(from);
        step.before = Some(version);
        step.after != step.before
    });
    deletions.retain(|step| !paired.contains(&step.key));
    writes.append(&mut renames);
}

/// Returns for each of the ordered writes the path of what stands in its way.
fn obstacles(
    writes: &[Step],
    deletions: &[Step],
    present: &Manifest,
    capabilities: Capabilities,
) -> Vec<Option<String>> {
    let unknown = Places::of(present.unknown.keys().map(String::as_str), capabilities);
    // Only a new name can meet an obstacle: a run of mere updates need not look at everything that is there.
    let any_new_name = writes
        .iter()
        .any(|step| step.before.is_none() || step.renamed_from.is_some());
    let mut standing = if any_new_name {
        let leaving = deletions.iter().map(|step| &step.key);
        let gone: HashSet<&str> = leaving
            .chain(writes.iter().filter_map(|step| step.renamed_from.as_ref()))
            .map(ItemKey::as_str)
            .collect();
        let names = present.items.keys().map(ItemKey::as_str);
        Places::of(
            names.filter(|name| gone.is_empty() || !gone.contains(name)),
            capabilities,
        )
    } else {
        Places::of(std::iter::empty(), capabilities)
    };
    writes
        .iter()
        .map(|step| {
            let place = capabilities.fold(step.key.as_str());
            let obstacle = unknown
                .at_or_above(&place)
                .or_else(|| unknown.below(&place))
                .or_else(|| {
                    standing
                        .at(&place)
                        .filter(|name| *name != step.key.as_str())
                })
                .or_else(|| standing.above(&place))
                .or_else(|| standing.below(&place));
            // What a blocked rename leaves where it was stands in the way of what follows.
            let stands = match (obstacle, &step.renamed_from) {
                (None, _) => Some(&step.key),
                (Some(_), from) => from.as_ref(),
            };
            if let Some(key) = stands {
                standing
                    .0
                    .insert(capabilities.fold(key.as_str()), key.as_str());
            }
            obstacle.map(str::to_owned)
        })
        .collect()
}

/// Paths by the form in which the side compares them.
struct Places<'a>(BTreeMap<Cow<'a, str>, &'a str>);

impl<'a> Places<'a> {
    fn of(paths: impl Iterator<Item = &'a str>, capabilities: Capabilities) -> Self {
        Self(paths.map(|path| (capabilities.fold(path), path)).collect())
    }

    fn at(&self, place: &str) -> Option<&'a str> {
        self.0.get(place).copied()
    }

    /// Finds a path that is a directory on the way to `place`, or the root.
    fn above(&self, place: &str) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        self.at("").or_else(|| {
            place
                .match_indices('/')
                .find_map(|(end, _)| self.at(&place[..end]))
        })
    }

    fn at_or_above(&self, place: &str) -> Option<&'a str> {
        self.above(place).or_else(|| self.at(place))
    }

    fn below(&self, place: &str) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let inside = format!("{place}/");
        let (found, path) = self
            .0
            .range::<str, _>((Bound::Included(inside.as_str()), Bound::Unbounded))
            .next()?;
        found.starts_with(&inside).then_some(*path)
    }
}
