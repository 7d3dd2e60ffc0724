//! Walking a directory: which of its names are items, and which cannot be.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use homing_core::{Capabilities, Covered, ItemKey, KeyError, Problem, ProblemKind, shown};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

use crate::below::{entries, file_type, stat_name};
use crate::parallel::Queue;
use crate::scan::{Findings, Scan, Task, push_files, refuse};
use crate::signature::Signature;

/// A file system that cannot tell anything apart: what collides there may collide somewhere.
const STRICTEST: Capabilities = Capabilities {
    case_sensitive: false,
    normalises_unicode: true,
    executable_bit: true,
};

impl Scan<'_> {
    /// Lists one directory: its files and directories become tasks.
    pub(crate) fn directory(
        &self,
        prefix: String,
        covered: Covered,
        findings: &mut Findings,
        queue: &Queue<Task>,
    ) {
        self.progress.advance(0);
        let directory = match self.root.directory(&prefix) {
            Ok(directory) => directory,
            // It was a directory a moment ago.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => {
                findings.changed.insert(
                    prefix
                        .rsplit_once('/')
                        .map_or("", |(parent, _)| parent)
                        .to_owned(),
                );
                return;
            }
            Err(errno) => return findings.unreadable(&prefix, errno),
        };
        let (stamp, entries) = match self.read(directory.as_fd()) {
            Ok(Some(read)) => read,
            Ok(None) => {
                findings.changed.insert(prefix);
                return;
            }
            Err(errno) => return findings.unreadable(&prefix, errno),
        };
        let mut files = Vec::new();
        let mut names = Vec::new();
        for (name, kind) in &entries {
            let kind = match kind {
                FileType::Unknown => stat_name(directory.as_fd(), name.as_c_str())
                    .map_or(FileType::Unknown, |stat| {
                        stat.map_or(FileType::Unknown, |stat| file_type(&stat))
                    }),
                known => *known,
            };
            match self.entry(&prefix, name.as_bytes(), kind, covered, findings) {
                Entry::File(key) => {
                    names.push(name);
                    files.push(key);
                }
                Entry::Directory(key, covered) => {
                    names.push(name);
                    queue.push(Task::Directory {
                        prefix: key.as_str().to_owned(),
                        covered,
                    });
                }
                Entry::Nothing => {}
            }
        }
        collisions(&prefix, &names, findings);
        findings.stamps.push((prefix, stamp));
        push_files(&Arc::new(directory), files, queue);
    }

    /// Reads the names of a directory; `None` when they changed meanwhile.
    #[allow(clippy::type_complexity, reason = "a pair that one caller takes apart")]
    fn read(
        &self,
        directory: BorrowedFd<'_>,
    ) -> Result<Option<(Signature, Vec<(CString, FileType)>)>, Errno> {
        let before = Signature::of(&fstat(directory)?);
        let entries = entries(directory)?;
        crate::kill_point!("dir::names_read");
        // That the directory stays as it is until all is read is checked at the end of the listing.
        // A change within one tick of the clock leaves the same time stamp.
        if !before.is_settled(self.now) {
            let mut first: Vec<_> = entries.iter().map(|(name, _)| name.clone()).collect();
            let mut second: Vec<_> = crate::below::entries(directory)?
                .into_iter()
                .map(|(name, _)| name)
                .collect();
            first.sort_unstable();
            second.sort_unstable();
            if first != second {
                return Ok(None);
            }
        }
        Ok(Some((before, entries)))
    }

    fn entry(
        &self,
        prefix: &str,
        name: &[u8],
        kind: FileType,
        covered: Covered,
        findings: &mut Findings,
    ) -> Entry {
        if name == b".git" || is_own_temporary(name) {
            return Entry::Nothing;
        }
        let mut path = Vec::with_capacity(prefix.len() + 1 + name.len());
        if !prefix.is_empty() {
            path.extend_from_slice(prefix.as_bytes());
            path.push(b'/');
        }
        path.extend_from_slice(name);
        let as_path = Path::new(OsStr::from_bytes(&path));
        let below = if kind == FileType::Directory {
            match self.selection.directory(covered, as_path) {
                Some(covered) => Some(covered),
                None => return Entry::Nothing,
            }
        } else {
            None
        };
        let is_covered_file = below.is_none() && self.selection.file(covered, as_path);
        let key = match str::from_utf8(&path)
            .map_err(|_not_text| KeyError::NotUtf8)
            .and_then(ItemKey::new)
        {
            Ok(key) => key,
            Err(error) => {
                if is_covered_file || below.is_some() {
                    let message = format!("{error}; it is left out");
                    findings.problems.push(Problem {
                        kind: ProblemKind::Name,
                        path: shown(&path),
                        message,
                    });
                }
                return Entry::Nothing;
            }
        };
        match (kind, below) {
            (_, Some(below)) => Entry::Directory(key, below),
            (FileType::RegularFile, None) if is_covered_file => Entry::File(key),
            // Of the unknown type: it vanished, and the look at the end finds the directory changed.
            (FileType::RegularFile | FileType::Unknown, None) => Entry::Nothing,
            (kind, None) => {
                // A link may stand where a directory was, so what was below it must not look deleted.
                if !self.selection.is_excluded(as_path, false)
                    && !self.selection.is_excluded(as_path, true)
                {
                    refuse(key.as_str(), kind, is_covered_file, findings);
                }
                Entry::Nothing
            }
        }
    }
}

enum Entry {
    File(ItemKey),
    Directory(ItemKey, Covered),
    Nothing,
}

/// Tells whether a name is one of `Operation::temporary_name`, or the same with what this crate appends.
pub(crate) fn is_own_temporary(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b".homing-") else {
        return false;
    };
    let rest = rest.strip_suffix(crate::ASIDE.as_bytes()).unwrap_or(rest);
    let mut numbers = rest.splitn(2, |byte| *byte == b'-');
    let is_number = |part: Option<&[u8]>| {
        part.is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    };
    is_number(numbers.next()) && is_number(numbers.next())
}

/// Reports names that a file system which folds case or Unicode forms takes for one.
fn collisions(prefix: &str, names: &[&CString], findings: &mut Findings) {
    let may_collide = |name: &&CString| {
        name.as_bytes()
            .iter()
            .any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii())
    };
    if !names.iter().any(may_collide) {
        return;
    }
    let mut folded: HashMap<Cow<'_, str>, &str> = HashMap::with_capacity(names.len());
    let mut texts: Vec<&str> = names.iter().filter_map(|name| name.to_str().ok()).collect();
    texts.sort_unstable();
    for name in texts {
        if let Some(first) = folded.insert(STRICTEST.fold(name), name) {
            let path = if prefix.is_empty() {
                name.to_owned()
            } else {
                format!("{prefix}/{name}")
            };
            let message = format!(
                "its name and `{first}` are one on file systems that ignore case or Unicode forms"
            );
            findings.problems.push(Problem {
                kind: ProblemKind::Collision,
                path,
                message,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_homing_gives_are_its_temporary_files() {
        assert!(is_own_temporary(b".homing-12-3"));
        assert!(is_own_temporary(
            format!(".homing-12-3{}", crate::ASIDE).as_bytes()
        ));
        for other in [
            &b".homing-"[..],
            b".homing-12",
            b".homing-a-b",
            b"homing-1-2",
            b".homing-1-2-3",
            b".homing--",
        ] {
            assert!(!is_own_temporary(other), "{}", shown(other));
        }
    }
}
