//! Promises 1 to 3, byte by byte. See the crate's documentation for why each check is one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::content::{Unit, units};
use crate::lore::Chain;
use crate::model::{Model, Place, Spot};
use crate::tree::{self, Tree};
use crate::world::World;

/// Everything that is on the disk at one moment.
pub(crate) type Snapshot = BTreeMap<Place, Tree>;

/// Reads all places.
pub(crate) fn look(world: &World) -> Result<Snapshot> {
    world
        .places()
        .into_iter()
        .map(|place| Ok((place, world.read(place)?)))
        .collect()
}

/// Promise 2: every published file is old or new. Holds at every moment, with or without a daemon.
pub(crate) fn whole(world: &World, model: &mut Model, snapshot: &Snapshot) -> Result<()> {
    let chain = match world.origins.iter().any(|origin| origin.union) {
        true => Chain::Union,
        false if world.has_direct() => Chain::Clean,
        false => Chain::One,
    };
    for (place, tree) in snapshot {
        for (path, seen) in &tree.files {
            let spot = (*place, path.clone());
            if model.is_own(&spot) {
                continue;
            }
            if !model.explains(path, &seen.bytes, chain) {
                bail!(
                    "HALF: {place}/{path} holds what nobody wrote and no merge explains:\n{}",
                    shown(&seen.bytes)
                );
            }
            ensure!(
                model.explains_mode(path, seen.executable()),
                "MODE: {place}/{path} has mode {:o}",
                seen.mode
            );
            ensure!(
                seen.mode & 0o7022 == 0,
                "MODE: {place}/{path} has mode {:o}",
                seen.mode
            );
        }
    }
    Ok(())
}

/// Promise 1, for what is never Homing's: own files, and origins that it may not write.
pub(crate) fn untouched(world: &World, model: &Model, snapshot: &Snapshot) -> Result<()> {
    for ((place, path), (bytes, executable)) in model.own_files() {
        let seen = snapshot[place].files.get(path);
        let same =
            seen.is_some_and(|seen| seen.bytes == *bytes && seen.executable() == *executable);
        ensure!(
            same,
            "LOST: {place}/{path} is a person's own and was changed or removed"
        );
    }
    for (number, _) in world
        .origins
        .iter()
        .enumerate()
        .filter(|(_, origin)| !origin.direct)
    {
        let place = Place::Origin(number);
        let expected = model.origin(place);
        let tree = &snapshot[&place];
        for (path, (bytes, executable)) in &expected {
            let seen = tree.files.get(*path);
            let same =
                seen.is_some_and(|seen| seen.bytes == *bytes && seen.executable() == *executable);
            ensure!(
                same,
                "LOST: {place}/{path} is in an origin that may not be written, and was changed"
            );
        }
        let unexpected = tree
            .files
            .keys()
            .find(|path| !expected.contains_key(path.as_str()));
        ensure!(
            unexpected.is_none(),
            "INVENTED: {place}/{unexpected:?} is in an origin that may not be written"
        );
        ensure!(
            tree.leftovers.is_empty(),
            "INVENTED: {place} has {:?}",
            tree.leftovers
        );
    }
    Ok(())
}

/// Promise 1, for roots that the configuration does not name, or that are not where it says.
pub(crate) fn left_alone(world: &World, snapshot: &Snapshot) -> Result<()> {
    for (place, frozen) in &world.frozen {
        ensure!(
            snapshot[place] == *frozen,
            "LOST: {place} is not Homing's to write, and was changed: {}",
            difference(frozen, &snapshot[place])
        );
    }
    for (place, substitute) in &world.away {
        let there = world.configured_root(*place);
        match substitute {
            None => ensure!(
                !there.exists(),
                "INVENTED: the root of {place} is away, and something was made in its place"
            ),
            Some(substitute) => {
                let now = tree::read(&there)?;
                ensure!(
                    now == *substitute,
                    "LOST: another directory is where {place} was, and it was changed: {}",
                    difference(substitute, &now)
                );
            }
        }
    }
    Ok(())
}

