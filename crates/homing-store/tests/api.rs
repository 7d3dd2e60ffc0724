//! The state API by its names.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![allow(
    clippy::redundant_closure_for_method_calls,
    reason = "`Reader::sources` is a function for one lifetime of the connection, the closures must be for all"
)]
#![allow(
    clippy::wildcard_imports,
    reason = "the support module is small and made for this"
)]

mod support;

use homing_core::{ContentHash, RunId};
use homing_store::{Store, StoreError, SyncResult, TrackedFile};
use support::*;

fn tracked(path: &str, version: homing_core::Version) -> TrackedFile {
    TrackedFile {
        key: key(path),
        version,
        size: 3,
        local_path: Some(format!("/cache/{path}")),
    }
}

async fn register(store: &Store) {
    store
        .register_source(&source(), "http", "https://example.org/agents")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_tracked_file_is_known_and_changes_are_seen() {
    let (_home, store) = new_store();
    let (one, two) = (keep(&store, b"one"), keep(&store, b"two"));
    match store.track_file(&source(), tracked("a.md", one)).await {
        Err(StoreError::UnknownSource(id)) => assert_eq!(id, source()),
        other => panic!("{other:?}"),
    }
    register(&store).await;
    assert_eq!(
        store.get_file_state(&source(), &key("a.md")).await.unwrap(),
        None
    );
    assert!(
        store
            .has_file_changed(&source(), &key("a.md"), &one.hash)
            .await
            .unwrap()
    );
    store
        .track_file(&source(), tracked("a.md", one))
        .await
        .unwrap();
    assert!(
        !store
            .has_file_changed(&source(), &key("a.md"), &one.hash)
            .await
            .unwrap()
    );
    assert!(
        store
            .has_file_changed(&source(), &key("a.md"), &two.hash)
            .await
            .unwrap()
    );
    let state = store
        .get_file_state(&source(), &key("a.md"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(state.local_path.as_deref(), Some("/cache/a.md"));
    assert_eq!(
        (state.row.head, state.row.base, state.row.size),
        (Some(one), Some(one), 3)
    );
    // What the engine sees is the same row; its base does not move with what is tracked here.
    store
        .track_file(
            &source(),
            TrackedFile {
                local_path: None,
                ..tracked("a.md", two)
            },
        )
        .await
        .unwrap();
    let row = store
        .read(|reader| reader.head_row(&source(), &key("a.md")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((row.head, row.base), (Some(two), Some(one)));
    let state = store
        .get_file_state(&source(), &key("a.md"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(state.local_path.as_deref(), Some("/cache/a.md"));
    assert_eq!(
        store.get_file_hash(&source(), &key("a.md")).await.unwrap(),
        Some(two.hash)
    );
    assert_eq!(
        store.get_file_hash(&source(), &key("b.md")).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_batch_is_tracked_whole_or_not_at_all() {
    let (_home, store) = new_store();
    register(&store).await;
    let one = keep(&store, b"one");
    let never = homing_core::Version {
        hash: ContentHash::of(b"never"),
        executable: false,
    };
    let failed = store
        .track_files_batch(&source(), vec![tracked("a", one), tracked("b", never)])
        .await;
    assert!(
        matches!(failed, Err(StoreError::MissingContent(_))),
        "{failed:?}"
    );
    assert_eq!(
        store.get_file_hash(&source(), &key("a")).await.unwrap(),
        None
    );
    let files = (0..50)
        .map(|number| tracked(&format!("f{number}"), one))
        .collect();
    store.track_files_batch(&source(), files).await.unwrap();
    assert_eq!(
        store
            .read(|reader| reader.head(&source()))
            .await
            .unwrap()
            .len(),
        50
    );
}

#[tokio::test]
async fn metadata_that_is_not_given_stays() {
    let (_home, store) = new_store();
    let unknown = store
        .update_source_sync_metadata(&source(), None, None)
        .await;
    assert!(
        matches!(unknown, Err(StoreError::UnknownSource(_))),
        "{unknown:?}"
    );
    register(&store).await;
    store
        .update_source_sync_metadata(&source(), Some("abc"), Some("\"1\""))
        .await
        .unwrap();
    store
        .update_source_sync_metadata(&source(), None, Some("\"2\""))
        .await
        .unwrap();
    store
        .update_source_sync_metadata(&source(), None, None)
        .await
        .unwrap();
    let info = store.get_source_info(&source()).await.unwrap().unwrap();
    assert_eq!(
        (info.revision.as_deref(), info.etag.as_deref()),
        (Some("abc"), Some("\"2\""))
    );
    assert!(info.last_sync_time.is_some());
    assert_eq!(
        store
            .get_source_info(&"other".parse().unwrap())
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn results_are_recorded_and_cleaned_up() {
    let (_home, store) = new_store();
    let result = SyncResult {
        verb: "sync".to_owned(),
        trigger: "schedule".to_owned(),
        status: "success".to_owned(),
        files_synced: 2,
        ..SyncResult::default()
    };
    let unknown = store.record_sync_result(&source(), result.clone()).await;
    assert!(
        matches!(unknown, Err(StoreError::UnknownSource(_))),
        "{unknown:?}"
    );
    register(&store).await;
    let first = store.record_sync_result(&source(), result).await.unwrap();
    let failed = SyncResult {
        status: "error".to_owned(),
        files_failed: 1,
        error_message: Some("no route".to_owned()),
        duration_ms: 12,
        ..SyncResult::default()
    };
    let second = store.record_sync_result(&source(), failed).await.unwrap();
    assert_eq!((first, second), (RunId(1), RunId(2)));
    let history = store.get_sync_history(&source(), 10).await.unwrap();
    assert_eq!(
        history.iter().map(|run| run.id).collect::<Vec<_>>(),
        [second, first]
    );
    assert_eq!(history[0].error_message.as_deref(), Some("no route"));
    assert_eq!(
        (&*history[1].verb, &*history[1].trigger),
        ("sync", "schedule")
    );
    assert_eq!(
        (history[1].synced, history[0].failed, history[0].duration_ms),
        (2, 1, 12)
    );
    assert_eq!(store.get_sync_history(&source(), 1).await.unwrap().len(), 1);

    // A run of long ago goes, these stay.
    store
        .write(|writer| {
            writer.begin_run(&homing_store::RunRow {
                started_at: "2020-01-01T00:00:00Z".parse().unwrap(),
                ..run_row(3)
            })
        })
        .await
        .unwrap();
    assert_eq!(store.cleanup_old_history(30).await.unwrap(), 1);
    assert_eq!(
        store.get_sync_history(&source(), 10).await.unwrap().len(),
        2
    );
}

#[tokio::test]
async fn sources_are_listed_by_name() {
    let (_home, store) = new_store();
    register(&store).await;
    store
        .register_source(&"alpha".parse().unwrap(), "dir", "/a")
        .await
        .unwrap();
    store
        .write(|writer| writer.set_enabled(&source(), false))
        .await
        .unwrap();
    // Registering never switches a source on.
    register(&store).await;
    let names = |sources: Vec<homing_store::SourceRow>| {
        sources.iter().map(|s| s.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        names(store.get_all_sources(false).await.unwrap()),
        ["alpha", "team"]
    );
    assert_eq!(names(store.get_all_sources(true).await.unwrap()), ["alpha"]);
}
