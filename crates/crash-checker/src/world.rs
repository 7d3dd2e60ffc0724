//! One throwaway world: origins, targets, a home, and what is configured in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::config;
use crate::model::Place;
use crate::person::Editor;
use crate::power::Disk;
use crate::rng::Rng;
use crate::selection::Selection;
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
    /// What it takes of its origin.
    pub(crate) selection: Selection,
    /// It takes other files than before, so that edits wait for an explicit push.
    pub(crate) push_waits: bool,
}

/// A target of the world. It takes from every source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "choices that do not depend on each other"
)]
pub(crate) struct Target {
    /// A published file that a person deleted stays away.
    pub(crate) keep_deletions: bool,
    /// File names only, without directories.
    pub(crate) flat: bool,
    /// What people make there goes to the first source.
    pub(crate) shares_new_files: bool,
    /// Its layout was changed, so that its files may have gone to other names.
    pub(crate) renames: bool,
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
    /// Places that the configuration does not name.
    pub(crate) unlisted: BTreeSet<Place>,
    /// A target's path may come to another source or key, or be given up by its source.
    pub(crate) paths_change_hands: bool,
    /// In some target, at some time, what people make goes to a source: then no file is nobody else's for ever.
    pub(crate) new_files_travel: bool,
    /// Places that Homing must leave as they are, and how they are: roots that the configuration does not name.
    pub(crate) frozen: BTreeMap<Place, Tree>,
    /// Roots that are not where the configuration says, and what is there instead (`None`: nothing).
    pub(crate) away: BTreeMap<Place, Option<Tree>>,
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
        let direct = rng.chance(40);
        let mut origins = vec![Origin {
            direct,
            union: rng.chance(15),
            priority: 50,
            selection: Selection::default(),
            push_waits: false,
        }];
        if rng.chance(30) {
            let priority = if rng.chance(50) { 10 } else { 90 };
            origins.push(Origin {
                direct: false,
                union: false,
                priority,
                selection: Selection::default(),
                push_waits: false,
            });
        }
        let new_files_travel = direct && rng.chance(40);
        let count = 1 + usize::from(rng.chance(35));
        let targets: Vec<Target> = (0..count)
            .map(|_| Target {
                keep_deletions: rng.chance(25),
                flat: rng.chance(15),
                shares_new_files: new_files_travel && rng.chance(70),
                renames: false,
            })
            .collect();
        let config = config::render(&place, &origins, &targets, &BTreeSet::new())?;
        let without_exchange = rng.chance(15);
        let mut session = Session::prepare(binaries.clone(), &base.path().join("home"), &config)?;
        if without_exchange {
            session.always("dir::no_exchange=return");
        }
        let editor = Editor::new(place.join("scratch"));
        let paths_change_hands = origins.len() > 1 || targets.iter().any(|target| target.flat);
        let world = Self {
            session,
            disk,
            editor,
            origins,
            without_exchange,
            targets,
            unlisted: BTreeSet::new(),
            paths_change_hands,
            new_files_travel,
            frozen: BTreeMap::new(),
            away: BTreeMap::new(),
            place,
            base,
        };
        fs::create_dir(world.place.join("scratch"))?;
        fs::create_dir(world.place.join("away"))?;
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

    /// Returns where the files of a place are, be it where the configuration says or away from there.
    pub(crate) fn root(&self, place: Place) -> PathBuf {
        if self.away.contains_key(&place) {
            self.shelter(place)
        } else {
            self.configured_root(place)
        }
    }

    /// Returns where the configuration says that a place is.
    pub(crate) fn configured_root(&self, place: Place) -> PathBuf {
        root(&self.place, place)
    }

    /// Returns where a place is while it is away.
    pub(crate) fn shelter(&self, place: Place) -> PathBuf {
        root(&self.place.join("away"), place)
    }

    /// Returns the targets whose layout was changed.
    pub(crate) fn renaming_targets(&self) -> BTreeSet<Place> {
        let numbers = (0..self.targets.len()).filter(|number| self.targets[*number].renames);
        numbers.map(Place::Target).collect()
    }

    /// Tells whether the configuration names a place.
    pub(crate) fn is_listed(&self, place: Place) -> bool {
        !self.unlisted.contains(&place)
    }

    /// Returns the numbers of the sources that the configuration names.
    pub(crate) fn listed_origins(&self) -> Vec<usize> {
        let all = 0..self.origins.len();
        all.filter(|number| self.is_listed(Place::Origin(*number)))
            .collect()
    }

    /// Returns the numbers of the targets that the configuration names.
    pub(crate) fn listed_targets(&self) -> Vec<usize> {
        let all = 0..self.targets.len();
        all.filter(|number| self.is_listed(Place::Target(*number)))
            .collect()
    }

    /// Writes the configuration of what the world is to be now. The daemon must not run.
    pub(crate) fn reconfigure(&self) -> Result<()> {
        let text = config::render(&self.place, &self.origins, &self.targets, &self.unlisted)?;
        self.session.reconfigure(&text)
    }

    /// Tells whether any target has file names only.
    pub(crate) fn has_flat(&self) -> bool {
        self.targets.iter().any(|target| target.flat)
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
            let layout = if target.flat { ", flat" } else { "" };
            let new_files = if target.shares_new_files {
                ", shares new files"
            } else {
                ""
            };
            write!(
                text,
                "t{number}: deletions {deletions}{layout}{new_files}; "
            )
            .expect("it is a string");
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

/// Returns the directory of a place below `base`.
pub(crate) fn root(base: &Path, place: Place) -> PathBuf {
    base.join(match place {
        Place::Origin(number) => format!("origin-{number}"),
        Place::Target(number) => format!("target-{number}"),
    })
}
