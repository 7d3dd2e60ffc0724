use std::collections::BTreeMap;

use homing_core::RunId;
use homing_engine::{Settings, Specs};
use homing_store::{RunRow, StoreOptions};

use super::*;

const MONTH: Duration = Duration::from_hours(24 * 30);

fn old_run() -> RunRow {
    RunRow {
        id: RunId(1),
        source: None,
        target: None,
        verb: "sync".to_owned(),
        trigger: "manual".to_owned(),
        status: "success".to_owned(),
        started_at: "2020-01-02T03:04:05Z".parse().unwrap(),
        synced: 1,
        cached: 0,
        failed: 0,
        removed: 0,
        bytes: 0,
        requests: 0,
        error_kind: None,
        error_message: None,
        duration_ms: 1,
        phases: Vec::new(),
        plan_digest: None,
        problems: Vec::new(),
        revision: None,
        boot_id: "b".to_owned(),
    }
}

async fn engine_over(home: &tempfile::TempDir) -> (Engine, Store) {
    let store = Store::open(StoreOptions {
        data_dir: home.path().to_owned(),
    })
    .unwrap();
    store
        .write(|writer| writer.begin_run(&old_run()))
        .await
        .unwrap();
    let specs = Specs {
        sources: BTreeMap::new(),
        left_out: BTreeMap::new(),
        targets: BTreeMap::new(),
        settings: Settings {
            keep_history: MONTH,
            ..Settings::default()
        },
    };
    (Engine::start(specs, store.clone()).await.unwrap(), store)
}

fn repositories(home: &tempfile::TempDir) -> Repositories {
    let path = std::env::var_os("PATH").expect("there is a PATH");
    Repositories {
        mirrors: homing_side_git::Mirrors::new(home.path().join("mirrors")),
        environment: vec![("PATH".into(), path), ("HOME".into(), home.path().into())],
    }
}

/// Returns a time of day in the zone of this system.
fn at(hour: i8) -> Timestamp {
    let now = Timestamp::now().to_zoned(TimeZone::system());
    let date = now.date().tomorrow().unwrap();
    date.at(hour, 30, 0, 0)
        .to_zoned(TimeZone::system())
        .unwrap()
        .timestamp()
}

#[tokio::test]
async fn the_store_is_swept_when_it_is_time_and_not_before() {
    let home = tempfile::tempdir().unwrap();
    let (engine, store) = engine_over(&home).await;
    let start = at(10);
    let upkeep = Upkeep::new(start, repositories(&home));
    assert!(upkeep.due(&engine, &store, start).is_none());
    let first = later(start, FIRST_SWEEP_AFTER);
    upkeep.due(&engine, &store, first).unwrap().await;
    let kept = store.read(|reader| reader.run(RunId(1))).await.unwrap();
    assert!(kept.is_none(), "it was not swept");
    assert!(upkeep.due(&engine, &store, first).is_none());
    let next_day = later(first, SWEEP_EVERY);
    assert!(upkeep.due(&engine, &store, next_day).is_some());
}

#[tokio::test]
async fn a_database_with_much_free_room_is_written_anew_at_night_only() {
    let home = tempfile::tempdir().unwrap();
    let (engine, store) = engine_over(&home).await;
    store
        .write(|writer| {
            (0..400).try_for_each(|number| {
                writer.set_metadata(&format!("key {number}"), &"x".repeat(8_000))
            })
        })
        .await
        .unwrap();
    store
        .write(|writer| {
            (0..400).try_for_each(|number| writer.set_metadata(&format!("key {number}"), ""))
        })
        .await
        .unwrap();
    let before = store.size().await.unwrap();
    assert!(before.wants_vacuum(), "{before:?}");
    let day = Upkeep::new(at(10), repositories(&home));
    day.due(&engine, &store, at(11)).unwrap().await;
    assert_eq!(store.size().await.unwrap().database, before.database);
    let night = Upkeep::new(at(1), repositories(&home));
    night.due(&engine, &store, at(3)).unwrap().await;
    let after = store.size().await.unwrap();
    assert!(after.database < before.database / 2, "{after:?}");
    assert!(!after.wants_vacuum());
}

#[tokio::test]
async fn a_mirror_of_no_source_goes_at_night_only() {
    let home = tempfile::tempdir().unwrap();
    let (engine, store) = engine_over(&home).await;
    let mirror = home
        .path()
        .join("mirrors/0123456789abcdef0123456789abcdef.git");
    std::fs::create_dir_all(mirror.join("refs")).unwrap();
    let day = Upkeep::new(at(10), repositories(&home));
    day.due(&engine, &store, at(11)).unwrap().await;
    assert!(mirror.exists());
    let night = Upkeep::new(at(1), repositories(&home));
    night.due(&engine, &store, at(3)).unwrap().await;
    assert!(!mirror.exists());
}

#[test]
fn work_is_due_at_its_time_and_after_the_clock_was_set_back() {
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let next = later(now, FIRST_SWEEP_AFTER);
    assert!(!is_due(next, now, SWEEP_EVERY));
    assert!(is_due(next, next, SWEEP_EVERY));
    assert!(is_due(next, later(next, SWEEP_EVERY), SWEEP_EVERY));
    let set_back = now
        .saturating_sub(SignedDuration::from_hours(24 * 400))
        .unwrap();
    assert!(is_due(next, set_back, SWEEP_EVERY));
}
