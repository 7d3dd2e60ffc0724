//! A throwaway world: some origins, some targets, a store, an engine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use homing_core::{ItemKey, Limits, Policy, SourceId, TargetId};
use homing_engine::{
    AtStart, ConflictReport, Deletions, Engine, EngineError, Layout, PushMode, RunReport,
    RunRequest, RunStatus, Settings, SourceSpec, Specs, TargetSpec, Trigger, Turn, Verb,
};
use homing_side_dir::{DirOptions, DirSide};
use homing_store::{Store, StoreOptions};
use tempfile::TempDir;

/// A world with sources and targets as the test wants them.
pub(crate) struct World {
    directory: TempDir,
    pub(crate) specs: Specs,
    engine: Option<Engine>,
}

impl World {
    /// Makes a world with one source `up` and one target `here` that takes from it.
    pub(crate) fn new() -> Self {
        let mut world = Self::empty();
        world.source("up", |_| {});
        world.target("here", &["up"], |_| {});
        world
    }

    /// Makes a world without sources and targets.
    pub(crate) fn empty() -> Self {
        let specs = Specs {
            sources: BTreeMap::new(),
            left_out: BTreeMap::new(),
            targets: BTreeMap::new(),
            settings: Settings::default(),
        };
        Self {
            directory: TempDir::new().unwrap(),
            specs,
            engine: None,
        }
    }

    /// Adds a source whose origin is the directory of its name.
    pub(crate) fn source(&mut self, name: &str, change: impl FnOnce(&mut SourceSpec)) {
        let root = self.path(name);
        fs::create_dir_all(&root).unwrap();
        let options = DirOptions {
            root: root.clone(),
            ..DirOptions::default()
        };
        let mut spec = SourceSpec {
            kind: "dir".into(),
            url: root.display().to_string(),
            origin: Arc::new(DirSide::new(options).unwrap()),
            priority: 100,
            push: PushMode::Never,
            on_conflict: Policy::Ask,
            max_file_size: u64::MAX,
            selection: "all".into(),
            cadence: None,
            at_start: AtStart::Due,
            stale_after: None,
            watch: false,
            enabled: true,
        };
        change(&mut spec);
        self.specs.sources.insert(source(name), spec);
    }

    /// Adds a target in the directory of its name.
    pub(crate) fn target(
        &mut self,
        name: &str,
        from: &[&str],
        change: impl FnOnce(&mut TargetSpec),
    ) {
        let root = self.path(name);
        let options = DirOptions {
            root: root.clone(),
            create_root: true,
            limits: Limits::NONE,
            ..DirOptions::default()
        };
        let mut spec = TargetSpec {
            path: root,
            place: Arc::new(DirSide::new(options).unwrap()),
            from: from.iter().map(|name| source(name)).collect(),
            render: None,
            tool: None,
            layout: Layout::Tree,
            deletions: Deletions::Restore,
            new_files_to: None,
            allow_active: Vec::new(),
            include_kinds: homing_items::Kind::ALL.into(),
            on_finding: homing_engine::OnFinding::default(),
            hook: None,
        };
        change(&mut spec);
        self.specs.targets.insert(target(name), spec);
    }

    /// Returns the engine, started when it is not.
    pub(crate) async fn engine(&mut self) -> Engine {
        if self.engine.is_none() {
            let store = Store::open(StoreOptions {
                data_dir: self.path("data"),
            })
            .unwrap();
            self.engine = Some(Engine::start(self.specs.clone(), store).await.unwrap());
        }
        self.engine.clone().unwrap()
    }

    /// Stops the engine; the next use starts it anew with the specs as they are then.
    pub(crate) async fn restart(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.shutdown(Duration::from_secs(10)).await;
        }
    }

    /// Runs a request to its end, with items.
    pub(crate) async fn run(
        &mut self,
        name: &str,
        request: RunRequest,
    ) -> Result<RunReport, EngineError> {
        let engine = self.engine().await;
        let run = engine.submit(&source(name), request)?;
        engine.wait(run).await?;
        engine.run(run).await
    }

    /// Syncs a source and returns the run.
    pub(crate) async fn sync(&mut self, name: &str) -> RunReport {
        self.run(name, RunRequest::new(Verb::Sync, Trigger::Manual))
            .await
            .unwrap()
    }

    /// Syncs a source and expects full success.
    pub(crate) async fn sync_well(&mut self, name: &str) -> RunReport {
        let run = self.sync(name).await;
        assert_eq!(run.status, RunStatus::Success, "{run:#?}");
        run
    }

    pub(crate) async fn conflicts(&mut self) -> Vec<ConflictReport> {
        self.engine().await.conflicts(None, None).await.unwrap()
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// Writes a file, as long ago as a user who is done with it.
    pub(crate) fn write(&self, relative: &str, content: &str) {
        let file = self.write_now(relative, content);
        file.set_modified(SystemTime::now() - Duration::from_mins(1))
            .unwrap();
    }

    /// Writes a file this very moment.
    pub(crate) fn write_now(&self, relative: &str, content: &str) -> fs::File {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::File::create(&path).unwrap();
        std::io::Write::write_all(&mut file, content.as_bytes()).unwrap();
        file
    }

    pub(crate) fn remove(&self, relative: &str) {
        fs::remove_file(self.path(relative)).unwrap();
    }

    /// Reads a file; `None` when it is not there.
    pub(crate) fn read(&self, relative: &str) -> Option<String> {
        fs::read_to_string(self.path(relative)).ok()
    }

    /// Reads all files below a directory, by relative path.
    pub(crate) fn tree(&self, relative: &str) -> BTreeMap<String, String> {
        let root = self.path(relative);
        let mut files = BTreeMap::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            let Ok(entries) = fs::read_dir(&directory) else {
                continue;
            };
            for entry in entries {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    files.insert(
                        relative_to(&path, &root),
                        fs::read_to_string(&path).unwrap_or_default(),
                    );
                }
            }
        }
        files
    }
}

fn relative_to(path: &Path, root: &Path) -> String {
    path.strip_prefix(root)
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

pub(crate) fn source(name: &str) -> SourceId {
    name.parse().unwrap()
}

pub(crate) fn target(name: &str) -> TargetId {
    name.parse().unwrap()
}

/// Returns whose turn has come.
pub(crate) fn names(turns: Vec<Turn>) -> Vec<SourceId> {
    turns.into_iter().map(|turn| turn.source).collect()
}

pub(crate) fn key(path: &str) -> ItemKey {
    ItemKey::new(path).unwrap()
}
