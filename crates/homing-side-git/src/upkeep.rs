//! Upkeep of mirrors: those of nobody go, old revisions lose their names, and what nothing names loses its room.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use homing_core::{Progress, SideError};
use homing_remote::git_id;
use tokio::time::timeout;

use crate::address::Address;
use crate::errors;
use crate::git::{Git, Question};
use crate::mirror::{Mirror, Mirrors, blocking, files};
use crate::modules;
use crate::remote;

/// One mirror is looked after no longer than this: somebody may wait for it.
const LONGEST: Duration = Duration::from_mins(10);
/// Bytes that Git tells of refs: some hundred thousand.
const MOST_BYTES: usize = 64 << 20;
/// So many packs are made one: each fetch leaves one, and each costs whoever looks something up.
const MANY_PACKS: usize = 20;

/// What upkeep did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tidied {
    /// Mirrors that nobody reads any more.
    pub removed: u64,
    /// Revisions that lost their names.
    pub forgotten: u64,
    /// Mirrors that were packed anew.
    pub packed: u64,
    /// What could not be done, and to which mirror; the others were tidied nevertheless.
    pub failures: Vec<String>,
}

/// What is to stay.
#[derive(Debug)]
pub struct Keep<'a> {
    /// What `git` finds in its environment.
    pub environment: &'a [(OsString, OsString)],
    /// The repositories that are read.
    pub addresses: &'a [Address],
    /// The commits that are published.
    pub revisions: &'a BTreeSet<String>,
    /// Others stay for so long after they were fetched.
    pub others: Duration,
}

impl Mirrors {
    /// Tidies up; whoever fetches meanwhile waits, and whoever reads what goes fetches it again.
    pub async fn tidy(&self, keep: &Keep<'_>) -> Result<Tidied, SideError> {
        let git = &Git::new(keep.environment);
        let progress = Progress::default();
        let mut used = BTreeSet::new();
        for address in keep.addresses {
            let address = remote::followed(git, address, &progress).await?;
            used.insert(Self::name(address.as_str()));
        }
        let mut revisions = keep.revisions.clone();
        for name in used.clone() {
            let top = self.named(&name);
            modules::forget_outdated(&top, keep.revisions, keep.others).await?;
            let found = modules::used(&top).await?;
            used.extend(found.mirrors);
            revisions.extend(found.commits);
        }
        let keep = &Keep {
            revisions: &revisions,
            ..*keep
        };
        let mut tidied = Tidied::default();
        // What an ended process put beside a mirror is looked at with it.
        let beside = |name: &str| Some(name.split_once(".git")?.0.to_owned());
        for name in self.names_by(beside).await? {
            let mirror = self.named(&name);
            let is_used = used.contains(&name);
            let work = mirror.look_after(git, keep, is_used, &mut tidied, &progress);
            let failure = match timeout(LONGEST, work).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_elapsed) => format!("it takes longer than {} minutes", LONGEST.as_secs() / 60),
            };
            tidied.failures.push(format!("{name}: {failure}"));
        }
        Ok(tidied)
    }

    /// Returns the names of those that are there.
    pub(crate) async fn names(&self) -> Result<BTreeSet<String>, SideError> {
        let ending = |name: &str| name.strip_suffix(".git").map(str::to_owned);
        self.names_by(ending).await
    }

    async fn names_by(
        &self,
        name: impl Fn(&str) -> Option<String> + Send + 'static,
    ) -> Result<BTreeSet<String>, SideError> {
        let root = self.root().to_owned();
        let names = blocking(move || {
            let entries = match fs::read_dir(root) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
                other => other?,
            };
            let mut names = BTreeSet::new();
            for entry in entries {
                names.extend(entry?.file_name().to_str().and_then(&name));
            }
            Ok(names)
        });
        names.await
    }
}

impl Mirror {
    async fn look_after(
        &self,
        git: &Git,
        keep: &Keep<'_>,
        is_used: bool,
        tidied: &mut Tidied,
        progress: &Progress,
    ) -> Result<(), SideError> {
        let _turn = self.turn().await;
        self.clear_beside().await?;
        let path = self.path().to_owned();
        let is_there = blocking(move || path.try_exists()).await?;
        match (is_there, is_used) {
            (false, _) => Ok(()),
            (true, true) => self.tidy(git, keep, tidied, progress).await,
            (true, false) => {
                self.give_up().await?;
                tidied.removed += 1;
                Ok(())
            }
        }
    }

