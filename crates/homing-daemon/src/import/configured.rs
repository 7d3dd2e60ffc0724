//! Which configured source a cached file belongs to.

use std::collections::BTreeSet;

use homing_config::{Config, SourceConfig};
use homing_core::{ItemKey, Selection, SourceId};

use super::place::{Origin, Place};

/// References that are mostly the default branch: a source that names none follows one of them.
const DEFAULT_BRANCHES: [&str; 2] = ["main", "master"];

/// A configured source that cached files may belong to.
#[derive(Debug)]
pub(crate) struct Configured {
    pub(super) id: SourceId,
    pub(super) settings: homing_api::ImportedSettings,
    /// Where its keys begin.
    base: Place,
    /// Bytes of its largest file.
    pub(super) max_file_size: u64,
    selection: Option<Selection>,
    /// The only keys that it has; `None`: whatever is there.
    files: Option<BTreeSet<String>>,
}

/// How a source stands to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Belongs {
    /// It has it under this key.
    As(ItemKey),
    /// It is the source's place, but its configuration leaves the file out.
    LeftOut,
    /// It is another place.
    Not,
}

impl Configured {
    /// Returns the sources of a configuration that cached files may belong to.
    pub(crate) fn of(config: &Config) -> Vec<Self> {
        let sources = config.sources.iter();
        sources
            .filter_map(|(id, source)| Self::new(id, source))
            .collect()
    }

    fn new(id: &SourceId, source: &SourceConfig) -> Option<Self> {
        let (place, settings, files) = super::settings::of(source)?;
        Some(Self {
            id: id.clone(),
            settings,
            base: place,
            max_file_size: source.max_file_size,
            selection: Selection::new(&source.include, &source.exclude).ok(),
            files,
        })
    }

    /// Tells whether a file is the source's.
    pub(super) fn has(&self, place: &Place) -> Belongs {
        let Some(below) = self.below(place) else {
            return Belongs::Not;
        };
        if self
            .files
            .as_ref()
            .is_some_and(|files| !files.contains(below))
        {
            return Belongs::Not;
        }
        let Ok(key) = super::settings::key(&self.base, place) else {
            return Belongs::Not;
        };
        let covers = |selection: &Selection| selection.covers(key.as_str());
        if self.selection.as_ref().is_some_and(covers) {
            Belongs::As(key)
        } else {
            Belongs::LeftOut
        }
    }

    /// Returns what of a path lies below the source's place.
    pub(super) fn below<'p>(&self, place: &'p Place) -> Option<&'p str> {
        let same = match (&self.base.origin, &place.origin) {
            (Origin::Http(ours), Origin::Http(theirs)) => ours == theirs,
            (
                Origin::Github {
                    owner,
                    name,
                    reference,
                },
                Origin::Github {
                    owner: their_owner,
                    name: their_name,
                    reference: their_reference,
                },
            ) => {
                owner.eq_ignore_ascii_case(their_owner)
                    && name.eq_ignore_ascii_case(their_name)
                    && same_reference(reference.as_deref(), their_reference.as_deref())
            }
            _ => false,
        };
        if !same {
            return None;
        }
        below(&self.base.path, &place.path)
    }

    /// Returns how much of a path is the source's place: the longest is the nearest.
    pub(super) fn depth(&self) -> usize {
        self.base.path.len()
    }
}

/// Returns what of a path lies below a directory.
pub(super) fn below<'p>(directory: &str, path: &'p str) -> Option<&'p str> {
    if directory.is_empty() {
        return Some(path);
    }
    path.strip_prefix(directory)?.strip_prefix('/')
}

fn same_reference(ours: Option<&str>, theirs: Option<&str>) -> bool {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => ours == theirs,
        (None, None) => true,
        (Some(one), None) | (None, Some(one)) => DEFAULT_BRANCHES.contains(&one),
    }
}
