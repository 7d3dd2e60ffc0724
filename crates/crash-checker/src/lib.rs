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
//! out, there or at another place of the same path (an upstream author removes a line that had been pushed), and did so
//! after it was written. Files that no source ever had, and origins with `push = "never"`, are compared bit by bit. So are
//! roots that are not Homing's to write now: a place that the configuration does not name, the files of a root that is
//! away, and the other directory that is where a root was. Where nothing else is under way, published files stay while
//! the origin is not to be seen.
//!
//! *Old or new, never half* (promise 2). A published file holds what some person wrote under that path, or a clean merge
//! of three such contents. Since lines are unique and nobody moves them, a clean merge is a formula over sets of lines:
//! what both sides have, and what one side has and the base has not. This holds even while the daemon is dead.
//!
//! *Honest results* (promise 3). A sync that ends with 0 has published what the origins hold, as far as the sources take
//! it, with the people's edits; no conflict is open, nothing is blocked. While a root is away no sync of everything ends
//! with 0. What only looks writes nothing. When nobody writes any more, syncs come to rest. A conflict is listed only
//! where somebody changed something here.
//!
//! # What it forgives, and why
//!
//! Each of these is a hole in which a defect could hide, so each says what still closes it.
//!
//! * *A line that a decision gave up.* `resolve --ours` refuses what origins have at that moment and gives up what other
//!   targets have, `--theirs` gives up what the deciding side alone has; `--union` gives up nothing. Only these very lines
//!   of this path may go, now or when a later publish gets there, and only if the bytes that were there are named as
//!   "before" in some run that `homing run show` tells of: Homing's word that it keeps a copy. Some decisions are undone
//!   at once, and then the bytes must really come back. A command that was refused gives up nothing.
//! * *A path that an undo may hold*: the items of the undo's run, until everything is released; every path when the undo
//!   was cut short. Nobody outside can tell which older content is held. The same copy must be named.
//! * *What an undo that was cut short had put back* counts as taken out by a person: who edits such a file, edits the older
//!   one. Only files that the undo changed, and only lines that are not in them any more.
//! * *A target's line that is in an origin of the path* may leave the target where paths change hands: it was pushed, and
//!   another source, or another file of the same name in a flat target, has the path now, or its source takes it no more.
//! * *A mixture of lines*, where several merges may follow each other unseen (two hops, `union`): then a content must
//!   consist of lines of that path, between its first and its last line, which nobody ever takes out, and without `union`
//!   each of them once and in an order that contradicts no other content. A truncated or mixed-up file is found all the same.
//! * *Several sources*: which of them has the path `notes`, a file of the one and a directory of the other, is no promise;
//!   and which of the winner's lines are in a file that carries an edit of another's is not judged.
//! * *A line that was taken out here* stays out when upstream renames its file away and back: Homing, which never saw
//!   both sides agree on the file's end, sees upstream's line as one that never changed.
//! * *A target whose layout changed* has an edited file under another name: its lines are missed there from then on.
//! * *What an undo gave back while its source was not configured* may conflict when the source is back.
//! * *One name of several files* in a flat target: any of the winning source's files may be there, and the edit of one
//!   that a direct source takes no more keeps the name.
//! * *A source that takes other files than before* keeps edits until `homing push`: until then other targets may have
//!   what the origin has not.
//! * *A file that a person made in a target*, or that an undo gave back while its source was not configured, may stay there
//!   when upstream, which had it since, lets go of it.
//! * *An edit that is too young to be taken back* makes a sync partial when the run of another source has just merged into
//!   the file. The sync says so, and the next one takes it.
//! * *A path that people made a file at one place and a directory at another* makes a sync partial, if nothing else
//!   failed: no side can hold both. Nothing may be lost for it.
//! * *An edit of a direct source's file* may stay at all targets after the origin lost the file, or the source its interest.
//! * *Under a run without an exchange* nobody edits: there is an instant in which an editor and Homing cannot see each
//!   other, on any file system of that kind.

mod checks;
mod commands;
mod config;
mod content;
mod decision;
mod history;
mod life;
mod lines;
mod lore;
mod model;
mod pen;
mod people;
mod person;
mod power;
mod published;
mod rng;
mod selection;
mod session;
mod tally;
mod tree;
mod undone;
mod upheaval;
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
