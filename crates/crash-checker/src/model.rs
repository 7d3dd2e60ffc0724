//! What the people of a history wrote, overwrote and deleted: all that the promises are judged by.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::content::{Unit, units};
use crate::lines::Lines;
use crate::lore::{Chain, Lore};
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
    /// What a path may rightly hold.
    lore: Lore,
    /// Whose lines are where, and who gave them up.
    lines: Lines,
    /// The bytes that were last seen in a file, or written into it by a person.
    current: BTreeMap<Spot, Vec<u8>>,
    /// Files that a person changed since they were last equal to their origin.
    touched: BTreeSet<Spot>,
    /// Files in targets that people made where there was none, or were given back: theirs if upstream lets go.
    made: BTreeSet<Spot>,
    /// Paths that some origin ever had.
    upstream: BTreeSet<String>,
    /// Files that a person ever changed.
    ever_touched: BTreeSet<Spot>,
    /// Files that no source ever has: theirs for ever.
    own: BTreeMap<Spot, (Vec<u8>, bool)>,
    /// What the origins hold by the people's doing alone.
    origins: BTreeMap<Spot, (Vec<u8>, bool)>,
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

    /// Tells whether some target has, at some time, file names only.
    pub(crate) fn is_flat(&self) -> bool {
        self.flat
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
        let class = self.class(&spot.1).to_owned();
        let before = displaced.map(units).unwrap_or_default();
        self.lines.written(spot, &class, &before, &units(bytes));
        self.learn(&spot.1, bytes);
        if let Some(displaced) = displaced {
            self.learn_displaced(&spot.1, displaced);
        } else if matches!(spot.0, Place::Target(_)) {
            self.made.insert(spot.clone());
        }
        self.lore.mode_set(&class, executable);
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
        self.lines.forget(spot);
        self.current.remove(spot);
        self.touch(spot);
        self.origins.remove(spot);
    }

    /// Notes that a person set or cleared the executable bits.
    pub(crate) fn mode_set(&mut self, spot: &Spot, executable: bool) {
        let class = self.class(&spot.1).to_owned();
        self.lore.mode_set(&class, executable);
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
        let class = self.class(path).to_owned();
        self.lore.unite(&class);
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

    /// Tells whether any person ever changed the path, one above or one below it in a target, or was given it back.
    pub(crate) fn could_conflict(&self, path: &str) -> bool {
        self.ever_touched
            .iter()
            .chain(&self.made)
            .any(|(place, touched)| {
                matches!(place, Place::Target(_)) && self.related(touched, path)
            })
            || self.own.keys().any(|(_, own)| {
                own.strip_prefix(path)
                    .is_some_and(|rest| rest.starts_with('/'))
            })
    }

    /// Returns the units that people wrote into a file, that nobody took out, and that are not in `bytes`.
    pub(crate) fn missing(&self, spot: &Spot, bytes: Option<&[u8]>) -> Vec<Unit> {
        self.lines.missing(spot, self.class(&spot.1), bytes)
    }

    /// Returns the files in which people's units live.
    pub(crate) fn live_spots(&self) -> Vec<Spot> {
        self.lines.spots()
    }

    /// Returns the bytes that were last in a file.
    pub(crate) fn current(&self, spot: &Spot) -> Option<&[u8]> {
        self.current.get(spot).map(Vec::as_slice)
    }

    /// Gives up units that a person's own decision discarded, a copy being kept.
    pub(crate) fn discard(&mut self, spot: &Spot, discarded: &[Unit]) {
        self.lines.discard(spot, discarded);
    }

    /// Notes that units went with their file to another name.
    pub(crate) fn follow(&mut self, from: &Spot, to: &Spot, moved: &[Unit]) {
        self.lines.follow(from, to, moved);
        self.touch(to);
    }

    /// Notes that a person took units out of a path.
    pub(crate) fn refuse<'a>(&mut self, path: &str, refused: impl Iterator<Item = &'a Unit>) {
        let class = self.class(path).to_owned();
        self.lines.refuse(&class, refused);
    }

    /// Notes that a person's decision gave up units that other places of the path may have.
    pub(crate) fn give_up(&mut self, path: &str, units: impl IntoIterator<Item = Unit>) {
        let class = self.class(path).to_owned();
        self.lines.give_up(&class, units);
    }

    /// Tells whether a person's decision gave up all of these units of the path.
    pub(crate) fn is_given_up(&self, path: &str, units: &[Unit]) -> bool {
        self.lines.is_given_up(self.class(path), units)
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
        self.lines.forget(spot);
        self.current.remove(spot);
        self.own.remove(spot);
        self.touch(spot);
    }

    /// Returns the units of `bytes` that nobody took out of the path.
    pub(crate) fn wanted(&self, path: &str, bytes: &[u8]) -> BTreeSet<Unit> {
        self.lines.wanted(self.class(path), bytes)
    }

    /// Notes files that are people's own from now on: an undo brought them back, and their source is not there.
    pub(crate) fn given_back(&mut self, spots: impl IntoIterator<Item = Spot>) {
        self.made.extend(spots);
    }

    /// Tells whether a person made the file in a target where there was none.
    pub(crate) fn is_made_here(&self, spot: &Spot) -> bool {
        self.made.contains(spot)
    }

    /// Tells whether some origin ever had the path.
    pub(crate) fn was_upstream(&self, path: &str) -> bool {
        self.upstream.contains(self.class(path))
    }

    /// Notes what is there now.
    pub(crate) fn observe(&mut self, place: Place, tree: &Tree) {
        self.made
            .retain(|(other, path)| *other != place || tree.files.contains_key(path));
        if matches!(place, Place::Origin(_)) {
            let paths = tree.files.keys();
            let classes: Vec<String> = paths.map(|path| self.class(path).to_owned()).collect();
            self.upstream.extend(classes);
        }
        self.current.retain(|(candidate, _), _| *candidate != place);
        for (path, seen) in &tree.files {
            self.current
                .insert((place, path.clone()), seen.bytes.clone());
        }
    }

    /// Tells whether a path may have this content: see [`Lore::explains`].
    pub(crate) fn explains(&mut self, path: &str, bytes: &[u8], chain: Chain) -> bool {
        let class = self.class(path).to_owned();
        self.lore.explains(&class, bytes, chain)
    }

    /// Tells whether a person ever gave the path this executable bit.
    pub(crate) fn explains_mode(&self, path: &str, executable: bool) -> bool {
        self.lore.explains_mode(self.class(path), executable)
    }

    /// Returns how often a merge was seen.
    pub(crate) fn merges(&self) -> u64 {
        self.lore.merges
    }

    fn touch(&mut self, spot: &Spot) {
        self.touched.insert(spot.clone());
        self.ever_touched.insert(spot.clone());
    }

    fn learn(&mut self, path: &str, bytes: &[u8]) {
        let class = self.class(path).to_owned();
        self.lore.learn(&class, bytes);
    }

    /// What a person displaced was there by Homing's doing; only what can be explained becomes a known content.
    fn learn_displaced(&mut self, path: &str, bytes: &[u8]) {
        self.explains(path, bytes, Chain::One);
    }
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
