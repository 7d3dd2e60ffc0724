//! Where claude-mpm keeps what is taken over, and the cached files that a document names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use homing_api::{ImportedFile, ImportedSource};
use homing_config::ConfigError;

use super::{Context, ImportReport, Kind};
use crate::error::CliError;

/// What `ETag` caches are called.
const CACHE_NAMES: [&str; 2] = [".etag-cache.json", ".etag_cache.json"];
/// No cache is deeper.
const MOST_LEVELS: usize = 16;

/// The lists of sources, where there are any.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) agents: Option<PathBuf>,
    pub(super) skills: Option<PathBuf>,
}

impl Lists {
    /// Looks where claude-mpm keeps them.
    pub(super) fn find(context: &Context) -> Self {
        let in_home = |name: &str| {
            let home = context.env.home.as_ref()?;
            let path = home.join(".claude-mpm/config").join(name);
            path.is_file().then_some(path)
        };
        Self {
            agents: in_home(homing_api::import::AGENT_SOURCES),
            skills: in_home(homing_api::import::SKILL_SOURCES),
        }
    }
}

/// Returns the caches or databases that claude-mpm has, and the places that were looked at.
pub(super) fn documents(
    kind: Kind,
    context: &Context,
) -> Result<(Vec<PathBuf>, Vec<String>), CliError> {
    let home = context.env.home.as_ref().ok_or(ConfigError::NoHome)?;
    let mut found = Vec::new();
    let mut places = Vec::new();
    match kind {
        Kind::AgentSyncDb => {
            for place in [
                ".config/claude-mpm/agent_sync.db",
                ".claude-mpm/agent_sync.db",
            ] {
                let path = home.join(place);
                places.push(path.display().to_string());
                found.extend(path.symlink_metadata().is_ok().then_some(path));
            }
        }
        Kind::EtagCache => {
            for place in ["remote-agents", "agents", "skills"] {
                let directory = home.join(".claude-mpm/cache").join(place);
                places.push(
                    directory
                        .join("**")
                        .join(CACHE_NAMES[0])
                        .display()
                        .to_string(),
                );
                places.push(
                    directory
                        .join("**")
                        .join(CACHE_NAMES[1])
                        .display()
                        .to_string(),
                );
                caches(&directory, MOST_LEVELS, &mut found);
            }
        }
    }
    Ok((found, places))
}

/// Finds `ETag` caches below a directory, without following links.
fn caches(directory: &Path, levels: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() && levels > 0 {
            caches(&entry.path(), levels - 1, found);
        } else if kind.is_file() && CACHE_NAMES.iter().any(|name| entry.file_name() == *name) {
            found.push(entry.path());
        }
    }
}

/// Returns the directories that have the files of a document.
fn roots(kind: Kind, document: &Path, context: &Context) -> Vec<PathBuf> {
    let directory = document.parent().unwrap_or(Path::new("/"));
    let mut roots = vec![directory.to_owned()];
    if let (Kind::AgentSyncDb, Some(home)) = (kind, &context.env.home) {
        let caches = ["agents", "remote-agents"];
        roots.extend(caches.map(|name| home.join(".claude-mpm/cache").join(name)));
    }
    roots
}

/// Finds the `ETag` caches beside a database, and beside its files: one schema has none itself.
pub(super) fn etags(kind: Kind, document: &Path, context: &Context) -> Vec<PathBuf> {
    if kind == Kind::EtagCache {
        return Vec::new();
    }
    let roots = roots(kind, document, context).into_iter();
    let caches = roots.flat_map(|root| CACHE_NAMES.map(|name| root.join(name)));
    caches.filter(|path| path.is_file()).collect()
}

