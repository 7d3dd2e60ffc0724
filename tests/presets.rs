//! Targets that are tools: each in a throwaway home, with its variables, published from a source like real ones.

use std::fs;

use anyhow::{Context, Result, bail, ensure};

use crate::harness::{Home, TestResult, Tree, line_with};

const AGENT: &str = "---\nname: reviewer\ndescription: \"Reviews: everything\"\nmodel: sonnet\ntools: Read\n---\nRead it.\n";
const SKILL: &str = "---\nname: foo\ndescription: Does foo\n---\nDo it.\n";

/// Fills an origin with an agent, a skill, a command and what is none of them.
fn fill(origin: &Tree) -> TestResult {
    origin.write("plugins/a/agents/review.md", AGENT)?;
    origin.write("plugins/a/agents/README.md", "# Agents\n")?;
    origin.write("plugins/a/skills/foo/SKILL.md", SKILL)?;
    origin.write("plugins/a/skills/foo/scripts/run.sh", "echo foo\n")?;
    origin.write("plugins/a/commands/git/commit.md", "Commit it.\n")?;
    origin.write("README.md", "# A repository\n")
}

/// Makes a home whose source `team` is filled, with presets of these tools.
fn home_with(tools: &[&str], more: &str) -> Result<Home> {
    let home = Home::new()?;
    fill(&home.make_origin("team")?)?;
    let mut text = "[sources.team]\nkind = \"dir\"\nroot = \"{origins}/team\"\n".to_owned();
    for tool in tools {
        let section = format!("[targets.{tool}]\ntool = \"{tool}\"\nfrom = [\"team\"]\n{more}");
        text.push_str(&section);
    }
    home.configure(&text)?;
    Ok(home)
}

fn skill(below: &str) -> Vec<(String, &'static str)> {
    vec![
        (format!("{below}/foo/SKILL.md"), SKILL),
        (format!("{below}/foo/scripts/run.sh"), "echo foo\n"),
    ]
}

#[test]
fn every_tool_gets_its_own_in_the_directories_that_its_variables_name() -> TestResult {
    for (tool, variables, agent, skills, command) in [
        (
            "claude-code",
            &[("CLAUDE_CONFIG_DIR", "moved")][..],
            "moved/agents/review.md",
            "moved/skills",
            Some("moved/commands/git/commit.md"),
        ),
        (
            "codex",
            &[("CODEX_HOME", "moved")],
            "moved/agents/review.toml",
            ".agents/skills",
            None,
        ),
        (
            "cursor",
            &[],
            ".cursor/agents/review.md",
            ".cursor/skills",
            Some(".cursor/commands/git/commit.md"),
        ),
        (
            "opencode",
            &[("XDG_CONFIG_HOME", "xdg"), ("OPENCODE_CONFIG_DIR", "moved")],
            "moved/agents/review.md",
            "moved/skills",
            Some("moved/commands/git/commit.md"),
        ),
        (
            "gemini",
            &[("GEMINI_CLI_HOME", "moved")],
            "moved/.gemini/agents/review.md",
            "moved/.gemini/skills",
            None,
        ),
        (
            "copilot",
            &[("COPILOT_HOME", "moved")],
            "moved/agents/review.agent.md",
            "moved/skills",
            None,
        ),
    ] {
        let home = home_with(&[tool], "")?;
        let paths: Vec<(&str, String)> = variables
            .iter()
            .map(|(name, below)| (*name, home.path(below).display().to_string()))
            .collect();
        let variables: Vec<(&str, &str)> = paths
            .iter()
            .map(|(name, path)| (*name, path.as_str()))
            .collect();
        // What moves Homing's own configuration along is named for it.
        let config = home.config_path().display().to_string();
        let daemon = home.start_with(&["--config", &config], &variables)?;
        home.ok(&["sync"])?;
        let mut expected = skill(skills);
        expected.extend(command.map(|path| (path.to_owned(), "Commit it.\n")));
        for (path, text) in expected {
            let found = fs::read_to_string(home.path(&path)).context(path.clone())?;
            ensure!(found == text, "{tool}: {path}: {found}");
        }
        let found = fs::read_to_string(home.path(agent)).context(agent)?;
        ensure!(
            (found == AGENT) != (tool == "codex"),
            "{tool}: {agent}: {found}"
        );
        let is_named = |name: &str| home.path(agent).with_file_name(name).exists();
        ensure!(!is_named("README.md"), "{tool} got a file that is no agent");
        daemon.stop()?;
    }
    Ok(())
}

