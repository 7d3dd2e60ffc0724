//! Agents in another form: what cannot be put into it takes nobody's place, and nothing hides in it.

use std::fs;

use homing_core::{ContentHash, ProblemKind};
use homing_engine::{Layout, OnFinding, Renderer, RunReport, RunStatus, TargetSpec};
use homing_items::Kind;

use crate::world::World;

fn codex(spec: &mut TargetSpec) {
    spec.render = Some(Renderer::CodexAgent);
    spec.layout = Layout::Agents { suffix: ".toml" };
    spec.include_kinds = [Kind::Agent].into();
}

/// Makes a world with a source `first`, which comes before `second`.
fn world(change: impl FnOnce(&mut TargetSpec)) -> World {
    let mut world = World::empty();
    world.source("first", |spec| spec.priority = 10);
    world.source("second", |_| {});
    world.target("here", &["first", "second"], |spec| {
        codex(spec);
        change(spec);
    });
    world
}

fn agent(name: &str, description: &str, body: &str) -> String {
    format!("---\nname: {name}\ndescription: {description}\n---\n{body}\n")
}

fn told(run: &RunReport, kind: ProblemKind) -> Vec<&str> {
    let problems = run.problems.iter().filter(|one| one.kind == kind);
    problems.map(|one| one.message.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_rendered_takes_nobodys_place() {
    let mut world = world(|_| {});
    world.write("second/agents/a.md", &agent("a", "d", "Two."));
    world.write("first/agents/b.md", &agent("b", "d", "Other."));
    world.sync_well("first").await;
    world.sync_well("second").await;
    let published = world.read("here/a.toml").unwrap();
    assert!(published.contains("Two."), "{published}");

    world.write("first/agents/a.md", "---\nname: a\n---\nOne.\n");
    let run = world.sync("first").await;
    assert_eq!(run.status, RunStatus::Success, "{run:#?}");
    assert_eq!(world.read("here/a.toml").as_ref(), Some(&published));
    let problems = told(&run, ProblemKind::Rendering);
    assert!(
        problems.len() == 1 && problems[0].contains("so it is not published"),
        "{problems:#?}"
    );
    let engine = world.engine().await;
    let why = engine.why(&world.path("here/a.toml")).await.unwrap();
    let why = format!("{why:?}");
    assert!(why.contains("cannot be written as TOML"), "{why}");

    // Mended, it comes first; broken again, its last version stays.
    for text in [
        agent("a", "d", "One."),
        "---\nname: a\n---\nBroken.\n".to_owned(),
    ] {
        world.write("first/agents/a.md", &text);
        world.sync("first").await;
        let found = world.read("here/a.toml").unwrap();
        assert!(found.contains("One."), "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_in_escapes_is_not_written_out() {
    let tags = r#""ok \U000E0065\U000E0076\U000E0069\U000E006C \u202E""#;
    let mut blocking = world(|_| {});
    blocking.write("first/agents/a.md", &agent("a", tags, "One."));
    blocking.write("second/agents/a.md", &agent("a", "d", "Two."));
    blocking.sync("second").await;
    let run = blocking.sync("first").await;
    assert_eq!(told(&run, ProblemKind::Finding).len(), 1, "{run:#?}");
    let found = blocking.read("here/a.toml").unwrap();
    assert!(found.contains("Two."), "{found}");

    let mut warning = world(|spec| spec.on_finding = OnFinding::Warn);
    warning.write("first/agents/a.md", &agent("a", tags, "One."));
    warning.sync("first").await;
    let found = warning.read("here/a.toml").unwrap();
    assert!(found.contains('\u{202e}'), "the target says so: {found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_rendered_text_shows_is_not_published() {
    // Of words that are cut invisibly, eight are too many: four are in an escape, four are in the open.
    let escaped = format!("\"{}\"", r"i\u200Bg ".repeat(4));
    let text = agent("a", &escaped, &"i\u{200b}g ".repeat(4));
    let mut blocking = world(|_| {});
    blocking.write("first/agents/a.md", &text);
    let run = blocking.sync("first").await;
    assert_eq!(told(&run, ProblemKind::Finding), [""; 0]);
    assert_eq!(blocking.read("here/a.toml"), None);
    let problems = told(&run, ProblemKind::Rendering);
    assert!(
        problems.len() == 1 && problems[0].contains("invisible-text"),
        "{problems:#?}"
    );

    let mut warning = world(|spec| spec.on_finding = OnFinding::Warn);
    warning.write("first/agents/a.md", &text);
    warning.sync("first").await;
    assert!(warning.read("here/a.toml").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rendered_and_lost_is_made_again() {
    let mut world = world(|_| {});
    // Small as it came, and large with each of its backslashes escaped.
    let body = format!("''' {}", "\\".repeat(900 << 10));
    world.write("first/agents/a.md", &agent("a", "d", &body));
    world.sync_well("first").await;
    let rendered = world.read("here/a.toml").unwrap();
    let name = ContentHash::of(rendered.as_bytes()).to_string();
    let kept = world.path("data/contents").join(&name[..2]).join(&name);
    fs::remove_file(kept).unwrap();
    world.remove("here/a.toml");
    // The first may be the one that finds the damage.
    world.sync("first").await;
    world.sync_well("first").await;
    assert!(world.read("here/a.toml").as_ref() == Some(&rendered));
}