fn difference(before: &Tree, after: &Tree) -> String {
    let changed = before
        .files
        .iter()
        .filter(|(path, seen)| after.files.get(*path) != Some(seen))
        .map(|(path, _)| format!("{path} is not as it was; "));
    let new = after
        .files
        .keys()
        .filter(|path| !before.files.contains_key(*path))
        .chain(&after.leftovers)
        .map(|path| format!("{path} is new; "));
    changed.chain(new).collect()
}

/// Where a line may be instead of where its person wrote it.
#[derive(Debug, Default)]
pub(crate) struct Forgiven {
    /// What was pushed may leave a target, for another file has the path there, or none any more.
    pub(crate) may_give_way: bool,
    /// Targets whose layout changed: an edited file goes to its new name, with all that is in it.
    pub(crate) renames: BTreeSet<Place>,
}

/// Promise 1: what people wrote is where they wrote it, or they discarded it themselves and a copy is kept.
///
/// `kept` yields the hashes of which the runs say that they were there before; it is asked only when bytes are gone.
pub(crate) fn nothing_lost(
    model: &mut Model,
    snapshot: &Snapshot,
    forgiven: &Forgiven,
    mut kept: impl FnMut() -> Result<BTreeSet<String>>,
) -> Result<u32> {
    let mut discarded = 0;
    for spot in model.live_spots() {
        let bytes = snapshot[&spot.0].bytes(&spot.1);
        let mut missing = model.missing(&spot, bytes);
        if forgiven.renames.contains(&spot.0) {
            follow(model, &snapshot[&spot.0], &spot, &mut missing);
        }
        // What was pushed to an origin is there, also when another source takes the path over here.
        if forgiven.may_give_way && matches!(spot.0, Place::Target(_)) {
            missing.retain(|unit| !is_upstream(model, snapshot, &spot.1, unit));
        }
        if missing.is_empty() {
            continue;
        }
        let what = || {
            missing.iter().fold(String::new(), |text, unit| {
                text + "\n  " + shown(unit).trim_end()
            })
        };
        let now = bytes.map_or_else(|| "nothing".to_owned(), shown);
        // A person decided against these very lines; or an undo holds the older content for every target of the source, at the next publish too.
        ensure!(
            model.may_be_held(&spot.1) || model.is_given_up(&spot.1, &missing),
            "LOST: {}/{} lacks{}\nit holds:\n{now}",
            spot.0,
            spot.1,
            what()
        );
        let before = model.current(&spot).map(hash).unwrap_or_default();
        ensure!(
            kept()?.contains(&before),
            "LOST: {}/{} lacks{}\nand no run says that it kept {before}; it holds:\n{now}",
            spot.0,
            spot.1,
            what()
        );
        model.discard(&spot, &missing);
        discarded += 1;
    }
    Ok(discarded)
}

/// Takes from `missing` what is now in a file of the same class in the same place; it is missed there from now on.
fn follow(model: &mut Model, tree: &Tree, from: &Spot, missing: &mut Vec<Unit>) {
    for (path, seen) in &tree.files {
        if model.class(path) == model.class(&from.1) {
            let there = units(&seen.bytes);
            let moved: Vec<Unit> = missing
                .extract_if(.., |unit| there.contains(unit))
                .collect();
            model.follow(from, &(from.0, path.clone()), &moved);
        }
    }
}

fn is_upstream(model: &Model, snapshot: &Snapshot, path: &str, unit: &Unit) -> bool {
    let class = model.class(path);
    snapshot.iter().any(|(place, tree)| {
        matches!(place, Place::Origin(_))
            && tree.files.iter().any(|(candidate, seen)| {
                model.class(candidate) == class && units(&seen.bytes).contains(unit)
            })
    })
}

/// Promise 3: nothing is called a conflict that nobody touched here.
pub(crate) fn conflicts_are_real(
    model: &Model,
    conflicts: &Value,
    several_sources: bool,
) -> Result<()> {
    for conflict in conflicts["conflicts"].as_array().into_iter().flatten() {
        let path = conflict["path"].as_str().unwrap_or_default();
        ensure!(
            // A file of one source may be where another has a directory.
            model.could_conflict(path) || (several_sources && path.starts_with("notes")),
            "DISHONEST: a conflict where only one side changed: {conflict}"
        );
    }
    Ok(())
}

