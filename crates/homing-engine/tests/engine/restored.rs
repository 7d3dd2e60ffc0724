//! After a restore of an older backup: what Homing published since is no edit of the user's.

use homing_core::ConflictKind;
use homing_engine::{PushMode, Resolution};
use homing_store::{Store, StoreOptions};

use crate::world::World;

/// Makes a world that pushes, with `a.md` and `b.md` published, and a backup of that.
async fn backed_up() -> (World, Vec<u8>) {
    let mut world = World::empty();
    world.source("up", |spec| spec.push = PushMode::Direct);
    world.target("here", &["up"], |_| {});
    world.write("up/a.md", "one\n");
    world.write("up/b.md", "other\n");
    world.sync_well("up").await;
    world.restart().await;
    let store = Store::open(StoreOptions {
        data_dir: world.path("data"),
    })
    .unwrap();
    let mut backup = Vec::new();
    store.backup_blocking(&mut backup).unwrap();
    store.close_blocking();
    world.write("up/a.md", "two\n");
    world.sync_well("up").await;
    assert_eq!(world.read("here/a.md").unwrap(), "two\n");
    (world, backup)
}

async fn restore(world: &mut World, backup: &[u8]) {
    world.restart().await;
    homing_store::restore(&world.path("data"), backup).unwrap();
    world.engine().await.accept_rebuild().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_since_is_not_pushed_over_an_origin_that_went_back_or_on() {
    for upstream in ["one\n", "three\n"] {
        let (mut world, backup) = backed_up().await;
        world.write("up/a.md", upstream);
        restore(&mut world, &backup).await;
        for _ in 0..2 {
            let run = world.sync("up").await;
            assert_eq!(world.read("up/a.md").unwrap(), upstream, "{run:#?}");
            assert_eq!(world.read("here/a.md").unwrap(), "two\n", "{run:#?}");
        }
        let conflicts = world.conflicts().await;
        assert_eq!(conflicts.len(), 1, "{conflicts:#?}");
        assert_eq!(conflicts[0].kind, ConflictKind::Added);
        let engine = world.engine().await;
        engine
            .resolve(conflicts[0].id, Resolution::Theirs)
            .await
            .unwrap();
        world.sync_well("up").await;
        assert_eq!(world.read("up/a.md").unwrap(), upstream);
        assert_eq!(world.read("here/a.md").unwrap(), upstream);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_both_sides_still_have_is_no_question() {
    let (mut world, backup) = backed_up().await;
    restore(&mut world, &backup).await;
    world.sync_well("up").await;
    assert!(world.conflicts().await.is_empty());
    assert_eq!(world.read("here/a.md").unwrap(), "two\n");
    assert_eq!(world.read("up/a.md").unwrap(), "two\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_after_the_restore_is_an_edit() {
    let (mut world, backup) = backed_up().await;
    restore(&mut world, &backup).await;
    world.sync_well("up").await;
    world.write("here/b.md", "edited\n");
    world.sync_well("up").await;
    assert_eq!(world.read("up/b.md").unwrap(), "edited\n");
}