#[test]
fn codex_agents_are_toml_and_what_has_no_place_there_is_told_once() -> TestResult {
    let home = home_with(&["codex"], "")?;
    let origin = home.origin("team");
    origin.write("agents/bare.md", "No frontmatter.\n")?;
    let _daemon = home.start()?;
    let run = home.json_ok(&["sync", "team"])?;
    let told: Vec<String> = run["runs"][0]["problems"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|problem| problem["kind"] == "rendering")
        .map(|problem| format!("{}: {}", problem["path"], problem["message"]))
        .collect();
    ensure!(told.len() == 2, "{told:#?}");
    ensure!(
        told.iter()
            .any(|line| line.contains("`model` (no model of Codex's), `tools`")),
        "{told:#?}"
    );
    ensure!(
        told.iter()
            .any(|line| line.contains("bare") && line.contains("it is not published")),
        "{told:#?}"
    );
    let again = home.json_ok(&["sync", "team"])?;
    ensure!(
        again["runs"][0]["problems"] == serde_json::json!([]),
        "{again:#}"
    );
    let agents = home.target(".codex/agents");
    let text = agents.read("review.toml")?;
    let agent: toml::Table = text.parse().context(text.clone())?;
    ensure!(agent["name"].as_str() == Some("reviewer"), "{text}");
    ensure!(
        agent["description"].as_str() == Some("Reviews: everything"),
        "{text}"
    );
    ensure!(
        agent["developer_instructions"].as_str() == Some("Read it.\n") && agent.len() == 3,
        "{text}"
    );
    ensure!(!agents.has("bare.toml"), "it cannot be one");
    let path = home.path(".codex/agents/review.toml").display().to_string();
    let why = home.ok(&["why", &path])?;
    ensure!(why.contains("which has no place for"), "{why}");
    let path = home.path(".codex/agents/bare.toml").display().to_string();
    let why = home.ok(&["why", &path])?;
    ensure!(why.contains("cannot be written as TOML"), "{why}");

    // What could be written stays when it can be no more, and goes with the original.
    origin.write("plugins/a/agents/review.md", "Now without.\n")?;
    home.ok(&["sync", "team"])?;
    ensure!(
        agents.read("review.toml")? == text,
        "the last good one stays"
    );
    origin.remove("plugins/a/agents/review.md")?;
    home.ok(&["sync", "team"])?;
    ensure!(!agents.has("review.toml"), "its original is gone");
    Ok(())
}

#[test]
fn an_edit_of_a_rendered_file_survives_and_is_never_taken_back() -> TestResult {
    let home = home_with(&["codex"], "")?;
    let text = fs::read_to_string(home.config_path())?;
    home.configure(&text.replace("\n[targets", "\npush = \"direct\"\n[targets"))?;
    let origin = home.origin("team");
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let agents = home.target(".codex/agents");
    let rendered = agents.read("review.toml")?;
    let edited = format!("# Mine.\n{rendered}");
    agents.write("review.toml", &edited)?;
    home.ok(&["sync"])?;
    ensure!(agents.read("review.toml")? == edited);
    ensure!(
        origin.read("plugins/a/agents/review.md")? == AGENT,
        "a rendered file is nobody's original"
    );
    line_with(&home.ok(&["status"])?, &["codex.agents", "modified"])?;
    // Upstream's change is merged into what was made of it.
    let changed = AGENT.replace("Read it.", "Read it twice.");
    origin.write("plugins/a/agents/review.md", &changed)?;
    home.ok(&["sync"])?;
    let merged = agents.read("review.toml")?;
    ensure!(
        merged.starts_with("# Mine.\n") && merged.contains("Read it twice."),
        "{merged}"
    );
    let dry = home.json_ok(&["diff", "team"])?;
    ensure!(dry["diffs"][0]["items"] == serde_json::json!([]), "{dry:#}");
    Ok(())
}