/// Finds the cached files that a document names: their ids and where they are.
pub(super) fn cached(
    kind: Kind,
    document: &Path,
    named: &ImportReport,
    context: &Context,
) -> Vec<(String, PathBuf)> {
    let home = context.env.home.as_deref();
    let roots = roots(kind, document, context);
    let below = |place: &str| -> Vec<PathBuf> {
        if place.starts_with('/') {
            let file = home.and_then(|home| within(home, Path::new(place)));
            return file.into_iter().collect();
        }
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if !Path::new(place).components().all(is_plain) {
            return Vec::new();
        }
        let files = roots
            .iter()
            .filter_map(|root| within(root, &root.join(place)));
        files.collect()
    };
    let all = named.sources.iter().flat_map(|source| match kind {
        // Each of its files was recorded with a hash, so that all that may be meant are sent.
        Kind::AgentSyncDb => {
            let files = source.files.iter();
            files
                .flat_map(|file| with_id(file, file.places.iter().flat_map(|at| below(at))))
                .collect()
        }
        Kind::EtagCache => of_cache(source, &below),
    });
    let all: BTreeSet<(String, PathBuf)> = all.collect();
    if kind == Kind::AgentSyncDb {
        return all.into_iter().collect();
    }
    // A file that two entries could mean may be the other's.
    let mut claims: BTreeMap<&PathBuf, usize> = BTreeMap::new();
    for (_, file) in &all {
        *claims.entry(file).or_default() += 1;
    }
    let is_meant = |(_, file): &&(String, PathBuf)| claims[file] == 1;
    all.iter().filter(is_meant).cloned().collect()
}

fn with_id<'f>(
    file: &'f ImportedFile,
    places: impl Iterator<Item = PathBuf> + 'f,
) -> impl Iterator<Item = (String, PathBuf)> + 'f {
    places.map(|place| (file.id.clone(), place))
}

/// Finds the files of a source in a cache. One part of their URLs is the directory of the cache for all of them: the one
/// below which most are.
fn of_cache(
    source: &ImportedSource,
    below: &impl Fn(&str) -> Vec<PathBuf>,
) -> Vec<(String, PathBuf)> {
    let depth = source.files.iter().map(|file| file.places.len()).max();
    let at = |depth: usize| -> Vec<(String, PathBuf)> {
        let files = source.files.iter();
        files
            .flat_map(|file| {
                let place = file.places.get(depth).into_iter();
                with_id(file, place.flat_map(|place| below(place)))
            })
            .collect()
    };
    let mut most = Vec::new();
    for depth in 0..depth.unwrap_or(0) {
        let found = at(depth);
        if found.len() > most.len() {
            most = found;
        }
    }
    most
}

/// Returns a file's real place, when it is a regular file that lies below `root`.
fn within(root: &Path, file: &Path) -> Option<PathBuf> {
    let (root, file) = (fs::canonicalize(root).ok()?, fs::canonicalize(file).ok()?);
    (file.starts_with(root) && file.is_file()).then_some(file)
}

#[cfg(test)]
mod tests {
    use homing_api::{ImportOutcome, ImportedSettings};

    use super::*;

    fn source(paths: &[&str]) -> ImportedSource {
        let file = |path: &&str| {
            let starts = std::iter::once(0).chain(path.match_indices('/').map(|(at, _)| at + 1));
            ImportedFile {
                id: (*path).to_owned(),
                path: (*path).to_owned(),
                outcome: ImportOutcome::Missing,
                detail: None,
                places: starts.map(|at| path[at..].to_owned()).collect(),
            }
        };
        ImportedSource {
            id: "own-rep".to_owned(),
            configured: false,
            settings: ImportedSettings::default(),
            synced_before: false,
            files: paths.iter().map(file).collect(),
            syncs: 0,
        }
    }

    #[test]
    fn one_part_of_the_urls_is_the_directory_of_the_cache() {
        let there = ["a.md", "sub/b.md", "b.md"];
        let below = |place: &str| -> Vec<PathBuf> {
            let known = there.iter().filter(|known| **known == place);
            known.map(PathBuf::from).collect()
        };
        let found = of_cache(
            &source(&["own/rep/main/a.md", "own/rep/main/sub/b.md"]),
            &below,
        );
        let places: Vec<&str> = found.iter().filter_map(|(_, at)| at.to_str()).collect();
        assert_eq!(
            places,
            ["a.md", "sub/b.md"],
            "not `b.md`, which is another file"
        );
    }
}
