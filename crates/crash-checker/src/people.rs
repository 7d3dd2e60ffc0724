//! The people of a history: what they edit, and how the model hears of it.

use anyhow::Result;

use crate::model::{Model, Place, Spot};
use crate::pen::{Pen, is_binary_path};
use crate::person::Editor;
use crate::rng::Rng;
use crate::tree;
use crate::world::World;

/// Paths that sources may have. `notes` is now a file and now a directory.
const SHARED_PATHS: &[&str] = &[
    "a.md",
    "b.md",
    "dir/c.md",
    "dir/deep/d.md",
    "dir/e.md",
    "tool.sh",
    "data.bin",
    "notes",
    "notes/x.md",
    // In a target of file names only it is where `a.md` is.
    "dir/a.md",
];

/// A file that every origin always has, for an empty origin is not an origin without files but one that is away.
const ANCHOR: &str = "anchor.md";

/// More than a publish syncs one by one.
const MANY: usize = 90;

/// Paths that no source ever has.
const OWN_PATHS: &[&str] = &["mine.md", "dir/mine.md", "own/deep/mine.bin"];

/// Whether a run is under way while people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// None is.
    Quiet,
    /// One is, so only whole files are put in the place of others.
    Busy,
}

/// Makes what the origins hold at the beginning.
pub(crate) fn settle_in(
    world: &mut World,
    model: &mut Model,
    pen: &mut Pen,
    rng: &mut Rng,
) -> Result<()> {
    for number in 0..world.origins.len() {
        let place = Place::Origin(number);
        save_new(world, model, pen, rng, &(place, anchor(number)))?;
        for path in SHARED_PATHS
            .iter()
            .filter(|path| !path.starts_with("notes"))
        {
            if rng.chance(if number == 0 { 70 } else { 25 }) {
                save_new(world, model, pen, rng, &(place, (*path).to_owned()))?;
            }
        }
    }
    Ok(())
}

/// Has upstream write or edit very many small files in one go.
pub(crate) fn write_many(
    world: &mut World,
    model: &mut Model,
    pen: &mut Pen,
    rng: &mut Rng,
) -> Result<String> {
    let place = Place::Origin(0);
    for number in 0..MANY {
        let spot = (place, format!("many/{number:02}.md"));
        if world.root(place).join(&spot.1).exists() {
            edit(world, model, pen, rng, &spot, Moment::Quiet)?;
        } else {
            save_new(world, model, pen, rng, &spot)?;
        }
    }
    Ok(format!("{place} writes {MANY} files below many"))
}

/// Puts files into the directory that is in the place of another: some of the old ones, and some that are new.
pub(crate) fn furnish(
    world: &mut World,
    model: &Model,
    pen: &mut Pen,
    rng: &mut Rng,
    place: Place,
) -> Result<()> {
    let root = world.configured_root(place);
    let old = tree::read(&world.shelter(place))?;
    for (path, seen) in &old.files {
        let is_anchor = matches!(place, Place::Origin(number) if *path == anchor(number));
        let (bytes, executable) = match rng.below(100) {
            _ if is_anchor => (seen.bytes.clone(), seen.executable()),
            0..50 => (seen.bytes.clone(), seen.executable()),
            50..70 => (
                pen.content(rng, place, model.class(path)),
                seen.executable(),
            ),
            _ => continue,
        };
        world.editor.save(&root.join(path), &bytes, executable)?;
    }
    Ok(())
}

/// Lets somebody do something to some file, and returns what, for the log.
pub(crate) fn act(
    world: &mut World,
    model: &mut Model,
    pen: &mut Pen,
    rng: &mut Rng,
    moment: Moment,
) -> Result<String> {
    // Who cannot reach a directory does not write in it.
    let mut places = world.places();
    places.retain(|place| !world.away.contains_key(place));
    if places.is_empty() {
        return Ok("nobody can reach anything".to_owned());
    }
    let place = *rng.pick(&places);
    let told = match place {
        Place::Origin(number) => act_upstream(world, model, pen, rng, number, moment),
        Place::Target(number) => act_in_target(world, model, pen, rng, number, moment),
    }?;
    if world.frozen.contains_key(&place) {
        let tree = world.read(place)?;
        world.frozen.insert(place, tree);
    }
    Ok(told)
}

