//! Which directories are the same or nested, whatever they are called.

use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::SourceKind;
use crate::diagnostic::Complaints;
use crate::forbidden::Forbidden;
use crate::source::SourceRead;
use crate::target::TargetRead;
use crate::{Env, Locations};

/// A path as the file system knows it.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// The path with the links of its existing part resolved.
    pub(crate) real: PathBuf,
    /// Device and inode of the existing part and of all that it lies in, innermost first.
    existing: Vec<(u64, u64)>,
    /// What does not exist yet.
    rest: Vec<OsString>,
}

/// How one path lies to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    /// They are one directory.
    Same,
    /// The first lies in the second.
    Inside,
    /// The first contains the second.
    Contains,
}

impl Resolved {
    /// Looks at the file system. What cannot be seen counts as not there yet.
    pub(crate) fn new(path: &Path) -> Self {
        let mut rest = Vec::new();
        let mut existing = path.to_owned();
        let real = loop {
            if let Ok(real) = fs::canonicalize(&existing) {
                break real;
            }
            rest.extend(existing.file_name().map(ToOwned::to_owned));
            if !existing.pop() {
                break PathBuf::from("/");
            }
        };
        rest.reverse();
        let ids = real
            .ancestors()
            .filter_map(|path| fs::metadata(path).ok())
            .map(|found| (found.dev(), found.ino()));
        Self {
            existing: ids.collect(),
            real: rest.iter().fold(real.clone(), |path, part| path.join(part)),
            rest,
        }
    }

    /// Compares by device and inode, so that other spellings, links and second mounts of a directory are found out.
    pub(crate) fn relation(&self, other: &Self) -> Option<Relation> {
        match (other.covers(self), self.covers(other)) {
            (true, true) => Some(Relation::Same),
            (true, false) => Some(Relation::Inside),
            (false, true) => Some(Relation::Contains),
            (false, false) => None,
        }
    }

    /// Tells whether `other` is this or lies in it.
    fn covers(&self, other: &Self) -> bool {
        let Some(end) = self.existing.first() else {
            return false;
        };
        if self.rest.is_empty() {
            return other.existing.contains(end);
        }
        other.existing.first() == Some(end)
            && other.rest.len() >= self.rest.len()
            && self
                .rest
                .iter()
                .zip(&other.rest)
                .all(|(ours, theirs)| same_name(ours, theirs))
    }
}

/// Compares two names that do not exist yet, as the usual file system of this platform would.
fn same_name(one: &OsString, other: &OsString) -> bool {
    if cfg!(target_os = "macos") {
        one.to_string_lossy().to_lowercase() == other.to_string_lossy().to_lowercase()
    } else {
        one == other
    }
}

/// Leaves away the directories of left-out parts that a target, a source or another of them has to do with.
pub(crate) fn undisputed(
    left_out: Vec<TargetRead>,
    sources: &[SourceRead],
    targets: &[TargetRead],
) -> Vec<TargetRead> {
    if left_out.is_empty() {
        return left_out;
    }
    let published = targets.iter().map(|target| &target.config.path);
    let roots = sources
        .iter()
        .filter_map(|source| match &source.config.kind {
            SourceKind::Dir { root } => Some(root),
            SourceKind::Http { .. } | SourceKind::Github { .. } | SourceKind::Git { .. } => None,
        });
    let mut taken: Vec<Resolved> = published
        .chain(roots)
        .map(|path| Resolved::new(path))
        .collect();
    let mut undisputed = Vec::new();
    for target in left_out {
        let place = Resolved::new(&target.config.path);
        if taken.iter().all(|other| place.relation(other).is_none()) {
            taken.push(place);
            undisputed.push(target);
        }
    }
    undisputed
}

struct Place {
    label: String,
    path: PathBuf,
    resolved: Resolved,
    span: Range<usize>,
}

