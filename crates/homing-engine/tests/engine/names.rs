//! Sources that offer the same item, by path or by name: who is published, and what becomes of the others.

use homing_core::ProblemKind;
use homing_engine::{RunReport, WhyReport};
use homing_items::Kind;

use crate::world::{World, source};

fn agent(name: &str, version: Option<&str>, body: &str) -> String {
    let version = version.map_or(String::new(), |version| format!("version: {version}\n"));
    format!("---\nname: {name}\ndescription: d\n{version}---\n{body}\n")
}

fn two() -> World {
    let mut world = World::empty();
    for name in ["one", "two"] {
        world.source(name, |_| {});
    }
    world.target("here", &["one", "two"], |_| {});
    world
}

fn shadowed(run: &RunReport) -> Vec<&str> {
    let shadowed = run
        .problems
        .iter()
        .filter(|one| one.kind == ProblemKind::Shadowed);
    shadowed.map(|one| one.message.as_str()).collect()
}

async fn why(world: &mut World, path: &str) -> WhyReport {
    let path = world.path("here").join(path);
    world.engine().await.why(&path).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_higher_version_has_a_path_and_then_the_order_of_the_sources() {
    for (one, two_version, winner) in [
        (Some("2.1.0-beta"), Some("2.1"), "two"),
        (Some("2.10.0"), Some("2.9.9"), "one"),
        (None, Some("0.0.0"), "two"),
        (Some("0.0.0"), Some("0.0.0"), "one"),
        (None, None, "one"),
        (Some("latest"), None, "one"),
    ] {
        let mut world = two();
        world.write("one/agents/a.md", &agent("a", one, "of one"));
        world.write("two/agents/a.md", &agent("a", two_version, "of two"));
        world.sync("one").await;
        world.sync_well("two").await;
        let text = world.read("here/agents/a.md").unwrap();
        assert!(
            text.contains(&format!("of {winner}")),
            "{one:?} {two_version:?}: {text}"
        );
        let why = why(&mut world, "agents/a.md").await;
        assert_eq!(why.candidates[0].source, source(winner));
        assert_eq!(why.candidates.len(), 2, "{why:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_priority_number_wins_over_a_higher_version() {
    let mut world = two();
    world
        .specs
        .sources
        .get_mut(&source("two"))
        .unwrap()
        .priority = 10;
    world.write("one/agents/a.md", &agent("a", Some("9"), "of one"));
    world.write("two/agents/a.md", &agent("a", Some("1"), "of two"));
    let run = world.sync("one").await;
    assert_eq!(shadowed(&run), [""; 0], "nobody else was there yet");
    world.sync_well("two").await;
    assert!(world.read("here/agents/a.md").unwrap().contains("of two"));
    let run = world.sync("one").await;
    assert_eq!(shadowed(&run).len(), 1, "{run:#?}");
    assert!(shadowed(&run)[0].contains("source `two` comes first (`one` has priority 100)"));
    assert_eq!(
        shadowed(&world.sync("one").await),
        [""; 0],
        "it is told once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_with_one_name_are_published_once_wherever_they_lie() {
    let mut world = two();
    world.write(
        "one/agents/helper.md",
        &agent("helper", Some("1.0"), "of one"),
    );
    world.write(
        "two/team/agents/other.md",
        &agent("helper", Some("1.1"), "of two"),
    );
    world.write("one/agents/alone.md", "# Alone\n");
    world.write("two/x/agents/alone.md", "# Alone\n");
    // The same name for another kind is another name.
    world.write("two/commands/helper.md", "# A command\n");
    world.sync_well("two").await;
    let run = world.sync("one").await;
    let published: Vec<String> = world.tree("here").into_keys().collect();
    assert_eq!(
        published,
        [
            "agents/alone.md",
            "commands/helper.md",
            "team/agents/other.md"
        ]
    );
    let told = shadowed(&run);
    assert!(
        told.iter()
            .any(|told| told.contains("`agents/helper.md` of source `one`")
                && told.contains("the agent `helper` is `team/agents/other.md` already")
                && told.contains("source `two` has the higher version (1.1 over 1.0)")),
        "{told:#?}"
    );

    // Both paths name the winner first, and the loser.
    for (path, state) in [
        ("team/agents/other.md", "published"),
        ("agents/helper.md", "shadowed"),
    ] {
        let why = why(&mut world, path).await;
        let names: Vec<_> = why
            .candidates
            .iter()
            .map(|one| one.source.to_string())
            .collect();
        assert_eq!(
            (names.as_slice(), why.state),
            (&["two".to_owned(), "one".to_owned()][..], state),
            "{path}"
        );
    }

    // What won goes: the other one takes its place.
    world.remove("two/team/agents/other.md");
    world.sync_well("two").await;
    assert!(world.read("here/agents/helper.md").is_some());
    assert!(world.read("here/team/agents/other.md").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_of_one_source_may_have_one_name() {
    let mut world = two();
    world.write("one/a/agents/x.md", &agent("same", None, "x"));
    world.write("one/b/agents/y.md", &agent("same", None, "y"));
    world.sync_well("one").await;
    assert_eq!(world.tree("here").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_wins_or_loses_with_all_its_files() {
    let mut world = two();
    let skill = |version: &str| agent("s", Some(version), "skill");
    world.write("one/skills/s/SKILL.md", &skill("1.0.0"));
    world.write("one/skills/s/only-one.txt", "1");
    world.write("one/skills/s/both.txt", "1");
    world.write("two/skills/s/SKILL.md", &skill("1.0.1"));
    world.write("two/skills/s/both.txt", "2");
    world.write("two/skills/s/scripts/only-two.sh", "2");
    world.sync("one").await;
    world.sync_well("two").await;
    let files: Vec<String> = world.tree("here/skills/s").into_keys().collect();
    assert_eq!(files, ["SKILL.md", "both.txt", "scripts/only-two.sh"]);
    assert_eq!(world.read("here/skills/s/both.txt").unwrap(), "2");

    // Another directory, the same name: the skill is the same one.
    world.remove("one/skills/s/SKILL.md");
    world.remove("one/skills/s/only-one.txt");
    world.remove("one/skills/s/both.txt");
    world.write("one/mine/SKILL.md", &skill("1.0.0"));
    world.write("one/mine/more.txt", "1");
    let run = world.sync("one").await;
    let files: Vec<String> = world.tree("here").into_keys().collect();
    assert_eq!(files.len(), 3, "{files:?}");
    assert_eq!(shadowed(&run).len(), 2, "{run:#?}");

    world.write("one/mine/SKILL.md", &skill("3"));
    world.sync("one").await;
    let files: Vec<String> = world.tree("here").into_keys().collect();
    assert_eq!(files, ["mine/SKILL.md", "mine/more.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_takes_the_kinds_that_it_names() {
    let mut world = two();
    world.target("agents-only", &["one"], |spec| {
        spec.include_kinds = [Kind::Agent].into();
    });
    world.target("skills-and-commands", &["one"], |spec| {
        spec.include_kinds = [Kind::Skill, Kind::Command].into();
    });
    world.write("one/agents/a.md", "# A\n");
    world.write("one/commands/c.md", "# C\n");
    world.write("one/skills/s/SKILL.md", &agent("s", None, "s"));
    world.write("one/skills/s/agents/helper.md", "# part of the skill\n");
    world.write("one/notes.txt", "n");
    world.sync_well("one").await;
    let files = |world: &World, target: &str| world.tree(target).into_keys().collect::<Vec<_>>();
    assert_eq!(files(&world, "here").len(), 5);
    assert_eq!(files(&world, "agents-only"), ["agents/a.md"]);
    assert_eq!(
        files(&world, "skills-and-commands"),
        [
            "commands/c.md",
            "skills/s/SKILL.md",
            "skills/s/agents/helper.md"
        ]
    );
}
