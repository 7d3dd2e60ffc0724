//! Listing: what the directory holds, and what of it could not be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use homing_core::{
    Capabilities, ContentHash, Covered, Item, ItemKey, Limits, Manifest, Problem, ProblemKind,
    Progress, Selection, SideError, UnknownReason,
};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, FileType, Stat, statat};
use rustix::io::Errno;

use crate::below::{Root, file_type, not_a_file, stat_name};
use crate::inspect::{hash_file, is_executable};
use crate::keys::no_file_at;
use crate::parallel::{Cancel, Queue, drain};
use crate::signature::Signature;

pub(crate) type Known = BTreeMap<ItemKey, Item>;

/// So many files are one task for a thread.
pub(crate) const CHUNK: usize = 128;

/// One listing.
pub(crate) struct Scan<'a> {
    /// Where to look.
    pub(crate) root: &'a Root,
    /// What is covered.
    pub(crate) selection: &'a Selection,
    /// How much is taken.
    pub(crate) limits: &'a Limits,
    /// What the file system can store.
    pub(crate) capabilities: Capabilities,
    /// Contents known by identity.
    pub(crate) known: &'a Known,
    /// Told of every step.
    pub(crate) progress: &'a Progress,
    /// Set when nobody waits any more.
    pub(crate) cancel: &'a Cancel,
    /// When the listing began: a younger file has no identity.
    pub(crate) now: SystemTime,
}

/// A piece of work of a listing.
pub(crate) enum Task {
    /// List a directory.
    Directory {
        /// Its path.
        prefix: String,
        /// What the selection says of it.
        covered: Covered,
    },
    /// Look at the files of a directory.
    Files {
        /// The directory.
        directory: Arc<OwnedFd>,
        /// The files.
        keys: Vec<ItemKey>,
    },
    /// Look at keys in the directory of this path, which need not exist.
    Keys {
        /// The path.
        prefix: String,
        /// The keys, all in that directory.
        keys: Vec<ItemKey>,
    },
}

/// What one thread found.
#[derive(Default)]
pub(crate) struct Findings {
    /// What is there.
    pub(crate) items: Vec<(ItemKey, Item)>,
    /// What could not be seen.
    pub(crate) unknown: Vec<(String, UnknownReason)>,
    /// What a person should hear of.
    pub(crate) problems: Vec<Problem>,
    /// Every directory that was listed, as it was before that.
    pub(crate) stamps: Vec<(String, Signature)>,
    /// Directories that changed while they were listed.
    pub(crate) changed: BTreeSet<String>,
    buffer: Vec<u8>,
    text: String,
}

impl Findings {
    /// Notes that nothing can be said of `path`, and tells a person why.
    pub(crate) fn cannot_tell(&mut self, path: &str, kind: ProblemKind, reason: UnknownReason) {
        self.problems.push(Problem {
            kind,
            path: path.to_owned(),
            message: reason.to_string(),
        });
        self.unknown.push((path.to_owned(), reason));
    }

    /// Notes that `path` could not be read.
    pub(crate) fn unreadable(&mut self, path: &str, errno: Errno) {
        let reason = UnknownReason::Unreadable(std::io::Error::from(errno).to_string());
        self.cannot_tell(path, ProblemKind::Unreadable, reason);
    }
}

/// Sums over all threads, and what ends the whole listing.
#[derive(Default)]
pub(crate) struct Tally {
    files: AtomicUsize,
    bytes: AtomicU64,
    stop: AtomicBool,
    failure: Mutex<Option<SideError>>,
    /// The keys asked for, when not all are.
    pub(crate) requested: Option<BTreeSet<ItemKey>>,
}

impl Tally {
    /// Begins a listing of these keys alone.
    pub(crate) fn of(requested: BTreeSet<ItemKey>) -> Self {
        Self {
            requested: Some(requested),
            ..Self::default()
        }
    }

