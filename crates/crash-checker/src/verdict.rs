//! What is made of a command's end: everything is looked at, and the promises are checked.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::checks::{self, Snapshot};
use crate::history::History;
use crate::model::Place;
use crate::people::Moment;
use crate::published;
use crate::session::{Answer, Session};

impl History<'_> {
    /// Undoes a decision that a person has just made: what it overwrote in a target must come back.
    pub(crate) fn take_back(
        &mut self,
        arguments: &[&str],
        before: &checks::Snapshot,
    ) -> Result<()> {
        let after = checks::look(self.world)?;
        let path = arguments[2];
        let changed: Vec<Place> = (0..self.world.targets.len())
            .map(Place::Target)
            .filter(|place| self.world.is_listed(*place) && !self.world.away.contains_key(place))
            .filter(|place| before[place].files.contains_key(path))
            .filter(|place| before[place].bytes(path) != after[place].bytes(path))
            .collect();
        if changed.is_empty() || !self.world.session.is_alive()? {
            return Ok(());
        }
        self.note("homing undo takes the decision back");
        let answer = self.world.session.run(&["undo"])?;
        let code = answer.code;
        self.after(&["undo"], Some(answer))?;
        if self.world.session.is_alive()? && code == Some(0) {
            let now = checks::look(self.world)?;
            for place in changed {
                ensure!(
                    now[&place].bytes(path) == before[&place].bytes(path),
                    "LOST: the undo of a decision did not bring the bytes of {place}/{path} back"
                );
            }
            self.tally.count("decisions taken back");
        }
        Ok(())
    }

    /// Looks at everything after a command. `answer` is given when nothing disturbed it.
    pub(crate) fn after(&mut self, arguments: &[&str], answer: Option<Answer>) -> Result<()> {
        if let Some(answer) = &answer {
            self.wait_for_the_end_that(answer)?;
        }
        let died = !self.world.session.is_alive()?;
        if let Some(decision) = self.decision.take() {
            // A command that was refused has decided nothing.
            let refused = |answer: &Answer| matches!(answer.code, Some(1 | 2 | 8));
            if died || !answer.as_ref().is_some_and(refused) {
                decision.tell(&mut self.model);
            }
        }
        if died {
            if let Some(point) = self.armed.take() {
                self.tally.count(format!("died at {point}"));
            }
            let snapshot = checks::look(self.world)?;
            checks::whole(self.world, &mut self.model, &snapshot)
                .context("with the daemon dead")?;
            if self.rng.chance(40) {
                for _ in 0..=self.rng.below(2) {
                    self.person(Moment::Quiet)?;
                }
            }
            if self.rng.chance(25) {
                self.die_again()?;
            }
            self.note("homingd starts again");
            self.revive(false)?;
        }
        if died {
            self.note_half_undone(&checks::look(self.world)?);
        }
        if arguments[0] == "undo" {
            self.released.clear();
            self.note_given_back()?;
            self.note_held(answer.as_ref().filter(|_| !died))?;
        }
        let snapshot = checks::look(self.world)?;
        checks::whole(self.world, &mut self.model, &snapshot)?;
        checks::untouched(self.world, &self.model, &snapshot)?;
        checks::left_alone(self.world, &snapshot)?;
        let forgiven = checks::Forgiven {
            may_give_way: self.world.paths_change_hands,
            renames: self.world.renaming_targets(),
        };
        let session = &mut self.world.session;
        let discarded = checks::nothing_lost(&mut self.model, &snapshot, &forgiven, || {
            kept_hashes(session)
        })?;
        if discarded > 0 {
            self.tally.count("discarded by a person");
        }
        for (place, tree) in &snapshot {
            self.model.observe(*place, tree);
        }
        if let Some(answer) = answer.filter(|_| !died) {
            self.judge(arguments, &answer, &snapshot)?;
        }
        Ok(())
    }

    pub(crate) fn judge(
        &mut self,
        arguments: &[&str],
        answer: &Answer,
        snapshot: &checks::Snapshot,
    ) -> Result<()> {
        self.note(format!("… ended with {:?}", answer.code));
        let code = answer
            .code
            .with_context(|| format!("`homing {}` was ended by a signal", arguments.join(" ")))?;
        let allowed: &[i32] = match arguments[0] {
            "sync" | "pull" | "push" => &[0, 3, 7],
            "undo" | "release" => &[0, 3, 7, 8],
            // A union of a deletion or of a binary content is refused.
            "resolve" => &[0, 1, 2, 3, 7, 8],
            _ => &[0, 3],
        };
        let told = answer.stderr.trim();
        if !self.world.away.is_empty() {
            return self.judge_in_trouble(arguments, answer);
        }
        ensure!(
            allowed.contains(&code),
            "DISHONEST: `homing {}` ended with {code}: {told}\n{}",
            arguments.join(" "),
            answer.json
        );
        self.tally
            .count(format!("{} ended with {code}", arguments[0]));
        for run in answer.json["runs"].as_array().into_iter().flatten() {
            for item in run["items"].as_array().into_iter().flatten() {
                self.tally
                    .count(format!("item {}", item["action"].as_str().unwrap_or("?")));
            }
        }
        if code == 0 && arguments[0] == "release" && self.world.unlisted.is_empty() {
            self.released.insert(arguments[1].to_owned());
            if self.released.len() == self.world.origins.len() {
                self.model.held.clear();
                self.model.maybe_held = false;
            }
        }
        if arguments[0] == "push" && code == 0 {
            for origin in &mut self.world.origins {
                origin.push_waits = false;
            }
        }
        if arguments[0] != "sync" {
            return Ok(());
        }
        let conflicts = self.conflicts()?;
        let open = checks::conflict_paths(&conflicts);
        if !open.is_empty() {
            self.tally.count("conflicts open");
        }
        checks::conflicts_are_real(&self.model, &conflicts, self.world.origins.len() > 1)?;
        let blocked = answer.json["runs"]
            .as_array()
            .into_iter()
            .flatten()
            .any(waits);
        if code == 0 {
            ensure!(
                open.is_empty(),
                "DISHONEST: a sync ended with 0 and conflicts are open: {conflicts}"
            );
            ensure!(
                !blocked,
                "DISHONEST: a sync ended with 0 and a run is blocked"
            );
        }
        if code == 7 {
            // With several sources, a later run may settle what an earlier one has told.
            ensure!(
                blocked || !open.is_empty() || self.world.origins.len() > 1,
                "DISHONEST: a sync ended with 7 and nothing waits: {}",
                answer.json
            );
        }
        if code == 3 && self.is_too_young(answer) {
            self.tally.count("edits that were too young");
            return Ok(());
        }
        if code == 3 && is_in_the_way(answer, snapshot) {
            self.tally.count("a file here and a directory there");
            return Ok(());
        }
        if code == 3 {
            bail!(
                "DISHONEST: nothing disturbed this sync and it ended as partial: {told}\n{}",
                answer.json
            );
        }
        if !blocked {
            published::published(self.world, &mut self.model, snapshot, &open)?;
            checks::no_leftovers(&self.world.frozen, snapshot)?;
        }
        Ok(())
    }

    /// A sync that cannot reach what it is to keep in step says so.
    fn judge_in_trouble(&mut self, arguments: &[&str], answer: &Answer) -> Result<()> {
        let all = arguments[0] == "sync";
        ensure!(
            !all || ![Some(0), Some(2)].contains(&answer.code),
            "DISHONEST: a root is not where it was, and `homing sync --all` ended with {:?}: {}",
            answer.code,
            answer.json
        );
        ensure!(
            !all || !answer.stderr.trim().is_empty() || !answer.json.is_null(),
            "DISHONEST: a root is not where it was, and `homing sync --all` does not say so"
        );
        self.tally
            .count(format!("in trouble: ended with {:?}", answer.code));
        Ok(())
    }

    /// Tells whether a file was too young to be taken back, although the run waited for it: the run of another source had
    /// just merged into it.
    fn is_too_young(&self, answer: &Answer) -> bool {
        let mut runs = answer.json["runs"].as_array().into_iter().flatten();
        self.world.has_direct()
            && self.world.origins.len() > 1
            && runs.all(|run| {
                let mut problems = run["problems"].as_array().into_iter().flatten();
                run["status"] != "partial"
                    || (run["failed"] == 0 && problems.any(|problem| problem["kind"] == "changing"))
            })
    }

    /// What only looks must not write.
    pub(crate) fn read_only(&mut self) -> Result<()> {
        let before = checks::look(self.world)?;
        let source = format!("s{}", self.world.listed_origins()[0]);
        let commands: [&[&str]; 7] = [
            &["status"],
            &["diff"],
            &["sync", "--all", "--dry-run"],
            &["conflicts"],
            &["history"],
            &["verify"],
            &["sync", &source, "--dry-run", "--force"],
        ];
        let command = *self.rng.pick(&commands);
        self.note(format!("homing {} only looks", command.join(" ")));
        let answer = self.world.session.run(command)?;
        // A point that a command before it did not reach may end the daemon now.
        self.wait_for_the_end_that(&answer)?;
        let code = answer.code.unwrap_or(-1);
        ensure!(
            [0, 3, 7].contains(&code)
                || !self.world.away.is_empty()
                || !self.world.session.is_alive()?,
            "`homing {}` ended with {code}: {}",
            command.join(" "),
            answer.stderr.trim()
        );
        let after = checks::look(self.world)?;
        ensure!(
            before == after,
            "DISHONEST: `homing {}` wrote something",
            command.join(" ")
        );
        self.tally.count("looks");
        if self.world.session.is_alive()? {
            return Ok(());
        }
        self.after(&["status"], None)
    }
}

