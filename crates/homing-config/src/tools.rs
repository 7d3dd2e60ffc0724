//! Tools: where each coding agent looks for agents, skills and commands.
//!
//! The one place that knows it; as the tools' own documentation had it in November 2026.

use std::path::{Path, PathBuf};

use crate::{Env, Kind};

/// A coding agent whose directories Homing knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// Anthropic's Claude Code.
    ClaudeCode,
    /// `OpenAI`'s Codex.
    Codex,
    /// Cursor, the editor and its command line.
    Cursor,
    /// `OpenCode`.
    Opencode,
    /// Google's Gemini CLI.
    Gemini,
    /// GitHub's Copilot CLI; in a project, Copilot as a whole.
    Copilot,
}

/// What a tool has a directory of its own for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A file for each agent.
    Agents,
    /// A directory for each skill.
    Skills,
    /// A file for each command; directories group them.
    Commands,
}

/// How a tool wants an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentForm {
    /// Markdown, as it is.
    Markdown,
    /// The TOML of Codex.
    CodexToml,
}

/// One tool.
struct Row {
    tool: Tool,
    word: &'static str,
    /// The variables that move its directory, the first that is set, and what lies below each.
    moved_by: &'static [(&'static str, &'static str)],
    /// Its directory in the home directory.
    home: &'static str,
    /// Its directory in a project.
    project: &'static str,
    /// What an agent's file name ends with.
    agent_suffix: &'static str,
    agent_form: AgentForm,
    has_commands: bool,
    /// Where it reads skills, first where they are at home; user and project.
    skills: [&'static [Place]; 2],
}

/// A directory that holds `skills`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The tool's own.
    Own,
    /// One in the home directory, or in the project.
    At(&'static str),
    /// One beside the tool's own, for it moves along.
    Beside(&'static str),
}

const SHARED: Place = Place::At(".agents");
const CLAUDE: Place = Place::At(".claude");

/// What only some versions of a tool read, or read no longer, is left out: Codex and Cursor read `~/.codex/skills` for
/// the sake of old installations, and nothing is published there.
const TABLE: [Row; 6] = [
    Row {
        tool: Tool::ClaudeCode,
        word: "claude-code",
        moved_by: &[("CLAUDE_CONFIG_DIR", "")],
        home: ".claude",
        project: ".claude",
        agent_suffix: ".md",
        agent_form: AgentForm::Markdown,
        has_commands: true,
        skills: [&[Place::Own], &[Place::Own]],
    },
    Row {
        tool: Tool::Codex,
        word: "codex",
        moved_by: &[("CODEX_HOME", "")],
        home: ".codex",
        project: ".codex",
        agent_suffix: ".toml",
        agent_form: AgentForm::CodexToml,
        has_commands: false,
        skills: [&[SHARED], &[SHARED]],
    },
    Row {
        tool: Tool::Cursor,
        word: "cursor",
        moved_by: &[],
        home: ".cursor",
        project: ".cursor",
        agent_suffix: ".md",
        agent_form: AgentForm::Markdown,
        has_commands: true,
        skills: [&[Place::Own, CLAUDE], &[Place::Own, SHARED, CLAUDE]],
    },
    Row {
        tool: Tool::Opencode,
        word: "opencode",
        moved_by: &[("OPENCODE_CONFIG_DIR", ""), ("XDG_CONFIG_HOME", "opencode")],
        home: ".config/opencode",
        project: ".opencode",
        agent_suffix: ".md",
        agent_form: AgentForm::Markdown,
        has_commands: true,
        skills: [&[Place::Own, CLAUDE, SHARED], &[Place::Own, CLAUDE, SHARED]],
    },
    Row {
        tool: Tool::Gemini,
        word: "gemini",
        moved_by: &[("GEMINI_CLI_HOME", ".gemini")],
        home: ".gemini",
        project: ".gemini",
        agent_suffix: ".md",
        agent_form: AgentForm::Markdown,
        // Its commands are TOML.
        has_commands: false,
        skills: [
            &[Place::Own, Place::Beside(".agents")],
            &[Place::Own, SHARED],
        ],
    },
    Row {
        tool: Tool::Copilot,
        word: "copilot",
        moved_by: &[("COPILOT_HOME", "")],
        home: ".copilot",
        project: ".github",
        agent_suffix: ".agent.md",
        agent_form: AgentForm::Markdown,
        has_commands: false,
        skills: [&[Place::Own, SHARED], &[Place::Own, CLAUDE, SHARED]],
    },
];

/// The variables that move directories of tools.
pub(crate) fn variables() -> impl Iterator<Item = &'static str> {
    TABLE
        .iter()
        .flat_map(|row| row.moved_by)
        .map(|(name, _)| *name)
}

/// The directories of a tool, for a user or a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    tool: Tool,
    own: PathBuf,
    /// Where it reads skills, first where they are at home.
    pub(crate) skills: Vec<PathBuf>,
}

