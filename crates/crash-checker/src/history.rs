//! One random history: people write, commands run, the daemon dies, and after each step the promises are checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::Plan;
use crate::checks;
use crate::content::{Unit, units};
use crate::model::{Model, Place};
use crate::people::{self, Moment, Pen};
use crate::rng::Rng;
use crate::session::Answer;
use crate::world::World;

/// The named points of the engine and of the directory side at which the process may end itself.
pub const FAIL_POINTS: &[&str] = &[
    "dir::names_read",
    "dir::file_read",
    "dir::temps_written",
    "dir::temps_synced",
    "dir::renamed_one",
    "dir::exchanged_unchecked",
    "dir::renamed_all",
    "dir::synced",
    "run::surveyed",
    "run::planned",
    "run::transferred",
    "run::journalled",
    "run::applied",
    "run::recorded",
];

/// A file younger than this is not taken back to an origin, for it may still be written.
const SETTLED: Duration = Duration::from_millis(2100);

/// What happened in one or more histories, so that a run that tested nothing shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Words and how often they happened.
    pub counts: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts one event.
    pub fn count(&mut self, word: impl Into<String>) {
        *self.counts.entry(word.into()).or_default() += 1;
    }

    /// Returns how often it happened.
    pub fn of(&self, word: &str) -> u64 {
        self.counts.get(word).copied().unwrap_or(0)
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        for (word, count) in &other.counts {
            *self.counts.entry(word.clone()).or_default() += count;
        }
    }
}

/// How a command is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disturbance {
    None,
    Kill,
    FailPoint,
    Edits,
    PowerCut,
}

struct History<'a> {
    world: &'a mut World,
    model: Model,
    pen: Pen,
    rng: Rng,
    log: &'a mut String,
    tally: &'a mut Tally,
    boots: u32,
    armed: Option<&'static str>,
    last_write: Instant,
    /// A person discarded something since the last look.
    may_discard: bool,
    /// What was there before an undo, until it is known how that ended.
    undoing: Option<checks::Snapshot>,
    /// The daemon died and no sync has ended well since.
    crashed: bool,
}

/// Runs the history of a seed. On failure the error tells all of it, and where its files are.
pub(crate) fn run(plan: &Plan, arena: &Path, seed: u64) -> Result<Tally> {
    let mut rng = Rng::new(seed);
    // The choice hangs on the seed alone, so that the seed replays it.
    let power_cuts = plan.power_cuts && seed % 2 == 1;
    let mut world = World::create(&mut rng, arena, &plan.binaries, power_cuts)?;
    let mut log = format!("seed {seed}: {}\n", world.describe());
    let mut tally = Tally::default();
    let outcome = History {
        world: &mut world,
        model: Model::default(),
        pen: Pen::default(),
        rng,
        log: &mut log,
        tally: &mut tally,
        boots: 0,
        armed: None,
        last_write: Instant::now(),
        may_discard: false,
        undoing: None,
        crashed: false,
    }
    .play();
    match outcome {
        Ok(()) => Ok(tally),
        Err(error) => {
            log += &world.session.log_tail();
            if plan.keep_worlds {
                let kept = world.keep().map_or_else(
                    |error| format!("{error:#}"),
                    |path| path.display().to_string(),
                );
                write!(log, "\nthe world is kept in {kept}").expect("it is a string");
            }
            Err(error.context(format!("{log}\nseed {seed} breaks a promise")))
        }
    }
}