#[test]
fn an_undo_puts_back_what_was_made_of_an_agent_before() -> TestResult {
    let home = home_with(&["codex"], "")?;
    let origin = home.origin("team");
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let agents = home.target(".codex/agents");
    let before = agents.read("review.toml")?;
    origin.write(
        "plugins/a/agents/review.md",
        AGENT.replace("Read it.", "Read it twice."),
    )?;
    home.ok(&["sync"])?;
    ensure!(agents.read("review.toml")? != before);
    home.ok(&["undo"])?;
    ensure!(agents.read("review.toml")? == before);
    home.ok(&["sync"])?;
    ensure!(
        agents.read("review.toml")? == before,
        "the next sync takes the undo back"
    );
    Ok(())
}

#[test]
fn a_skill_lies_in_one_directory_that_several_tools_read() -> TestResult {
    let home = home_with(&["codex", "gemini"], "")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    home.target(".agents/skills").expect(&[
        ("foo/SKILL.md", SKILL),
        ("foo/scripts/run.sh", "echo foo\n"),
    ])?;
    ensure!(!home.path(".gemini/skills").exists(), "it is there twice");
    ensure!(home.path(".gemini/agents/review.md").exists());
    for told in [home.ok(&["status"])?, home.ok(&["target", "list"])?] {
        line_with(&told, &["gemini.skills", "team (in codex.skills)"])?;
    }
    let shown = home.ok(&["target", "show", "gemini"])?;
    ensure!(
        shown.contains("team by codex.skills") && shown.contains("[targets.gemini.agents]"),
        "{shown}"
    );
    ensure!(shown.contains("its settings and its hook apply"), "{shown}");
    let path = home
        .path(".gemini/skills/foo/SKILL.md")
        .display()
        .to_string();
    let why = home.ok(&["why", &path])?;
    ensure!(
        why.contains("`gemini.skills` is served by `codex.skills`"),
        "{why}"
    );
    Ok(())
}

#[test]
fn skills_move_when_another_tool_comes_and_what_is_read_twice_is_told() -> TestResult {
    let home = home_with(&["opencode"], "")?;
    let origin = home.origin("team");
    for number in 0..8 {
        origin.write(
            &format!("skills/s{number}/SKILL.md"),
            SKILL.replace("foo", &format!("s{number}")),
        )?;
    }
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let own = home.target(".config/opencode/skills");
    ensure!(own.has("s7/SKILL.md"));
    own.write("s1/SKILL.md", "mine\n")?;
    home.ok(&[
        "target",
        "add",
        "claude",
        "--tool",
        "claude-code",
        "--from",
        "team",
    ])?;
    home.ok(&[
        "target", "add", "codex", "--tool", "codex", "--from", "team",
    ])?;
    let synced = home.json_ok(&["sync"])?;
    ensure!(home.path(".claude/skills/s7/SKILL.md").exists());
    own.expect(&[("s1/SKILL.md", "mine\n")])?;
    let told = synced.to_string();
    ensure!(
        told.contains("lists the skills of source `team` twice"),
        "{synced:#}"
    );
    Ok(())
}

#[test]
fn the_name_of_a_preset_means_all_its_parts() -> TestResult {
    let home = home_with(&["claude-code"], "")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let status = home.json_ok(&["status", "claude-code"])?;
    let targets = status["targets"].as_array().context("targets")?;
    ensure!(targets.len() == 3, "{status:#}");
    let verified = home.json_ok(&["verify", "claude-code"])?;
    let verifications = verified["verifications"].as_array().context("all")?;
    let checked: u64 = verifications
        .iter()
        .filter_map(|one| one["checked"].as_u64())
        .sum();
    ensure!((verifications.len(), checked) == (3, 4), "{verified:#}");
    let one = home.json_ok(&["verify", "claude-code.skills"])?;
    ensure!(one["verifications"][0]["checked"] == 2, "{one:#}");
    home.homing(&["verify", "claude-cod"])?
        .expect(8, &["did you mean"])?;
    let skills = home.target(".claude/skills");
    fs::remove_dir_all(skills.path("foo"))?;
    home.target(".claude/agents").write("review.md", "mine\n")?;
    home.origin("team").write(
        "plugins/a/agents/review.md",
        AGENT.replace("sonnet", "opus"),
    )?;
    let (conflicts, code) = home.json(&["sync"])?;
    ensure!(code == 7, "{conflicts:#}");
    let conflicts = home.ok(&["conflicts", "claude-code"])?;
    line_with(&conflicts, &["review.md", "content"])?;
    home.ok(&["resolve", "claude-code", "review.md", "--theirs"])?;
    ensure!(home.ok(&["conflicts"])?.contains("no open conflict"));
    let removed = home.ok(&["target", "remove", "claude-code"])?;
    ensure!(removed.contains("files stay"), "{removed}");
    ensure!(home.path(".claude/agents/review.md").exists());
    Ok(())
}

