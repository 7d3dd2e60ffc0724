use std::collections::BTreeMap;

use homing_core::{Policy, RunId, SourceId};
use homing_engine::{AtStart, Cadence, PushMode, RunStatus, Settings, SourceSpec, Specs, Trigger};
use homing_side_dir::{DirOptions, DirSide};
use homing_store::StoreOptions;
use tempfile::TempDir;

use super::*;

fn later(now: Timestamp, duration: SignedDuration) -> Timestamp {
    now.checked_add(duration).unwrap()
}

/// A pump over some sources that were never synced, each in an empty directory of its own.
struct World {
    home: TempDir,
    engine: Engine,
    pump: Pump,
}

impl World {
    async fn new(sources: usize, now: Timestamp) -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(StoreOptions {
            data_dir: home.path().join("data"),
        })
        .unwrap();
        let sources = (0..sources)
            .map(|number| {
                let root = home.path().join(number.to_string());
                std::fs::create_dir(&root).unwrap();
                drop(std::fs::File::create(root.join("a.md")).unwrap());
                (format!("s{number}").parse().unwrap(), spec(root))
            })
            .collect();
        let specs = Specs {
            sources,
            left_out: BTreeMap::new(),
            targets: BTreeMap::new(),
            settings: Settings::default(),
        };
        let engine = Engine::start(specs, store.clone()).await.unwrap();
        let repositories = Repositories {
            mirrors: homing_side_git::Mirrors::new(home.path().join("mirrors")),
            environment: Vec::new(),
        };
        let tasks = Tasks::default();
        let pump = Pump::new(engine.clone(), store, tasks, Tempo::Fast, repositories, now);
        Self { home, engine, pump }
    }

    /// Ticks once, waits for the runs that this began, and returns whose they are and why.
    async fn tick(&self, now: Timestamp) -> Vec<(SourceId, Trigger)> {
        let before = self.runs().await;
        self.pump.tick(now);
        let mut begun = Vec::new();
        for (run, source, trigger) in self.runs().await {
            if !before.iter().any(|(known, ..)| *known == run) {
                let ended = self.engine.wait(run).await.unwrap();
                assert_eq!(ended.status, RunStatus::Success);
                begun.push((source, trigger));
            }
        }
        begun
    }

    async fn runs(&self) -> Vec<(RunId, SourceId, Trigger)> {
        let runs = self.engine.history(None, None, None, 1000).await.unwrap();
        runs.into_iter()
            .map(|run| (run.id, run.source.unwrap(), run.trigger))
            .collect()
    }
}

fn spec(root: std::path::PathBuf) -> SourceSpec {
    let options = DirOptions {
        root,
        ..DirOptions::default()
    };
    SourceSpec {
        kind: "dir".to_owned(),
        url: options.root.display().to_string(),
        origin: Arc::new(DirSide::new(options).unwrap()),
        priority: 100,
        push: PushMode::Never,
        on_conflict: Policy::Ask,
        max_file_size: u64::MAX,
        selection: "all/".to_owned(),
        cadence: Some(Cadence::Every(Duration::from_mins(15))),
        at_start: AtStart::Due,
        stale_after: None,
        watch: false,
        enabled: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_and_a_wake_up_are_spread_out_and_each_source_runs_once() {
    let start = Timestamp::now();
    let world = World::new(10, start).await;
    let mut begun = Vec::new();
    for second in 0..4 {
        let turns = world
            .tick(later(start, SignedDuration::from_secs(second)))
            .await;
        assert!(turns.len() <= TOGETHER, "{turns:?}");
        begun.extend(turns);
    }
    let names: std::collections::BTreeSet<_> = begun.iter().map(|turn| &turn.0).collect();
    assert_eq!((begun.len(), names.len()), (10, 10), "{begun:?}");
    assert!(begun.iter().all(|turn| turn.1 == Trigger::Startup));

    let night = later(Timestamp::now(), SignedDuration::from_hours(8));
    let woken = world.tick(night).await;
    assert_eq!(woken.len(), TOGETHER);
    assert!(woken.iter().all(|turn| turn.1 == Trigger::Resume));
    drop(world.home);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_is_no_sleep() {
    let now = Timestamp::now();
    let world = World::new(0, now).await;
    assert!(!world.pump.slept(later(now, SignedDuration::from_secs(1))));
    assert!(!world.pump.slept(later(now, SignedDuration::from_hours(-1))));
    assert!(
        !world
            .pump
            .slept(later(now, SignedDuration::from_secs(-3595)))
    );
    assert!(world.pump.slept(now));
}

#[test]
fn the_clock_ticks_as_fast_as_the_shortest_interval_asks() {
    let of = |seconds: &[u64]| Tempo::of(seconds.iter().copied().map(Duration::from_secs));
    assert_eq!(of(&[]), Tempo::Calm);
    assert_eq!(of(&[60, 3600]), Tempo::Calm);
    assert_eq!(of(&[60, 10]), Tempo::Fast);
}
