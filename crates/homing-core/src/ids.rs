//! Names of things, each a type of its own.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not a valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a valid name: use 1 to 64 of a-z, 0-9, `-` and `_`, beginning with a letter or a digit"
)]
pub struct IdError {
    /// The text as it was given.
    pub text: String,
}

/// The name of a configured source, as in `[sources.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(Arc<str>);

impl SourceId {
    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if is_name(text) {
            Ok(Self(text.into()))
        } else {
            Err(IdError {
                text: text.to_owned(),
            })
        }
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a target: as in `[targets.NAME]`, and for a part of a preset `NAME.PART`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(Arc<str>);

impl TargetId {
    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the section that it is configured in: of a part, the preset's.
    pub fn section(&self) -> &str {
        self.0.split_once('.').map_or(&*self.0, |(name, _)| name)
    }

    /// Tells whether a word names it, or the preset that it is a part of.
    pub fn is_named(&self, word: &str) -> bool {
        self.as_str() == word || self.section() == word
    }
}

impl FromStr for TargetId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let is_part = |part: &str| {
            let fits = part.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
            (1..=24).contains(&part.len()) && fits
        };
        let (name, part) = match text.split_once('.') {
            Some((name, part)) => (name, Some(part)),
            None => (text, None),
        };
        if is_name(name) && part.is_none_or(is_part) {
            Ok(Self(text.into()))
        } else {
            Err(IdError {
                text: text.to_owned(),
            })
        }
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells whether a section may be called like this.
fn is_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=64).contains(&text.len())
        && text.bytes().all(fits)
        && text.as_bytes()[0].is_ascii_alphanumeric()
}

/// The number of a run; a later run has a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub i64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