fn act_upstream(
    world: &mut World,
    model: &mut Model,
    pen: &mut Pen,
    rng: &mut Rng,
    number: usize,
    moment: Moment,
) -> Result<String> {
    let place = Place::Origin(number);
    let tree = world.read(place)?;
    let there: Vec<String> = tree
        .files
        .keys()
        .filter(|path| !model.is_own(&(place, (*path).clone())))
        .cloned()
        .collect();
    let deletable: Vec<String> = there
        .iter()
        .filter(|path| **path != anchor(number))
        .cloned()
        .collect();
    let choice = rng.below(100);
    if choice < 60 && !there.is_empty() {
        let spot = (place, rng_path(rng, &there));
        return edit(world, model, pen, rng, &spot, moment);
    }
    if choice < 75 {
        let path = (*rng.pick(SHARED_PATHS)).to_owned();
        return save_new(world, model, pen, rng, &(place, path));
    }
    if choice < 85 && !deletable.is_empty() {
        return delete(world, model, &(place, rng_path(rng, &deletable)));
    }
    if choice < 93 && !deletable.is_empty() {
        let from = (place, rng_path(rng, &deletable));
        let to = (place, (*rng.pick(SHARED_PATHS)).to_owned());
        return rename(world, model, &from, &to);
    }
    if choice < 96 {
        // Now and then much goes at once, which the guard must notice.
        let mut told = String::from("mass deletion:");
        for path in deletable {
            told += " ";
            told += &delete(world, model, &(place, path))?;
        }
        return Ok(told);
    }
    let spot = (place, rng_path(rng, &there));
    let executable = !tree.files[&spot.1].executable();
    change_mode(world, model, &spot, executable)
}

fn act_in_target(
    world: &mut World,
    model: &mut Model,
    pen: &mut Pen,
    rng: &mut Rng,
    number: usize,
    moment: Moment,
) -> Result<String> {
    let place = Place::Target(number);
    let tree = world.read(place)?;
    let there: Vec<String> = tree
        .files
        .keys()
        .filter(|path| !model.is_own(&(place, (*path).clone())))
        .cloned()
        .collect();
    let choice = rng.below(100);
    if choice < 65 && !there.is_empty() {
        let spot = (place, rng_path(rng, &there));
        return edit(world, model, pen, rng, &spot, moment);
    }
    if choice < 77 {
        let mut path = *rng.pick(SHARED_PATHS);
        if world.targets[number].flat && rng.chance(80) {
            path = model.class(path);
        }
        return save_new(world, model, pen, rng, &(place, path.to_owned()));
    }
    if choice < 87 && !there.is_empty() {
        return delete(world, model, &(place, rng_path(rng, &there)));
    }
    if choice < 97 || there.is_empty() {
        let path = (*rng.pick(OWN_PATHS)).to_owned();
        if world.new_files_travel {
            return save_new(world, model, pen, rng, &(place, path));
        }
        let bytes = pen.content(rng, place, &path);
        let file = world.root(place).join(&path);
        if world.editor.save(&file, &bytes, false)?.is_some() {
            model.own_saved((place, path.clone()), bytes, false);
        }
        return Ok(format!("{place} keeps its own {path}"));
    }
    let spot = (place, rng_path(rng, &there));
    let executable = !tree.files[&spot.1].executable();
    change_mode(world, model, &spot, executable)
}

