//! `homing list`: agents, skills and commands of all sources.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::{Home, TestResult, line_with};

fn names(listed: &Value) -> Result<Vec<&str>> {
    let items = listed["items"].as_array().context("items")?;
    Ok(items
        .iter()
        .filter_map(|item| item["name"].as_str())
        .collect())
}

/// A home with an agent, a command, a skill of two files and a text; `other` has an older version of the agent.
fn home() -> Result<Home> {
    let home = Home::new()?;
    let team = home.make_origin("team")?;
    team.write(
        "agents/review.md",
        "---\nname: review\ndescription: Reads code.\nversion: 1.2.0\n---\n",
    )?;
    team.write("commands/go.md", "Go.\n")?;
    team.write(
        "skills/s/SKILL.md",
        "---\nname: other-name\ndescription: d\n---\n",
    )?;
    team.write("skills/s/run.sh", "echo\n")?;
    team.write("notes.txt", "n\n")?;
    let other = home.make_origin("other")?;
    other.write(
        "agents/mine.md",
        "---\nname: review\ndescription: x: y\nversion: 1.1\n---\n",
    )?;
    home.configure(
        "[sources.team]\nkind = \"dir\"\nroot = \"{origins}/team\"\n\
         [sources.other]\nkind = \"dir\"\nroot = \"{origins}/other\"\n\
         [targets.claude]\npath = \"{home}/claude\"\nfrom = [\"other\", \"team\"]\n\
         [targets.skills]\npath = \"{home}/skills\"\nfrom = [\"team\"]\ninclude_kinds = [\"skill\"]\n",
    )?;
    Ok(home)
}

#[test]
fn items_of_all_sources_are_listed() -> TestResult {
    let home = home()?;
    let _daemon = home.start()?;
    ensure!(
        home.ok(&["list"])?
            .contains("no agents, skills or commands")
    );
    home.ok(&["sync"])?;
    ensure!(home.target("skills").has("skills/s/run.sh"));
    ensure!(
        !home.target("skills").has("agents"),
        "only skills were asked for"
    );

    let text = home.ok(&["list"])?;
    line_with(
        &text,
        &["review", "agent", "1.2.0", "team", "claude", "Reads code."],
    )?;
    line_with(&text, &["review", "agent", "1.1", "other", "-", "x: y"])?;
    line_with(
        &text,
        &["other-name", "skill", "team", "claude, skills", "1 note"],
    )?;
    line_with(&text, &["go", "command", "team", "claude"])?;
    line_with(&text, &["2 agents, 1 skill, 1 command"])?;

    let all = home.json_ok(&["list"])?;
    ensure!(
        names(&all)? == ["review", "review", "other-name", "go"],
        "{all:#}"
    );
    let skill = &all["items"][2];
    ensure!(
        skill["path"] == "skills/s/SKILL.md" && skill["files"] == 2 && skill["kind"] == "skill",
        "{skill:#}"
    );
    ensure!(
        skill["published"][1]["path"] == "skills/s/SKILL.md",
        "{skill:#}"
    );
    ensure!(
        skill["findings"][0]["rule"] == "name-differs-from-directory",
        "{skill:#}"
    );

    for (arguments, found) in [
        (&["list", "--kind", "skill"][..], &["other-name"][..]),
        (&["list", "--kind", "command", "team"], &["go"]),
        (&["list", "other"], &["review"]),
        (&["list", "--kind", "file"], &["notes.txt"]),
        (&["list", "--kind", "skill", "other"], &[]),
    ] {
        let listed = home.json_ok(arguments)?;
        ensure!(names(&listed)? == found, "{arguments:?}: {listed:#}");
    }
    home.homing(&["list", "--kind", "skil"])?
        .expect(2, &["skill"])?;
    home.homing(&["list", "taem"])?
        .expect(8, &["did you mean `team`?"])
}

#[test]
fn who_lost_a_name_is_told_by_why_and_a_disabled_source_is_listed() -> TestResult {
    let home = home()?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let lost = home.ok(&["why", "claude/agents/mine.md"])?;
    line_with(&lost, &["claude: agents/mine.md: shadowed"])?;
    line_with(
        &lost,
        &["team", "agents/review.md", "by the higher version"],
    )?;
    line_with(
        &lost,
        &[
            "other",
            "agents/mine.md",
            "the agent `review` is `agents/review.md` already",
        ],
    )?;
    let won = home.ok(&["why", "claude/agents/review.md"])?;
    line_with(&won, &["claude: agents/review.md: published"])?;
    line_with(&won, &["other", "agents/mine.md"])?;

    home.ok(&["source", "disable", "team"])?;
    ensure!(
        home.target("claude").has("agents/mine.md"),
        "it takes the place"
    );
    let text = home.ok(&["list"])?;
    line_with(&text, &["review", "1.2.0", "team", "- (disabled)"])?;
    line_with(&text, &["review", "1.1", "other", "claude"])?;
    Ok(())
}

#[test]
fn the_same_name_twice_in_a_source_is_found() -> TestResult {
    let home = Home::with_one_source()?;
    for plugin in ["a", "b"] {
        home.origin("team").write(
            &format!("plugins/{plugin}/agents/x.md"),
            "---\nname: same\ndescription: d\n---\n",
        )?;
    }
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let listed = home.json_ok(&["list"])?;
    ensure!(names(&listed)? == ["same", "same"], "{listed:#}");
    for at in 0..2 {
        let finding = &listed["items"][at]["findings"][0];
        ensure!(finding["rule"] == "duplicated-name", "{listed:#}");
    }
    Ok(())
}

#[test]
fn what_a_tool_reads_in_another_form_is_older_only_when_it_is() -> TestResult {
    let home = Home::new()?;
    let origin = home.make_origin("team")?;
    let agent = |text: &str| format!("---\nname: a\ndescription: d\n---\n{text}\n");
    origin.write("agents/a.md", agent("One."))?;
    home.configure(
        "[sources.team]\nkind = \"dir\"\nroot = \"{origins}/team\"\n\
         [targets.codex]\ntool = \"codex\"\nfrom = [\"team\"]\n",
    )?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    let is_current = || -> Result<bool> {
        let listed = home.json_ok(&["list"])?;
        let places = listed["items"][0]["published"].as_array();
        let places = places.context("places")?;
        ensure!(places.len() == 1, "{listed:#}");
        places[0]["current"].as_bool().context("a word")
    };
    ensure!(is_current()?);
    let text = home.ok(&["list"])?;
    line_with(&text, &["a", "agent", "team", "codex.agents"])?;
    ensure!(!text.contains("older"), "{text}");
    daemon.stop()?;
    // Nothing of what was rendered before is remembered.
    let _daemon = home.start()?;
    ensure!(is_current()?, "after a start");

    // It cannot be written as TOML any more, so the last version stays.
    origin.write("agents/a.md", "No frontmatter.\n")?;
    home.ok(&["sync"])?;
    ensure!(!is_current()?, "what lies there is older");
    line_with(&home.ok(&["list"])?, &["codex.agents (older)"])?;
    origin.write("agents/a.md", agent("Two."))?;
    home.ok(&["sync"])?;
    ensure!(is_current()?, "it is mended");
    Ok(())
}
