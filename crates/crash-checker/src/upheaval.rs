//! What befalls whole directories: roots that go away or are replaced, and what the configuration says of them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::checks;
use crate::history::{Disturbance, History};
use crate::model::Place;
use crate::people::{self, Moment};
use crate::selection::SELECTIONS;
use crate::tree::{self, Tree};

/// What is where a root was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// Nothing.
    Missing,
    /// Another directory that is empty, as the place of a file system that is not mounted.
    Unmounted,
    /// Another directory with files.
    Replaced,
    /// The same directory, but all that was in it is elsewhere.
    Emptied,
}

impl History<'_> {
    /// Changes what the configuration says, which the daemon reads when it starts again.
    pub(crate) fn reconfigure(&mut self) -> Result<()> {
        if self.rng.chance(60) {
            self.world.session.stop()?;
        } else {
            self.world.session.kill()?;
        }
        self.armed = None;
        let origin = self.rng.below(self.world.origins.len());
        let target = self.rng.below(self.world.targets.len());
        let told = match self.rng.below(100) {
            0..35 => {
                let selection = *self.rng.pick(SELECTIONS);
                let changed = &mut self.world.origins[origin];
                changed.push_waits |= changed.direct && changed.selection != selection;
                changed.selection = selection;
                self.world.paths_change_hands = true;
                format!("s{origin} takes {selection:?}")
            }
            35..58 => self.list(Place::Target(target))?,
            58..78 => self.list(Place::Origin(origin))?,
            78..86 if self.world.new_files_travel => {
                let target_now = &mut self.world.targets[target];
                target_now.shares_new_files = !target_now.shares_new_files;
                format!(
                    "t{target} shares new files: {}",
                    target_now.shares_new_files
                )
            }
            86..97 if self.model.is_flat() => {
                let target_now = &mut self.world.targets[target];
                target_now.flat = !target_now.flat;
                target_now.renames = true;
                format!("t{target} is flat: {}", target_now.flat)
            }
            _ => {
                let priority = if self.rng.chance(50) { 10 } else { 90 };
                if origin == 1 {
                    self.world.origins[1].priority = priority;
                }
                format!("s{origin} may have another priority")
            }
        };
        self.note(format!("the configuration changes: {told}"));
        self.tally.count("config changes");
        self.world.reconfigure()?;
        self.revive(false)?;
        self.after(&["status"], None)
    }

    /// Takes a place out of the configuration, or puts it back.
    fn list(&mut self, place: Place) -> Result<String> {
        let is_listed = self.world.is_listed(place);
        // A configuration without a source is not one.
        if matches!(place, Place::Origin(_)) && is_listed && self.world.listed_origins().len() == 1
        {
            return Ok(format!("{place} is the only source and stays"));
        }
        if is_listed {
            let tree = self.world.read(place)?;
            self.world.frozen.insert(place, tree);
            self.world.unlisted.insert(place);
            self.tally.count("taken out of the configuration");
            Ok(format!("{place} is taken out"))
        } else {
            self.world.frozen.remove(&place);
            self.world.unlisted.remove(&place);
            self.tally.count("put back into the configuration");
            Ok(format!("{place} is put back"))
        }
    }

    /// Names every place in the configuration again. The daemon must not run.
    pub(crate) fn put_all_back(&mut self) -> Result<()> {
        for place in self.world.places() {
            if !self.world.is_listed(place) {
                let told = self.list(place)?;
                self.note(told);
            }
        }
        self.world.reconfigure()
    }

    /// A root goes away, commands run, and it comes back or gives way to what is there instead.
    pub(crate) fn trouble(&mut self) -> Result<()> {
        let mut places = self.world.places();
        places.retain(|place| self.world.is_listed(*place));
        let place = *self.rng.pick(&places);
        if self.world.read(place)?.files.is_empty() {
            return Ok(());
        }
        let mut kinds = vec![Trouble::Missing, Trouble::Unmounted, Trouble::Replaced];
        // An emptied target is one from which people deleted everything: they do that file by file.
        if matches!(place, Place::Origin(_)) {
            kinds.push(Trouble::Emptied);
        }
        let trouble = *self.rng.pick(&kinds);
        let calm = self.is_calm(place)?;
        self.note(format!("{place} is {trouble:?}"));
        self.take_away(place, trouble)?;
        self.tally.count(format!("{trouble:?}"));
        for _ in 0..=self.rng.below(2) {
            self.suffer(place, calm)?;
        }
        let accepts = matches!(trouble, Trouble::Replaced | Trouble::Unmounted)
            && matches!(
                (place, trouble),
                (Place::Target(_), _) | (_, Trouble::Replaced)
            )
            && self.rng.chance(50);
        if accepts {
            self.accept(place)
        } else {
            self.bring_back(place, trouble)
        }
    }

    /// Tells whether nothing is under way that would delete published files, were the root there or not.
    fn is_calm(&mut self, place: Place) -> Result<bool> {
        if self.world.origins.len() > 1 || matches!(place, Place::Target(_)) {
            return Ok(false);
        }
        self.note("homing sync --all");
        let answer = self.world.session.run(&["sync", "--all"])?;
        let code = answer.code;
        self.after(&["sync", "--all"], Some(answer))?;
        Ok(code == Some(0))
    }

    fn suffer(&mut self, place: Place, calm: bool) -> Result<()> {
        if self.rng.chance(25) {
            self.note("homingd is started again");
            self.world.session.kill()?;
            self.armed = None;
            self.revive(false)?;
        }
        if self.rng.chance(40) {
            self.person(Moment::Quiet)?;
        }
        let before = checks::look(self.world)?;
        let commands: &[&[&str]] = &[
            &["sync", "--all"],
            &["sync", "--all"],
            &["sync", "--all", "--accept-deletions"],
            &["sync", "--all", "--force"],
            &["undo"],
            &["verify", "--repair"],
        ];
        let command = *self.rng.pick(commands);
        let disturbance = match self.rng.below(100) {
            0..20 => Disturbance::Kill,
            20..40 => Disturbance::FailPoint,
            40..55 if self.world.disk.is_some() => Disturbance::PowerCut,
            _ => Disturbance::None,
        };
        self.note(format!("homing {} ({disturbance:?})", command.join(" ")));
        self.carry_out(command, disturbance)?;
        if calm && command[0] != "undo" {
            let now = checks::look(self.world)?;
            for (target, tree) in before
                .iter()
                .filter(|(target, _)| matches!(target, Place::Target(_)))
            {
                // What a person deleted meanwhile, with the daemon dead, is no loss.
                let gone = tree.files.keys().find(|path| {
                    !now[target].files.contains_key(*path)
                        && !self.model.is_touched(&(*target, (*path).clone()))
                });
                ensure!(
                    gone.is_none(),
                    "LOST: {place} is not to be seen, and {target}/{gone:?} was deleted for that"
                );
            }
        }
        Ok(())
    }

    fn take_away(&mut self, place: Place, trouble: Trouble) -> Result<()> {
        let root = self.world.configured_root(place);
        let shelter = self.world.shelter(place);
        if trouble == Trouble::Emptied {
            fs::create_dir(&shelter)?;
            move_children(&root, &shelter)?;
        } else {
            fs::rename(&root, &shelter)?;
        }
        match trouble {
            Trouble::Missing | Trouble::Emptied => {}
            Trouble::Unmounted => fs::create_dir(&root)?,
            Trouble::Replaced => {
                fs::create_dir(&root)?;
                people::furnish(self.world, &self.model, &mut self.pen, &mut self.rng, place)?;
            }
        }
        let substitute = (trouble != Trouble::Missing)
            .then(|| tree::read(&root))
            .transpose()?;
        self.world.away.insert(place, substitute);
        let tree = self.world.read(place)?;
        self.world.frozen.insert(place, tree);
        Ok(())
    }

    fn bring_back(&mut self, place: Place, trouble: Trouble) -> Result<()> {
        self.note(format!("{place} comes back"));
        let root = self.world.configured_root(place);
        let shelter = self.world.shelter(place);
        if trouble == Trouble::Emptied {
            move_children(&shelter, &root)?;
            fs::remove_dir(&shelter)?;
        } else {
            if root.exists() {
                fs::remove_dir_all(&root)?;
            }
            fs::rename(&shelter, &root)?;
        }
        self.world.away.remove(&place);
        self.world.frozen.remove(&place);
        self.note("homing sync --all");
        let answer = self.world.session.run(&["sync", "--all"])?;
        self.after(&["sync", "--all"], Some(answer))
    }

    /// People say that the other directory is meant.
    fn accept(&mut self, place: Place) -> Result<()> {
        self.note(format!("the other {place} is meant"));
        let shelter = self.world.shelter(place);
        let old = self.world.read(place)?;
        self.world.frozen.remove(&place);
        let new = self.world.away.remove(&place).flatten().unwrap_or_default();
        self.believe(place, &old, &new);
        fs::remove_dir_all(&shelter)?;
        self.tally.count("roots accepted");
        let arguments = ["sync", "--all", "--accept-root", "--accept-deletions"];
        if self.rng.chance(40) {
            let disturbance = *self.rng.pick(&[Disturbance::Kill, Disturbance::FailPoint]);
            self.note(format!("homing {} ({disturbance:?})", arguments.join(" ")));
            self.carry_out(&arguments, disturbance)?;
        }
        // What was to end the daemon later is not to end this.
        self.world.session.stop()?;
        self.armed = None;
        self.revive(false)?;
        // The guard may stop a first attempt, which then accepts nothing.
        for _ in 0..3 {
            self.note(format!("homing {}", arguments.join(" ")));
            let answer = self.world.session.run(&arguments)?;
            let runs = answer.json["runs"].as_array().cloned().unwrap_or_default();
            self.after(&arguments, Some(answer))
                .context("a root was accepted")?;
            if !runs.iter().any(|run| run["status"] == "blocked") {
                return Ok(());
            }
        }
        bail!("DISHONEST: a root was accepted with its deletions, and is still refused")
    }

    /// What is in the new directory as it was in the old one is the same file. The rest was edited or, in an origin,
    /// deleted; in the place of a target nobody deleted a line from a file that is synced.
    fn believe(&mut self, place: Place, old: &Tree, new: &Tree) {
        for (path, seen) in &old.files {
            let spot = (place, path.clone());
            match (place, new.files.get(path)) {
                (_, Some(now)) if now.bytes == seen.bytes => {}
                (_, Some(now)) if self.model.is_own(&spot) => {
                    let (bytes, executable) = (now.bytes.clone(), now.executable());
                    self.model.own_saved(spot, bytes, executable);
                }
                (_, Some(now)) => {
                    let executable = now.executable();
                    self.model
                        .saved(&spot, Some(&seen.bytes), &now.bytes, executable);
                }
                (Place::Origin(_), None) => self.model.deleted(&spot, &seen.bytes),
                (Place::Target(_), None) => self.model.forget(&spot),
            }
        }
    }
}

fn move_children(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::rename(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