fn edit(
    world: &mut World,
    model: &mut Model,
    pen: &mut Pen,
    rng: &mut Rng,
    spot: &Spot,
    moment: Moment,
) -> Result<String> {
    let file = world.root(spot.0).join(&spot.1);
    let Ok(bytes) = std::fs::read(&file) else {
        return Ok(format!("{} loses {} before an edit", spot.0, spot.1));
    };
    let executable = is_executable(&file);
    let new = pen.edit(rng, spot.0, model.class(&spot.1), &bytes);
    let in_place = moment == Moment::Quiet && rng.chance(40);
    let displaced = if in_place {
        Editor::overwrite(&file, &new)?
    } else {
        world.editor.save(&file, &new, executable)?
    };
    if let Some(displaced) = displaced {
        model.saved(spot, displaced.as_deref(), &new, executable);
    }
    Ok(format!(
        "{} edits {}{}",
        spot.0,
        spot.1,
        if in_place { " in place" } else { "" }
    ))
}

fn save_new(
    world: &mut World,
    model: &mut Model,
    pen: &mut Pen,
    rng: &mut Rng,
    spot: &Spot,
) -> Result<String> {
    let bytes = pen.content(rng, spot.0, model.class(&spot.1));
    let executable = model.class(&spot.1) == "tool.sh";
    let file = world.root(spot.0).join(&spot.1);
    if let Some(displaced) = world.editor.save(&file, &bytes, executable)? {
        model.saved(spot, displaced.as_deref(), &bytes, executable);
        return Ok(format!("{} writes a new {}", spot.0, spot.1));
    }
    Ok(format!(
        "{} finds something in the way of {}",
        spot.0, spot.1
    ))
}

fn delete(world: &mut World, model: &mut Model, spot: &Spot) -> Result<String> {
    let file = world.root(spot.0).join(&spot.1);
    if let Some(displaced) = world.editor.delete(&file)? {
        model.deleted(spot, &displaced);
        // An empty directory goes with its last file, as in a checkout; one that is not empty stays.
        if let Some(parent) = file
            .parent()
            .filter(|parent| **parent != world.root(spot.0))
        {
            drop(std::fs::remove_dir(parent));
        }
    }
    Ok(format!("{} deletes {}", spot.0, spot.1))
}

fn rename(world: &mut World, model: &mut Model, from: &Spot, to: &Spot) -> Result<String> {
    let file = world.root(from.0).join(&from.1);
    let told = format!("{} renames {} to {}", from.0, from.1, to.1);
    let destination = world.root(to.0).join(&to.1);
    // Homing publishes nothing binary under a name of a text, and says so: no promise is about that.
    if from.1 == to.1
        || is_binary_path(&from.1) != is_binary_path(&to.1)
        || destination.exists()
        || destination.starts_with(&file)
        || file.starts_with(&destination)
    {
        return Ok(told + ", which does not go");
    }
    let executable = is_executable(&file);
    let Some(bytes) = world.editor.delete(&file)? else {
        return Ok(told + ", which is gone");
    };
    model.deleted(from, &bytes);
    if let Some(displaced) = world.editor.save(&destination, &bytes, executable)? {
        model.saved(to, displaced.as_deref(), &bytes, executable);
    }
    Ok(told)
}

fn change_mode(
    world: &mut World,
    model: &mut Model,
    spot: &Spot,
    executable: bool,
) -> Result<String> {
    if Editor::set_executable(&world.root(spot.0).join(&spot.1), executable)? {
        model.mode_set(spot, executable);
    }
    Ok(format!(
        "{} sets the mode of {} to {}",
        spot.0,
        spot.1,
        if executable { "755" } else { "644" }
    ))
}

fn is_executable(file: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::symlink_metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o100 != 0)
}

fn rng_path(rng: &mut Rng, paths: &[String]) -> String {
    rng.pick(paths).clone()
}

fn anchor(number: usize) -> String {
    if number == 0 {
        ANCHOR.to_owned()
    } else {
        format!("second-{ANCHOR}")
    }
}