/// Asks homingd until something is so; each question takes some milliseconds.
fn until(home: &Home, is_so: impl Fn() -> Result<bool>) -> TestResult {
    for _ in 0..1_000 {
        if is_so()? {
            return Ok(());
        }
        home.json_ok(&["status"])?;
    }
    bail!("it is not so after 1,000 questions")
}

#[test]
fn what_include_kinds_leaves_out_goes_and_what_is_edited_stays() -> TestResult {
    let home = home_with(&["claude-code", "codex"], "")?;
    let origin = home.origin("team");
    for number in 0..8 {
        let name = format!("s{number}");
        origin.write(
            &format!("skills/{name}/SKILL.md"),
            SKILL.replace("foo", &name),
        )?;
    }
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    let skills = home.target(".claude/skills");
    let commands = home.target(".claude/commands");
    ensure!(skills.has("s7/SKILL.md") && commands.has("git/commit.md"));
    skills.write("s1/SKILL.md", "mine\n")?;
    skills.write("own/SKILL.md", "own\n")?;
    let all = fs::read_to_string(home.config_path())?;
    let of_claude = "tool = \"claude-code\"\n";
    let some = all.replace(
        of_claude,
        &format!("{of_claude}include_kinds = [\"agent\", \"command\"]\n"),
    );
    home.configure(&some)?;
    home.ok(&["config", "reload"])?;
    home.ok(&["sync"])?;
    until(&home, || Ok(skills.texts()?.len() == 2))?;
    skills.expect(&[("own/SKILL.md", "own\n"), ("s1/SKILL.md", "mine\n")])?;
    ensure!(home.path(".claude/agents/review.md").exists());
    ensure!(commands.has("git/commit.md"));
    ensure!(
        home.path(".agents/skills/s7/SKILL.md").exists(),
        "codex has them still"
    );
    let listed = home.ok(&["target", "list"])?;
    ensure!(!listed.contains("claude-code.skills"), "{listed}");

    // While homingd does not run, too.
    daemon.stop()?;
    home.configure(&some.replace("[\"agent\", \"command\"]", "[\"agent\"]"))?;
    let daemon = home.start()?;
    home.status_when_recovered()?;
    home.ok(&["sync"])?;
    until(&home, || Ok(commands.texts()?.is_empty()))?;
    daemon.stop()?;
    let _daemon = home.start()?;
    let status = home.status_when_recovered()?;
    let names: Vec<&str> = status["targets"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|target| target["id"].as_str())
        .collect();
    ensure!(!names.contains(&"claude-code.commands"), "{status:#}");

    // And back.
    home.configure(&all)?;
    home.ok(&["config", "reload"])?;
    home.homing(&["sync"])?;
    ensure!(skills.has("s7/SKILL.md") && commands.has("git/commit.md"));
    ensure!(
        skills.read("s1/SKILL.md")? == "mine\n",
        "an edit is nobody's to replace"
    );
    Ok(())
}

