//! Checks Homing's promises from outside, through crashes.
//!
//! The checker depends on no crate of Homing. It knows the promises (DESIGN.md, section 1) and what the people of its
//! random histories did, and it drives the real `homing` and `homingd`. A history is replayed by its seed; what the
//! kernel's scheduler adds to it is not.
//!
//! # How it tells, without knowing the code
//!
//! *Every line is unique.* People write only lines (or whole binary contents) that were never written before. So a line
//! that somebody wrote into a file, and that nobody took out, must be there: kept as it was or merged, whatever the
//! merge looks like. Nobody needs to know how Homing merges to see a loss.
//!
//! *Nothing is lost* (promise 1). A person's line may go from the file it was written into only when some person took it
//! out, there or at another place of the same path (an upstream author removes a line that had been pushed). The one
//! other way is a person's own command: `resolve`, `undo`, `release`. After those the bytes that were there must be
//! named as "before" in some run that `homing run show` tells of, which is Homing's word that it keeps a copy; and where
//! such a decision is undone at once, the bytes must really come back. Files that no source ever had, and origins with
//! `push = "never"`, are compared bit by bit.
//!
//! *Old or new, never half* (promise 2). A published file holds what some person wrote under that path, or a clean merge
//! of three such contents. Since lines are unique and nobody moves them, a clean merge is a formula over sets of lines:
//! what both sides have, and what one side has and the base has not. Where several merges may follow each other unseen
//! (two hops, `union`), a content must consist of lines of that path between its first and its last line, which nobody
//! ever takes out: a truncated or mixed-up file is found all the same. This holds even while the daemon is dead.
//!
//! *Honest results* (promise 3). A sync that ends with 0 has published what the origins hold with the people's edits, no
//! conflict is open, nothing is blocked. What only looks writes nothing. When nobody writes any more, syncs come to
//! rest. A conflict is listed only where somebody changed something here.

mod checks;
mod content;
mod history;
mod model;
mod people;
mod person;
mod power;
mod rng;
mod session;
mod tally;
mod tree;
mod verdict;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

pub use history::FAIL_POINTS;
pub use power::unavailable as power_cuts_unavailable;
pub use session::{Answer, Binaries, Running, Session};
pub use tally::Tally;

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The programs, built with the feature `failpoints`.
    pub binaries: Binaries,
    /// The seed of the first history; the next has the next number.
    pub first_seed: u64,
    /// How many histories.
    pub histories: u64,
    /// Every second history runs on a disk of its own whose power is cut.
    pub power_cuts: bool,
    /// Histories at the same time.
    pub workers: usize,
    /// Leave the files of a failed history for a person to look at.
    pub keep_worlds: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// What happened in the histories that kept every promise.
    pub tally: Tally,
    /// Histories that kept every promise.
    pub passed: u64,
    /// Seeds and what went wrong, by seed.
    pub failures: Vec<(u64, anyhow::Error)>,
}

/// Runs all histories and tells `progress` after each how many have ended, and how it failed if it did.
///
/// Stops early after ten failures.
pub fn run_plan(
    plan: &Plan,
    progress: impl Fn(u64, Option<(u64, &anyhow::Error)>) + Sync,
) -> Report {
    const ENOUGH_FAILURES: usize = 10;
    let arena = match power::Arena::create() {
        Ok(arena) => arena,
        Err(error) => {
            return Report {
                failures: vec![(plan.first_seed, error)],
                ..Report::default()
            };
        }
    };
    let next = AtomicU64::new(0);
    let report = Mutex::new(Report::default());
    thread::scope(|scope| {
        for _ in 0..plan.workers.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= plan.histories {
                        break;
                    }
                    let seed = plan.first_seed.wrapping_add(number);
                    let outcome = history::run(plan, arena.path(), seed);
                    let mut report = report
                        .lock()
                        .expect("no worker panics while it holds the lock");
                    let ended = report.passed + report.failures.len() as u64 + 1;
                    match outcome {
                        Ok(tally) => {
                            report.tally.add(&tally);
                            report.passed += 1;
                            progress(ended, None);
                        }
                        Err(error) => {
                            progress(ended, Some((seed, &error)));
                            report.failures.push((seed, error));
                        }
                    }
                    if report.failures.len() >= ENOUGH_FAILURES {
                        break;
                    }
                }
            });
        }
    });
    let mut report = report
        .into_inner()
        .expect("no worker panics while it holds the lock");
    report.failures.sort_by_key(|(seed, _)| *seed);
    report
}
