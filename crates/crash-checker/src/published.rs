//! Promise 3: a sync that says that all is done has published what the origins hold, with the people's edits.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail, ensure};

use crate::checks::{Snapshot, shown};
use crate::content::{is_binary, units};
use crate::model::{Model, Place, Spot};
use crate::tree::Seen;
use crate::world::World;

/// What a target is to hold: for each path the files of the source that comes first, one or more of which bear its name.
type Catalog<'s> = BTreeMap<String, (usize, Vec<&'s Seen>)>;

/// `open` are the paths of open conflicts, of which a sync does not say that all is done.
pub(crate) fn published(
    world: &World,
    model: &mut Model,
    snapshot: &Snapshot,
    open: &BTreeSet<String>,
) -> Result<()> {
    let several = world.origins.len() > 1;
    for number in world.listed_targets() {
        let place = Place::Target(number);
        let files = &snapshot[&place].files;
        let catalog = catalog(world, snapshot, world.targets[number].flat);
        for (path, (_, offered)) in &catalog {
            let spot = (place, path.clone());
            if excused(model, path, open) || (several && path.starts_with("notes")) {
                continue;
            }
            let seen = files.get(path);
            let equals = |seen: &Seen| {
                offered.iter().any(|upstream| {
                    seen.bytes == upstream.bytes && seen.executable() == upstream.executable()
                })
            };
            if !model.is_touched(&spot) {
                let Some(seen) = seen else {
                    bail!("DISHONEST: {place}/{path} is missing after a sync that ended well")
                };
                // What another target gave the source may be here and not there yet.
                let waits = world.origins.iter().any(|origin| origin.push_waits);
                ensure!(
                    equals(seen) || waits,
                    "DISHONEST: {place}/{path} is not what the origin has after a sync that ended well:\n{}\norigin:\n{}",
                    shown(&seen.bytes),
                    shown(&offered[0].bytes)
                );
            }
            let Some(seen) = seen else { continue };
            if equals(seen) {
                model.settle(&spot);
            } else if let [upstream] = offered[..]
                && !is_binary(&upstream.bytes)
                && !several
                && !(world.targets[number].flat && has_an_uncovered_file(world, snapshot, path))
            {
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
            let explained = catalog.contains_key(path)
                || model.is_touched(&spot)
                || model.is_own(&spot)
                || stays(world, model, &spot);
            ensure!(
                explained || excused(model, path, open) || (several && path.starts_with("notes")),
                "DISHONEST: {place}/{path} is still there after a sync that ended well; no origin has it"
            );
        }
    }
    Ok(())
}

/// What holds besides when nobody has written for a while and the last sync ended with 0: what a source takes back from
/// its targets has arrived at its origin.
pub(crate) fn arrived(world: &World, model: &Model, snapshot: &Snapshot) -> Result<()> {
    let nothing = BTreeSet::new();
    let origin = Place::Origin(0);
    if !world.origins[0].direct {
        return Ok(());
    }
    for number in world.listed_targets() {
        let place = Place::Target(number);
        let catalog = catalog(world, snapshot, world.targets[number].flat);
        for (path, seen) in &snapshot[&place].files {
            if excused(model, path, &nothing) {
                continue;
            }
            match catalog.get(path) {
                Some((0, offered)) if offered.len() == 1 => ensure!(
                    seen.bytes == offered[0].bytes,
                    "DISHONEST: the edit of {place}/{path} is not in {origin} after a sync that ended well:\n{}\norigin:\n{}",
                    shown(&seen.bytes),
                    shown(&offered[0].bytes)
                ),
                Some(_) => {}
                None => {
                    let new = world.targets[number].shares_new_files
                        && world.origins[0].selection.covers(path)
                        && !model.was_upstream(path);
                    ensure!(
                        !new,
                        "DISHONEST: {place}/{path} is new and is not in {origin} after a sync that ended well"
                    );
                }
            }
        }
    }
    Ok(())
}

/// Tells whether a direct source takes a file of this name no more: its edit keeps the name in a flat target.
fn has_an_uncovered_file(world: &World, snapshot: &Snapshot, name: &str) -> bool {
    let is_named = |key: &str| key.rsplit('/').next() == Some(name);
    world.origins.iter().enumerate().any(|(number, origin)| {
        let mut keys = snapshot[&Place::Origin(number)].files.keys();
        origin.direct && keys.any(|key| is_named(key) && !origin.selection.covers(key))
    })
}

/// Who made a file keeps it when upstream lets go of it. An edit that the source has taken in from any target, and may
/// not give its origin any more, stays at all of them.
fn stays(world: &World, model: &Model, spot: &Spot) -> bool {
    model.is_made_here(spot) || (world.has_direct() && model.is_touched_in_a_target(&spot.1))
}

fn catalog<'s>(world: &World, snapshot: &'s Snapshot, flat: bool) -> Catalog<'s> {
    let mut order = world.listed_origins();
    order.sort_by_key(|number| world.origins[*number].priority);
    let mut catalog = Catalog::new();
    for number in order {
        for (key, seen) in &snapshot[&Place::Origin(number)].files {
            if !world.origins[number].selection.covers(key) {
                continue;
            }
            let name = key.rsplit('/').next().filter(|_| flat).unwrap_or(key);
            // A path may be a file of one source and a directory of another; which one gives way is no promise, nor
            // which of several files of one source is published under the name that they share.
            let (first, offered) = catalog
                .entry(name.to_owned())
                .or_insert((number, Vec::new()));
            if *first == number {
                offered.push(seen);
            }
        }
    }
    catalog
}

fn excused(model: &Model, path: &str, open: &BTreeSet<String>) -> bool {
    let related = |other: &String| model.related(path, other);
    model.maybe_held || model.held.iter().any(related) || open.iter().any(related)
}