/// Complains about directories that get in each other's way.
pub(crate) fn check(
    sources: &[SourceRead],
    targets: &[TargetRead],
    locations: &Locations,
    env: &Env,
    complaints: &mut Complaints,
) {
    let place = |label: String, path: &Path, span: &Range<usize>| Place {
        label,
        path: path.to_owned(),
        resolved: Resolved::new(path),
        span: span.clone(),
    };
    let local: Vec<(&SourceRead, &PathBuf)> = sources
        .iter()
        .filter_map(|source| match &source.config.kind {
            SourceKind::Dir { root } => Some((source, root)),
            SourceKind::Http { .. } | SourceKind::Github { .. } | SourceKind::Git { .. } => None,
        })
        .collect();
    let selected: Vec<Place> = local
        .iter()
        .map(|(source, root)| {
            let path = source
                .config
                .path
                .as_ref()
                .map_or((*root).clone(), |path| root.join(path.as_str()));
            place(format!("source `{}`", source.id), &path, &source.root_span)
        })
        .collect();
    let roots: Vec<Place> = local
        .iter()
        .map(|(source, root)| place(format!("source `{}`", source.id), root, &source.root_span))
        .collect();
    let published: Vec<Place> = targets
        .iter()
        .map(|target| {
            place(
                format!("target `{}`", target.id),
                &target.config.path,
                &target.path_span,
            )
        })
        .collect();

    pairs(
        &selected,
        "give each source a directory of its own",
        complaints,
    );
    pairs(
        &published,
        "give each target a directory of its own",
        complaints,
    );
    for target in &published {
        for source in &roots {
            overlap(
                target,
                source,
                "publish into a directory outside of every source",
                complaints,
            );
        }
    }
    let forbidden = Forbidden::new(locations, env);
    for target in &published {
        if let Some(reason) = forbidden.as_target(&target.path, &target.resolved) {
            let hint = "choose a directory that is only for published files".to_owned();
            complaints.add(
                target.span.clone(),
                format!("{} may not be there: {reason}", target.label),
                Some(hint),
            );
        }
    }
    for source in &selected {
        if let Some(reason) = forbidden.as_source(&source.resolved) {
            let hint = "choose another directory, or only a part of it with `path`".to_owned();
            complaints.add(
                source.span.clone(),
                format!("{} may not be there: {reason}", source.label),
                Some(hint),
            );
        }
    }
}

fn pairs(places: &[Place], hint: &str, complaints: &mut Complaints) {
    for (at, one) in places.iter().enumerate() {
        for other in &places[at + 1..] {
            // The one that comes later in the file is to blame.
            let (first, second) = if one.span.start < other.span.start {
                (one, other)
            } else {
                (other, one)
            };
            overlap(second, first, hint, complaints);
        }
    }
}

fn overlap(one: &Place, other: &Place, hint: &str, complaints: &mut Complaints) {
    let Some(relation) = one.resolved.relation(&other.resolved) else {
        return;
    };
    let message = match relation {
        Relation::Same => format!("{} and {} are the same directory", one.label, other.label),
        Relation::Inside => format!("{} lies in {}", one.label, other.label),
        Relation::Contains => format!("{} contains {}", one.label, other.label),
    };
    let real = one.resolved.real.display().to_string();
    let place = if relation == Relation::Same {
        format!(" `{}`", real.escape_debug())
    } else {
        String::new()
    };
    complaints.add(
        one.span.clone(),
        format!("{message}{place}"),
        Some(hint.to_owned()),
    );
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn relations_are_seen_through_links_and_before_things_exist() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        symlink(dir.path().join("a"), dir.path().join("link")).unwrap();
        let relation = |one: &str, other: &str| {
            Resolved::new(&dir.path().join(one)).relation(&Resolved::new(&dir.path().join(other)))
        };
        assert_eq!(relation("a", "link"), Some(Relation::Same));
        assert_eq!(relation("a/b", "link"), Some(Relation::Inside));
        assert_eq!(relation("link", "a/b/not/yet"), Some(Relation::Contains));
        assert_eq!(relation("link/new", "a/new"), Some(Relation::Same));
        assert_eq!(relation("link/new/deeper", "a/new"), Some(Relation::Inside));
        assert_eq!(
            relation("link/new", "a/new/deeper"),
            Some(Relation::Contains)
        );
        assert_eq!(relation("a/new", "a/new2"), None);
        assert_eq!(relation("a/b", "a/c"), None);
        assert_eq!(relation("a/b/../b", "link/b"), Some(Relation::Same));
    }
}