impl Tool {
    /// Every tool.
    pub const ALL: [Self; 6] = [
        Self::ClaudeCode,
        Self::Codex,
        Self::Cursor,
        Self::Opencode,
        Self::Gemini,
        Self::Copilot,
    ];

    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        self.row().word
    }

    /// Returns what it has directories for.
    pub fn parts(self) -> &'static [Part] {
        if self.row().has_commands {
            &[Part::Agents, Part::Skills, Part::Commands]
        } else {
            &[Part::Agents, Part::Skills]
        }
    }

    /// Returns what the file name of one of its agents ends with.
    pub fn agent_suffix(self) -> &'static str {
        self.row().agent_suffix
    }

    /// Returns how it wants an agent.
    pub fn agent_form(self) -> AgentForm {
        self.row().agent_form
    }

    /// Returns its directories: the user's, or those in `project`. `None` when the home directory is not known.
    pub(crate) fn places(self, project: Option<&Path>, env: &Env) -> Option<Places> {
        let row = self.row();
        let (base, own, skills) = if let Some(project) = project {
            let [_, skills] = row.skills;
            (project, project.join(row.project), skills)
        } else {
            let base = env.home.as_deref()?;
            let moved = row.moved_by.iter().find_map(|(name, below)| {
                let moved = env.tool_dirs.get(name)?;
                Some(if below.is_empty() {
                    moved.clone()
                } else {
                    moved.join(below)
                })
            });
            let [skills, _] = row.skills;
            (base, moved.unwrap_or_else(|| base.join(row.home)), skills)
        };
        let directory = |place: &Place| match place {
            Place::Own => own.join("skills"),
            Place::At(name) => base.join(name).join("skills"),
            Place::Beside(name) => own.with_file_name(name).join("skills"),
        };
        let skills = skills.iter().map(directory).collect();
        Some(Places {
            tool: self,
            own,
            skills,
        })
    }

    fn row(self) -> &'static Row {
        let at = TABLE.iter().position(|row| row.tool == self);
        &TABLE[at.expect("every tool has a row")]
    }
}

impl Places {
    /// Returns the directory of a part.
    pub(crate) fn of(&self, part: Part) -> PathBuf {
        match part {
            Part::Skills => self.skills[0].clone(),
            Part::Agents | Part::Commands => self.own.join(part.as_str()),
        }
    }

    /// Returns the directory that several tools read skills from, if it is one of those.
    pub(crate) fn shared_skills(&self) -> Option<&PathBuf> {
        let shared = |path: &&PathBuf| path.parent().is_some_and(|dir| dir.ends_with(".agents"));
        self.skills.iter().find(shared)
    }

    /// Returns the tool.
    pub(crate) fn tool(&self) -> Tool {
        self.tool
    }
}

