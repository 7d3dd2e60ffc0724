//! What the configuration says of a target.

use std::path::PathBuf;
use std::time::Duration;

use homing_core::SourceId;

use crate::Preset;

/// How keys become paths in a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The path is the key.
    Tree,
    /// The path is the key's file name.
    Flat,
    /// Agents alone, by their file name; given by a preset.
    Agents,
    /// Skills alone, each in a directory of its name; given by a preset.
    Skills,
    /// Commands alone, as they lie below `commands`; given by a preset.
    Commands,
}

impl Layout {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Flat => "flat",
            Self::Agents => "agents",
            Self::Skills => "skills",
            Self::Commands => "commands",
        }
    }
}

/// What becomes of a published file that the user deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletions {
    /// It comes back.
    Restore,
    /// It stays away until it is released.
    Keep,
}

/// A kind of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A Markdown file that describes an agent.
    Agent,
    /// A directory with a `SKILL.md`.
    Skill,
    /// A Markdown file that a person calls by its name.
    Command,
    /// Anything else.
    File,
}

impl Kind {
    /// All kinds, with the words for them.
    pub const WORDS: [(&str, Self); 4] = [
        ("agent", Self::Agent),
        ("skill", Self::Skill),
        ("command", Self::Command),
        ("file", Self::File),
    ];

    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        let mut words = Self::WORDS.iter();
        words
            .find(|(_, kind)| *kind == self)
            .map_or("file", |(word, _)| word)
    }
}

/// What becomes of an item with a blocking finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFinding {
    /// It is not published; the last version without stays.
    Block,
    /// It is published, and each run tells of it.
    Warn,
    /// It is published.
    Allow,
}

impl OnFinding {
    /// All of them, with the words for them.
    pub const WORDS: [(&str, Self); 3] = [
        ("block", Self::Block),
        ("warn", Self::Warn),
        ("allow", Self::Allow),
    ];

    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        let mut words = Self::WORDS.iter();
        words
            .find(|(_, found)| *found == self)
            .map_or("block", |(word, _)| word)
    }
}

/// `[targets.NAME]`, or a part of it where it is a preset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetConfig {
    /// Where it is; absolute, links not resolved.
    pub path: PathBuf,
    /// Its sources, each once; at least one, but for a part of a preset that others serve.
    pub from: Vec<SourceId>,
    /// The tool whose directory it is; `None`: a directory with a path of its own.
    pub preset: Option<Preset>,
    /// See [`Layout`].
    pub layout: Layout,
    /// See [`Deletions`].
    pub deletions: Deletions,
    /// The source that new files go to; it is in `from` and may push.
    pub new_files_to: Option<SourceId>,
    /// Names of active files that may be published.
    pub allow_active: Vec<String>,
    /// The kinds of items that are published, at least one, each once.
    pub include_kinds: Vec<Kind>,
    /// See [`OnFinding`].
    pub on_finding: OnFinding,
    /// What runs after a publish changed something: a program and its arguments; empty: nothing.
    pub after: Vec<String>,
    /// How long that may take.
    pub hook_timeout: Duration,
}