    fn fail(&self, error: SideError) {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Scan<'_> {
    /// Lists everything that the selection covers.
    pub(crate) fn whole(&self) -> Result<Manifest, SideError> {
        let root = || {
            vec![Task::Directory {
                prefix: String::new(),
                covered: self.selection.root(),
            }]
        };
        let mut findings = self.pass(self.known, root(), Tally::default())?;
        if !findings.changed.is_empty() {
            // What was read once need not be read again, so the second look is quick.
            let mut known = self.known.clone();
            let vouched = |(_, item): &(ItemKey, Item)| item.identity.is_some();
            known.extend(findings.items.into_iter().filter(vouched));
            findings = self.pass(&known, root(), Tally::default())?;
        }
        for prefix in std::mem::take(&mut findings.changed) {
            findings.cannot_tell(&prefix, ProblemKind::Changing, UnknownReason::Changing);
        }
        if findings.items.is_empty() && findings.unknown.is_empty() {
            let message = format!(
                "nothing in {} matches what is asked for; check path, include and exclude",
                self.root.path()
            );
            findings.problems.push(Problem {
                kind: ProblemKind::Empty,
                path: String::new(),
                message,
            });
        }
        Ok(self.manifest(findings))
    }

    /// Makes a manifest of what all threads found.
    pub(crate) fn manifest(&self, findings: Findings) -> Manifest {
        let mut problems = findings.problems;
        problems.sort();
        problems.dedup();
        Manifest {
            items: findings.items.into_iter().collect(),
            unknown: findings.unknown.into_iter().collect(),
            problems,
            root: Some(self.root.identity),
            capabilities: self.capabilities,
        }
    }

    /// Does all `tasks`, and notes which directories changed meanwhile.
    pub(crate) fn pass(
        &self,
        known: &Known,
        tasks: Vec<Task>,
        tally: Tally,
    ) -> Result<Findings, SideError> {
        let all = drain(tasks, |task, findings: &mut Findings, queue| {
            if self.cancel.is_cancelled() || tally.stop.load(Ordering::Relaxed) {
                return;
            }
            match task {
                Task::Directory { prefix, covered } => {
                    self.directory(prefix, covered, findings, queue);
                }
                Task::Files { directory, keys } => {
                    self.files(directory.as_fd(), keys, known, findings, &tally);
                }
                Task::Keys { prefix, keys } => self.requested(&prefix, keys, findings, queue),
            }
        });
        if self.cancel.is_cancelled() {
            return Err(SideError::Cancelled);
        }
        if let Some(error) = tally
            .failure
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            return Err(error);
        }
        if !self.root.is_still_there() {
            return Err(SideError::NotFound {
                message: format!(
                    "the directory {} went away while it was read",
                    self.root.path()
                ),
                source: None,
            });
        }
        let mut sum = Findings::default();
        for mut part in all {
            sum.items.append(&mut part.items);
            sum.unknown.append(&mut part.unknown);
            sum.problems.append(&mut part.problems);
            sum.stamps.append(&mut part.stamps);
            sum.changed.append(&mut part.changed);
        }
        // An item that moved from a directory that was not listed yet to one that already was has been seen nowhere.
        for (prefix, stamp) in &sum.stamps {
            let path = if prefix.is_empty() { "." } else { prefix };
            let now = statat(self.root.fd(), path, AtFlags::SYMLINK_NOFOLLOW);
            if now.map_or(true, |stat| Signature::of(&stat) != *stamp) {
                sum.changed.insert(prefix.clone());
            }
        }
        Ok(sum)
    }

    fn files(
        &self,
        directory: BorrowedFd<'_>,
        keys: Vec<ItemKey>,
        known: &Known,
        findings: &mut Findings,
        tally: &Tally,
    ) {
        for key in keys {
            if self.cancel.is_cancelled() || tally.stop.load(Ordering::Relaxed) {
                return;
            }
            self.progress.finish_item();
            match stat_name(directory, key.file_name()) {
                Ok(None) => vanished(&key, findings, tally),
                Ok(Some(stat)) => self.present(directory, key, &stat, known, findings, tally),
                Err(errno) => findings.unreadable(key.as_str(), errno),
            }
        }
    }

