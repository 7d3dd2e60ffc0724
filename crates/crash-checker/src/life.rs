//! How the daemon comes to life again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::checks;
use crate::history::History;
use crate::session::Answer;

impl History<'_> {
    /// Starts the daemon and kills it in the midst of its repairs.
    pub(crate) fn die_again(&mut self) -> Result<()> {
        self.note("homingd starts and dies again");
        self.world.session.start(None)?;
        self.spin(15_000);
        self.world.session.kill()?;
        self.tally.count("kill at the start");
        let snapshot = checks::look(self.world)?;
        checks::whole(self.world, &mut self.model, &snapshot).context("killed at the start")
    }

    /// Waits for an end that was arranged, if that is what an answer may mean: a client may hear of it before the kernel
    /// lets the parent know.
    pub(crate) fn wait_for_the_end_that(&mut self, answer: &Answer) -> Result<()> {
        if ![Some(1), Some(4)].contains(&answer.code) {
            return Ok(());
        }
        let begun = Instant::now();
        while self.armed.is_some()
            && begun.elapsed() < Duration::from_secs(5)
            && self.world.session.is_alive()?
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Starts the daemon if it is dead, and waits until it has done its repairs.
    pub(crate) fn revive(&mut self, whole_machine: bool) -> Result<()> {
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
                begun.elapsed() < Duration::from_mins(1),
                "homingd does not end its repairs: {}",
                answer.stderr
            );
        }
        self.tally
            .count(if whole_machine { "boots" } else { "restarts" });
        Ok(())
    }
}
