//! The entries of an archive, one after the other, and what they come to.

use std::collections::BTreeMap;
use std::sync::Arc;

use homing_core::{
    ContentHash, Contents, Item, ItemKey, ProblemKind, Scope, Selection, SideError, shown,
};
use homing_remote::{Entry, EntryKind, Gathering, Problems, Unpacker, Wanted};

use crate::{HttpOptions, Inner};

/// Bytes of a name that are shown.
const MOST_SHOWN: usize = 300;

/// Keeps what is wanted of an archive, and notes the rest.
pub(crate) struct Unpacking {
    wants: Wants,
    /// Where the contents go; `None`: nowhere, they are only counted.
    contents: Option<Arc<dyn Contents>>,
    found: BTreeMap<ItemKey, Found>,
    wrong: Problems,
    files: usize,
    bytes: u64,
}

/// What decides which entries are wanted, on a thread of its own.
struct Wants {
    options: HttpOptions,
    selection: Selection,
    scope: Scope,
    place: String,
    /// What comes before each name: the skill and a slash.
    prefix: String,
}

struct Found {
    kind: EntryKind,
    size: u64,
    executable: bool,
    hash: Option<ContentHash>,
    is_again: bool,
}

/// What an archive came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// Items.
    pub(crate) count: usize,
    /// Bytes of them all.
    pub(crate) bytes: u64,
}

impl Wants {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            place: &self.place,
            path: self.options.path.as_deref(),
            selection: &self.selection,
            limits: self.options.limits,
            scope: &self.scope,
        }
    }
}

impl Unpacker for Unpacking {
    fn entry(&mut self, entry: &mut Entry<'_>) -> Result<(), SideError> {
        if let Some(why) = entry.hostile {
            let name = &entry.name[..entry.name.len().min(MOST_SHOWN)];
            return Err(SideError::Untrusted {
                message: format!(
                    "the archive has the entry `{}`, {why}; all of it is refused",
                    shown(name)
                ),
            });
        }
        if entry.kind == EntryKind::Directory {
            return Ok(());
        }
        let name = [self.wants.prefix.as_bytes(), entry.name].concat();
        let is_file = matches!(entry.kind, EntryKind::File | EntryKind::Unreadable(_));
        let wanted = self.wants.wanted();
        // A name may be long and there may be many: what is no key, or of no use, is not kept.
        let key = match wanted.key(&name) {
            Ok(Some(key)) if !is_file || wanted.is_concerned(&key) => key,
            Ok(_) => return Ok(()),
            Err(problem) => {
                // What cannot be a key blocks nothing.
                if is_file {
                    self.wrong.add(|| problem);
                }
                return Ok(());
            }
        };
        let takes = entry.kind == EntryKind::File && wanted.wants(&key);
        // As with every unpacker, the last entry of a name is what is there in the end.
        let earlier = self.found.remove(&key);
        if let Some(earlier) = &earlier {
            self.count(earlier, false);
        }
        let mut found = Found {
            kind: entry.kind.clone(),
            size: entry.size,
            executable: entry.executable,
            hash: None,
            is_again: earlier.is_some(),
        };
        self.count(&found, true);
        let limits = self.wants.options.limits;
        // Told with the reason when all names are gathered, for which those that are too many are not needed.
        if self.files > limits.max_files.saturating_add(1) {
            self.count(&found, false);
            return Ok(());
        }
        let is_too_much = self.files > limits.max_files || self.bytes > limits.max_total_size;
        if takes
            && !is_too_much
            && entry.size <= limits.max_file_size
            && let Some(contents) = &self.contents
        {
            found.hash = Some(entry.keep(contents.as_ref(), &mut ())?);
        }
        self.found.insert(key, found);
        Ok(())
    }
}

impl Unpacking {
    /// Begins to look at an archive whose names stand behind `prefix`.
    pub(crate) fn new(
        inner: &Inner,
        scope: &Scope,
        prefix: String,
        contents: Option<Arc<dyn Contents>>,
    ) -> Result<Self, SideError> {
        let options = inner.options.clone();
        Ok(Self {
            wants: Wants {
                selection: Selection::new(&options.include, &options.exclude)?,
                options,
                scope: scope.clone(),
                place: inner.place.clone(),
                prefix,
            },
            contents,
            found: BTreeMap::new(),
            wrong: Problems::default(),
            files: 0,
            bytes: 0,
        })
    }

    fn count(&mut self, found: &Found, is_more: bool) {
        if found.kind != EntryKind::File {
            return;
        }
        let is_small = found.size <= self.wants.options.limits.max_file_size;
        let bytes = if is_small { found.size } else { 0 };
        if is_more {
            self.files += 1;
            self.bytes = self.bytes.saturating_add(bytes);
        } else {
            self.files -= 1;
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Gathers what was found.
    ///
    /// `called` makes the identity of its items of how many they are; of none where the archive has more than they.
    pub(crate) fn gather(
        self,
        gathering: &mut Gathering<'_>,
        called: impl FnOnce(Option<usize>) -> homing_core::Identity,
    ) -> Result<Unpacked, SideError> {
        let before = gathering.noted();
        gathering.note_all(self.wrong);
        let mut items = Vec::new();
        let mut bytes = 0;
        for (key, found) in self.found {
            match found.kind {
                EntryKind::File => {}
                EntryKind::Directory => continue,
                EntryKind::Link => {
                    gathering.not_a_file_at(&key, ProblemKind::Link, "a link");
                    continue;
                }
                EntryKind::Special => {
                    gathering.not_a_file_at(&key, ProblemKind::SpecialFile, "no regular file");
                    continue;
                }
                EntryKind::Unreadable(why) => {
                    if gathering.file_at(&key)? {
                        gathering.not_fetched(&key, format!("it cannot be unpacked: {why}"));
                    }
                    continue;
                }
            }
            if !gathering.file_at(&key)? || !gathering.fits(&key, found.size) {
                continue;
            }
            if found.is_again {
                gathering.problem(
                    ProblemKind::Collision,
                    key.as_str(),
                    "it is in the archive more than once; the last is taken".to_owned(),
                );
            }
            gathering.count(found.size)?;
            bytes += found.size;
            items.push((key, found));
        }
        let count = items.len();
        let is_all = gathering.noted() == before;
        let identity = called(is_all.then_some(count));
        for (key, found) in items {
            match found.hash {
                Some(hash) => {
                    let item = Item {
                        hash,
                        size: found.size,
                        executable: found.executable,
                        identity: Some(identity.clone()),
                    };
                    gathering.present(key, item);
                }
                None => gathering.not_fetched(&key, "it was not unpacked".to_owned()),
            }
        }
        Ok(Unpacked { count, bytes })
    }
}
