//! Targets that are tools: which directories they have, and which one serves several of them.

use std::fmt::Write as _;
use std::path::PathBuf;

use homing_config::{Config, Layout, Part, Tool};
use homing_core::TargetId;

use crate::home::{Home, source};

/// Returns a configuration with presets, each with its sources.
fn presets(presets: &[(&str, &[&str])]) -> String {
    let mut text = String::new();
    for name in ["one", "two", "three"] {
        write!(
            text,
            "[sources.{name}]\nkind = \"dir\"\nroot = \"~/origins/{name}\"\n"
        )
        .unwrap();
    }
    for (tool, from) in presets {
        write!(
            text,
            "[targets.{tool}]\ntool = \"{tool}\"\nfrom = {from:?}\n"
        )
        .unwrap();
    }
    text
}

/// Returns the directories of skills with their sources: `codex.skills .agents/skills one`.
fn skills(home: &Home, config: &Config) -> Vec<String> {
    let is_skills = |layout| layout == Layout::Skills;
    let targets = config
        .targets
        .iter()
        .filter(|(_, target)| is_skills(target.layout));
    targets
        .map(|(id, target)| {
            let path = target.path.strip_prefix(home.path("")).unwrap().display();
            let from: Vec<&str> = target.from.iter().map(|source| source.as_str()).collect();
            format!("{id} {path} {}", from.join(","))
                .trim_end()
                .to_owned()
        })
        .collect()
}

fn target(config: &Config, id: &str) -> homing_config::TargetConfig {
    config.targets[&id.parse::<TargetId>().unwrap()].clone()
}

#[test]
fn a_preset_is_a_target_for_each_directory_of_the_tool() {
    let home = Home::new();
    let config = home
        .parse(&presets(&[("claude-code", &["one", "two"])]))
        .unwrap();
    let ids: Vec<&str> = config.targets.keys().map(TargetId::as_str).collect();
    assert_eq!(
        ids,
        [
            "claude-code.agents",
            "claude-code.commands",
            "claude-code.skills"
        ]
    );
    let agents = target(&config, "claude-code.agents");
    assert_eq!(agents.path, home.path(".claude/agents"));
    assert_eq!(agents.layout, Layout::Agents);
    assert_eq!(agents.from, [source("one"), source("two")]);
    let preset = agents.preset.unwrap();
    assert_eq!((preset.tool, preset.part), (Tool::ClaudeCode, Part::Agents));
    assert_eq!(preset.project, None);
    assert_eq!(target(&config, "claude-code.skills").from.len(), 2);

    let moved = Home::new();
    let mut env = moved.env.clone();
    env.tool_dirs
        .insert("CLAUDE_CONFIG_DIR", PathBuf::from("/elsewhere"));
    let text = presets(&[("claude-code", &["one"])]);
    let config = Config::parse(&text, &moved.locations(), &env).unwrap();
    assert_eq!(
        target(&config, "claude-code.commands").path,
        PathBuf::from("/elsewhere/commands")
    );
}

#[test]
fn kinds_and_a_project_choose_the_directories() {
    let home = Home::new();
    let text = presets(&[("copilot", &["one"])])
        + "include_kinds = [\"agent\"]\nproject = \"~/code/app\"\ndeletions = \"keep\"\n";
    let config = home.parse(&text).unwrap();
    let ids: Vec<&str> = config.targets.keys().map(TargetId::as_str).collect();
    assert_eq!(ids, ["copilot.agents"]);
    let agents = target(&config, "copilot.agents");
    assert_eq!(agents.path, home.path("code/app/.github/agents"));
    assert_eq!(agents.preset.unwrap().project, Some(home.path("code/app")));
    assert_eq!(agents.deletions, homing_config::Deletions::Keep);
}

