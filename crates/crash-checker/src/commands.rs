//! What people type.

use anyhow::Result;

use crate::checks;
use crate::decision::Decision;
use crate::history::History;

impl History<'_> {
    /// Returns the words after `homing`.
    pub(crate) fn choose_command(&mut self) -> Result<Vec<String>> {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let source = *self.rng.pick(&self.world.listed_origins());
        let targets = self.world.listed_targets();
        Ok(match self.rng.below(100) {
            0..50 => words("sync --all"),
            50..56 => words(&format!("pull s{source}")),
            // Only a source that takes edits back can be pushed to.
            56..61 if self.world.origins[source].direct => words(&format!("push s{source}")),
            61..66 => words("sync --all --accept-deletions"),
            66..76 => words("undo"),
            76..80 => words(&format!("release s{source}")),
            80..84 if !targets.is_empty() => {
                words(&format!("verify t{} --repair", self.rng.pick(&targets)))
            }
            84..87 => words("sync --all --force"),
            _ => match self.choose_resolution()? {
                Some(command) => command,
                None => words("sync --all"),
            },
        })
    }

    fn choose_resolution(&mut self) -> Result<Option<Vec<String>>> {
        let conflicts = self.conflicts()?;
        let list = conflicts["conflicts"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if list.is_empty() {
            return Ok(None);
        }
        let conflict = self.rng.pick(&list).clone();
        let name = conflict["target"]
            .as_str()
            .or(conflict["source"].as_str())
            .unwrap_or_default()
            .to_owned();
        let path = conflict["path"].as_str().unwrap_or_default().to_owned();
        let with = *self
            .rng
            .pick(&["--ours", "--theirs", "--theirs", "--union"]);
        let snapshot = checks::look(self.world)?;
        let decision = Decision::of(&self.model, &snapshot, &name, &path, with);
        self.decision = Some(decision);
        Ok(Some(vec![
            "resolve".to_owned(),
            name,
            path,
            with.to_owned(),
        ]))
    }
}