#[test]
fn a_kind_that_another_preset_takes_over_is_left_where_it_is() -> TestResult {
    let home = home_with(&["claude-code"], "")?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    daemon.stop()?;
    let all = fs::read_to_string(home.config_path())?;
    let of_claude = "tool = \"claude-code\"\n";
    let split = all.replace(
        of_claude,
        &format!("{of_claude}include_kinds = [\"agent\"]\n"),
    );
    home.configure(&format!(
        "{split}[targets.rest]\ntool = \"claude-code\"\nfrom = [\"team\"]\ninclude_kinds = [\"skill\", \"command\"]\n"
    ))?;
    let _daemon = home.start()?;
    home.status_when_recovered()?;
    home.ok(&["sync"])?;
    home.target(".claude/skills").expect(&[
        ("foo/SKILL.md", SKILL),
        ("foo/scripts/run.sh", "echo foo\n"),
    ])?;
    home.target(".claude/commands")
        .expect(&[("git/commit.md", "Commit it.\n")])
}

#[test]
fn a_disabled_source_leaves_the_directories_of_every_tool() -> TestResult {
    let home = home_with(&["claude-code", "codex", "copilot"], "")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    ensure!(home.path(".copilot/agents/review.agent.md").exists());
    home.target(".claude/agents").write("own.md", "mine\n")?;
    home.ok(&["source", "disable", "team"])?;
    for directory in [
        ".claude/skills",
        ".claude/commands",
        ".codex/agents",
        ".agents/skills",
        ".copilot/agents",
    ] {
        home.target(directory).expect(&[])?;
    }
    home.target(".claude/agents")
        .expect(&[("own.md", "mine\n")])
}

#[test]
fn a_preset_is_added_to_a_project_and_its_hook_hears_of_each_part() -> TestResult {
    let home = Home::new()?;
    fill(&home.make_origin("team")?)?;
    home.configure("[sources.team]\nkind = \"dir\"\nroot = \"{origins}/team\"\n")?;
    let told = home.path("told").display().to_string();
    let script = format!("cat >> {told}");
    home.ok(&[
        "target",
        "add",
        "app",
        "--tool",
        "cursor",
        "--project",
        "code/app",
        "--from",
        "team",
        "--after",
        "/bin/sh",
        "-c",
        &script,
    ])?;
    let config = fs::read_to_string(home.config_path())?;
    ensure!(
        config.contains("tool = \"cursor\"\nproject = \"~/code/app\"\nfrom = [\"team\"]"),
        "{config}"
    );
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    home.target("code/app/.cursor").expect(&[
        ("agents/review.md", AGENT),
        ("commands/git/commit.md", "Commit it.\n"),
        ("skills/foo/SKILL.md", SKILL),
        ("skills/foo/scripts/run.sh", "echo foo\n"),
    ])?;
    let lines = fs::read_to_string(&told)?;
    for path in ["review.md", "git/commit.md", "foo/SKILL.md"] {
        ensure!(lines.contains(path), "{lines}");
    }
    Ok(())
}

#[test]
fn a_repository_of_others_goes_to_two_tools() -> TestResult {
    let Some(bundle) = testkit::real_bundle("wshobson-agents.bundle") else {
        return Ok(());
    };
    let home = home_with(&["claude-code", "codex"], "")?;
    let checkout = home.root().join("origins/team");
    fs::remove_dir_all(&checkout)?;
    let cloned = std::process::Command::new("git")
        .args(["clone", "--quiet"])
        .arg(&bundle)
        .arg(&checkout)
        .status()?;
    ensure!(cloned.success());
    let _daemon = home.start()?;
    let (synced, code) = home.json(&["sync", "--all"])?;
    ensure!(
        code == 0 || code == 3,
        "{code}: {}",
        synced["runs"][0]["error"]
    );
    let count = |below: &str| home.target(below).texts().map(|texts| texts.len());
    let (markdown, toml) = (count(".claude/agents")?, count(".codex/agents")?);
    ensure!(
        markdown > 50 && toml > 50,
        "{markdown} agents, {toml} as TOML"
    );
    for (path, text) in home.target(".codex/agents").texts()? {
        let agent: toml::Table = text.parse().context(path.clone())?;
        ensure!(agent.contains_key("developer_instructions"), "{path}");
    }
    let skills = count(".claude/skills")?;
    ensure!(
        skills > 50 && skills == count(".agents/skills")?,
        "{skills}"
    );
    for (path, text) in home.target(".claude/skills").texts()? {
        ensure!(path.contains('/'), "{path} lies beside the skills: {text}");
    }
    Ok(())
}