/// Promise 2: nothing of Homing's own is left lying about where it may clear up.
pub(crate) fn no_leftovers(frozen: &Snapshot, snapshot: &Snapshot) -> Result<()> {
    for (place, tree) in snapshot {
        if frozen.contains_key(place) {
            continue;
        }
        ensure!(
            tree.leftovers.is_empty(),
            "LEFTOVERS: {place} has {:?} after a restart and a sync",
            tree.leftovers
        );
    }
    Ok(())
}

/// Returns the paths of open conflicts.
pub(crate) fn conflict_paths(conflicts: &Value) -> BTreeSet<String> {
    let list = conflicts["conflicts"].as_array().into_iter().flatten();
    list.filter_map(|conflict| conflict["path"].as_str())
        .map(str::to_owned)
        .collect()
}

/// Returns the SHA-256 in hexadecimal.
pub(crate) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("it is a string");
            text
        })
}

/// Returns bytes as a person may read them.
pub(crate) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\\0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Seen;

    fn snapshot(bytes: &[u8]) -> Snapshot {
        let mut tree = Tree::default();
        let seen = Seen {
            bytes: bytes.to_vec(),
            mode: 0o644,
            modified: 0,
        };
        tree.files.insert("a.md".to_owned(), seen);
        [(Place::Target(0), tree)].into()
    }

    #[test]
    fn a_loss_is_forgiven_only_when_a_person_chose_it_and_a_copy_is_kept() {
        let spot = (Place::Target(0), "a.md".to_owned());
        let mut model = Model::default();
        model.saved(&spot, None, b"mine\n", false);
        let copy: BTreeSet<String> = [hash(b"mine\n")].into();
        let lost = snapshot(b"theirs\n");
        let judge = |model: &mut Model, kept: &BTreeSet<String>| {
            let forgiven = Forgiven {
                may_give_way: true,
                ..Forgiven::default()
            };
            nothing_lost(model, &lost, &forgiven, || Ok(kept.clone())).is_ok()
        };
        assert!(!judge(&mut model, &copy), "nobody chose it");
        model.give_up("a.md", [b"mine\n".to_vec()]);
        assert!(!judge(&mut model, &BTreeSet::new()), "no copy is kept");
        assert!(judge(&mut model, &copy));
        assert!(
            judge(&mut model, &BTreeSet::new()),
            "what was discarded is not missed again"
        );
        assert!(hash(b"").starts_with("e3b0c44298fc1c14"));
    }

    #[test]
    fn a_line_follows_its_file_to_a_new_name_only_in_a_target_whose_layout_changed() {
        let (target, other) = (Place::Target(0), Place::Target(1));
        let written = |place| {
            let mut model = Model::new(true);
            model.saved(&(place, "dir/a.md".to_owned()), None, b"mine\n", false);
            model
        };
        let forgiven = Forgiven {
            renames: [target].into(),
            ..Forgiven::default()
        };
        let mut there = snapshot(b"mine\n");
        there.insert(other, Tree::default());
        let judge = |model: &mut Model, snapshot: &Snapshot, forgiven: &Forgiven| {
            nothing_lost(model, snapshot, forgiven, || Ok(BTreeSet::new())).is_ok()
        };
        assert!(!judge(&mut written(target), &there, &Forgiven::default()));
        assert!(!judge(&mut written(other), &there, &forgiven));
        let mut model = written(target);
        assert!(judge(&mut model, &there, &forgiven));
        let gone = snapshot(b"theirs\n");
        assert!(
            !judge(&mut model, &gone, &forgiven),
            "missed at its new name"
        );
    }

    #[test]
    fn leftovers_are_found_where_they_may_be_cleared_up() {
        let mut snapshot = snapshot(b"x");
        let nothing = Snapshot::new();
        assert!(no_leftovers(&nothing, &snapshot).is_ok());
        snapshot
            .entry(Place::Target(0))
            .or_default()
            .leftovers
            .push(".homing-3-1".to_owned());
        assert!(no_leftovers(&nothing, &snapshot).is_err());
        assert!(no_leftovers(&snapshot.clone(), &snapshot).is_ok());
    }
}
