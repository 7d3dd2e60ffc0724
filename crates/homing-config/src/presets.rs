//! Presets: the directories of a tool as targets, and which of them serve several tools.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use homing_core::{SourceId, TargetId};

use crate::places::Resolved;
use crate::target::TargetRead;
use crate::tools::Places;
use crate::{Config, Part, Tool};

/// What a target is that has a tool's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    /// The tool.
    pub tool: Tool,
    /// What the directory is for.
    pub part: Part,
    /// The project whose directory it is; `None`: the user's.
    pub project: Option<PathBuf>,
    /// The sources that its section names, whoever serves them.
    pub wants: Vec<SourceId>,
    /// `include_kinds` does not name its kind.
    pub is_left_out: bool,
    /// Sources whose items the tool reads in the directory of another target.
    pub served: Vec<Served>,
    /// Sources whose items the tool reads in this directory and in the one of another target.
    pub read_twice: Vec<Served>,
}

/// A source whose items another target has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The source.
    pub source: SourceId,
    /// The target.
    pub by: TargetId,
    /// Its directory.
    pub path: PathBuf,
}

/// A directory, as the file system knows it, and which target publishes there.
type Host = (PathBuf, usize);

impl Config {
    /// Returns the sources that each section of a target names.
    pub fn target_sections(&self) -> BTreeMap<&str, BTreeSet<&SourceId>> {
        let mut sections: BTreeMap<&str, BTreeSet<&SourceId>> = BTreeMap::new();
        for (id, target) in &self.targets {
            let preset = target.preset.as_ref();
            let named = preset.map_or(&target.from, |preset| &preset.wants);
            sections.entry(id.section()).or_default().extend(named);
        }
        sections
    }
}

/// A preset that wants skills.
struct Reader {
    /// Where its own part is among the targets.
    at: usize,
    project: Option<PathBuf>,
    /// What it reads, as the file system knows it; its own first.
    reads: Vec<PathBuf>,
    /// The directory that several tools read, if it is one of those.
    shared: Option<PathBuf>,
    wants: Vec<SourceId>,
}

/// Takes those parts out of the targets that are to hold nothing.
pub(crate) fn leave_out(targets: &mut Vec<TargetRead>) -> Vec<TargetRead> {
    let is_left_out = |target: &mut TargetRead| {
        let preset = target.config.preset.as_ref();
        preset.is_some_and(|preset| preset.is_left_out)
    };
    targets.extract_if(.., is_left_out).collect()
}

/// Decides in which directories skills are published.
///
/// Tools read each other's directories, and what lies in two of them is listed twice. So the skills of each source go
/// into the fewest directories of which each tool reads one. A directory that belongs to one tool is only taken when
/// that tool is to have the source.
pub(crate) fn settle(targets: &mut Vec<TargetRead>) {
    let readers: Vec<Reader> = targets
        .iter()
        .enumerate()
        .filter_map(|(at, target)| reader(at, target))
        .collect();
    let mut hosted: BTreeMap<Host, Vec<SourceId>> = BTreeMap::new();
    let mut chosen: BTreeMap<(Option<PathBuf>, SourceId), Vec<Host>> = BTreeMap::new();
    for reader in &readers {
        for source in reader.wants.clone() {
            let key = (reader.project.clone(), source.clone());
            if chosen.contains_key(&key) {
                continue;
            }
            let group: Vec<&Reader> = readers
                .iter()
                .filter(|other| other.project == reader.project)
                .collect();
            let directories = choose(&group, &source);
            let hosts: Vec<Host> = directories
                .into_iter()
                .filter_map(|path| Some((path.clone(), host(&group, &path, &source)?)))
                .collect();
            for (path, at) in &hosts {
                let from = hosted.entry((path.clone(), *at)).or_default();
                from.push(source.clone());
            }
            chosen.insert(key, hosts);
        }
    }
    for ((_, at), from) in &mut hosted {
        // What came first until here is the order of whichever section stands first.
        let wants = readers.iter().find(|reader| reader.at == *at);
        let wants = wants.map_or(&[][..], |reader| &reader.wants);
        let place = |source: &SourceId| wants.iter().position(|wanted| wanted == source);
        from.sort_by_key(|source| place(source).unwrap_or(usize::MAX));
    }
    let ids = assign(targets, &readers, &hosted);
    for reader in &readers {
        let own = targets[reader.at].id.clone();
        let Some(preset) = targets[reader.at].config.preset.as_mut() else {
            continue;
        };
        for source in &reader.wants {
            let hosts = &chosen[&(reader.project.clone(), source.clone())];
            let mut read = hosts
                .iter()
                .filter(|(path, _)| reader.reads.contains(path))
                .filter_map(|host| {
                    let (by, path) = ids.get(host)?;
                    let (source, by, path) = (source.clone(), by.clone(), path.clone());
                    Some(Served { source, by, path })
                });
            let first = read.next();
            preset.read_twice.extend(read);
            preset.served.extend(first.filter(|first| first.by != own));
        }
    }
}

