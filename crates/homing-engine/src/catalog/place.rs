//! Places: where an item lies in a target.

use homing_core::ItemKey;
use homing_items::Kind;

use crate::spec::Layout;

/// What decides the place of a file, beside its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'u> {
    /// What it is for.
    pub(super) kind: Kind,
    /// The directory of the skill that it belongs to; `""` is the root of the source.
    pub(super) skill: Option<&'u str>,
    /// What a skill is called that is the whole source.
    pub(super) name: &'u str,
}

/// Returns where a file lies; `None` when a target of this layout does not take it.
pub(super) fn place(layout: Layout, key: &ItemKey, placed: Placed<'_>) -> Option<ItemKey> {
    match layout {
        Layout::Tree => Some(key.clone()),
        Layout::Flat => ItemKey::new(key.file_name()).ok(),
        Layout::Agents { suffix } if placed.kind == Kind::Agent => {
            ItemKey::new(&format!("{}{suffix}", stem(key.file_name()))).ok()
        }
        Layout::Skills if placed.kind == Kind::Skill => skill(key, placed),
        Layout::Commands if placed.kind == Kind::Command => {
            let below = below_commands(key.as_str());
            ItemKey::new(&match below.strip_suffix(".markdown") {
                Some(stem) => format!("{stem}.md"),
                None => below.to_owned(),
            })
            .ok()
        }
        Layout::Agents { .. } | Layout::Skills | Layout::Commands => None,
    }
}

/// Returns a file's name without what says that it is an agent's.
fn stem(name: &str) -> &str {
    let stem = [".md", ".markdown"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name);
    stem.strip_suffix(".agent")
        .filter(|stem| !stem.is_empty())
        .unwrap_or(stem)
}

fn skill(key: &ItemKey, placed: Placed<'_>) -> Option<ItemKey> {
    let directory = placed.skill?;
    if directory.is_empty() {
        return ItemKey::new(&format!("{}/{key}", placed.name)).ok();
    }
    let above = directory
        .rsplit_once('/')
        .map_or(0, |(above, _)| above.len() + 1);
    ItemKey::new(&key.as_str()[above..]).ok()
}

fn below_commands(key: &str) -> &str {
    let directory = key.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut at = directory.len();
    for component in directory.rsplit('/') {
        if matches!(component, "commands" | "command") {
            return &key[at + 1..];
        }
        at = at.saturating_sub(component.len() + 1);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENTS: Layout = Layout::Agents {
        suffix: ".agent.md",
    };

    fn placed(layout: Layout, kind: Kind, skill: Option<&str>, key: &str) -> Option<String> {
        let placed = Placed {
            kind,
            skill,
            name: "whole",
        };
        let key = ItemKey::new(key).unwrap();
        place(layout, &key, placed).map(|path| path.to_string())
    }

    #[test]
    fn every_layout_takes_what_is_for_it() {
        for (layout, kind, skill, key, path) in [
            (Layout::Tree, Kind::File, None, "a/b.txt", Some("a/b.txt")),
            (Layout::Flat, Kind::File, None, "a/b.txt", Some("b.txt")),
            (
                AGENTS,
                Kind::Agent,
                None,
                "x/agents/a.md",
                Some("a.agent.md"),
            ),
            (AGENTS, Kind::Agent, None, "a.agent.md", Some("a.agent.md")),
            (AGENTS, Kind::Agent, None, "a.markdown", Some("a.agent.md")),
            (
                AGENTS,
                Kind::Agent,
                None,
                ".agent.md",
                Some(".agent.agent.md"),
            ),
            (AGENTS, Kind::Command, None, "commands/a.md", None),
            (AGENTS, Kind::Skill, Some("s"), "s/agents/a.md", None),
            (
                Layout::Agents { suffix: ".toml" },
                Kind::Agent,
                None,
                "a.b.md",
                Some("a.b.toml"),
            ),
            (
                Layout::Skills,
                Kind::Skill,
                Some("p/skills/foo"),
                "p/skills/foo/SKILL.md",
                Some("foo/SKILL.md"),
            ),
            (
                Layout::Skills,
                Kind::Skill,
                Some("p/skills/foo"),
                "p/skills/foo/a/b",
                Some("foo/a/b"),
            ),
            (
                Layout::Skills,
                Kind::Skill,
                Some("foo"),
                "foo/SKILL.md",
                Some("foo/SKILL.md"),
            ),
            (
                Layout::Skills,
                Kind::Skill,
                Some(""),
                "a/b",
                Some("whole/a/b"),
            ),
            (Layout::Skills, Kind::File, None, "README.md", None),
            (
                Layout::Commands,
                Kind::Command,
                None,
                "p/commands/git/c.md",
                Some("git/c.md"),
            ),
            (
                Layout::Commands,
                Kind::Command,
                None,
                "commands/x/command/c.markdown",
                Some("c.md"),
            ),
            (
                Layout::Commands,
                Kind::Command,
                None,
                "commands/c.md",
                Some("c.md"),
            ),
            (Layout::Commands, Kind::Agent, None, "agents/a.md", None),
        ] {
            assert_eq!(
                placed(layout, kind, skill, key).as_deref(),
                path,
                "{layout:?} {key}"
            );
        }
    }
}
