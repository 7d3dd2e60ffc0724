//! Roots that are not the directories that they were, and what a killed process left in them.

use std::fs;

use homing_core::{ConflictKind, ContentHash, Contents, RootIdentity, RunId, Version};
use homing_engine::{Deletions, PushMode, RunRequest, RunStatus, Trigger, Verb};
use homing_store::{Hop, JournalRow, JournalState, RunRow, Store, StoreOptions};

use crate::memory::Memory;
use crate::world::{World, key, source, target};

/// Leaves the store as a process does that was killed while it placed `after` at `here/PATH`.
fn leave_under_way(world: &World, path: &str, before: &str, after: &str, boot_id: &str) {
    let store = Store::open(StoreOptions {
        data_dir: world.path("data"),
    })
    .unwrap();
    let keep = |text: &str| {
        store
            .contents()
            .keep(&mut text.as_bytes(), text.len() as u64)
    };
    keep(before).unwrap();
    keep(after).unwrap();
    store.contents().flush().unwrap();
    let version = |text: &str| {
        Some(Version {
            hash: ContentHash::of(text.as_bytes()),
            executable: false,
        })
    };
    let row = JournalRow {
        id: 0,
        run: RunId(90),
        hop: Hop::Publish,
        source: source("up"),
        target: Some(target("here")),
        key: key(path),
        path: key(path),
        before: version(before),
        after: version(after),
        base_before: version(before),
        base_after: version(after),
        temporary: Some(".homing-90-0".into()),
        state: JournalState::Planned,
        reason: None,
    };
    let boot_id = boot_id.to_owned();
    store
        .write_blocking(move |writer| {
            let known = writer.runs(homing_store::RunFilter {
                limit: 1,
                ..Default::default()
            })?;
            let run = RunRow {
                id: RunId(90),
                revision: None,
                boot_id: if boot_id.is_empty() {
                    known[0].boot_id.clone()
                } else {
                    boot_id
                },
                status: "running".into(),
                ..known[0].clone()
            };
            writer.begin_run(&run)?;
            writer.put_journal(&[row])
        })
        .unwrap();
    store.close_blocking();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_displaced_edit_waits_in_a_target_that_is_not_mounted() {
    let mut world = World::new();
    world.write("up/a.md", "one\n");
    world.sync_well("up").await;
    world.restart().await;
    leave_under_way(&world, "a.md", "one\n", "two\n", "");
    // The exchange was done, and what it displaced was an edit; then the share went away.
    world.write("here/a.md", "two\n");
    world.write("here/.homing-90-0", "edited at the last moment\n");
    fs::rename(world.path("here"), world.path("unmounted")).unwrap();
    fs::create_dir(world.path("here")).unwrap();
    let run = world.sync("up").await;
    assert_eq!(run.error.unwrap().kind, "root-changed");
    world.restart().await;
    fs::remove_dir(world.path("here")).unwrap();
    fs::rename(world.path("unmounted"), world.path("here")).unwrap();
    world.sync("up").await;
    let tree = world.tree("here");
    assert_eq!(tree["a.md"], "edited at the last moment\n");
    assert_eq!(tree.len(), 1, "{tree:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_power_cut_damaged_is_written_again_and_never_pushed() {
    let mut world = World::empty();
    world.source("up", |spec| {
        spec.push = PushMode::Direct;
        spec.on_conflict = homing_core::Policy::Ours;
    });
    world.target("here", &["up"], |_| {});
    world.write("up/a.md", "one\n");
    world.sync_well("up").await;
    world.write("up/a.md", "two, and longer\n");
    world.restart().await;
    leave_under_way(&world, "a.md", "one\n", "two, and longer\n", "another-boot");
    world.write("here/a.md", "two, a\0\0\0");
    world.sync_well("up").await;
    assert_eq!(world.read("here/a.md").unwrap(), "two, and longer\n");
    assert_eq!(world.read("up/a.md").unwrap(), "two, and longer\n");
    // A copy of the damaged bytes is kept and named in the run that they belong to.
    let run = world.engine().await.run(RunId(90)).await.unwrap();
    let kept = run.items.iter().find(|item| {
        item.reason
            .as_ref()
            .is_some_and(|why| why.contains("kept as"))
    });
    let kept = kept.unwrap().before.unwrap();
    assert_eq!(
        world.engine().await.content(&kept.hash).await.unwrap(),
        b"two, a\0\0\0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_selection_believes_no_empty_origin() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.write(&format!("up/{name}.md"), name);
    }
    world.sync_well("up").await;
    world.restart().await;
    world
        .specs
        .sources
        .get_mut(&source("up"))
        .unwrap()
        .selection = "all/other filters".into();
    fs::rename(world.path("up"), world.path("unmounted")).unwrap();
    fs::create_dir(world.path("up")).unwrap();
    let run = world.sync("up").await;
    assert_eq!(run.error.unwrap().kind, "root-changed");
    assert_eq!(world.tree("here").len(), 3);
    // Another place may be another directory, but not an empty one.
    world.restart().await;
    world
        .specs
        .sources
        .get_mut(&source("up"))
        .unwrap()
        .selection = "elsewhere/filters".into();
    let run = world.sync("up").await;
    assert_eq!(run.error.unwrap().kind, "root-empty");
    assert_eq!(world.tree("here").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_repairs_nothing_in_a_root_that_was_replaced() {
    let mut world = World::new();
    world.write("up/a.md", "a\n");
    world.sync_well("up").await;
    fs::rename(world.path("here"), world.path("unmounted")).unwrap();
    fs::create_dir(world.path("here")).unwrap();
    let engine = world.engine().await;
    let error = engine.verify(&target("here"), true).await.unwrap_err();
    assert_eq!(error.kind(), "root-changed");
    assert!(world.tree("here").is_empty());
    let run = world.sync("up").await;
    assert_eq!(
        run.error.unwrap().kind,
        "root-changed",
        "the protection is still there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_root_is_filled_also_where_deletions_are_kept() {
    let mut world = World::empty();
    world.source("up", |_| {});
    world.target("here", &["up"], |spec| spec.deletions = Deletions::Keep);
    for name in ["a", "b", "c", "d", "e"] {
        world.write(&format!("up/{name}.md"), name);
    }
    world.sync_well("up").await;
    fs::rename(world.path("here"), world.path("away")).unwrap();
    fs::create_dir(world.path("here")).unwrap();
    let accept = RunRequest {
        accept_root: true,
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    };
    let run = world.run("up", accept).await.unwrap();
    assert_eq!(run.status, RunStatus::Success, "{run:#?}");
    assert_eq!(world.tree("here").len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_where_a_known_root_is_missing_even_if_nothing_was_left_in_it() {
    let mut world = World::new();
    world.write("up/a.md", "a\n");
    world.sync_well("up").await;
    // An undo takes away all that was published; the directory stays.
    world.engine().await.undo(None).await.unwrap();
    assert!(world.tree("here").is_empty());
    fs::rename(world.path("here"), world.path("unmounted")).unwrap();
    world.write("up/b.md", "b\n");
    let run = world.sync("up").await;
    assert_eq!(run.error.unwrap().kind, "not-found");
    assert!(!world.path("here").exists());
    fs::rename(world.path("unmounted"), world.path("here")).unwrap();
    world.sync_well("up").await;
    assert_eq!(world.read("here/b.md").unwrap(), "b\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_are_not_taken_from_another_directory() {
    let mut world = World::empty();
    world.source("up", |spec| spec.push = PushMode::Direct);
    world.target("here", &["up"], |spec| {
        spec.new_files_to = Some(source("up"));
    });
    world.write("up/a.md", "a\n");
    world.sync_well("up").await;
    world.engine().await.undo(None).await.unwrap();
    fs::rename(world.path("here"), world.path("unmounted")).unwrap();
    fs::create_dir(world.path("here")).unwrap();
    world.write("here/strange.md", "of another file system\n");
    let run = world.sync("up").await;
    assert_eq!(run.error.unwrap().kind, "root-changed");
    assert_eq!(world.read("up/strange.md"), None);
    assert_eq!(world.tree("here").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_accepted_root_holds_was_not_made_from_what_was_published_in_the_other() {
    let mut memory = Memory::two_way();
    memory.up.memory.put("a.md", b"theirs\n");
    memory.up.memory.put("same.md", b"same\n");
    memory.world.sync_well("up").await;
    memory.here.memory.set_root(Some(RootIdentity {
        device: 7,
        inode: 7,
    }));
    memory.here.memory.put("a.md", b"the user's own\n");
    let accepted = RunRequest {
        accept_root: true,
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    };
    memory.world.run("up", accepted).await.unwrap();
    assert_eq!(memory.up.memory.get("a.md").unwrap(), b"theirs\n");
    assert_eq!(memory.published("a.md").unwrap(), "the user's own\n");
    let open = memory.world.conflicts().await;
    assert_eq!(open.len(), 1, "{open:#?}");
    assert_eq!(open[0].kind, ConflictKind::Added);
    memory.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_guard_keeps_in_a_target_names_the_whole_command() {
    let mut world = World::empty();
    world.source("up", |_| {});
    world.target("here", &["up"], |spec| {
        spec.allow_active = vec![".npmrc".into()];
    });
    world.write("up/a.md", "a\n");
    for name in ["b", "c", "d", "e", "f"] {
        world.write(&format!("up/{name}/.npmrc"), name);
    }
    world.sync_well("up").await;
    world.restart().await;
    world.target("here", &["up"], |_| {});
    let accept_root = RunRequest {
        accept_root: true,
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    };
    let run = world.run("up", accept_root.clone()).await.unwrap();
    assert_eq!(run.status, RunStatus::Blocked, "{run:#?}");
    let hint = run.error.unwrap().hint.unwrap();
    assert!(
        hint.contains("`homing sync up --accept-root --accept-deletions`"),
        "{hint}"
    );
    let accept = RunRequest {
        accept_deletions: true,
        ..accept_root
    };
    world.run("up", accept).await.unwrap();
    assert_eq!(world.tree("here").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_path_is_told_as_that_with_what_stays_behind() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.write(&format!("up/{name}.md"), name);
    }
    world.sync_well("up").await;
    world.write("here/b.md", "mine\n");
    world.remove("here/c.md");
    let (old, new) = (world.path("here"), world.path("there"));
    fs::create_dir(&new).unwrap();
    world.restart().await;
    world.target("there", &["up"], |_| {});
    let spec = world.specs.targets.remove(&target("there")).unwrap();
    world.specs.targets.insert(target("here"), spec);
    let failure = world.sync("up").await.error.unwrap();
    assert_eq!(failure.kind, "root-changed");
    for text in [
        &format!("from `{}` to `{}`", old.display(), new.display())[..],
        "2 files that Homing published",
        "1 of them edited (`b.md`)",
        "be yours",
    ] {
        assert!(failure.message.contains(text), "{text}: {failure:?}");
    }
    let hint = failure.hint.unwrap();
    assert!(hint.contains("`homing sync up --accept-root`"), "{hint}");
    assert!(world.tree("there").is_empty());
    let accept = RunRequest {
        accept_root: true,
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    };
    world.run("up", accept).await.unwrap();
    assert_eq!(world.tree("there").len(), 3);
    assert_eq!(world.read("here/b.md").unwrap(), "mine\n");
    world.sync_well("up").await;
}
