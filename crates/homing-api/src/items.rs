//! Agents, skills, commands and other files, and what is to be said against them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::words::words;

words! {
    /// What an item is for.
    ItemKind {
        /// A Markdown file that describes an agent.
        Agent = "agent",
        /// A directory with a `SKILL.md`, with all its files.
        Skill = "skill",
        /// A Markdown file that a person calls by its name.
        Command = "command",
        /// Anything else.
        File = "file",
    }
}

words! {
    /// How much a finding weighs.
    Level {
        /// The item is not published, unless the target says otherwise.
        Blocking = "blocking",
        /// Something to look at.
        Warning = "warning",
        /// Something to know.
        Note = "note",
    }
}

/// Query of `GET /v1/items`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ItemsQuery {
    /// Only `agent`, `skill`, `command` or `file`. Unless given: all with the finding that is asked for, else all but files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only items with a finding: of this rule, or that weighs as much as `blocking`, `warning` or `note`, or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
}

/// `GET /v1/items`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KnownItems {
    /// By kind, name and source.
    pub items: Vec<KnownItem>,
}

/// An agent, a skill with all its files, a command or another file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KnownItem {
    /// The source.
    pub source: String,
    /// Whether the source takes part; one that does not publishes nothing.
    pub enabled: bool,
    /// What it is for.
    pub kind: ItemKind,
    /// The name that it goes by.
    pub name: String,
    /// Its path in the source; of a skill that of its `SKILL.md`.
    pub path: String,
    /// What it says that it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// The version that it gives itself.
    #[serde(default)]
    pub version: Option<String>,
    /// How many files it is.
    pub files: u64,
    /// Where it is published.
    pub published: Vec<Placement>,
    /// What is to be said against it.
    pub findings: Vec<Finding>,
}

/// Where an item is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Placement {
    /// The target.
    pub target: String,
    /// The path in it.
    pub path: String,
    /// Whether it is what the source has now, and not an older version.
    pub current: bool,
}

/// One thing that is to be said against an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What was looked for.
    pub rule: String,
    /// What the rule is about.
    pub summary: String,
    /// How much it weighs.
    pub level: Level,
    /// What was found.
    pub message: String,
    /// The file, by its path in the source.
    pub path: String,
    /// The line, from 1.
    pub line: u32,
    /// The character in the line, from 1.
    pub column: u32,
}
