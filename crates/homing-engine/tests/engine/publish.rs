//! What a publish does with what it finds.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use homing_core::{ConflictKind, Policy};
use homing_engine::{Deletions, ItemAction, Layout, RunStatus, Verb};

use crate::world::{World, source};

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_published_and_follows_upstream() {
    let mut world = World::new();
    world.write("up/a.md", "one\n");
    world.write("up/deep/b.md", "two\n");
    let run = world.sync_well("up").await;
    assert_eq!((run.synced, run.removed, run.failed), (2, 0, 0));
    assert_eq!(world.tree("here"), world.tree("up"));

    world.write("up/a.md", "one, changed\n");
    world.remove("up/deep/b.md");
    world.write("up/c.md", "three\n");
    let run = world.sync_well("up").await;
    assert_eq!((run.synced, run.removed, run.failed), (2, 1, 0), "{run:#?}");
    assert_eq!(world.tree("here"), world.tree("up"));
    assert!(
        !world.path("here/deep").exists(),
        "a directory that a deletion emptied goes too"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_source_changes_nothing_and_says_so() {
    let mut world = World::new();
    world.write("up/a.md", "one\n");
    world.sync_well("up").await;
    let run = world.sync_well("up").await;
    assert_eq!((run.synced, run.cached, run.removed), (0, 1, 0));
    assert!(run.items.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_executable_bit_is_published_and_follows() {
    let mut world = World::new();
    world.write("up/run.sh", "#!/bin/sh\n");
    let mode = |mode| fs::Permissions::from_mode(mode);
    fs::set_permissions(world.path("up/run.sh"), mode(0o755)).unwrap();
    world.sync_well("up").await;
    let executable = |world: &World| {
        fs::metadata(world.path("here/run.sh"))
            .unwrap()
            .permissions()
            .mode()
            & 0o100
            != 0
    };
    assert!(executable(&world));
    fs::set_permissions(world.path("up/run.sh"), mode(0o644)).unwrap();
    world.sync_well("up").await;
    assert!(!executable(&world));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_in_the_target_stays_and_upstream_changes_are_merged_into_it() {
    let mut world = World::new();
    world.write("up/a.md", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    world.sync_well("up").await;
    world.write("here/a.md", "mine\n2\n3\n4\n5\n6\n7\n8\n9\n");
    world.sync_well("up").await;
    assert_eq!(
        world.read("here/a.md").unwrap(),
        "mine\n2\n3\n4\n5\n6\n7\n8\n9\n"
    );
    world.write("up/a.md", "1\n2\n3\n4\n5\n6\n7\n8\ntheirs\n");
    let run = world.sync_well("up").await;
    assert_eq!(
        world.read("here/a.md").unwrap(),
        "mine\n2\n3\n4\n5\n6\n7\n8\ntheirs\n"
    );
    assert!(
        run.items
            .iter()
            .any(|item| item.action == ItemAction::Merged),
        "{run:#?}"
    );
    // The merge is done: another run has nothing to do, and a later change is merged again.
    assert!(world.sync_well("up").await.items.is_empty());
    world.write("up/a.md", "1\n2\n3\n4\nfive\n6\n7\n8\ntheirs\n");
    world.sync_well("up").await;
    assert_eq!(
        world.read("here/a.md").unwrap(),
        "mine\n2\n3\n4\nfive\n6\n7\n8\ntheirs\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_changes_are_a_conflict_and_the_file_is_left_alone() {
    let mut world = World::new();
    world.write("up/a.md", "base\n");
    world.sync_well("up").await;
    world.write("here/a.md", "mine\n");
    world.write("up/a.md", "theirs\n");
    let run = world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial);
    assert_eq!(world.read("here/a.md").unwrap(), "mine\n");
    let conflicts = world.conflicts().await;
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].kind, ConflictKind::Content);
    // It stays open with the same number, and closes by itself when the user writes what upstream has.
    world.sync("up").await;
    assert_eq!(world.conflicts().await, conflicts);
    world.write("here/a.md", "theirs\n");
    world.sync_well("up").await;
    assert!(world.conflicts().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_upstream_of_an_edited_file_is_a_conflict() {
    let mut world = World::new();
    world.write("up/a.md", "base\n");
    world.write("up/b.md", "other\n");
    world.sync_well("up").await;
    world.write("here/a.md", "mine\n");
    world.remove("up/a.md");
    world.sync("up").await;
    assert_eq!(world.read("here/a.md").unwrap(), "mine\n");
    assert_eq!(world.conflicts().await[0].kind, ConflictKind::Delete);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_decide_what_overlaps() {
    for (policy, expected) in [
        (Policy::Ours, "mine\n"),
        (Policy::Theirs, "theirs\n"),
        (Policy::Union, "mine\ntheirs\n"),
    ] {
        let mut world = World::empty();
        world.source("up", |spec| spec.on_conflict = policy);
        world.target("here", &["up"], |_| {});
        world.write("up/a.md", "base\n");
        world.sync_well("up").await;
        world.write("here/a.md", "mine\n");
        world.write("up/a.md", "theirs\n");
        world.sync_well("up").await;
        assert_eq!(world.read("here/a.md").unwrap(), expected, "{policy:?}");
        assert!(world.conflicts().await.is_empty());
        // It is settled for good.
        assert!(world.sync_well("up").await.items.is_empty(), "{policy:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_file_that_the_user_deleted_is_restored_with_the_newest_content() {
    let mut world = World::new();
    world.write("up/a.md", "one\n");
    world.sync_well("up").await;
    world.remove("here/a.md");
    world.write("up/a.md", "two\n");
    world.sync_well("up").await;
    assert_eq!(world.read("here/a.md").unwrap(), "two\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn tombstone_a_deleted_file_stays_away_until_it_is_released() {
    let mut world = World::empty();
    world.source("up", |_| {});
    world.target("here", &["up"], |spec| spec.deletions = Deletions::Keep);
    world.write("up/a.md", "one\n");
    world.write("up/b.md", "stays\n");
    world.sync_well("up").await;
    world.remove("here/a.md");
    world.sync_well("up").await;
    assert_eq!(world.read("here/a.md"), None);
    world.write("up/a.md", "two\n");
    world.sync_well("up").await;
    assert_eq!(
        world.read("here/a.md"),
        None,
        "an upstream change is no conflict with a deletion"
    );
    let engine = world.engine().await;
    engine.release(&source("up"), Vec::new()).await.unwrap();
    assert_eq!(world.read("here/a.md").unwrap(), "two\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn structure_what_is_no_regular_file_is_never_replaced() {
    let mut world = World::new();
    world.write("up/dir/a.md", "one\n");
    world.write("up/b.md", "two\n");
    world.write("up/c.md", "three\n");
    world.write("elsewhere/a.md", "not to be touched\n");
    fs::create_dir_all(world.path("here/b.md")).unwrap();
    symlink(world.path("elsewhere"), world.path("here/dir")).unwrap();
    let run = world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial);
    assert_eq!(
        world.read("here/c.md").unwrap(),
        "three\n",
        "the rest is published"
    );
    assert_eq!(world.read("elsewhere/a.md").unwrap(), "not to be touched\n");
    let mut conflicts = world.conflicts().await;
    conflicts.sort_by(|a, b| a.path.cmp(&b.path));
    let found: Vec<_> = conflicts
        .iter()
        .map(|conflict| (conflict.path.as_str(), conflict.kind))
        .collect();
    assert_eq!(
        found,
        [
            ("b.md", ConflictKind::Structure),
            ("dir/a.md", ConflictKind::Structure)
        ]
    );
    // Moved out of the way, the conflict closes by itself.
    fs::remove_dir(world.path("here/b.md")).unwrap();
    fs::remove_file(world.path("here/dir")).unwrap();
    world.sync_well("up").await;
    assert!(world.conflicts().await.is_empty());
    assert_eq!(world.tree("here"), world.tree("up"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flat_target_takes_file_names_and_reports_a_collision_once() {
    let mut world = World::empty();
    world.source("up", |_| {});
    world.target("here", &["up"], |spec| spec.layout = Layout::Flat);
    world.write("up/a/x.md", "first\n");
    world.write("up/b/x.md", "second\n");
    world.write("up/b/y.md", "other\n");
    let run = world.sync("up").await;
    assert_eq!(
        world.tree("here").into_iter().collect::<Vec<_>>(),
        [
            ("x.md".to_owned(), "first\n".to_owned()),
            ("y.md".to_owned(), "other\n".to_owned())
        ]
    );
    assert_eq!(
        run.problems
            .iter()
            .filter(|problem| problem.path == "x.md")
            .count(),
        1
    );
    assert!(
        world.sync("up").await.items.is_empty(),
        "a collision is no change in every run"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_a_tool_obeys_is_not_published() {
    let mut world = World::new();
    world.write("up/settings.json", "{}\n");
    world.write("up/a.md", "one\n");
    let run = world.sync("up").await;
    assert_eq!(world.read("here/settings.json"), None);
    assert_eq!(world.read("here/a.md").unwrap(), "one\n");
    assert!(
        run.problems
            .iter()
            .any(|problem| problem.message.contains("allow_active"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_matched_is_not_a_success() {
    let mut world = World::new();
    let run = world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial);
    assert!(
        run.problems
            .iter()
            .any(|problem| problem.message.contains("nothing in"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_writes_nothing_and_tells_what_a_sync_would_do() {
    let mut world = World::new();
    world.write("up/a.md", "1\n2\n3\n4\n5\n");
    world.write("up/gone.md", "gone\n");
    world.sync_well("up").await;
    world.write("here/a.md", "mine\n2\n3\n4\n5\n");
    world.write("up/a.md", "1\n2\n3\n4\ntheirs\n");
    world.write("up/new.md", "new\n");
    world.remove("up/gone.md");
    let before = (world.tree("here"), world.tree("up"));
    let engine = world.engine().await;
    let diff = engine.diff(&source("up"), Verb::Sync).await.unwrap();
    assert_eq!((world.tree("here"), world.tree("up")), before);
    let told: Vec<_> = diff
        .items
        .iter()
        .map(|item| (item.path.as_str(), item.action))
        .collect();
    assert_eq!(
        told,
        [
            ("a.md", ItemAction::Merged),
            ("gone.md", ItemAction::Removed),
            ("new.md", ItemAction::Created)
        ]
    );
    let run = world.sync_well("up").await;
    let mut done: Vec<_> = run
        .items
        .iter()
        .map(|item| (item.path.as_str(), item.action))
        .collect();
    done.sort_by_key(|(path, _)| *path);
    assert_eq!(done, told, "the sync does what the dry run told");
}
