//! What the people of a history wrote, overwrote and deleted: all that the promises are judged by.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::content::{Unit, is_clean_merge, units};
use crate::tree::Tree;

/// A directory in which people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The root of a source.
    Origin(usize),
    /// The directory of a target.
    Target(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin(number) => write!(f, "s{number}"),
            Self::Target(number) => write!(f, "t{number}"),
        }
    }
}

/// A file at a place.
pub(crate) type Spot = (Place, String);

/// What is known of a world without asking Homing.
///
/// What is known of a *path* is known of it at all places. Where a target has file names only, a path is its file name.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Some target has file names only.
    flat: bool,
    /// Every content that a path rightly had anywhere.
    known: BTreeMap<String, Vec<Vec<u8>>>,
    /// The executable bits that a person ever gave a path.
    modes: BTreeMap<String, BTreeSet<bool>>,
    /// Units that a person took out of a path, wherever that was, and when that was last.
    removed: BTreeMap<String, BTreeMap<Unit, u64>>,
    /// Units that a person wrote into this very file, and when.
    live: BTreeMap<Spot, BTreeMap<Unit, u64>>,
    /// Units that a person's decision gave up at other places of the path: they may go if a copy is kept.
    yielded: BTreeMap<String, BTreeSet<Unit>>,
    /// Counts what people do.
    clock: u64,
    /// The bytes that were last seen in a file, or written into it by a person.
    current: BTreeMap<Spot, Vec<u8>>,
    /// Files that a person changed since they were last equal to their origin.
    touched: BTreeSet<Spot>,
    /// Files that a person made in a target where there was none, and that are still there: theirs if upstream lets go.
    made: BTreeSet<Spot>,
    /// Files that a person ever changed.
    ever_touched: BTreeSet<Spot>,
    /// Files that no source ever has: theirs for ever.
    own: BTreeMap<Spot, (Vec<u8>, bool)>,
    /// What the origins hold by the people's doing alone.
    origins: BTreeMap<Spot, (Vec<u8>, bool)>,
    /// Paths whose conflicts were decided by keeping the lines of both sides.
    united: BTreeSet<String>,
    /// How often a merge was seen.
    pub(crate) merges: u64,
    /// Paths that an undo may hold.
    pub(crate) held: BTreeSet<String>,
    /// An undo was interrupted, so that every path may be held.
    pub(crate) maybe_held: bool,
}

impl Model {
    /// Returns a model of a world in which some target has file names only, or none has.
    pub(crate) fn new(flat: bool) -> Self {
        Self {
            flat,
            ..Self::default()
        }
    }

