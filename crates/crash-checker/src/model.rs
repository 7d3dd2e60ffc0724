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
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Every content that a path rightly had anywhere.
    known: BTreeMap<String, Vec<Vec<u8>>>,
    /// The executable bits that a person ever gave a path.
    modes: BTreeMap<String, BTreeSet<bool>>,
    /// Units that a person took out of a path, wherever that was.
    removed: BTreeMap<String, BTreeSet<Unit>>,
    /// Units that a person wrote into this very file and that no person took out there.
    live: BTreeMap<Spot, BTreeSet<Unit>>,
    /// The bytes that were last seen in a file, or written into it by a person.
    current: BTreeMap<Spot, Vec<u8>>,
    /// Files that a person changed since they were last equal to their origin.
    touched: BTreeSet<Spot>,
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
        self.removed
            .entry(spot.1.clone())
            .or_default()
            .extend(before.difference(&after).cloned());
        let live = self.live.entry(spot.clone()).or_default();
        live.retain(|unit| after.contains(unit));
        live.extend(after.difference(&before).cloned());
        self.learn(&spot.1, bytes);
        if let Some(displaced) = displaced {
            self.learn_displaced(&spot.1, displaced);
        }
        self.modes
            .entry(spot.1.clone())
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
        self.removed
            .entry(spot.1.clone())
            .or_default()
            .extend(units(displaced));
        self.learn_displaced(&spot.1, displaced);
        self.live.remove(spot);
        self.current.remove(spot);
        self.touch(spot);
        self.origins.remove(spot);
    }

    /// Notes that a person set or cleared the executable bits.
    pub(crate) fn mode_set(&mut self, spot: &Spot, executable: bool) {
        self.modes
            .entry(spot.1.clone())
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
        self.united.insert(path.to_owned());
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

    /// Notes that a file equals its origin again, so that no edit is left in it.
    pub(crate) fn settle(&mut self, spot: &Spot) {
        self.touched.remove(spot);
    }

    /// Tells whether any person ever changed the path, one above or one below it in a target.
    pub(crate) fn could_conflict(&self, path: &str) -> bool {
        self.ever_touched.iter().any(|(place, touched)| {
            let related = touched == path
                || touched
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.starts_with('/'))
                || path
                    .strip_prefix(touched.as_str())
                    .is_some_and(|rest| rest.starts_with('/'));
            matches!(place, Place::Target(_)) && related
        }) || self.own.keys().any(|(_, own)| {
            own.strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
        })
    }

    /// Returns the units that people wrote into a file, that nobody took out, and that are not in `bytes`.
    pub(crate) fn missing(&self, spot: &Spot, bytes: Option<&[u8]>) -> Vec<Unit> {
        let there = bytes.map(units).unwrap_or_default();
        let nothing = BTreeSet::new();
        let removed = self.removed.get(&spot.1).unwrap_or(&nothing);
        let live = self.live.get(spot).into_iter().flatten();
        live.filter(|unit| !there.contains(*unit) && !removed.contains(*unit))
            .cloned()
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
            live.retain(|unit| !discarded.contains(unit));
        }
    }

    /// Notes that a person refused what upstream has.
    pub(crate) fn refuse<'a>(&mut self, path: &str, refused: impl Iterator<Item = &'a Unit>) {
        self.removed
            .entry(path.to_owned())
            .or_default()
            .extend(refused.cloned());
    }

    /// Tells whether an undo may hold the path.
    pub(crate) fn may_be_held(&self, path: &str) -> bool {
        self.maybe_held || self.held.contains(path)
    }

    /// Returns the units of `bytes` that nobody took out of the path.
    pub(crate) fn wanted(&self, path: &str, bytes: &[u8]) -> BTreeSet<Unit> {
        let mut wanted = units(bytes);
        if let Some(removed) = self.removed.get(path) {
            wanted.retain(|unit| !removed.contains(unit));
        }
        wanted
    }

    /// Notes what is there now.
    pub(crate) fn observe(&mut self, place: Place, tree: &Tree) {
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
        let Some(known) = self.known.get(path) else {
            return false;
        };
        if known.iter().any(|content| content == bytes) {
            return true;
        }
        let loose = chained || self.united.contains(path);
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
            .get(path)
            .is_some_and(|modes| modes.contains(&executable))
    }

    fn touch(&mut self, spot: &Spot) {
        self.touched.insert(spot.clone());
        self.ever_touched.insert(spot.clone());
    }

    fn learn(&mut self, path: &str, bytes: &[u8]) {
        let known = self.known.entry(path.to_owned()).or_default();
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