#[test]
fn a_directory_has_its_sources_in_the_order_of_its_own_section() {
    let home = Home::new();
    let tools = [
        "claude-code",
        "codex",
        "copilot",
        "cursor",
        "gemini",
        "opencode",
    ];
    let (forth, back) = (&["one", "two", "three"][..], &["three", "two", "one"][..]);
    for first in tools {
        for other in tools.into_iter().filter(|other| *other != first) {
            let config = home
                .parse(&presets(&[(first, forth), (other, back)]))
                .unwrap();
            for (id, target) in &config.targets {
                let preset = target.preset.as_ref().unwrap();
                let wanted = preset.wants.iter();
                let wanted: Vec<_> = wanted.filter(|one| target.from.contains(one)).collect();
                let from: Vec<_> = target.from.iter().collect();
                assert_eq!(from, wanted, "{id} of {first} and {other}");
            }
        }
    }
}

#[test]
fn skills_go_into_the_fewest_directories_of_which_each_tool_reads_one() {
    let home = Home::new();
    for (given, expected) in [
        (
            &[("gemini", &["one"][..])][..],
            &["gemini.skills .gemini/skills one"][..],
        ),
        (
            &[("codex", &["one"][..]), ("gemini", &["one"])],
            &[
                "codex.skills .agents/skills one",
                "gemini.skills .gemini/skills",
            ],
        ),
        // What only one of them is to have goes to its own directory.
        (
            &[("codex", &["one"][..]), ("gemini", &["two", "one"])],
            &[
                "codex.skills .agents/skills one",
                "gemini.skills .gemini/skills two",
            ],
        ),
        (
            &[("claude-code", &["one"][..]), ("opencode", &["one"])],
            &[
                "claude-code.skills .claude/skills one",
                "opencode.skills .config/opencode/skills",
            ],
        ),
        // A directory that is nobody's own here serves both.
        (
            &[("copilot", &["one"][..]), ("gemini", &["one", "two"])],
            &[
                "copilot.shared-skills .agents/skills one",
                "copilot.skills .copilot/skills",
                "gemini.skills .gemini/skills two",
            ],
        ),
        // It belongs to Codex, which publishes there for the others as well.
        (
            &[
                ("codex", &["two"][..]),
                ("copilot", &["one"]),
                ("gemini", &["one"]),
            ],
            &[
                "codex.skills .agents/skills one,two",
                "copilot.skills .copilot/skills",
                "gemini.skills .gemini/skills",
            ],
        ),
        // Claude Code's own directory is not taken for a source that it is not to have.
        (
            &[
                ("claude-code", &["two"][..]),
                ("cursor", &["one"]),
                ("opencode", &["one"]),
            ],
            &[
                "claude-code.skills .claude/skills two",
                "cursor.skills .cursor/skills one",
                "opencode.skills .config/opencode/skills one",
            ],
        ),
        (
            &[
                ("claude-code", &["one"][..]),
                ("codex", &["one"]),
                ("copilot", &["one"]),
                ("cursor", &["one"]),
                ("gemini", &["one"]),
                ("opencode", &["one"]),
            ],
            &[
                "claude-code.skills .claude/skills one",
                "codex.skills .agents/skills one",
                "copilot.skills .copilot/skills",
                "cursor.skills .cursor/skills",
                "gemini.skills .gemini/skills",
                "opencode.skills .config/opencode/skills",
            ],
        ),
    ] {
        let config = home.parse(&presets(given)).unwrap();
        let mut found = skills(&home, &config);
        for line in &mut found {
            let mut parts: Vec<&str> = line.split(' ').collect();
            let mut from: Vec<&str> = parts
                .get(2)
                .map_or(vec![], |from| from.split(',').collect());
            from.sort_unstable();
            let from = from.join(",");
            parts.truncate(2);
            *line = format!("{} {from}", parts.join(" ")).trim_end().to_owned();
        }
        assert_eq!(found, expected, "{given:?}");
    }
}