impl Part {
    /// Returns the word for it, which is also the name of its directory.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agents => "agents",
            Self::Skills => "skills",
            Self::Commands => "commands",
        }
    }

    /// Returns the kind of its items.
    pub fn kind(self) -> Kind {
        match self {
            Self::Agents => Kind::Agent,
            Self::Skills => Kind::Skill,
            Self::Commands => Kind::Command,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(variables: &[(&'static str, &str)]) -> Env {
        let tool_dirs = variables
            .iter()
            .map(|(name, path)| (*name, PathBuf::from(path)))
            .collect();
        Env {
            tool_dirs,
            ..Env::with_home(Path::new("/h"))
        }
    }

    fn all(tool: Tool, project: Option<&str>, env: &Env) -> Vec<String> {
        let places = tool.places(project.map(Path::new), env).unwrap();
        let parts = tool.parts().iter().map(|part| places.of(*part));
        parts.map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn every_tool_has_its_directories() {
        let plain = env(&[]);
        for (tool, user, project) in [
            (
                Tool::ClaudeCode,
                &[
                    "/h/.claude/agents",
                    "/h/.claude/skills",
                    "/h/.claude/commands",
                ][..],
                &[
                    "/p/.claude/agents",
                    "/p/.claude/skills",
                    "/p/.claude/commands",
                ][..],
            ),
            (
                Tool::Codex,
                &["/h/.codex/agents", "/h/.agents/skills"],
                &["/p/.codex/agents", "/p/.agents/skills"],
            ),
            (
                Tool::Cursor,
                &[
                    "/h/.cursor/agents",
                    "/h/.cursor/skills",
                    "/h/.cursor/commands",
                ],
                &[
                    "/p/.cursor/agents",
                    "/p/.cursor/skills",
                    "/p/.cursor/commands",
                ],
            ),
            (
                Tool::Opencode,
                &[
                    "/h/.config/opencode/agents",
                    "/h/.config/opencode/skills",
                    "/h/.config/opencode/commands",
                ],
                &[
                    "/p/.opencode/agents",
                    "/p/.opencode/skills",
                    "/p/.opencode/commands",
                ],
            ),
            (
                Tool::Gemini,
                &["/h/.gemini/agents", "/h/.gemini/skills"],
                &["/p/.gemini/agents", "/p/.gemini/skills"],
            ),
            (
                Tool::Copilot,
                &["/h/.copilot/agents", "/h/.copilot/skills"],
                &["/p/.github/agents", "/p/.github/skills"],
            ),
        ] {
            assert_eq!(all(tool, None, &plain), user, "{tool:?}");
            assert_eq!(all(tool, Some("/p"), &plain), project, "{tool:?}");
        }
    }

    #[test]
    fn variables_move_a_user_s_directories_and_no_project_s() {
        let moved = env(&[
            ("CLAUDE_CONFIG_DIR", "/m/claude"),
            ("CODEX_HOME", "/m/codex"),
            ("GEMINI_CLI_HOME", "/m/gemini"),
            ("COPILOT_HOME", "/m/copilot"),
            ("XDG_CONFIG_HOME", "/m/xdg"),
        ]);
        for (tool, first) in [
            (Tool::ClaudeCode, "/m/claude/agents"),
            (Tool::Codex, "/m/codex/agents"),
            (Tool::Cursor, "/h/.cursor/agents"),
            (Tool::Opencode, "/m/xdg/opencode/agents"),
            (Tool::Gemini, "/m/gemini/.gemini/agents"),
            (Tool::Copilot, "/m/copilot/agents"),
        ] {
            assert_eq!(all(tool, None, &moved)[0], first, "{tool:?}");
            assert!(
                all(tool, Some("/p"), &moved)[0].starts_with("/p/"),
                "{tool:?}"
            );
        }
        let skills = |tool: Tool| tool.places(None, &moved).unwrap().skills;
        assert_eq!(skills(Tool::Codex), [Path::new("/h/.agents/skills")]);
        assert_eq!(
            skills(Tool::Gemini)[1],
            Path::new("/m/gemini/.agents/skills")
        );
        assert_eq!(skills(Tool::Cursor)[1], Path::new("/h/.claude/skills"));
        let both = env(&[
            ("OPENCODE_CONFIG_DIR", "/m/own"),
            ("XDG_CONFIG_HOME", "/m/xdg"),
        ]);
        assert_eq!(all(Tool::Opencode, None, &both)[0], "/m/own/agents");
    }

    #[test]
    fn every_tool_is_in_the_table_once_and_has_a_word() {
        assert_eq!(TABLE.map(|row| row.tool), Tool::ALL);
        for tool in Tool::ALL {
            assert!(tool.agent_suffix().starts_with('.'));
            assert_eq!(
                tool.agent_form() == AgentForm::CodexToml,
                tool == Tool::Codex
            );
        }
        assert_eq!(variables().count(), 6);
        let nowhere = Env {
            home: None,
            ..env(&[])
        };
        assert_eq!(Tool::Codex.places(None, &nowhere), None);
    }
}