fn reader(at: usize, target: &TargetRead) -> Option<Reader> {
    let preset = target.config.preset.as_ref()?;
    if preset.part != Part::Skills {
        return None;
    }
    let places = target.places.as_ref()?;
    let real = |path: &PathBuf| Resolved::new(path).real;
    Some(Reader {
        at,
        project: preset.project.clone(),
        reads: places.skills.iter().map(real).collect(),
        shared: places.shared_skills().map(real),
        wants: preset.wants.clone(),
    })
}

/// Chooses the directories of one source's skills: every tool that wants it reads one of them. The fewest; among those
/// the ones of which most tools read just one, and no tool that was not to have it; then the tools' own.
fn choose(group: &[&Reader], source: &SourceId) -> Vec<PathBuf> {
    let (wanting, others): (Vec<&Reader>, Vec<&Reader>) = group
        .iter()
        .copied()
        .partition(|reader| reader.wants.contains(source));
    let own = wanting.iter().map(|reader| &reader.reads[0]);
    let shared = wanting.iter().filter_map(|reader| reader.shared.as_ref());
    let mut candidates: Vec<&PathBuf> = Vec::new();
    for path in own.chain(shared) {
        if !candidates.contains(&path) {
            candidates.push(path);
        }
    }
    let is_owned = |path: &PathBuf| wanting.iter().any(|reader| reader.reads[0] == *path);
    let subsets = 1_u32..1 << candidates.len().min(16);
    let best = subsets
        .filter_map(|subset| {
            let picked: Vec<&PathBuf> = (0..candidates.len())
                .filter(|at| subset & (1 << at) != 0)
                .map(|at| candidates[at])
                .collect();
            let reads = |reader: &Reader| {
                let read = picked.iter().filter(|path| reader.reads.contains(path));
                read.count()
            };
            if wanting.iter().any(|reader| reads(reader) == 0) {
                return None;
            }
            let twice = wanting.iter().filter(|reader| reads(reader) > 1);
            let unwanted = others.iter().filter(|reader| reads(reader) > 0);
            let foreign = picked.iter().filter(|path| !is_owned(path));
            let rank = (
                picked.len(),
                twice.count(),
                unwanted.count(),
                foreign.count(),
                subset,
            );
            Some((rank, picked))
        })
        .min();
    let picked = best.map(|(_, picked)| picked).unwrap_or_default();
    picked.into_iter().cloned().collect()
}

/// Returns which preset publishes into a directory: whose own it is, else the first that reads it.
fn host(group: &[&Reader], path: &Path, source: &SourceId) -> Option<usize> {
    let owner = group.iter().find(|reader| reader.reads[0] == path);
    let wants = |reader: &&&Reader| reader.wants.contains(source);
    let reads = |reader: &&&Reader| reader.reads.iter().any(|read| read == path);
    owner
        .or_else(|| group.iter().filter(reads).find(wants))
        .map(|reader| reader.at)
}

/// Gives every target its sources, and those targets that publish into a directory that is nobody's own a part for it.
/// Returns the id and the path of each directory.
fn assign(
    targets: &mut Vec<TargetRead>,
    readers: &[Reader],
    hosted: &BTreeMap<Host, Vec<SourceId>>,
) -> BTreeMap<Host, (TargetId, PathBuf)> {
    let mut ids = BTreeMap::new();
    let mut parts: BTreeMap<PathBuf, TargetRead> = BTreeMap::new();
    for reader in readers {
        targets[reader.at].config.from.clear();
    }
    for ((path, at), from) in hosted {
        let target = &mut targets[*at];
        let is_own = readers
            .iter()
            .any(|reader| reader.at == *at && reader.reads[0] == *path);
        if is_own {
            target.config.from.clone_from(from);
            let place = (target.id.clone(), target.config.path.clone());
            ids.insert((path.clone(), *at), place);
            continue;
        }
        let shared = target.places.as_ref().and_then(Places::shared_skills);
        let written = shared.cloned().unwrap_or_else(|| path.clone());
        let part = parts.entry(path.clone()).or_insert_with(|| {
            let mut part = target.clone();
            part.config.path.clone_from(&written);
            part.config.from.clear();
            part.id = part_id(target.id.section(), "shared-skills");
            part
        });
        let known: BTreeSet<SourceId> = part.config.from.iter().cloned().collect();
        let new = from.iter().filter(|source| !known.contains(source));
        part.config.from.extend(new.cloned());
        ids.insert((path.clone(), *at), (part.id.clone(), written));
    }
    targets.extend(parts.into_values());
    ids
}

/// Returns the id of a part of a preset.
pub(crate) fn part_id(name: &str, part: &str) -> TargetId {
    let id = format!("{name}.{part}").parse();
    id.expect("a section's name and a word make the id of a part")
}