    fn present(
        &self,
        directory: BorrowedFd<'_>,
        key: ItemKey,
        stat: &Stat,
        known: &Known,
        findings: &mut Findings,
        tally: &Tally,
    ) {
        let kind = file_type(stat);
        if kind != FileType::RegularFile {
            return no_file_at(&key, kind, findings, tally);
        }
        let signature = Signature::of(stat);
        if signature.size > self.limits.max_file_size {
            let reason = UnknownReason::OverLimit(format!(
                "it has {} bytes, more than `max_file_size` allows ({})",
                signature.size, self.limits.max_file_size
            ));
            return findings.cannot_tell(key.as_str(), ProblemKind::Limit, reason);
        }
        if !self.within_limits(signature.size, tally) {
            return;
        }
        let executable = self.capabilities.executable_bit && is_executable(stat);
        findings.text.clear();
        signature.write(&mut findings.text);
        if let Some(known) = known.get(&key)
            && let Some(identity) = &known.identity
            && identity.as_str() == findings.text
        {
            let item = Item {
                hash: known.hash,
                size: signature.size,
                executable,
                identity: Some(identity.clone()),
            };
            findings.items.push((key, item));
            return;
        }
        match self.hash(directory, &key, stat, findings) {
            Ok(Hashed::Is(hash, stat)) => {
                let signature = Signature::of(&stat);
                let executable = self.capabilities.executable_bit && is_executable(&stat);
                let identity = signature.identity(self.now);
                findings.items.push((
                    key,
                    Item {
                        hash,
                        size: signature.size,
                        executable,
                        identity,
                    },
                ));
            }
            Ok(Hashed::Changing) => {
                findings.cannot_tell(key.as_str(), ProblemKind::Changing, UnknownReason::Changing);
            }
            Ok(Hashed::Gone) => vanished(&key, findings, tally),
            Err(errno) => findings.unreadable(key.as_str(), errno),
        }
    }

    /// Hashes a file, a second time when it changed during the first.
    fn hash(
        &self,
        directory: BorrowedFd<'_>,
        key: &ItemKey,
        stat: &Stat,
        findings: &mut Findings,
    ) -> Result<Hashed, Errno> {
        let mut stat = *stat;
        for _ in 0..2 {
            match hash_file(
                directory,
                key.file_name(),
                &stat,
                &mut findings.buffer,
                self.progress,
            ) {
                Ok(Some(hash)) => return Ok(Hashed::Is(hash, stat)),
                Ok(None) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
            match stat_name(directory, key.file_name())? {
                None => return Ok(Hashed::Gone),
                Some(again) if file_type(&again) != FileType::RegularFile => {
                    return Ok(Hashed::Changing);
                }
                Some(again) if Signature::of(&again).size > self.limits.max_file_size => {
                    return Ok(Hashed::Changing);
                }
                Some(again) => stat = again,
            }
        }
        Ok(Hashed::Changing)
    }

    fn within_limits(&self, size: u64, tally: &Tally) -> bool {
        let files = tally.files.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = tally.bytes.fetch_add(size, Ordering::Relaxed) + size;
        let exceeded = if files > self.limits.max_files {
            format!(
                "more than {} files; raise `max_files`, or narrow path, include or exclude",
                self.limits.max_files
            )
        } else if bytes > self.limits.max_total_size {
            format!(
                "more than {} bytes in all; raise `max_total_size`, or narrow path, include or exclude",
                self.limits.max_total_size
            )
        } else {
            return true;
        };
        tally.fail(SideError::Untrusted {
            message: format!("{} holds {exceeded}", self.root.path()),
        });
        false
    }
}

enum Hashed {
    Is(ContentHash, Stat),
    Changing,
    Gone,
}

/// Hands files to whoever is free, in pieces that are worth a thread.
pub(crate) fn push_files(directory: &Arc<OwnedFd>, keys: Vec<ItemKey>, queue: &Queue<Task>) {
    let mut keys = keys.into_iter();
    loop {
        let chunk: Vec<ItemKey> = keys.by_ref().take(CHUNK).collect();
        if chunk.is_empty() {
            return;
        }
        queue.push(Task::Files {
            directory: directory.clone(),
            keys: chunk,
        });
    }
}

/// Notes a link or special file: what is at or below it is unknown.
pub(crate) fn refuse(path: &str, kind: FileType, tell: bool, findings: &mut Findings) {
    let problem = if kind == FileType::Symlink {
        ProblemKind::Link
    } else {
        ProblemKind::SpecialFile
    };
    let reason = UnknownReason::NotAFile(not_a_file(kind));
    if tell {
        findings.cannot_tell(path, problem, reason);
    } else {
        findings.unknown.push((path.to_owned(), reason));
    }
}

/// In a whole listing a name that was read and is gone means that the directory must be read again; a key that
/// was asked for is simply not there.
pub(crate) fn vanished(key: &ItemKey, findings: &mut Findings, tally: &Tally) {
    if tally.requested.is_none() {
        findings
            .changed
            .insert(key.parent().unwrap_or("").to_owned());
    }
}
