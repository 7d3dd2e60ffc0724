//! Listing a side: what is asked, and what comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;
use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    BoxFuture, ContentHash, ContentReader, Contents, Item, ItemKey, Manifest, Problem, Progress,
    SideError,
};

/// What of a side is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything that the side's selection covers.
    Whole,
    /// These keys alone. Ancestors of them that are regular files are listed too, for they block the way; of any
    /// other key the manifest says nothing.
    Keys(BTreeSet<ItemKey>),
}

/// What a side said of itself as a whole: a commit, an `ETag`, a manifest's checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// As it may be shown.
    pub name: String,
    /// What a conditional request sends, where that is not the name.
    pub validator: Option<String>,
    /// What its author said of it, where it is a commit.
    pub about: Option<About>,
}

/// What a commit says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// When it was committed.
    pub time: Timestamp,
    /// The first line of its message: a stranger's words, made harmless.
    pub subject: String,
}

impl About {
    /// How many characters of a subject are kept.
    pub const LONGEST_SUBJECT: usize = 200;

    /// Takes what a commit says; what a terminal obeys, or nobody sees, is left out, and what is too long is cut.
    pub fn new(time: Timestamp, subject: &[u8]) -> Self {
        let subject = String::from_utf8_lossy(subject);
        let is_harmful = |letter: char| {
            letter.is_control()
                || matches!(
                    letter,
                    '\u{ad}'
                        | '\u{61c}'
                        | '\u{180e}'
                        | '\u{200b}'..='\u{200f}'
                        | '\u{2028}'..='\u{202e}'
                        | '\u{2060}'..='\u{206f}'
                        | '\u{feff}'
                        | '\u{e0000}'..='\u{e0fff}'
                )
        };
        let harmless = subject.chars().filter(|letter| !is_harmful(*letter));
        Self {
            time,
            subject: harmless.take(Self::LONGEST_SUBJECT).collect(),
        }
    }
}

/// What is asked of [`crate::Side::list`].
#[derive(Debug, Clone)]
pub struct ListRequest {
    /// Which keys.
    pub scope: Scope,
    /// Items known by identity, whose contents are kept: one whose identity is unchanged need not be read again.
    pub known: Arc<BTreeMap<ItemKey, Item>>,
    /// What the side was when every item of it was recorded: if it is that still, it answers [`Listing::Unchanged`].
    pub since: Option<Revision>,
    /// Where contents go whose hash a side learns only by reading them.
    pub intake: Intake,
    /// Told of every step, so that a stall is noticed.
    pub progress: Progress,
}

impl ListRequest {
    /// Returns a request that knows nothing and takes no contents in: a place on this machine is listed like that.
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            known: Arc::default(),
            since: None,
            intake: Intake::default(),
            progress: Progress::default(),
        }
    }
}

/// The answer of a side that was asked to list itself.
#[derive(Debug)]
pub enum Listing {
    /// It is what the request's `since` says.
    Unchanged(Unchanged),
    /// All that it holds.
    Whole(Box<Listed>),
}

/// What a side says beside that nothing changed.
#[derive(Debug, Default)]
pub struct Unchanged {
    /// What a person should hear about all the same.
    pub problems: Vec<Problem>,
    /// What it is to be asked about from now on, where that is news: the same content can have another validator.
    pub revision: Option<Revision>,
}

/// All that a side holds, and what it says of itself.
#[derive(Debug, Default)]
pub struct Listed {
    /// The items.
    pub manifest: Manifest,
    /// What it is as a whole, where it can tell.
    pub revision: Option<Revision>,
    /// Why some items are [`crate::UnknownReason::NotFetched`], and when to come again.
    pub shortfall: Option<SideError>,
}

impl Listing {
    /// Returns what was listed. [`SideError::Permanent`] for an answer that only a request with `since` may get.
    pub fn whole(self) -> Result<Listed, SideError> {
        match self {
            Self::Whole(listed) => Ok(*listed),
            Self::Unchanged(_) => Err(SideError::Permanent {
                message: "it says that nothing changed since a revision that it was not told"
                    .to_owned(),
                source: None,
            }),
        }
    }
}

impl From<Manifest> for Listing {
    fn from(manifest: Manifest) -> Self {
        Self::from(Listed {
            manifest,
            ..Listed::default()
        })
    }
}

impl From<Listed> for Listing {
    fn from(listed: Listed) -> Self {
        Self::Whole(Box::new(listed))
    }
}

/// What a look at a side found, before anything was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examined {
    /// Items that a run would take.
    pub files: u64,
    /// Their bytes, where that is known without reading them.
    pub bytes: Option<u64>,
    /// What a person should hear about.
    pub problems: Vec<Problem>,
    /// What else is worth knowing of the far side, a sentence each: whose token it is, what is left of a limit.
    pub notes: Vec<String>,
}

/// Who is told before contents arrive in bulk.
pub trait Gate: Send + Sync {
    /// Waits for a turn to transfer; `items` and `bytes` are what is to come, as far as known.
    fn begin(&self, items: u64, bytes: u64) -> BoxFuture<'_, Result<(), SideError>>;
}

/// Takes in contents that arrive while a side is listed.
#[derive(Clone)]
pub struct Intake {
    contents: Arc<dyn Contents>,
    gate: Option<Arc<dyn Gate>>,
}

impl Intake {
    /// Returns one into `contents`, whose turns `gate` gives.
    pub fn new(contents: Arc<dyn Contents>, gate: Arc<dyn Gate>) -> Self {
        Self {
            contents,
            gate: Some(gate),
        }
    }

    /// Returns one into `contents` that waits for nobody.
    pub fn ungated(contents: Arc<dyn Contents>) -> Self {
        Self {
            contents,
            gate: None,
        }
    }

    /// Returns where the contents go.
    pub fn contents(&self) -> &Arc<dyn Contents> {
        &self.contents
    }

    /// Waits for a turn to transfer and says how much is to come, as far as known. More than one call does no harm.
    pub async fn begin(&self, items: u64, bytes: u64) -> Result<(), SideError> {
        match &self.gate {
            Some(gate) => gate.begin(items, bytes).await,
            None => Ok(()),
        }
    }
}

impl Default for Intake {
    /// Returns one that keeps nothing.
    fn default() -> Self {
        Self::ungated(Arc::new(Nowhere))
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

/// Contents of a request that has no place for them.
struct Nowhere;

impl Nowhere {
    fn refusal() -> SideError {
        SideError::Permanent {
            message: "this listing has no place for contents".to_owned(),
            source: None,
        }
    }
}

impl Contents for Nowhere {
    fn open(&self, _hash: &ContentHash) -> Result<ContentReader, SideError> {
        Err(Self::refusal())
    }

    fn keep(
        &self,
        _bytes: &mut dyn Read,
        _size_hint: u64,
    ) -> Result<(ContentHash, u64), SideError> {
        Err(Self::refusal())
    }

    fn flush(&self) -> Result<(), SideError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_cut_and_holds_nothing_that_a_terminal_obeys_or_nobody_sees() {
        let about = |subject: &[u8]| About::new(Timestamp::UNIX_EPOCH, subject).subject;
        assert_eq!(about(b"fix \x1b[31mred\x07\r\n"), "fix [31mred");
        assert_eq!(about("a\u{202e}b\u{2066}c".as_bytes()), "abc");
        assert_eq!(about("a\u{200b}b\u{e0041}c\u{feff}".as_bytes()), "abc");
        assert_eq!(about(b"\xff"), "\u{fffd}");
        assert_eq!(about("\u{e9}".repeat(300).as_bytes()), "\u{e9}".repeat(200));
    }
}