    async fn tidy(
        &self,
        git: &Git,
        keep: &Keep<'_>,
        tidied: &mut Tidied,
        progress: &Progress,
    ) -> Result<(), SideError> {
        let path = self.path().to_owned();
        blocking(move || files::clean(&path)).await?;
        let gone = self.outdated(git, keep, progress).await?;
        if !gone.is_empty() {
            self.forget(git, &gone, progress).await?;
            tidied.forgotten += gone.len() as u64;
        }
        let path = self.path().to_owned();
        let packs =
            blocking(move || files::with_ending(&path.join("objects/pack"), "pack")).await?;
        if packs.len() >= MANY_PACKS || !gone.is_empty() {
            self.pack(git, packs, progress).await?;
            tidied.packed += 1;
        }
        Ok(())
    }

    /// Returns the names of revisions that were fetched long ago and are not published.
    async fn outdated(
        &self,
        git: &Git,
        keep: &Keep<'_>,
        progress: &Progress,
    ) -> Result<Vec<String>, SideError> {
        let arguments = [
            "for-each-ref",
            "--format=%(refname) %(objectname) %(*objectname)",
            "refs/homing/",
        ];
        let question = Question {
            arguments: &arguments.map(OsStr::new),
            input: Vec::new(),
            most: MOST_BYTES,
        };
        let (told, ended) = Git::ask(self.reading(git), question, progress).await?;
        if !ended.status.success() {
            return Err(errors::of_git("listing what is in a mirror", &ended));
        }
        let told = String::from_utf8_lossy(&told).into_owned();
        let (path, others) = (self.path().to_owned(), keep.others);
        let unused: Vec<String> = told
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                let name = words.next()?.to_owned();
                (!words.any(|id| keep.revisions.contains(id))).then_some(name)
            })
            .collect();
        blocking(move || {
            let now = SystemTime::now();
            let is_old = |name: &String| {
                let fetched = path.join(name).metadata().and_then(|data| data.modified());
                // Of a clock that was set back nothing is known.
                fetched
                    .is_ok_and(|fetched| now.duration_since(fetched).is_ok_and(|age| age > others))
            };
            Ok(unused.into_iter().filter(is_old).collect())
        })
        .await
    }

    async fn forget(
        &self,
        git: &Git,
        names: &[String],
        progress: &Progress,
    ) -> Result<(), SideError> {
        let lines = names.iter().map(|name| ["delete ", name, "\n"].concat());
        let question = Question {
            arguments: &["update-ref", "--stdin"].map(OsStr::new),
            input: lines.collect::<String>().into_bytes(),
            most: 1 << 20,
        };
        let (_, ended) = Git::ask(self.reading(git), question, progress).await?;
        if ended.status.success() {
            return Ok(());
        }
        Err(errors::of_git("forgetting old revisions", &ended))
    }

    /// Puts what is named into one pack, and takes away the others. `git gc` cannot: blobs may have been left out.
    async fn pack(
        &self,
        git: &Git,
        old: Vec<PathBuf>,
        progress: &Progress,
    ) -> Result<(), SideError> {
        let doing = "packing a mirror";
        let arguments = [
            "pack-objects",
            "--all",
            "--missing=allow-any",
            "--quiet",
            "--delta-base-offset",
            "objects/pack/pack",
        ];
        let mut command = self.reading(git);
        command.current_dir(self.path());
        let made = Git::run(command, &arguments.map(OsStr::new), progress, doing).await?;
        let made = String::from_utf8_lossy(&made).trim().to_owned();
        if !git_id::is_full(&made) && !made.is_empty() {
            return Ok(());
        }
        let made = format!("pack-{made}");
        blocking(move || {
            let is_old = |pack: &&PathBuf| pack.file_stem().is_some_and(|stem| *stem != *made);
            for pack in old.iter().filter(is_old) {
                // Without its index a pack is not looked at.
                for ending in ["idx", "rev", "pack"] {
                    files::clear(&pack.with_extension(ending))?;
                }
            }
            Ok(())
        })
        .await?;
        let prune = ["prune", "--expire=now"];
        Git::run(self.reading(git), &prune.map(OsStr::new), progress, doing).await?;
        Ok(())
    }
}