    /// Returns what a path is known as.
    pub(crate) fn class<'p>(&self, path: &'p str) -> &'p str {
        if self.flat {
            path.rsplit('/').next().unwrap_or(path)
        } else {
            path
        }
    }

    /// Tells whether what is said of one path may be meant of the other: the same, or one lies below the other.
    pub(crate) fn related(&self, path: &str, other: &str) -> bool {
        let below = |upper: &str, lower: &str| {
            lower
                .strip_prefix(upper)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        self.class(path) == self.class(other) || below(path, other) || below(other, path)
    }

    /// Notes that a person saved a file over what was there.
    pub(crate) fn saved(
        &mut self,
        spot: &Spot,
        displaced: Option<&[u8]>,
        bytes: &[u8],
        executable: bool,
    ) {
        let before = displaced.map(units).unwrap_or_default();
        let after = units(bytes);
        self.refuse(&spot.1, before.difference(&after));
        let now = self.clock + 1;
        self.clock = now;
        let live = self.live.entry(spot.clone()).or_default();
        live.retain(|unit, _| after.contains(unit));
        live.extend(after.difference(&before).map(|unit| (unit.clone(), now)));
        self.learn(&spot.1, bytes);
        if let Some(displaced) = displaced {
            self.learn_displaced(&spot.1, displaced);
        } else if matches!(spot.0, Place::Target(_)) {
            self.made.insert(spot.clone());
        }
        self.modes
            .entry(self.class(&spot.1).to_owned())
            .or_default()
            .insert(executable);
        self.current.insert(spot.clone(), bytes.to_vec());
        self.touch(spot);
        if matches!(spot.0, Place::Origin(_)) {
            self.origins
                .insert(spot.clone(), (bytes.to_vec(), executable));
        }
    }

    /// Notes that a person deleted a file.
    pub(crate) fn deleted(&mut self, spot: &Spot, displaced: &[u8]) {
        self.refuse(&spot.1, units(displaced).iter());
        self.learn_displaced(&spot.1, displaced);
        self.live.remove(spot);
        self.current.remove(spot);
        self.touch(spot);
        self.origins.remove(spot);
    }

    /// Notes that a person set or cleared the executable bits.
    pub(crate) fn mode_set(&mut self, spot: &Spot, executable: bool) {
        self.modes
            .entry(self.class(&spot.1).to_owned())
            .or_default()
            .insert(executable);
        self.touch(spot);
        if let Some((_, mode)) = self.origins.get_mut(spot) {
            *mode = executable;
        }
    }

    /// Notes a file that no source ever has.
    pub(crate) fn own_saved(&mut self, spot: Spot, bytes: Vec<u8>, executable: bool) {
        self.own.insert(spot, (bytes, executable));
    }

    /// Notes that a person chose to keep the lines of both sides.
    pub(crate) fn unite(&mut self, path: &str) {
        self.united.insert(self.class(path).to_owned());
    }

    /// Tells whether it is a file that no source ever has.
    pub(crate) fn is_own(&self, spot: &Spot) -> bool {
        self.own.contains_key(spot)
    }

    /// Returns the files that no source ever has.
    pub(crate) fn own_files(&self) -> &BTreeMap<Spot, (Vec<u8>, bool)> {
        &self.own
    }

    /// Returns what an origin holds by the people's doing alone.
    pub(crate) fn origin(&self, place: Place) -> BTreeMap<&str, (&[u8], bool)> {
        let of_place = self
            .origins
            .iter()
            .filter(|((candidate, _), _)| *candidate == place);
        of_place
            .map(|((_, path), (bytes, mode))| (path.as_str(), (bytes.as_slice(), *mode)))
            .collect()
    }

    /// Tells whether a person changed the file since it was last equal to its origin.
    pub(crate) fn is_touched(&self, spot: &Spot) -> bool {
        self.touched.contains(spot)
    }

    /// Tells whether a person changed the path in any target since it was last equal to its origin there.
    pub(crate) fn is_touched_in_a_target(&self, path: &str) -> bool {
        let class = self.class(path);
        let mut touched = self.touched.iter();
        touched
            .any(|(place, other)| matches!(place, Place::Target(_)) && self.class(other) == class)
    }

    /// Notes that a file equals its origin again, so that no edit is left in it.
    pub(crate) fn settle(&mut self, spot: &Spot) {
        self.touched.remove(spot);
    }

    /// Tells whether any person ever changed the path, one above or one below it in a target.
    pub(crate) fn could_conflict(&self, path: &str) -> bool {
        self.ever_touched.iter().any(|(place, touched)| {
            matches!(place, Place::Target(_)) && self.related(touched, path)
        }) || self.own.keys().any(|(_, own)| {
            own.strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
        })
    }

    /// Returns the units that people wrote into a file, that nobody took out, and that are not in `bytes`.
    pub(crate) fn missing(&self, spot: &Spot, bytes: Option<&[u8]>) -> Vec<Unit> {
        let there = bytes.map(units).unwrap_or_default();
        let removed = self.removed.get(self.class(&spot.1));
        // Who writes a line again means it again.
        let removed_at = |unit: &Unit| removed.and_then(|removed| removed.get(unit));
        let live = self.live.get(spot).into_iter().flatten();
        live.filter(|(unit, written)| {
            !there.contains(*unit) && removed_at(unit).is_none_or(|removed| removed < *written)
        })
        .map(|(unit, _)| unit.clone())
        .collect()
    }

    /// Returns the files in which people's units live.
    pub(crate) fn live_spots(&self) -> Vec<Spot> {
        self.live.keys().cloned().collect()
    }

    /// Returns the bytes that were last in a file.
    pub(crate) fn current(&self, spot: &Spot) -> Option<&[u8]> {
        self.current.get(spot).map(Vec::as_slice)
    }

    /// Gives up units that a person's own decision discarded, a copy being kept.
    pub(crate) fn discard(&mut self, spot: &Spot, discarded: &[Unit]) {
        if let Some(live) = self.live.get_mut(spot) {
            live.retain(|unit, _| !discarded.contains(unit));
        }
    }

    /// Notes that a person took units out of a path.
    pub(crate) fn refuse<'a>(&mut self, path: &str, refused: impl Iterator<Item = &'a Unit>) {
        self.clock += 1;
        let now = self.clock;
        let class = self.class(path).to_owned();
        let removed = self.removed.entry(class).or_default();
        removed.extend(refused.map(|unit| (unit.clone(), now)));
    }

    /// Notes that a person's decision gave up units that other places of the path may have.
    pub(crate) fn give_up(&mut self, path: &str, units: impl IntoIterator<Item = Unit>) {
        let class = self.class(path).to_owned();
        self.yielded.entry(class).or_default().extend(units);
    }

    /// Tells whether a person's decision gave up all of these units of the path.
    pub(crate) fn is_given_up(&self, path: &str, units: &[Unit]) -> bool {
        let yielded = self.yielded.get(self.class(path));
        yielded.is_some_and(|yielded| units.iter().all(|unit| yielded.contains(unit)))
    }

    /// Notes that an undo may hold a path.
    pub(crate) fn hold(&mut self, path: &str) {
        let class = self.class(path).to_owned();
        self.held.insert(class);
    }

    /// Tells whether an undo may hold the path.
    pub(crate) fn may_be_held(&self, path: &str) -> bool {
        self.maybe_held || self.held.contains(self.class(path))
    }

    /// Notes that a file is not where people had it, although nobody took a line out of it.
    pub(crate) fn forget(&mut self, spot: &Spot) {
        self.live.remove(spot);
        self.current.remove(spot);
        self.own.remove(spot);
        self.touch(spot);
    }

    /// Returns the units of `bytes` that nobody took out of the path.
    pub(crate) fn wanted(&self, path: &str, bytes: &[u8]) -> BTreeSet<Unit> {
        let mut wanted = units(bytes);
        if let Some(removed) = self.removed.get(self.class(path)) {
            wanted.retain(|unit| !removed.contains_key(unit));
        }
        wanted
    }

    /// Tells whether a person made the file in a target where there was none.
    pub(crate) fn is_made_here(&self, spot: &Spot) -> bool {
        self.made.contains(spot)
    }

    /// Notes what is there now.
    pub(crate) fn observe(&mut self, place: Place, tree: &Tree) {
        self.made
            .retain(|(other, path)| *other != place || tree.files.contains_key(path));
        self.current.retain(|(candidate, _), _| *candidate != place);
        for (path, seen) in &tree.files {
            self.current
                .insert((place, path.clone()), seen.bytes.clone());
        }
    }

    /// Tells whether a path may have this content: somebody wrote it there, or it is a clean merge of such contents.
    ///
    /// `chained`: several merges may lie between two looks, so that not every step of them is known; then every line
    /// must be one that the path had, and the content must be whole.
    pub(crate) fn explains(&mut self, path: &str, bytes: &[u8], chained: bool) -> bool {
        let class = self.class(path);
        let Some(known) = self.known.get(class) else {
            return false;
        };
        if known.iter().any(|content| content == bytes) {
            return true;
        }
        let loose = chained || self.united.contains(class);
        let explained = is_clean_merge(bytes, known) || (loose && is_whole_mixture(bytes, known));
        if explained {
            self.merges += 1;
            self.learn(path, bytes);
        }
        explained
    }

    /// Tells whether a person ever gave the path this executable bit.
    pub(crate) fn explains_mode(&self, path: &str, executable: bool) -> bool {
        self.modes
            .get(self.class(path))
            .is_some_and(|modes| modes.contains(&executable))
    }

    fn touch(&mut self, spot: &Spot) {
        self.touched.insert(spot.clone());
        self.ever_touched.insert(spot.clone());
    }

    fn learn(&mut self, path: &str, bytes: &[u8]) {
        let known = self.known.entry(self.class(path).to_owned()).or_default();
        if !known.iter().any(|content| content == bytes) {
            known.push(bytes.to_vec());
        }
    }

    /// What a person displaced was there by Homing's doing; only what can be explained becomes a known content.
    fn learn_displaced(&mut self, path: &str, bytes: &[u8]) {
        self.explains(path, bytes, false);
    }
}