/// Tells whether a run, or its target for the sake of another source, waits for a person.
fn waits(run: &Value) -> bool {
    let mut told = run["problems"].as_array().into_iter().flatten();
    run["status"] == "blocked" || told.any(|problem| problem["kind"] == "withheld")
}

/// Tells whether all that failed is a path that people made a file at one place and a directory at another: no side can
/// hold both, and nobody has to guess which was meant.
fn is_in_the_way(answer: &Answer, snapshot: &Snapshot) -> bool {
    let has_file = |path: &str| snapshot.values().any(|tree| tree.files.contains_key(path));
    let has_below = |path: &str| {
        let below = format!("{path}/");
        let mut trees = snapshot.values();
        trees.any(|tree| tree.files.keys().any(|file| file.starts_with(&below)))
    };
    let clashes = |path: &str| {
        let mut upwards = path.match_indices('/').map(|(at, _)| &path[..at]);
        (has_file(path) && has_below(path)) || upwards.any(has_file)
    };
    let mut failed = answer.json["runs"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|run| run["items"].as_array().into_iter().flatten())
        .filter(|item| item["action"] == "failed")
        .peekable();
    failed.peek().is_some() && failed.all(|item| item["path"].as_str().is_some_and(clashes))
}

/// Returns the hashes of all contents of which a run says that they were there before it wrote.
fn kept_hashes(session: &mut Session) -> Result<BTreeSet<String>> {
    let mut hashes = BTreeSet::new();
    let history = session.run(&["history", "-n", "200"])?;
    ensure!(
        history.code == Some(0),
        "the history cannot be asked for: {}",
        history.stderr
    );
    for run in history.json["runs"].as_array().into_iter().flatten() {
        let shown = session.run(&["run", "show", &run["id"].to_string()])?;
        for item in shown.json["items"].as_array().into_iter().flatten() {
            if let Some(hash) = item["before"]["hash"].as_str() {
                hashes.insert(hash.to_owned());
            }
        }
    }
    Ok(hashes)
}
