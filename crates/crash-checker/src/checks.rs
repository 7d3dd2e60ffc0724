//! Promises 1 to 3, byte by byte. See the crate's documentation for why each check is one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::content::{Unit, is_binary, units};
use crate::model::{Model, Place};
use crate::tree::Tree;
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
    let chained = world.has_direct() || world.origins.iter().any(|origin| origin.union);
    for (place, tree) in snapshot {
        for (path, seen) in &tree.files {
            let spot = (*place, path.clone());
            if model.is_own(&spot) {
                continue;
            }
            if !model.explains(path, &seen.bytes, chained) {
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

/// Promise 1: what people wrote is where they wrote it, or they discarded it themselves and a copy is kept.
///
/// `kept` yields the hashes of which the runs say that they were there before; it is asked only when bytes are gone.
pub(crate) fn nothing_lost(
    model: &mut Model,
    snapshot: &Snapshot,
    may_discard: bool,
    mut kept: impl FnMut() -> Result<BTreeSet<String>>,
) -> Result<u32> {
    let mut discarded = 0;
    for spot in model.live_spots() {
        let bytes = snapshot[&spot.0]
            .files
            .get(&spot.1)
            .map(|seen| seen.bytes.as_slice());
        let mut missing = model.missing(&spot, bytes);
        // What was pushed to an origin is there, also when another source takes the path over here.
        if matches!(spot.0, Place::Target(_)) {
            missing.retain(|unit| !is_upstream(snapshot, &spot.1, unit));
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
        // An undo holds the older content for every target of the source, at the next publish too.
        ensure!(
            may_discard || model.may_be_held(&spot.1),
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

fn is_upstream(snapshot: &Snapshot, path: &str, unit: &Unit) -> bool {
    snapshot.iter().any(|(place, tree)| {
        matches!(place, Place::Origin(_))
            && tree
                .bytes(path)
                .is_some_and(|bytes| units(bytes).contains(unit))
    })
}

/// Promise 3: a sync that says that all is done has published what the origins hold, with the people's edits.
///
/// `open` are the paths of open conflicts, of which it does not say so.
pub(crate) fn published(
    world: &World,
    model: &mut Model,
    snapshot: &Snapshot,
    open: &BTreeSet<String>,
) -> Result<()> {
    let mut order: Vec<usize> = (0..world.origins.len()).collect();
    order.sort_by_key(|number| world.origins[*number].priority);
    let mut catalog: BTreeMap<&str, (usize, &crate::tree::Seen)> = BTreeMap::new();
    for number in order {
        for (path, seen) in &snapshot[&Place::Origin(number)].files {
            // A path may be a file of one source and a directory of another; which one gives way is no promise.
            catalog.entry(path).or_insert((number, seen));
        }
    }
    let several = world.origins.len() > 1;
    for place in world
        .places()
        .into_iter()
        .filter(|place| matches!(place, Place::Target(_)))
    {
        let files = &snapshot[&place].files;
        for (path, (_, upstream)) in &catalog {
            let spot = (place, (*path).to_owned());
            if excused(model, path, open) || (several && path.starts_with("notes")) {
                continue;
            }
            let seen = files.get(*path);
            if !model.is_touched(&spot) {
                let Some(seen) = seen else {
                    bail!("DISHONEST: {place}/{path} is missing after a sync that ended well")
                };
                ensure!(
                    seen.bytes == upstream.bytes || world.has_direct() || several,
                    "DISHONEST: {place}/{path} is not what the origin has after a sync that ended well:\n{}\norigin:\n{}",
                    shown(&seen.bytes),
                    shown(&upstream.bytes)
                );
                ensure!(
                    seen.executable() == upstream.executable() || world.has_direct() || several,
                    "DISHONEST: {place}/{path} has not the origin's mode after a sync that ended well"
                );
            }
            let Some(seen) = seen else { continue };
            if seen.bytes == upstream.bytes && seen.executable() == upstream.executable() {
                model.settle(&spot);
            } else if !is_binary(&upstream.bytes) && !several {
                let there = units(&seen.bytes);
                let lacking: Vec<String> = model
                    .wanted(path, &upstream.bytes)
                    .iter()
                    .filter(|unit| !there.contains(*unit))
                    .map(|unit| shown(unit))
                    .collect();
                ensure!(
                    lacking.is_empty(),
                    "DISHONEST: {place}/{path} lacks lines of the origin after a sync that ended well: {lacking:?}\nit holds:\n{}",
                    shown(&seen.bytes)
                );
            }
        }
        for path in files.keys() {
            let spot = (place, path.clone());
            let explained = catalog.contains_key(path.as_str())
                || model.is_touched(&spot)
                || model.is_own(&spot);
            ensure!(
                explained || excused(model, path, open) || several,
                "DISHONEST: {place}/{path} is still there after a sync that ended well; no origin has it"
            );
        }
    }
    Ok(())
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
            model.could_conflict(path) || several_sources,
            "DISHONEST: a conflict where only one side changed: {conflict}"
        );
    }
    Ok(())
}

/// Promise 2: nothing of Homing's own is left lying about.
pub(crate) fn no_leftovers(snapshot: &Snapshot) -> Result<()> {
    for (place, tree) in snapshot {
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

fn excused(model: &Model, path: &str, open: &BTreeSet<String>) -> bool {
    let related = |other: &String| {
        other == path
            || other
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
            || path
                .strip_prefix(other.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
    };
    model.maybe_held || model.held.iter().any(related) || open.iter().any(related)
}

fn shown(bytes: &[u8]) -> String {
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
        let judge = |model: &mut Model, chosen: bool, kept: &BTreeSet<String>| {
            nothing_lost(model, &lost, chosen, || Ok(kept.clone())).is_ok()
        };
        assert!(!judge(&mut model, false, &copy), "nobody chose it");
        assert!(
            !judge(&mut model, true, &BTreeSet::new()),
            "no copy is kept"
        );
        assert!(judge(&mut model, true, &copy));
        assert!(
            judge(&mut model, false, &BTreeSet::new()),
            "what was discarded is not missed again"
        );
        assert!(hash(b"").starts_with("e3b0c44298fc1c14"));
    }

    #[test]
    fn leftovers_are_found() {
        let mut snapshot = snapshot(b"x");
        assert!(no_leftovers(&snapshot).is_ok());
        snapshot
            .entry(Place::Target(0))
            .or_default()
            .leftovers
            .push(".homing-3-1".to_owned());
        assert!(no_leftovers(&snapshot).is_err());
    }
}