/// Tells whether every line is one that the path had, between the first and the last line of such a content.
fn is_whole_mixture(bytes: &[u8], known: &[Vec<u8>]) -> bool {
    let all: BTreeSet<Unit> = known.iter().flat_map(|content| units(content)).collect();
    let first = |content: &[u8]| {
        content
            .split_inclusive(|byte| *byte == b'\n')
            .next()
            .map(<[u8]>::to_vec)
    };
    let last = |content: &[u8]| {
        content
            .split_inclusive(|byte| *byte == b'\n')
            .next_back()
            .map(<[u8]>::to_vec)
    };
    units(bytes).is_subset(&all)
        && known.iter().any(|content| first(content) == first(bytes))
        && known.iter().any(|content| last(content) == last(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(place: Place) -> Spot {
        (place, "a.md".to_owned())
    }

    #[test]
    fn a_line_that_a_person_wrote_is_missed_until_a_person_removes_it() {
        let mut model = Model::default();
        let (upstream, here) = (spot(Place::Origin(0)), spot(Place::Target(0)));
        model.saved(&upstream, None, b"begin\none\nend\n", false);
        model.saved(
            &here,
            Some(b"begin\none\nend\n"),
            b"begin\none\nmine\nend\n",
            false,
        );
        assert_eq!(
            model.missing(&here, Some(b"begin\ntwo\nend\n")),
            [b"mine\n".to_vec()]
        );
        assert_eq!(
            model.missing(&here, None),
            [b"mine\n".to_vec()],
            "a deleted file has lost it too"
        );
        assert!(
            model
                .missing(&here, Some(b"begin\ntwo\nmine\nend\n"))
                .is_empty()
        );
        // Upstream has it, by a push, and takes it out: it may go here too.
        model.saved(
            &upstream,
            Some(b"begin\none\nmine\nend\n"),
            b"begin\none\nend\n",
            false,
        );
        assert!(model.missing(&here, Some(b"begin\none\nend\n")).is_empty());
    }

    #[test]
    fn half_files_and_unknown_lines_are_not_explained() {
        let mut model = Model::default();
        model.saved(
            &spot(Place::Origin(0)),
            None,
            b"begin\none\ntwo\nend\n",
            false,
        );
        model.saved(
            &spot(Place::Target(0)),
            Some(b"begin\none\ntwo\nend\n"),
            b"begin\none\ntwo\nmine\nend\n",
            false,
        );
        for chained in [false, true] {
            assert!(
                !model.explains("a.md", b"begin\none\n", chained),
                "the end is missing"
            );
            assert!(!model.explains("a.md", b"", chained));
            assert!(
                !model.explains("a.md", b"begin\nelse\nend\n", chained),
                "nobody wrote that"
            );
            assert!(
                !model.explains("b.md", b"begin\none\ntwo\nend\n", chained),
                "not at that path"
            );
            assert!(model.explains("a.md", b"begin\none\ntwo\nend\n", chained));
        }
        assert!(
            !model.explains("a.md", b"begin\none\nmine\nend\n", false),
            "no merge drops a line that both have"
        );
        assert!(model.explains_mode("a.md", false));
        assert!(!model.explains_mode("a.md", true));
    }

    #[test]
    fn only_a_touched_path_can_conflict() {
        let mut model = Model::default();
        model.saved(&spot(Place::Origin(0)), None, b"x\n", false);
        assert!(!model.could_conflict("a.md"));
        model.deleted(&spot(Place::Target(0)), b"x\n");
        assert!(model.could_conflict("a.md"));
        assert!(
            model.could_conflict("a.md/below"),
            "a file where a directory must go"
        );
        assert!(!model.could_conflict("a.mdx"));
    }
}
