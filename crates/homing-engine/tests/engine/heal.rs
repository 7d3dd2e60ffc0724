//! Contents that are damaged in the store: nothing damaged is published, and they are fetched again.

use std::fs;
use std::path::PathBuf;

use homing_core::ContentHash;
use homing_engine::{Drift, ItemAction, RunReport, RunStatus};

use crate::world::{World, target};

/// Over the size up to which contents are in the database.
const LARGE: usize = 2 << 20;

fn large() -> String {
    "0123456789abcdef".repeat(LARGE / 16)
}

fn file_of(world: &World, content: &str) -> PathBuf {
    let name = ContentHash::of(content.as_bytes()).to_string();
    world.path("data/contents").join(&name[..2]).join(name)
}

/// Changes a byte in the middle of a file of the store.
fn flip(path: PathBuf) {
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    overwrite(path, &bytes);
}

fn overwrite(path: PathBuf, bytes: &[u8]) {
    fs::File::create(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, bytes))
        .unwrap();
}

/// Changes a small content where it lies in the database, in a way that `SQLite` does not notice.
async fn damage(world: &mut World, content: &str) {
    world.restart().await;
    let path = world.path("data/state.db");
    let mut bytes = fs::read(&path).unwrap();
    let at: Vec<usize> = bytes
        .windows(content.len())
        .enumerate()
        .filter(|(_, window)| *window == content.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!at.is_empty(), "`{content}` is not in the database");
    for at in at {
        bytes[at] ^= 1;
    }
    overwrite(path, &bytes);
}

fn reason(run: &RunReport, path: &str) -> String {
    let failed = run
        .items
        .iter()
        .find(|item| item.path.as_str() == path && item.action == ItemAction::Failed);
    let reason = failed.and_then(|item| item.reason.clone());
    reason.unwrap_or_else(|| panic!("`{path}` did not fail: {run:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_the_store_is_fetched_again_and_published() {
    type Damage = fn(PathBuf);
    let damages: [Damage; 3] = [
        flip,
        |path| overwrite(path, b"cut"),
        |path| fs::remove_file(path).unwrap(),
    ];
    for damage in damages {
        let mut world = World::new();
        world.write("up/big.bin", &large());
        world.write("up/a.md", "a");
        world.sync_well("up").await;
        damage(file_of(&world, &large()));
        world.remove("here/big.bin");
        world.remove("here/a.md");

        let run = world.sync("up").await;
        assert_eq!(run.status, RunStatus::Partial, "{run:#?}");
        let reason = reason(&run, "big.bin");
        assert!(reason.contains("is damaged"), "{reason}");
        assert_eq!(world.read("here/a.md").unwrap(), "a", "the rest is done");
        assert_eq!(world.read("here/big.bin"), None);

        world.sync_well("up").await;
        assert!(world.read("here/big.bin").unwrap() == large());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_that_is_damaged_in_the_database_is_fetched_again_and_published() {
    let mut world = World::new();
    world.write("up/a.md", "the text of a file that is kept");
    world.write("up/b.md", "b");
    world.sync_well("up").await;
    damage(&mut world, "the text of a file that is kept").await;
    world.remove("here/a.md");
    world.remove("here/b.md");

    let run = world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial, "{run:#?}");
    assert!(reason(&run, "a.md").contains("is damaged"), "{run:#?}");
    assert_eq!(world.read("here/b.md").unwrap(), "b");
    // A restart does not forget it.
    world.restart().await;
    world.sync_well("up").await;
    assert_eq!(
        world.read("here/a.md").unwrap(),
        "the text of a file that is kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_works_again_after_a_sync() {
    let mut world = World::new();
    world.write("up/big.bin", &large());
    world.sync_well("up").await;
    flip(file_of(&world, &large()));
    world.remove("here/big.bin");
    let engine = world.engine().await;
    let here = target("here");
    let report = engine.verify(&here, true).await.unwrap();
    let (_, drift, told) = &report.drifted[0];
    assert_eq!(*drift, Drift::Missing);
    assert!(told.contains("is damaged"), "{told}");

    world.sync_well("up").await;
    world.remove("here/big.bin");
    let report = engine.verify(&here, true).await.unwrap();
    assert_eq!(report.drifted[0].1, Drift::Repaired, "{report:#?}");
    assert!(world.read("here/big.bin").unwrap() == large());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_origin_has_any_more_comes_from_another_target() {
    let mut world = World::new();
    world.target("there", &["up"], |_| {});
    world.write("up/big.bin", &large());
    world.sync_well("up").await;
    flip(file_of(&world, &large()));
    world.remove("here/big.bin");
    fs::rename(world.path("up"), world.path("away")).unwrap();
    // The first finds the damage, the second fetches, the third publishes.
    for _ in 0..3 {
        let run = world.sync("up").await;
        assert_ne!(run.status, RunStatus::Success, "its origin is away");
    }
    assert!(world.read("here/big.bin").unwrap() == large());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_whose_base_is_damaged_is_a_conflict_and_the_rest_goes_on() {
    let base = "one\ntwo\nthree\nfour\nfive\nsix\n";
    let mut world = World::new();
    world.write("up/a.md", base);
    world.write("up/b.md", "b");
    world.sync_well("up").await;
    damage(&mut world, base).await;
    world.write("up/a.md", &base.replace("one", "1"));
    world.write("up/b.md", "b2");
    let edit = base.replace("six", "6");
    world.write("here/a.md", &edit);

    let run = world.sync("up").await;
    assert_eq!(run.error, None, "{run:#?}");
    assert_eq!(world.read("here/b.md").unwrap(), "b2");
    assert_eq!(world.read("here/a.md").unwrap(), edit);
    let conflicts = world.conflicts().await;
    assert_eq!(conflicts.len(), 1, "{conflicts:#?}");
    // With the base back from wherever, what was a conflict is a merge.
    world.write("up/old.md", base);
    world.sync("up").await;
    world.sync("up").await;
    assert_eq!(
        world.read("here/a.md").unwrap(),
        base.replace("one", "1").replace("six", "6")
    );
    assert!(world.conflicts().await.is_empty());
}
