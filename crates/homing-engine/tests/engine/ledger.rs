//! The ledger's rules: base and written, adopted files, winners, sources that go away.

use homing_core::{ConflictKind, ProblemKind};
use homing_engine::{Deletions, Drift, ItemAction, Resolution};

use crate::memory::Memory;
use crate::world::{World, source, target};

#[tokio::test(flavor = "multi_thread")]
async fn base_and_written_differ_after_a_merge_and_verify_goes_by_written() {
    let mut world = World::new();
    world.write("up/a.md", "1\n2\n3\n4\n5\n");
    world.sync_well("up").await;
    world.write("here/a.md", "mine\n2\n3\n4\n5\n");
    let engine = world.engine().await;
    let drift = engine.verify(&target("here"), false).await.unwrap().drifted;
    assert_eq!(
        drift
            .iter()
            .map(|(path, drift, _)| (path.as_str(), *drift))
            .collect::<Vec<_>>(),
        [("a.md", Drift::Edited)]
    );
    world.write("up/a.md", "1\n2\n3\n4\ntheirs\n");
    world.sync_well("up").await;
    // What was placed is the merge: nothing drifts from that, and the edit still counts as one.
    assert!(
        engine
            .verify(&target("here"), false)
            .await
            .unwrap()
            .drifted
            .is_empty()
    );
    assert_eq!(
        engine
            .why(std::path::Path::new("a.md"))
            .await
            .unwrap()
            .state,
        "edited"
    );
    world.remove("up/a.md");
    world.write("up/b.md", "so that the origin is not empty\n");
    world.sync("up").await;
    assert_eq!(
        world.read("here/a.md").unwrap(),
        "mine\n2\n3\n4\ntheirs\n",
        "merged bytes hold an edit"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_anew_after_its_deletion_is_an_edit_at_every_later_run() {
    let mut memory = Memory::new();
    for spec in memory.world.specs.targets.values_mut() {
        spec.deletions = Deletions::Keep;
    }
    memory.up.memory.put("a.md", b"one\n");
    memory.world.sync_well("up").await;
    memory.here.memory.remove("a.md");
    memory.world.sync_well("up").await;
    memory.here.memory.put("a.md", b"mine\n");
    memory.world.sync_well("up").await;
    memory.up.memory.put("a.md", b"two\n");
    let run = memory.world.sync("up").await;
    let actions: Vec<_> = run.items.iter().map(|item| item.action).collect();
    assert_eq!(actions, [ItemAction::Conflict], "{run:#?}");
    assert_eq!(memory.world.conflicts().await.len(), 1);
    assert_eq!(memory.published("a.md").unwrap(), "mine\n");
    memory.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_file_is_never_overwritten() {
    let mut world = World::new();
    world.write("here/a.md", "the user's\n");
    world.write("up/a.md", "upstream's\n");
    world.sync("up").await;
    assert_eq!(world.read("here/a.md").unwrap(), "the user's\n");
    let conflicts = world.conflicts().await;
    assert_eq!(conflicts[0].kind, ConflictKind::Added);
    let engine = world.engine().await;
    engine
        .resolve(conflicts[0].id, Resolution::Theirs)
        .await
        .unwrap();
    assert_eq!(world.read("here/a.md").unwrap(), "upstream's\n");
    engine.undo(None).await.unwrap();
    assert_eq!(
        world.read("here/a.md").unwrap(),
        "the user's\n",
        "a copy was kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn adopted_an_equal_file_is_the_users_again_when_upstream_deletes_it() {
    let mut world = World::new();
    world.write("here/a.md", "same\n");
    world.write("up/a.md", "same\n");
    world.write("up/b.md", "other\n");
    let run = world.sync_well("up").await;
    assert!(
        run.items
            .iter()
            .any(|item| item.action == ItemAction::Adopted)
    );
    world.remove("up/a.md");
    world.sync_well("up").await;
    assert_eq!(world.read("here/a.md").unwrap(), "same\n");
    assert!(world.conflicts().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lower_priority_number_wins_and_the_loser_is_reported() {
    let mut world = World::empty();
    world.source("one", |spec| spec.priority = 50);
    world.source("two", |_| {});
    world.target("here", &["two", "one"], |_| {});
    world.write("one/a.md", "one\n");
    world.write("two/a.md", "two\n");
    world.sync("two").await;
    world.sync("one").await;
    assert_eq!(world.read("here/a.md").unwrap(), "one\n");
    let why = world
        .engine()
        .await
        .why(&world.path("here/a.md"))
        .await
        .unwrap();
    let sources: Vec<_> = why
        .candidates
        .iter()
        .map(|candidate| candidate.source.as_str())
        .collect();
    assert_eq!(sources, ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_does_not_take_the_place_of_a_directory_that_comes_first() {
    let mut world = World::empty();
    world.source("one", |spec| spec.priority = 50);
    world.source("two", |_| {});
    world.target("here", &["one", "two"], |_| {});
    // In the order of their names `a-b.md` stands between `a` and what is below it.
    world.write("one/a-b.md", "one\n");
    world.write("one/a/b.md", "one\n");
    world.write("two/a", "two\n");
    world.sync_well("one").await;
    let run = world.sync("two").await;
    assert!(
        run.problems
            .iter()
            .any(|problem| problem.kind == ProblemKind::Shadowed && problem.path == "a"),
        "{run:#?}"
    );
    assert!(world.conflicts().await.is_empty());
    assert_eq!(world.read("here/a/b.md").unwrap(), "one\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn between_equal_priorities_the_order_of_from_decides() {
    let mut world = World::empty();
    world.source("one", |_| {});
    world.source("two", |_| {});
    world.target("here", &["two", "one"], |_| {});
    world.write("one/a.md", "one\n");
    world.write("two/a.md", "two\n");
    world.sync("one").await;
    world.sync("two").await;
    assert_eq!(world.read("here/a.md").unwrap(), "two\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn winner_change_an_unedited_file_goes_to_the_new_winner() {
    let mut world = World::empty();
    world.source("one", |spec| spec.priority = 50);
    world.source("two", |_| {});
    world.target("here", &["two", "one"], |_| {});
    world.write("two/a.md", "two\n");
    world.write("one/z.md", "z\n");
    world.sync("two").await;
    world.write("one/a.md", "one\n");
    world.sync("one").await;
    assert_eq!(world.read("here/a.md").unwrap(), "one\n");
    world.remove("one/a.md");
    world.sync("one").await;
    assert_eq!(
        world.read("here/a.md").unwrap(),
        "two\n",
        "the loser comes back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn provenance_an_edited_file_is_kept_when_the_winner_changes() {
    let mut world = World::empty();
    world.source("one", |spec| spec.priority = 50);
    world.source("two", |_| {});
    world.target("here", &["two", "one"], |_| {});
    world.write("two/a.md", "two\n");
    world.sync("two").await;
    world.write("here/a.md", "edited\n");
    world.write("one/a.md", "one\n");
    world.sync("one").await;
    assert_eq!(world.read("here/a.md").unwrap(), "edited\n");
    let conflicts = world.conflicts().await;
    assert_eq!(conflicts[0].kind, ConflictKind::Provenance);
    let engine = world.engine().await;
    engine
        .resolve(conflicts[0].id, Resolution::Ours)
        .await
        .unwrap();
    world.sync_well("one").await;
    assert!(world.conflicts().await.is_empty());
    assert_eq!(world.read("here/a.md").unwrap(), "edited\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn source_removal_takes_unedited_files_and_leaves_edited_ones_to_the_user() {
    let mut world = World::empty();
    world.source("one", |_| {});
    world.source("two", |_| {});
    world.target("here", &["one", "two"], |_| {});
    world.write("one/a.md", "a\n");
    world.write("one/b.md", "b\n");
    world.write("two/c.md", "c\n");
    world.sync("one").await;
    world.sync("two").await;
    world.write("here/b.md", "edited\n");
    world.restart().await;
    world.specs.sources.remove(&source("one"));
    world.specs.targets.get_mut(&target("here")).unwrap().from = vec![source("two")];
    world.sync_well("two").await;
    assert_eq!(world.read("here/a.md"), None);
    assert_eq!(world.read("here/b.md").unwrap(), "edited\n");
    assert_eq!(world.read("here/c.md").unwrap(), "c\n");
    assert!(world.conflicts().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_source_publishes_nothing() {
    let mut world = World::empty();
    world.source("one", |_| {});
    world.source("two", |_| {});
    world.target("here", &["one", "two"], |_| {});
    world.write("one/a.md", "a\n");
    world.write("two/c.md", "c\n");
    world.sync("one").await;
    world.sync("two").await;
    world.restart().await;
    world.specs.sources.get_mut(&source("one")).unwrap().enabled = false;
    world.sync_well("two").await;
    assert_eq!(world.tree("here").into_keys().collect::<Vec<_>>(), ["c.md"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_repairs_what_is_missing_and_never_an_edit() {
    let mut world = World::new();
    world.write("up/a.md", "a\n");
    world.write("up/b.md", "b\n");
    world.sync_well("up").await;
    world.remove("here/a.md");
    world.write("here/b.md", "edited\n");
    let engine = world.engine().await;
    let report = engine.verify(&target("here"), true).await.unwrap();
    let drifted: Vec<_> = report
        .drifted
        .iter()
        .map(|(path, drift, _)| (path.as_str(), *drift))
        .collect();
    assert_eq!(
        drifted,
        [("a.md", Drift::Repaired), ("b.md", Drift::Edited)]
    );
    assert_eq!(world.read("here/a.md").unwrap(), "a\n");
    assert_eq!(world.read("here/b.md").unwrap(), "edited\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_are_resolved_by_each_word() {
    for (with, expected) in [
        (Resolution::Ours, "mine\n"),
        (Resolution::Theirs, "theirs\n"),
        (Resolution::Union, "mine\ntheirs\n"),
        (Resolution::Content(b"by hand\n".to_vec()), "by hand\n"),
    ] {
        let mut world = World::new();
        world.write("up/a.md", "base\n");
        world.sync_well("up").await;
        world.write("here/a.md", "mine\n");
        world.write("up/a.md", "theirs\n");
        world.sync("up").await;
        let conflict = world.conflicts().await[0].id;
        let engine = world.engine().await;
        let run = engine.resolve(conflict, with).await.unwrap();
        assert!(run.error.is_none(), "{run:#?}");
        assert_eq!(world.read("here/a.md").unwrap(), expected);
        world.sync_well("up").await;
        assert!(world.conflicts().await.is_empty());
        assert_eq!(world.read("here/a.md").unwrap(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_is_seen_no_more_as_it_was_is_not_resolved() {
    let mut world = World::new();
    world.write("up/a.md", "base\n");
    world.sync_well("up").await;
    world.write("here/a.md", "mine\n");
    world.write("up/a.md", "theirs\n");
    world.sync("up").await;
    let conflict = world.conflicts().await[0].id;
    world.write("here/a.md", "mine, once more\n");
    let run = world
        .engine()
        .await
        .resolve(conflict, Resolution::Theirs)
        .await
        .unwrap();
    assert_eq!(run.error.unwrap().kind, "rejected");
    assert_eq!(world.read("here/a.md").unwrap(), "mine, once more\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn source_removal_leaves_an_edit_that_was_never_pushed() {
    let mut world = World::empty();
    world.source("one", |spec| spec.push = homing_engine::PushMode::Direct);
    world.source("two", |_| {});
    world.target("here", &["one", "two"], |_| {});
    world.write("one/a.md", "a\n");
    world.write("two/c.md", "c\n");
    world.sync("one").await;
    world.sync("two").await;
    world.write("here/a.md", "edited\n");
    let pull =
        homing_engine::RunRequest::new(homing_engine::Verb::Pull, homing_engine::Trigger::Manual);
    world.run("one", pull).await.unwrap();
    world.restart().await;
    world.specs.sources.remove(&source("one"));
    world.specs.targets.get_mut(&target("here")).unwrap().from = vec![source("two")];
    world.sync_well("two").await;
    assert_eq!(world.read("here/a.md").unwrap(), "edited\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn provenance_an_edit_that_was_never_pushed_is_kept_when_the_winner_changes() {
    let mut world = with_an_edit_that_was_never_pushed("a.md").await;
    world.write("two/a.md", "two\n");
    world.sync("two").await;
    assert_eq!(world.read("here/a.md").unwrap(), "edited\n");
    let kinds: Vec<_> = world
        .conflicts()
        .await
        .iter()
        .map(|open| open.kind)
        .collect();
    assert!(kinds.contains(&ConflictKind::Provenance), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn provenance_an_edit_that_was_never_pushed_is_kept_when_a_file_takes_the_place_of_its_directory()
 {
    let mut world = with_an_edit_that_was_never_pushed("d/a.md").await;
    world.write("two/d", "two\n");
    world.sync("two").await;
    assert_eq!(world.read("here/d/a.md").unwrap(), "edited\n");
    let open = world.conflicts().await;
    let is_told = |path: &str| open.iter().any(|conflict| conflict.path.as_str() == path);
    assert!(is_told("d/a.md"), "{open:#?}");
}

/// The sources `one` and `two`, which wins; an edit of the one's file is captured, for upstream deleted it meanwhile.
async fn with_an_edit_that_was_never_pushed(path: &str) -> World {
    let (there, here) = (format!("one/{path}"), format!("here/{path}"));
    let mut world = World::empty();
    world.source("one", |spec| spec.push = homing_engine::PushMode::Direct);
    world.source("two", |spec| spec.priority = 10);
    world.target("here", &["one", "two"], |_| {});
    world.write(&there, "a\n");
    world.write("one/b.md", "b\n");
    world.write("two/c.md", "c\n");
    world.sync("one").await;
    world.sync("two").await;
    world.write(&here, "edited\n");
    world.remove(&there);
    world.sync("one").await;
    world
}
