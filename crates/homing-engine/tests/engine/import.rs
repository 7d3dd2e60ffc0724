//! What another program knew of a source becomes the head of one that Homing has never synced.

use std::collections::BTreeMap;
use std::io::Cursor;

use homing_core::{ContentHash, Contents, Identity};
use homing_engine::{Import, ImportedItem, ImportedSync, Trigger};

use crate::world::{World, key, source};

fn item(text: &str, identity: Option<&str>) -> ImportedItem {
    ImportedItem {
        hash: ContentHash::of(text.as_bytes()),
        size: text.len() as u64,
        identity: identity.map(Identity::new),
    }
}

fn import(items: &[(&str, &str, Option<&str>)]) -> Import {
    let items = items.iter();
    Import {
        items: items
            .map(|(path, text, identity)| (key(path), item(text, *identity)))
            .collect(),
        ..Import::default()
    }
}

async fn keep(world: &mut World, texts: &[&str]) {
    let contents = world.engine().await.store().contents();
    let _pins = contents.pin_scope();
    for text in texts {
        contents
            .keep(&mut Cursor::new(text.as_bytes()), text.len() as u64)
            .unwrap();
    }
    contents.flush().unwrap();
}

fn sync_at(time: &str, status: &str) -> ImportedSync {
    ImportedSync {
        started_at: time.parse().unwrap(),
        status: status.to_owned(),
        synced: 3,
        cached: 2,
        failed: 0,
        error: (status == "error").then(|| "no network".to_owned()),
        duration_ms: 7,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn items_are_taken_over_once_and_a_missing_identity_is_added() {
    let mut world = World::new();
    keep(&mut world, &["a\n", "b\n"]).await;
    let engine = world.engine().await;
    let first = import(&[("a.md", "a\n", Some("one")), ("b.md", "b\n", None)]);

    let judged = engine
        .judge_import(Some(&source("up")), first.clone())
        .await
        .unwrap();
    assert_eq!(judged.taken.len(), 2);
    let head = || async {
        let read = engine.store().read(|reader| reader.head(&source("up")));
        read.await.unwrap()
    };
    assert_eq!(head().await, BTreeMap::new(), "nothing was written");

    let done = engine.import(&source("up"), first.clone()).await.unwrap();
    assert_eq!(done, judged);
    let again = engine.import(&source("up"), first).await.unwrap();
    assert!(again.taken.is_empty() && !again.synced_before);

    let more = import(&[("a.md", "a\n", Some("two")), ("b.md", "b\n", Some("b"))]);
    let more = engine.import(&source("up"), more).await.unwrap();
    assert_eq!(more.taken, [key("b.md")].into());
    let head = head().await;
    let identity = |path: &str| head[&key(path)].identity.clone().unwrap();
    assert_eq!(identity("a.md").as_str(), "one");
    assert_eq!(identity("b.md").as_str(), "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_never_replace_those_of_an_earlier_import() {
    let mut world = World::new();
    keep(&mut world, &["a\n", "other\n"]).await;
    let engine = world.engine().await;
    let first = import(&[("a.md", "a\n", None)]);
    engine.import(&source("up"), first).await.unwrap();
    let other = import(&[("a.md", "other\n", Some("x"))]);
    let done = engine.import(&source("up"), other).await.unwrap();
    assert!(done.taken.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_homing_has_synced_stays_as_it_is() {
    let mut world = World::new();
    world.write("up/a.md", "mine\n");
    world.sync_well("up").await;
    keep(&mut world, &["old\n"]).await;
    let engine = world.engine().await;
    let mut old = import(&[("gone.md", "old\n", Some("x"))]);
    old.syncs = vec![sync_at("2025-01-01T00:00:00Z", "error")];
    let done = engine.import(&source("up"), old).await.unwrap();
    assert!(done.synced_before && done.taken.is_empty());
    assert_eq!(done.syncs, 1, "its history is added all the same");
    // What another program last did is nothing that Homing did, after a restart neither.
    let last = |status: homing_engine::EngineStatus| status.sources[0].last_run.clone().unwrap();
    let before = last(engine.status().await.unwrap());
    assert_ne!(before.trigger, Trigger::Import);
    drop(engine);
    world.restart().await;
    let after = last(world.engine().await.status().await.unwrap());
    assert_eq!((after.id, after.status), (before.id, before.status));
    world.sync_well("up").await;
    assert_eq!(world.read("here/gone.md"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_added_once_in_its_order() {
    let mut world = World::new();
    let engine = world.engine().await;
    let mut old = import(&[]);
    old.syncs = vec![
        sync_at("2025-02-01T00:00:00.123456Z", "error"),
        sync_at("2025-01-01T00:00:00Z", "success"),
    ];
    old.last_attempt = Some("2025-02-01T00:00:00Z".parse().unwrap());
    old.revision = Some("c0ffee".to_owned());
    for expected in [2, 0] {
        let done = engine.import(&source("up"), old.clone()).await.unwrap();
        assert_eq!(done.syncs, expected);
    }
    let history = engine
        .history(Some(source("up")), None, None, 9)
        .await
        .unwrap();
    let told: Vec<_> = history
        .iter()
        .map(|run| (run.status.as_str(), run.synced, run.trigger))
        .collect();
    assert_eq!(
        told,
        [
            ("error", 3, Trigger::Import),
            ("success", 3, Trigger::Import)
        ]
    );
    assert_eq!(history[0].error.as_ref().unwrap().message, "no network");
    let row = engine
        .store()
        .read(|reader| reader.source(&source("up")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.revision.as_deref(), Some("c0ffee"));
    assert!(row.last_sync_time.is_some() && row.last_success_time.is_none());
    // A number was given to each, so that the next run has one of its own.
    let run = world.sync("up").await;
    assert!(run.id > history[0].id);
}
