//! One throwaway world: origins, targets, a home, and what is configured in it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::model::Place;
use crate::person::Editor;
use crate::power::Disk;
use crate::rng::Rng;
use crate::session::{Binaries, Session};
use crate::tree::{self, Tree};

/// A source of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Edits go back to it.
    pub(crate) direct: bool,
    /// Overlapping changes keep the lines of both.
    pub(crate) union: bool,
    /// Lower wins.
    pub(crate) priority: u16,
}

/// A target of the world. It takes from every source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// A published file that a person deleted stays away.
    pub(crate) keep_deletions: bool,
}

/// The whole of it. Fields are dropped in order: programs, then the disk under them, then the directory.
#[derive(Debug)]
pub(crate) struct World {
    /// Homing's programs.
    pub(crate) session: Session,
    /// The file system, when power cuts are simulated.
    pub(crate) disk: Option<Disk>,
    /// The people's editor.
    pub(crate) editor: Editor,
    /// The sources.
    pub(crate) origins: Vec<Origin>,
    /// The file system behaves like one that cannot exchange two files.
    pub(crate) without_exchange: bool,
    /// The targets.
    pub(crate) targets: Vec<Target>,
    place: PathBuf,
    base: tempfile::TempDir,
}

impl World {
    /// Makes a world out of random choices.
    pub(crate) fn create(
        rng: &mut Rng,
        arena: &Path,
        binaries: &Binaries,
        power_cuts: bool,
    ) -> Result<Self> {
        let base = tempfile::Builder::new()
            .prefix("homing-crash-")
            .tempdir_in(arena)?;
        let place = base.path().join("place");
        fs::create_dir(&place)?;
        let disk = power_cuts
            .then(|| Disk::create(base.path(), &place))
            .transpose()?;
        let direct = rng.chance(35);
        let mut origins = vec![Origin {
            direct,
            union: rng.chance(15),
            priority: 50,
        }];
        if rng.chance(30) {
            let priority = if rng.chance(50) { 10 } else { 90 };
            origins.push(Origin {
                direct: false,
                union: false,
                priority,
            });
        }
        let mut targets = vec![Target {
            keep_deletions: rng.chance(25),
        }];
        if rng.chance(30) {
            targets.push(Target {
                keep_deletions: rng.chance(25),
            });
        }
        let config = config(&place, &origins, &targets)?;
        let without_exchange = rng.chance(15);
        let mut session = Session::prepare(binaries.clone(), &base.path().join("home"), &config)?;
        if without_exchange {
            session.always("dir::no_exchange=return");
        }
        let editor = Editor::new(place.join("scratch"));
        let world = Self {
            session,
            disk,
            editor,
            origins,
            without_exchange,
            targets,
            place,
            base,
        };
        fs::create_dir(world.place.join("scratch"))?;
        for place in world.places() {
            fs::create_dir(world.root(place))?;
        }
        Ok(world)
    }

    /// Returns every directory in which people write.
    pub(crate) fn places(&self) -> Vec<Place> {
        let origins = (0..self.origins.len()).map(Place::Origin);
        origins
            .chain((0..self.targets.len()).map(Place::Target))
            .collect()
    }

    /// Returns where a place is.
    pub(crate) fn root(&self, place: Place) -> PathBuf {
        root(&self.place, place)
    }

    /// Reads a place.
    pub(crate) fn read(&self, place: Place) -> Result<Tree> {
        Ok(tree::read(&self.root(place))?)
    }

    /// Tells whether edits go back to any origin.
    pub(crate) fn has_direct(&self) -> bool {
        self.origins.iter().any(|origin| origin.direct)
    }

    /// Returns a line about the world.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        for (number, origin) in self.origins.iter().enumerate() {
            let push = if origin.direct { "direct" } else { "never" };
            let policy = if origin.union { "union" } else { "ask" };
            write!(
                text,
                "s{number}: push {push}, {policy}, priority {}; ",
                origin.priority
            )
            .expect("it is a string");
        }
        for (number, target) in self.targets.iter().enumerate() {
            let deletions = if target.keep_deletions {
                "keep"
            } else {
                "restore"
            };
            write!(text, "t{number}: deletions {deletions}; ").expect("it is a string");
        }
        if self.without_exchange {
            text += "no exchange; ";
        }
        text + if self.disk.is_some() {
            "on a disk of its own"
        } else {
            "without power cuts"
        }
    }

    /// Leaves the world's files for a person to look at, and returns where they are.
    pub(crate) fn keep(mut self) -> Result<PathBuf> {
        self.session.kill()?;
        let name = self.base.path().file_name().unwrap_or_default();
        let kept = std::env::temp_dir().join(name).with_extension("kept");
        let status = std::process::Command::new("cp")
            .arg("-a")
            .arg(self.base.path())
            .arg(&kept)
            .status()?;
        anyhow::ensure!(status.success(), "the world could not be kept");
        Ok(kept)
    }
}

fn config(place: &Path, origins: &[Origin], targets: &[Target]) -> Result<String> {
    let mut text = String::new();
    let data = place.join("data");
    writeln!(
        text,
        "[daemon]\ndata_dir = \"{}\"\nlog = \"info\"\n",
        data.display()
    )?;
    for (number, origin) in origins.iter().enumerate() {
        let root = root(place, Place::Origin(number));
        let push = if origin.direct { "direct" } else { "never" };
        let policy = if origin.union { "union" } else { "ask" };
        writeln!(text, "[sources.s{number}]\nkind = \"dir\"")?;
        writeln!(text, "root = \"{}\"", root.display())?;
        writeln!(text, "priority = {}\npush = \"{push}\"", origin.priority)?;
        writeln!(text, "on_conflict = \"{policy}\"\n")?;
    }
    let names = (0..origins.len()).map(|number| format!("\"s{number}\""));
    let from = names.collect::<Vec<_>>().join(", ");
    for (number, target) in targets.iter().enumerate() {
        let root = root(place, Place::Target(number));
        let deletions = if target.keep_deletions {
            "keep"
        } else {
            "restore"
        };
        writeln!(text, "[targets.t{number}]\npath = \"{}\"", root.display())?;
        writeln!(text, "from = [{from}]\ndeletions = \"{deletions}\"\n")?;
    }
    Ok(text)
}

fn root(base: &Path, place: Place) -> PathBuf {
    base.join(match place {
        Place::Origin(number) => format!("origin-{number}"),
        Place::Target(number) => format!("target-{number}"),
    })
}
