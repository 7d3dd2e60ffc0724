//! What the model must know of an undo.

use anyhow::Result;

use crate::checks;
use crate::content::units;
use crate::history::History;
use crate::model::Place;
use crate::session::Answer;

impl History<'_> {
    /// An undo that was cut short may have put files back without holding them; who edits one then edits the older one.
    pub(crate) fn note_half_undone(&mut self, now: &checks::Snapshot) {
        for (place, before) in self.undoing.iter().flatten() {
            for (path, seen) in &before.files {
                let there = now[place].bytes(path).map(units).unwrap_or_default();
                self.model
                    .refuse(path, units(&seen.bytes).difference(&there));
            }
        }
    }

    /// What an undo brings back of a source that is not there is its person's own.
    pub(crate) fn note_given_back(&mut self) -> Result<()> {
        let Some(before) = &self.undoing else {
            return Ok(());
        };
        if self.world.listed_origins().len() == self.world.origins.len() {
            return Ok(());
        }
        let now = checks::look(self.world)?;
        let targets = now
            .iter()
            .filter(|(place, _)| matches!(place, Place::Target(_)));
        for (place, tree) in targets {
            let back = tree
                .files
                .iter()
                .filter(|(path, seen)| before[place].files.get(*path) != Some(*seen));
            self.model
                .given_back(back.map(|(path, _)| (*place, path.clone())));
        }
        Ok(())
    }

    /// What the undo's run tells of may be held from now on.
    pub(crate) fn note_held(&mut self, answer: Option<&Answer>) -> Result<()> {
        let Some(answer) = answer.filter(|answer| answer.code.is_some()) else {
            self.model.maybe_held = true;
            return Ok(());
        };
        if answer.code == Some(8) {
            return Ok(());
        }
        // The answer itself need not tell all items.
        let run = answer.json["runs"].get(0).unwrap_or(&answer.json);
        let shown = self
            .world
            .session
            .run(&["run", "show", &run["id"].to_string()])?;
        let Some(items) = shown.json["items"]
            .as_array()
            .filter(|_| shown.code == Some(0))
        else {
            self.model.maybe_held = true;
            return Ok(());
        };
        let paths = items.iter().filter_map(|item| item["path"].as_str());
        for path in paths {
            self.model.hold(path);
        }
        Ok(())
    }
}
