//! The key of an item: a relative path that cannot leave its root.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Names that begin like this belong to Homing's own temporary files; no item may have one.
const RESERVED_PREFIX: &str = ".homing-";

/// The path of an item below its side's root, `/` between the components.
///
/// UTF-8, at most 4,096 bytes, components of 1 to 255 bytes, none of them `.` or `..`, no control characters, no
/// component that begins with `.homing-`. Compared byte by byte; two keys that differ in case only are two keys. Clones
/// share the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey(Arc<str>);

/// Why a path is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing, or nothing between two slashes.
    #[error("the path, or a part of it, is empty")]
    Empty,
    /// A path from `/`, or one with `.` or `..` in it.
    #[error("the path could leave its directory")]
    Escapes,
    /// Newlines, escapes, NUL and other characters that a terminal would obey.
    #[error("the name has a control character")]
    ControlCharacter,
    /// Not text.
    #[error("the name is not UTF-8")]
    NotUtf8,
    /// Over 255 bytes in one component or over 4,096 in all.
    #[error("the name is too long (255 bytes a component, 4,096 in all)")]
    TooLong,
    /// `.homing-…` is for Homing's own temporary files.
    #[error("names that begin with `.homing-` are reserved for Homing's temporary files")]
    Reserved,
}

impl ItemKey {
    /// Checks `path` and makes a key of it.
    pub fn new(path: &str) -> Result<Self, KeyError> {
        if path.len() > 4096 {
            return Err(KeyError::TooLong);
        }
        if path.starts_with('/') {
            return Err(KeyError::Escapes);
        }
        for component in path.split('/') {
            match component {
                "" => return Err(KeyError::Empty),
                "." | ".." => return Err(KeyError::Escapes),
                _ if component.len() > 255 => return Err(KeyError::TooLong),
                _ if component.chars().any(char::is_control) => {
                    return Err(KeyError::ControlCharacter);
                }
                _ if component.starts_with(RESERVED_PREFIX) => return Err(KeyError::Reserved),
                _ => {}
            }
        }
        Ok(Self(path.into()))
    }

    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Returns the path of the directory that holds the item, `None` at the root.
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }

    /// Returns every directory on the way, outermost first: `a` and `a/b` for `a/b/c`.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }

    /// Tells whether this key is `prefix` or lies below it.
    pub fn is_within(&self, prefix: &str) -> bool {
        prefix.is_empty()
            || self
                .0
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

// Keys compare as their texts do, so that a map of them can be asked for a text.
impl Borrow<str> for ItemKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Returns a name or path as it can be shown: control characters and broken UTF-8 are escaped.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            text.push_str("\\x");
            text.extend(
                [byte >> 4, byte & 0xf]
                    .map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('?')),
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_without_what_a_terminal_obeys() {
        assert_eq!(
            shown(b"a\nb\x1b[31m\xff\xc3\xa9"),
            "a\\nb\\u{1b}[31m\\xff\u{e9}"
        );
    }
}
