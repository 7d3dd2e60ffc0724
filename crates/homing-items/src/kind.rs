//! Kinds: what an item is for, by its path and its frontmatter.

use std::fmt;
use std::str::FromStr;

use homing_core::ItemKey;

use crate::frontmatter::Header;

/// What an item is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A Markdown file that describes an agent.
    Agent,
    /// A directory with a `SKILL.md`; each file in it belongs to it.
    Skill,
    /// A Markdown file that a person calls by its name.
    Command,
    /// Anything else.
    File,
}

/// A word that names no kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownKind;

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Agent, Self::Skill, Self::Command, Self::File];

    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Skill => "skill",
            Self::Command => "command",
            Self::File => "file",
        }
    }

    /// Returns its number, which never changes.
    pub fn number(self) -> u8 {
        match self {
            Self::File => 0,
            Self::Agent => 1,
            Self::Skill => 2,
            Self::Command => 3,
        }
    }

    /// Returns the kind with a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Tells what a file is by itself; within a skill's directory it is the skill's, whatever this says.
    pub fn of(key: &ItemKey, header: Option<&Header>) -> Self {
        if key.file_name() == SKILL_FILE {
            return Self::Skill;
        }
        let Some(stem) = markdown_stem(key) else {
            return Self::File;
        };
        let is_named = header.is_some_and(|header| header.name.is_some());
        if stem.strip_suffix(".prompt").is_some() || (NOT_ITEMS.contains(&stem) && !is_named) {
            return Self::File;
        }
        let directories = key.as_str().rsplit('/').skip(1);
        for directory in directories {
            match directory {
                "agents" | "agent" => return Self::Agent,
                "commands" | "command" => return Self::Command,
                "prompts" => return Self::File,
                _ => {}
            }
        }
        if is_named || stem.strip_suffix(".agent").is_some() {
            Self::Agent
        } else {
            Self::File
        }
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        let mut kinds = Self::ALL.into_iter();
        kinds.find(|kind| kind.as_str() == word).ok_or(UnknownKind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes a directory a skill.
pub(crate) const SKILL_FILE: &str = "SKILL.md";
/// Markdown that lies beside agents and commands and is for people.
const NOT_ITEMS: &[&str] = &[
    "README",
    "readme",
    "Readme",
    "CHANGELOG",
    "CONTRIBUTING",
    "LICENSE",
    "INDEX",
    "CLAUDE",
    "AGENTS",
    "GEMINI",
];

/// Returns the name that an item has without a frontmatter: a skill's directory, else the file without its extension.
pub fn own_name(key: &ItemKey, kind: Kind) -> Option<&str> {
    match kind {
        Kind::Skill => key.parent()?.rsplit('/').next(),
        Kind::File => Some(key.file_name()),
        Kind::Agent | Kind::Command => {
            let stem = markdown_stem(key)?;
            Some(stem.strip_suffix(".agent").unwrap_or(stem))
        }
    }
}

fn markdown_stem(key: &ItemKey) -> Option<&str> {
    let name = key.file_name();
    [".md", ".markdown"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .filter(|stem| !stem.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_what_its_place_and_its_frontmatter_say() {
        let named = Header {
            name: Some("x".to_owned()),
            ..Header::default()
        };
        let unnamed = Header::default();
        for (path, header, kind) in [
            ("agents/a.md", None, Kind::Agent),
            ("agents/deep/a.md", None, Kind::Agent),
            ("agents/a.json", None, Kind::File),
            ("agents/README.md", None, Kind::File),
            ("agents/README.md", Some(&unnamed), Kind::File),
            ("agents/README.md", Some(&named), Kind::Agent),
            ("a.md", Some(&named), Kind::Agent),
            ("a.md", Some(&unnamed), Kind::File),
            ("a.md", None, Kind::File),
            ("a.agent.md", None, Kind::Agent),
            ("a.prompt.md", Some(&named), Kind::File),
            ("prompts/a.md", Some(&named), Kind::File),
            ("commands/a.md", None, Kind::Command),
            ("commands/a.md", Some(&named), Kind::Command),
            ("agents/commands/a.md", Some(&named), Kind::Command),
            ("commands/agents/a.md", None, Kind::Agent),
            ("skills/x/SKILL.md", None, Kind::Skill),
            ("SKILL.md", None, Kind::Skill),
            ("skills/x/skill.md", None, Kind::File),
            ("agents/.md", Some(&named), Kind::File),
        ] {
            let key = ItemKey::new(path).unwrap();
            assert_eq!(Kind::of(&key, header), kind, "{path}");
        }
    }

    #[test]
    fn names_without_a_frontmatter_come_from_the_path() {
        for (path, kind, name) in [
            ("agents/a.md", Kind::Agent, Some("a")),
            ("a.agent.md", Kind::Agent, Some("a")),
            ("commands/x.y.markdown", Kind::Command, Some("x.y")),
            ("skills/x/SKILL.md", Kind::Skill, Some("x")),
            ("SKILL.md", Kind::Skill, None),
            ("d/f.txt", Kind::File, Some("f.txt")),
        ] {
            let key = ItemKey::new(path).unwrap();
            assert_eq!(own_name(&key, kind), name, "{path}");
        }
    }

    #[test]
    fn words_and_numbers_name_kinds() {
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(Kind::from_number(kind.number()), Some(kind));
        }
        assert_eq!("prompt".parse::<Kind>(), Err(UnknownKind));
        assert_eq!(Kind::from_number(9), None);
    }
}