#[test]
fn who_serves_whom_is_told() {
    let home = Home::new();
    let served = |config: &Config, id: &str| -> Vec<String> {
        let preset = target(config, id).preset.unwrap();
        let told = |served: &homing_config::Served, how: &str| {
            format!("{} {how} {}", served.source, served.by)
        };
        let first = preset.served.iter().map(|served| told(served, "by"));
        let twice = preset
            .read_twice
            .iter()
            .map(|served| told(served, "also in"));
        first.chain(twice).collect()
    };
    let config = home
        .parse(&presets(&[
            ("claude-code", &["one"]),
            ("codex", &["one"]),
            ("opencode", &["one", "two"]),
        ]))
        .unwrap();
    assert_eq!(
        served(&config, "opencode.skills"),
        ["one by claude-code.skills", "one also in codex.skills"]
    );
    assert!(served(&config, "codex.skills").is_empty());
    let opencode = target(&config, "opencode.skills");
    assert_eq!(opencode.from, [source("two")]);
    assert_eq!(
        opencode.preset.unwrap().served[0].path,
        home.path(".claude/skills")
    );
    let shared = home
        .parse(&presets(&[("copilot", &["one"]), ("gemini", &["one"])]))
        .unwrap();
    for name in ["copilot.skills", "gemini.skills"] {
        assert_eq!(served(&shared, name), ["one by copilot.shared-skills"]);
    }
    // Agents are not shared.
    assert_eq!(target(&shared, "gemini.agents").from, [source("one")]);
}

#[test]
fn directories_in_a_project_serve_by_themselves() {
    let home = Home::new();
    let text = presets(&[("codex", &["one"]), ("gemini", &["one"])])
        + "project = \"~/app\"\n[targets.cursor]\ntool = \"cursor\"\nfrom = [\"one\"]\nproject = \"~/app\"\n";
    let config = home.parse(&text).unwrap();
    assert_eq!(
        skills(&home, &config),
        [
            "codex.skills .agents/skills one",
            "cursor.shared-skills app/.agents/skills one",
            "cursor.skills app/.cursor/skills",
            "gemini.skills app/.gemini/skills",
        ]
    );
}

#[test]
fn what_a_preset_cannot_be_is_told_with_its_place() {
    let home = Home::new();
    let of = |lines: &str| {
        format!(
            "[sources.one]\nkind = \"dir\"\nroot = \"~/one\"\n[targets.t]\nfrom = [\"one\"]\n{lines}\n"
        )
    };
    for (lines, expected) in [
        ("tool = \"claude\"", "6:8: tool: unknown word `claude`"),
        ("", "4:10: [targets.t] needs `path`"),
        (
            "tool = \"codex\"\npath = \"~/t\"",
            "6:1: [targets.t] has both `path` and `tool`",
        ),
        (
            "path = \"~/t\"\nproject = \"~/p\"",
            "7:1: project: only the directories of a tool",
        ),
        (
            "tool = \"codex\"\nlayout = \"flat\"",
            "7:1: layout: a tool knows",
        ),
        (
            "tool = \"codex\"\nnew_files_to = \"one\"",
            "7:1: new_files_to: what lies in a tool",
        ),
        (
            "tool = \"codex\"\ninclude_kinds = [\"command\"]",
            "7:17: include_kinds: codex has no directory for the kind `command`",
        ),
        (
            "tool = \"codex\"\nproject = \"~/one\"",
            "6:8: target `t.agents` lies in source `one`",
        ),
        (
            "tool = \"codex\"\nproject = \"~/.ssh\"",
            "6:8: target `t.agents` may not be there",
        ),
    ] {
        let wrong = home.wrong(&of(lines));
        assert!(wrong[0].starts_with(expected), "{lines}: {wrong:#?}");
    }
    let dotted = of("path = \"~/t\"").replace("[targets.t]", "[targets.\"t.agents\"]");
    assert!(home.wrong(&dotted)[0].contains("is not a valid name"));
    let twice = of("tool = \"codex\"") + "[targets.u]\ntool = \"codex\"\nfrom = [\"one\"]\n";
    let wrong = home.wrong(&twice);
    assert!(
        wrong[0].starts_with("8:8: target `u.agents` and target `t.agents` are the same directory"),
        "{wrong:#?}"
    );
}
