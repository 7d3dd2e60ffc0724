//! Whose lines are in which file, and who took them out or gave them up. Paths are classes of the model.

use std::collections::{BTreeMap, BTreeSet};

use crate::content::{Unit, units};
use crate::model::{Place, Spot};

/// Every unit that a person wrote or took out.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Units that a person wrote into this very file, and when.
    live: BTreeMap<Spot, BTreeMap<Unit, u64>>,
    /// Units that a person took out of a path, wherever that was, and when that was last.
    removed: BTreeMap<String, BTreeMap<Unit, u64>>,
    /// Units that a person took out of a path in a target: who has them upstream brings them back by no rename.
    taken_out_here: BTreeMap<String, BTreeSet<Unit>>,
    /// Units that a person's decision gave up at other places of the path: they may go if a copy is kept.
    given_up: BTreeMap<String, BTreeSet<Unit>>,
    /// Counts what people do.
    clock: u64,
}

impl Lines {
    /// Notes that a person made `after` of `before`.
    pub(crate) fn written(
        &mut self,
        spot: &Spot,
        path: &str,
        before: &BTreeSet<Unit>,
        after: &BTreeSet<Unit>,
    ) {
        self.refuse(path, before.difference(after));
        let out = self.taken_out_here.entry(path.to_owned()).or_default();
        let mut new: Vec<&Unit> = after.difference(before).collect();
        match spot.0 {
            Place::Target(_) => out.extend(before.difference(after).cloned()),
            Place::Origin(_) => new.retain(|unit| !out.contains(*unit)),
        }
        self.clock += 1;
        let now = self.clock;
        let live = self.live.entry(spot.clone()).or_default();
        live.retain(|unit, _| after.contains(unit));
        live.extend(new.into_iter().map(|unit| (unit.clone(), now)));
    }

    /// Notes that a person took units out of a path.
    pub(crate) fn refuse<'a>(&mut self, path: &str, refused: impl Iterator<Item = &'a Unit>) {
        self.clock += 1;
        let now = self.clock;
        let removed = self.removed.entry(path.to_owned()).or_default();
        removed.extend(refused.map(|unit| (unit.clone(), now)));
    }

    /// Notes that a person's decision gave up units that other places of the path may have.
    pub(crate) fn give_up(&mut self, path: &str, units: impl IntoIterator<Item = Unit>) {
        self.given_up
            .entry(path.to_owned())
            .or_default()
            .extend(units);
    }

    /// Tells whether a person's decision gave up all of these units of the path.
    pub(crate) fn is_given_up(&self, path: &str, units: &[Unit]) -> bool {
        let given_up = self.given_up.get(path);
        given_up.is_some_and(|given_up| units.iter().all(|unit| given_up.contains(unit)))
    }

    /// Returns the units that people wrote into a file, that nobody took out since, and that are not in `bytes`.
    pub(crate) fn missing(&self, spot: &Spot, path: &str, bytes: Option<&[u8]>) -> Vec<Unit> {
        let there = bytes.map(units).unwrap_or_default();
        let removed = self.removed.get(path);
        // Who writes a line again means it again.
        let removed_at = |unit: &Unit| removed.and_then(|removed| removed.get(unit));
        let live = self.live.get(spot).into_iter().flatten();
        live.filter(|(unit, written)| {
            !there.contains(*unit) && removed_at(unit).is_none_or(|removed| removed < *written)
        })
        .map(|(unit, _)| unit.clone())
        .collect()
    }

    /// Returns the units of `bytes` that nobody took out of the path.
    pub(crate) fn wanted(&self, path: &str, bytes: &[u8]) -> BTreeSet<Unit> {
        let mut wanted = units(bytes);
        if let Some(removed) = self.removed.get(path) {
            wanted.retain(|unit| !removed.contains_key(unit));
        }
        wanted
    }

    /// Returns the files in which people's units live.
    pub(crate) fn spots(&self) -> Vec<Spot> {
        self.live.keys().cloned().collect()
    }

    /// Gives up units that a person's own decision discarded, a copy being kept.
    pub(crate) fn discard(&mut self, spot: &Spot, discarded: &[Unit]) {
        if let Some(live) = self.live.get_mut(spot) {
            live.retain(|unit, _| !discarded.contains(unit));
        }
    }

    /// Notes that units went with their file to another name.
    pub(crate) fn follow(&mut self, from: &Spot, to: &Spot, moved: &[Unit]) {
        for unit in moved {
            let written = self.live.get_mut(from).and_then(|live| live.remove(unit));
            if let Some(written) = written {
                let live = self.live.entry(to.clone()).or_default();
                live.insert(unit.clone(), written);
            }
        }
    }

    /// Notes that a file is not there any more by a person's doing.
    pub(crate) fn forget(&mut self, spot: &Spot) {
        self.live.remove(spot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_written_again_is_missed_again() {
        let mut lines = Lines::default();
        let spot = (Place::Target(0), "a.md".to_owned());
        let (nothing, one) = (units(b""), units(b"one\n"));
        lines.written(&spot, "a.md", &nothing, &one);
        lines.written(&spot, "a.md", &one, &nothing);
        assert!(lines.missing(&spot, "a.md", None).is_empty());
        lines.written(&spot, "a.md", &nothing, &one);
        assert_eq!(lines.missing(&spot, "a.md", None), [b"one\n".to_vec()]);
        assert!(!lines.is_given_up("a.md", &[b"one\n".to_vec()]));
        lines.give_up("a.md", [b"one\n".to_vec()]);
        assert!(lines.is_given_up("a.md", &[b"one\n".to_vec()]));
        assert!(!lines.is_given_up("a.md", &[b"one\n".to_vec(), b"two\n".to_vec()]));
    }

    #[test]
    fn a_line_that_was_taken_out_here_is_not_brought_back_by_a_rename_upstream() {
        let mut lines = Lines::default();
        let (here, there) = (
            (Place::Target(0), "a.md".to_owned()),
            (Place::Origin(0), "a.md".to_owned()),
        );
        let (nothing, both, one) = (units(b""), units(b"one\ntwo\n"), units(b"one\n"));
        lines.written(&there, "a.md", &nothing, &both);
        lines.written(&here, "a.md", &both, &one);
        lines.written(&there, "a.md", &both, &nothing);
        lines.written(&there, "a.md", &nothing, &both);
        assert_eq!(lines.missing(&there, "a.md", None), [b"one\n".to_vec()]);
    }
}