impl History<'_> {
    fn play(mut self) -> Result<()> {
        people::settle_in(self.world, &mut self.model, &mut self.pen, &mut self.rng)?;
        self.world.session.start(None)?;
        self.note("first sync");
        let answer = self.world.session.run(&["sync", "--all"])?;
        self.after(&["sync", "--all"], Some(answer))?;
        for _ in 0..self.rng.below(8) + 5 {
            self.step()?;
        }
        self.close()
    }

    fn step(&mut self) -> Result<()> {
        for _ in 0..self.rng.below(4) {
            self.person(Moment::Quiet)?;
        }
        if self.rng.chance(8) {
            return self.read_only();
        }
        let command = self.choose_command()?;
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        let disturbance = match self.rng.below(100) {
            0..15 => Disturbance::Kill,
            15..32 => Disturbance::FailPoint,
            // Without an exchange there is an instant in which an editor and Homing cannot see each other.
            32..42 if self.world.without_exchange => Disturbance::None,
            32..42 => Disturbance::Edits,
            42..60 if self.world.disk.is_some() => Disturbance::PowerCut,
            _ => Disturbance::None,
        };
        self.note(format!("homing {} ({disturbance:?})", arguments.join(" ")));
        self.carry_out(&arguments, disturbance)
    }

    fn choose_command(&mut self) -> Result<Vec<String>> {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let source = self.rng.below(self.world.origins.len());
        Ok(match self.rng.below(100) {
            0..50 => words("sync --all"),
            50..56 => words(&format!("pull s{source}")),
            // Only a source that takes edits back can be pushed to.
            56..61 if self.world.origins[source].direct => words(&format!("push s{source}")),
            61..66 => words("sync --all --accept-deletions"),
            66..76 => words("undo"),
            76..80 => words(&format!("release s{source}")),
            80..84 => words(&format!(
                "verify t{} --repair",
                self.rng.below(self.world.targets.len())
            )),
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
        match with {
            "--union" => self.model.unite(&path),
            "--ours" => self.refuse_upstream(&path)?,
            _ => {}
        }
        Ok(Some(vec![
            "resolve".to_owned(),
            name,
            path,
            with.to_owned(),
        ]))
    }

    /// Who keeps the local side takes out what upstream has at that moment.
    fn refuse_upstream(&mut self, path: &str) -> Result<()> {
        let snapshot = checks::look(self.world)?;
        let (origins, targets): (Vec<_>, Vec<_>) = snapshot
            .into_iter()
            .partition(|(place, _)| matches!(place, Place::Origin(_)));
        let local: BTreeSet<Unit> = targets
            .iter()
            .filter_map(|(_, tree)| tree.bytes(path))
            .flat_map(units)
            .collect();
        for bytes in origins.iter().filter_map(|(_, tree)| tree.bytes(path)) {
            self.model.refuse(path, units(bytes).difference(&local));
        }
        Ok(())
    }

    fn carry_out(&mut self, arguments: &[&str], disturbance: Disturbance) -> Result<()> {
        self.may_discard |= matches!(arguments[0], "undo" | "resolve" | "release");
        self.undoing = if arguments[0] == "undo" {
            Some(checks::look(self.world)?)
        } else {
            None
        };
        match disturbance {
            Disturbance::None => {
                let before = checks::look(self.world)?;
                let answer = self.world.session.run(arguments)?;
                let decided = arguments[0] == "resolve" && answer.code == Some(0);
                self.after(arguments, Some(answer))?;
                if decided && self.rng.chance(40) {
                    self.take_back(arguments, &before)?;
                }
                Ok(())
            }
            Disturbance::Edits => {
                let running = self.world.session.begin(arguments)?;
                for _ in 0..=self.rng.below(6) {
                    self.spin(4_000);
                    self.person(Moment::Busy)?;
                }
                let answer = self.world.session.finish(running)?;
                self.tally.count("edits under a run");
                self.note(format!("… ended with {:?}", answer.code));
                self.after(arguments, None)
            }
            Disturbance::Kill => {
                let running = self.world.session.begin(arguments)?;
                self.spin(40_000);
                self.armed = None;
                self.world.session.kill()?;
                self.world.session.finish(running)?;
                self.tally.count("kill");
                self.after(arguments, None)
            }
            Disturbance::FailPoint => {
                let point = *self.rng.pick(FAIL_POINTS);
                let skipped = if point.ends_with("_read") { 20 } else { 4 };
                let action = format!("{point}={}*off->return", self.rng.below(skipped));
                self.note(format!("… with {action}"));
                self.world.session.kill()?;
                self.armed = Some(point);
                self.world.session.start(Some(&action))?;
                if self.world.session.is_alive()? {
                    let answer = self.world.session.run(arguments)?;
                    self.note(format!("… ended with {:?}", answer.code));
                }
                self.after(arguments, None)
            }
            Disturbance::PowerCut => {
                if let Some(disk) = &self.world.disk {
                    disk.sync()?;
                }
                let running = self.world.session.begin(arguments)?;
                self.spin(40_000);
                self.armed = None;
                self.world.session.kill()?;
                self.world.session.finish(running)?;
                if let Some(disk) = &mut self.world.disk {
                    disk.cut()?;
                }
                self.boots += 1;
                self.world
                    .session
                    .pretend_boot(&format!("00000000-0000-4000-8000-{:012}", self.boots))?;
                self.tally.count("power cut");
                self.crashed = true;
                self.revive(true)?;
                self.after(arguments, None)
            }
        }
    }

    /// Undoes a decision that a person has just made: what it overwrote in a target must come back.
    fn take_back(&mut self, arguments: &[&str], before: &checks::Snapshot) -> Result<()> {
        let after = checks::look(self.world)?;
        let path = arguments[2];
        let changed: Vec<Place> = (0..self.world.targets.len())
            .map(Place::Target)
            .filter(|place| before[place].files.contains_key(path))
            .filter(|place| before[place].bytes(path) != after[place].bytes(path))
            .collect();
        if changed.is_empty() || !self.world.session.is_alive()? {
            return Ok(());
        }
        self.note("homing undo takes the decision back");
        self.may_discard = true;
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
    fn after(&mut self, arguments: &[&str], answer: Option<Answer>) -> Result<()> {
        if answer
            .as_ref()
            .is_some_and(|answer| [Some(1), Some(4)].contains(&answer.code))
        {
            // The client may hear of an end before the kernel lets its parent know.
            self.wait_for_an_end()?;
        }
        let died = !self.world.session.is_alive()?;
        if died {
            self.crashed = true;
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
            self.note("homingd starts again");
            self.revive(false)?;
        }
        if died {
            self.note_half_undone(&checks::look(self.world)?);
        }
        if arguments[0] == "undo" {
            self.note_held(answer.as_ref().filter(|_| !died));
        }
        let snapshot = checks::look(self.world)?;
        checks::whole(self.world, &mut self.model, &snapshot)?;
        checks::untouched(self.world, &self.model, &snapshot)?;
        let may_discard = self.may_discard;
        let session = &mut self.world.session;
        let discarded = checks::nothing_lost(&mut self.model, &snapshot, may_discard, || {
            kept_hashes(session)
        })?;
        if discarded > 0 {
            self.tally.count("discarded by a person");
        }
        self.may_discard = false;
        for (place, tree) in &snapshot {
            self.model.observe(*place, tree);
        }
        if let Some(answer) = answer.filter(|_| !died) {
            self.judge(arguments, &answer, &snapshot)?;
        }
        Ok(())
    }

    fn judge(
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
        if code == 0
            && arguments[0] == "release"
            && arguments.len() == 2
            && self.world.origins.len() == 1
        {
            self.model.held.clear();
            self.model.maybe_held = false;
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
            .any(|run| run["status"] == "blocked");
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
            ensure!(
                blocked || !open.is_empty(),
                "DISHONEST: a sync ended with 7 and nothing waits: {}",
                answer.json
            );
        }
        if code == 3 {
            bail!(
                "DISHONEST: nothing disturbed this sync and it ended as partial: {told}\n{}",
                answer.json
            );
        }
        if !blocked {
            checks::published(self.world, &mut self.model, snapshot, &open)?;
            if self.crashed {
                checks::no_leftovers(snapshot)?;
                self.crashed = false;
            }
        }
        Ok(())
    }

    /// What only looks must not write.
    fn read_only(&mut self) -> Result<()> {
        let before = checks::look(self.world)?;
        let commands: [&[&str]; 7] = [
            &["status"],
            &["diff"],
            &["sync", "--all", "--dry-run"],
            &["conflicts"],
            &["history"],
            &["verify"],
            &["sync", "s0", "--dry-run", "--force"],
        ];
        let command = *self.rng.pick(&commands);
        self.note(format!("homing {} only looks", command.join(" ")));
        let answer = self.world.session.run(command)?;
        let code = answer.code.unwrap_or(-1);
        ensure!(
            [0, 3, 7].contains(&code) || !self.world.session.is_alive()?,
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

    /// Ends all disturbance: what was held is released, two syncs agree, and all is where it should be.
    fn close(mut self) -> Result<()> {
        self.note("quiet at last");
        self.armed = None;
        self.world.session.stop()?;
        self.revive(false)?;
        for number in 0..self.world.origins.len() {
            let name = format!("s{number}");
            self.carry_out(&["release", &name], Disturbance::None)?;
        }
        self.model.held.clear();
        self.model.maybe_held = false;
        if self.world.has_direct() {
            // Homing leaves a file alone until it is old enough; only time makes it so.
            std::thread::sleep(SETTLED.saturating_sub(self.last_write.elapsed()));
        }
        let mut syncs = 0;
        let last = loop {
            let arguments = ["sync", "--all", "--accept-deletions"];
            self.note("homing sync --all --accept-deletions");
            let answer = self.world.session.run(&arguments)?;
            self.after(&arguments, Some(answer.clone()))?;
            syncs += 1;
            let moved = |field: &str| -> u64 {
                let runs = answer.json["runs"].as_array().into_iter().flatten();
                runs.filter_map(|run| run[field].as_u64()).sum()
            };
            if moved("synced") == 0 && moved("removed") == 0 {
                break answer;
            }
            ensure!(
                syncs < 6,
                "DISHONEST: syncs without an edit between them never come to rest: {}",
                answer.json
            );
        };
        let before = checks::look(self.world)?;
        let again = self.world.session.run(&["sync", "--all"])?;
        ensure!(
            again.code == last.code,
            "a sync that had nothing to do ended with {:?}, the next one with {:?}",
            last.code,
            again.code
        );
        ensure!(
            before == checks::look(self.world)?,
            "DISHONEST: a sync that had nothing to do wrote something"
        );
        checks::no_leftovers(&before)?;
        self.tally
            .counts
            .insert("merges".to_owned(), self.model.merges);
        self.world.session.stop()
    }

    fn wait_for_an_end(&mut self) -> Result<()> {
        let begun = Instant::now();
        while self.armed.is_some()
            && begun.elapsed() < Duration::from_secs(1)
            && self.world.session.is_alive()?
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn revive(&mut self, whole_machine: bool) -> Result<()> {
        if !self.world.session.is_alive()? {
            self.world.session.start(None)?;
        }
        let begun = Instant::now();
        loop {
            let answer = self.world.session.run(&["status"])?;
            if answer.json["daemon"]["recovered"] == true {
                break;
            }
            ensure!(
                self.world.session.is_alive()?,
                "homingd died while it repaired, without a reason"
            );
            ensure!(
                begun.elapsed() < Duration::from_secs(20),
                "homingd does not end its repairs: {}",
                answer.stderr
            );
        }
        self.tally
            .count(if whole_machine { "boots" } else { "restarts" });
        Ok(())
    }

    fn person(&mut self, moment: Moment) -> Result<()> {
        let told = people::act(
            self.world,
            &mut self.model,
            &mut self.pen,
            &mut self.rng,
            moment,
        )?;
        self.last_write = Instant::now();
        self.note(told);
        Ok(())
    }

    fn conflicts(&mut self) -> Result<Value> {
        Ok(self.world.session.run(&["conflicts"])?.json)
    }

    /// An undo that was cut short may have put files back without holding them; who edits one then edits the older one.
    fn note_half_undone(&mut self, now: &checks::Snapshot) {
        for (place, before) in self.undoing.iter().flatten() {
            for (path, seen) in &before.files {
                let there = now[place].bytes(path).map(units).unwrap_or_default();
                self.model
                    .refuse(path, units(&seen.bytes).difference(&there));
            }
        }
    }

    fn note_held(&mut self, answer: Option<&Answer>) {
        let Some(answer) = answer.filter(|answer| answer.code.is_some()) else {
            self.model.maybe_held = true;
            return;
        };
        if answer.code == Some(8) {
            return;
        }
        let run = answer.json["runs"].get(0).unwrap_or(&answer.json);
        match run["items"].as_array().filter(|items| !items.is_empty()) {
            Some(items) => {
                let paths = items
                    .iter()
                    .filter_map(|item| item["path"].as_str())
                    .map(str::to_owned);
                self.model.held.extend(paths);
            }
            None => self.model.maybe_held = true,
        }
    }

    /// Lets a random time pass, in microseconds, without giving up the processor for a whole tick.
    fn spin(&mut self, most_micros: usize) {
        let wait = Duration::from_micros(self.rng.below(most_micros) as u64);
        let begun = Instant::now();
        while begun.elapsed() < wait {
            std::thread::yield_now();
        }
    }

    fn note(&mut self, told: impl AsRef<str>) {
        writeln!(self.log, "  {}", told.as_ref()).expect("it is a string");
    }
}

/// Returns the hashes of all contents of which a run says that they were there before it wrote.
fn kept_hashes(session: &mut crate::session::Session) -> Result<BTreeSet<String>> {
    let mut hashes = BTreeSet::new();
    let history = session.run(&["history", "-n", "200"])?;
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
