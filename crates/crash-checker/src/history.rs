//! One random history: people write, commands run, the daemon dies, and after each step the promises are checked.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::Plan;
use crate::checks;
use crate::decision::Decision;
use crate::model::Model;
use crate::pen::Pen;
use crate::people::{self, Moment};
use crate::published;
use crate::rng::Rng;
use crate::tally::Tally;
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
    "recover::settled",
    "run::captured",
    "run::surveyed",
    "run::planned",
    "run::transferred",
    "run::journalled",
    "run::applied",
    "run::recorded",
];

/// A file younger than this is not taken back to an origin, for it may still be written.
const SETTLED: Duration = Duration::from_millis(2100);

/// How a command is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disturbance {
    None,
    Kill,
    FailPoint,
    Edits,
    PowerCut,
}

pub(crate) struct History<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) model: Model,
    pub(crate) pen: Pen,
    pub(crate) rng: Rng,
    pub(crate) log: &'a mut String,
    pub(crate) tally: &'a mut Tally,
    pub(crate) boots: u32,
    pub(crate) armed: Option<&'static str>,
    pub(crate) last_write: Instant,
    /// What a person is about to decide.
    pub(crate) decision: Option<Decision>,
    /// What was there before an undo, until it is known how that ended.
    pub(crate) undoing: Option<checks::Snapshot>,
    /// Sources of which everything that was held is released since the last undo.
    pub(crate) released: BTreeSet<String>,
    /// Upstream changes more files at once than Homing syncs one by one.
    pub(crate) floods: bool,
}

/// Runs the history of a seed. On failure the error tells all of it, and where its files are.
pub(crate) fn run(plan: &Plan, arena: &Path, seed: u64) -> Result<Tally> {
    let mut rng = Rng::new(seed);
    // The choice hangs on the seed alone, so that the seed replays it.
    let power_cuts = plan.power_cuts && seed % 2 == 1;
    let floods = power_cuts && seed % 40 == 1;
    let mut world = World::create(&mut rng, arena, &plan.binaries, power_cuts)?;
    let mut log = format!("seed {seed}: {}\n", world.describe());
    let mut tally = Tally::default();
    let model = Model::new(world.has_flat());
    let outcome = History {
        world: &mut world,
        model,
        pen: Pen::default(),
        rng,
        log: &mut log,
        tally: &mut tally,
        boots: 0,
        armed: None,
        last_write: Instant::now(),
        decision: None,
        undoing: None,
        released: BTreeSet::new(),
        floods,
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
        if self.floods {
            for _ in 0..3 {
                self.flood()?;
            }
        }
        for _ in 0..self.rng.below(8) + 5 {
            self.step()?;
        }
        self.close()
    }

    /// Cuts the power while very many files are published at once: they are synced in another way than a few.
    fn flood(&mut self) -> Result<()> {
        let told = people::write_many(self.world, &mut self.model, &mut self.pen, &mut self.rng)?;
        self.last_write = Instant::now();
        self.note(told);
        self.note("homing sync --all (PowerCut)");
        self.carry_out(&["sync", "--all"], Disturbance::PowerCut)?;
        self.tally.count("power cut under many files");
        Ok(())
    }

    fn step(&mut self) -> Result<()> {
        for _ in 0..self.rng.below(4) {
            self.person(Moment::Quiet)?;
        }
        match self.rng.below(100) {
            0..8 => return self.read_only(),
            8..16 => return self.reconfigure(),
            16..24 => return self.trouble(),
            _ => {}
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

    pub(crate) fn carry_out(&mut self, arguments: &[&str], disturbance: Disturbance) -> Result<()> {
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
                    self.wait_for_the_end_that(&answer)?;
                }
                self.after(arguments, None)
            }
            Disturbance::PowerCut => {
                if let Some(disk) = &self.world.disk {
                    disk.sync()?;
                }
                let running = self.world.session.begin(arguments)?;
                self.spin(if self.floods { 500_000 } else { 40_000 });
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
                self.revive(true)?;
                self.after(arguments, None)
            }
        }
    }

    /// Ends all disturbance: what was held is released, two syncs agree, and all is where it should be.
    fn close(mut self) -> Result<()> {
        self.note("quiet at last");
        self.armed = None;
        self.world.session.stop()?;
        self.put_all_back()?;
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
        for number in 0..self.world.origins.len() {
            if self.world.origins[number].push_waits {
                let name = format!("s{number}");
                self.note(format!("homing push {name}"));
                self.carry_out(&["push", &name], Disturbance::None)?;
            }
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
        checks::no_leftovers(&self.world.frozen, &before)?;
        if again.code == Some(0) {
            published::arrived(self.world, &self.model, &before)?;
            self.tally.count("all arrived");
        }
        self.tally
            .counts
            .insert("merges".to_owned(), self.model.merges());
        self.world.session.stop()
    }

    pub(crate) fn person(&mut self, moment: Moment) -> Result<()> {
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

    pub(crate) fn conflicts(&mut self) -> Result<Value> {
        Ok(self.world.session.run(&["conflicts"])?.json)
    }

    /// Lets a random time pass, in microseconds, without giving up the processor for a whole tick.
    pub(crate) fn spin(&mut self, most_micros: usize) {
        let wait = Duration::from_micros(self.rng.below(most_micros) as u64);
        let begun = Instant::now();
        while begun.elapsed() < wait {
            std::thread::yield_now();
        }
    }

    pub(crate) fn note(&mut self, told: impl AsRef<str>) {
        writeln!(self.log, "  {}", told.as_ref()).expect("it is a string");
    }
}
