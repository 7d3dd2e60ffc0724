//! Which names of a remote system are items, and which of them are wanted.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Bound;

use homing_core::{
    ItemKey, KeyError, Limits, Problem, ProblemKind, Scope, Selection, SideError, shown,
};

/// Bytes of a name that are shown.
const MOST_SHOWN: usize = 300;

/// What of a remote system is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The whole of it, for messages.
    pub place: &'a str,
    /// Only this subdirectory of it, without a slash at the end.
    pub path: Option<&'a str>,
    /// Which names.
    pub selection: &'a Selection,
    /// How much.
    pub limits: Limits,
    /// Which keys.
    pub scope: &'a Scope,
}

impl Wanted<'_> {
    /// Makes a key of a name below `path`; `None` for what is elsewhere. The problem says why a name cannot be one.
    pub fn key(&self, name: &[u8]) -> Result<Option<ItemKey>, Problem> {
        let below = match self.path {
            None => name,
            Some(path) => {
                let rest = name.strip_prefix(path.as_bytes());
                let Some(below) = rest.and_then(|rest| rest.strip_prefix(b"/")) else {
                    return Ok(None);
                };
                below
            }
        };
        key_of(below).map(Some).map_err(|why| Problem {
            kind: ProblemKind::Name,
            path: shown(&name[..name.len().min(MOST_SHOWN)]),
            message: format!("{why}; it is left out"),
        })
    }

    /// Tells whether a file under this key would be taken in.
    pub fn wants(&self, key: &ItemKey) -> bool {
        self.is_in_scope(key) && self.selection.covers(key.as_str())
    }

    /// Tells whether a file under this key makes a difference: it is taken in, or in the way of what was asked for.
    pub fn is_concerned(&self, key: &ItemKey) -> bool {
        let is_in_the_way = match self.scope {
            Scope::Whole => false,
            Scope::Keys(keys) => key.ancestors().any(|way| keys.contains(way)),
        };
        is_in_the_way || self.wants(key)
    }

    pub(super) fn is_in_scope(&self, key: &ItemKey) -> bool {
        match self.scope {
            Scope::Whole => true,
            // A file on the way to a key that was asked for blocks it.
            Scope::Keys(keys) => keys.contains(key) || any_below(keys, key.as_str()),
        }
    }

    /// Returns what it means that there are more files than are taken.
    pub fn too_many(&self) -> SideError {
        self.too_much(&format!(
            "more than {} files; raise `max_files`",
            self.limits.max_files
        ))
    }

    pub(super) fn too_much(&self, what: &str) -> SideError {
        SideError::Untrusted {
            message: format!(
                "{} holds {what}, or narrow path, include or exclude",
                self.place
            ),
        }
    }
}

/// Tells whether one of `keys` lies below `path`.
pub(super) fn any_below(keys: &BTreeSet<ItemKey>, path: &str) -> bool {
    let below = format!("{path}/");
    keys.range::<str, _>((Bound::Excluded(below.as_str()), Bound::Unbounded))
        .next()
        .is_some_and(|key| key.as_str().starts_with(&below))
}

/// Makes a key of a name that a stranger sent.
///
/// Stricter than a key must be: what Windows takes for a separator or a drive, and Git's own directory, are no names.
pub fn key_of(name: &[u8]) -> Result<ItemKey, Cow<'static, str>> {
    let text = str::from_utf8(name).map_err(|_not_text| KeyError::NotUtf8.to_string())?;
    let key = ItemKey::new(text).map_err(|error| error.to_string())?;
    if text.contains('\\') {
        return Err("the name has a backslash, which separates directories elsewhere".into());
    }
    if text.chars().any(is_hidden) {
        return Err("the name has a character that nobody sees, or that turns text around".into());
    }
    for component in text.split('/') {
        let bytes = component.as_bytes();
        if bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' {
            return Err("the name begins with a drive letter".into());
        }
        if is_git_directory(component) {
            return Err("a part of the path is `.git`, Git's own directory".into());
        }
    }
    Ok(key)
}

/// Tells which characters make a name look like another one: controls of direction, and invisible ones. Those that join
/// the parts of a letter or of a picture stay.
fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}')
}

/// Tells whether some file system takes a name for `.git`, as Git itself does.
fn is_git_directory(name: &str) -> bool {
    // HFS+ ignores some characters; NTFS ignores dots and spaces at the end, and what follows a colon.
    let visible: String = name
        .chars()
        .filter(|character| {
            !matches!(*character, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
        })
        .collect();
    let stem = visible.split(':').next().unwrap_or_default();
    let stem = stem.trim_end_matches(['.', ' ']);
    stem.eq_ignore_ascii_case(".git") || stem.eq_ignore_ascii_case("git~1")
}
