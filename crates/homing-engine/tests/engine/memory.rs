//! A world whose sides are in memory, where a test decides what goes wrong and when.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use homing_core::{
    BoxFuture, Capabilities, Contents, FetchRequest, Interrupted, ListRequest, Listener, Listing,
    Notice, Operation, Outcome, Progress, Recovered, Side, SideError, Watch,
};
use homing_engine::{Engine, PushMode, SourceSpec};
use homing_store::{RunFilter, Store, StoreOptions};
use testkit::{MemorySide, Verb};
use tokio::sync::Semaphore;

use crate::world::World;

type Hook = Arc<dyn Fn(Verb, &MemorySide) -> BoxFuture<'static, ()> + Send + Sync>;

/// A side in memory; a test can let something happen before any of its calls.
pub(crate) struct Accompanied {
    pub(crate) memory: MemorySide,
    before: Mutex<Option<Hook>>,
    watched: Mutex<Vec<Listener>>,
    unwatchable: Mutex<Option<SideError>>,
    replaced: Arc<AtomicBool>,
}

impl Accompanied {
    fn new(capabilities: Capabilities) -> Arc<Self> {
        Arc::new(Self {
            memory: MemorySide::new(capabilities),
            before: Mutex::default(),
            watched: Mutex::default(),
            unwatchable: Mutex::default(),
            replaced: Arc::default(),
        })
    }

    /// Returns how often somebody began to watch.
    pub(crate) fn watches(&self) -> usize {
        self.watched.lock().unwrap().len()
    }

    /// Tells whoever watches last.
    pub(crate) fn tell(&self, notice: Notice) {
        let listener = self.watched.lock().unwrap().last().cloned().unwrap();
        listener(notice);
    }

    /// Loses the watch, and fails the next one.
    pub(crate) fn lose(&self, next: SideError) {
        *self.unwatchable.lock().unwrap() = Some(next);
        self.tell(Notice::Lost(crate::memory::not_found()));
    }

    /// Says that another place was put where the watched one was.
    pub(crate) fn replace(&self) {
        self.replaced.store(true, Ordering::SeqCst);
    }

    /// Calls `hook` before every call from now on.
    pub(crate) fn before(
        &self,
        hook: impl Fn(Verb, &MemorySide) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) {
        *self.before.lock().unwrap() = Some(Arc::new(hook));
    }

    /// Lets calls go through as they are again.
    pub(crate) fn undisturbed(&self) {
        *self.before.lock().unwrap() = None;
    }

    /// Panics at every call of `verb`.
    pub(crate) fn panics_at(&self, verb: Verb) {
        self.before(move |called, _| {
            Box::pin(async move { assert!(called != verb, "this side panics at {verb:?}") })
        });
    }

    /// Holds every call of `verb` up until the gate is opened for it.
    pub(crate) fn gate(&self, verb: Verb) -> Arc<Gate> {
        let gate = Arc::new(Gate {
            entered: Semaphore::new(0),
            opened: Semaphore::new(0),
        });
        let held = Arc::clone(&gate);
        self.before(move |called, _| {
            let gate = Arc::clone(&held);
            Box::pin(async move {
                if called == verb {
                    gate.entered.add_permits(1);
                    gate.opened.acquire().await.unwrap().forget();
                }
            })
        });
        gate
    }

    async fn accompany(&self, verb: Verb) {
        let hook = self.before.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook(verb, &self.memory).await;
        }
    }
}

/// Where calls wait.
pub(crate) struct Gate {
    entered: Semaphore,
    opened: Semaphore,
}

impl Gate {
    /// Waits until a call has come to the gate.
    pub(crate) async fn entered(&self) {
        self.entered.acquire().await.unwrap().forget();
    }

    /// Lets all calls through.
    pub(crate) fn open(&self) {
        self.opened.add_permits(1000);
    }
}

impl Side for Accompanied {
    fn list(&self, request: ListRequest) -> BoxFuture<'_, Result<Listing, SideError>> {
        Box::pin(async move {
            self.accompany(Verb::List).await;
            self.memory.list(request).await
        })
    }

    fn fetch(
        &self,
        requests: Vec<FetchRequest>,
        contents: Arc<dyn Contents>,
        progress: Progress,
    ) -> BoxFuture<'_, Vec<Result<(), SideError>>> {
        Box::pin(async move {
            self.accompany(Verb::Fetch).await;
            self.memory.fetch(requests, contents, progress).await
        })
    }

    fn apply(
        &self,
        operations: Vec<Operation>,
        contents: Arc<dyn Contents>,
        progress: Progress,
    ) -> BoxFuture<'_, Vec<Outcome>> {
        Box::pin(async move {
            self.accompany(Verb::Apply).await;
            self.memory.apply(operations, contents, progress).await
        })
    }

    fn recover(
        &self,
        interrupted: Vec<Interrupted>,
        contents: Arc<dyn Contents>,
    ) -> BoxFuture<'_, Result<Vec<Recovered>, SideError>> {
        Box::pin(async move {
            self.accompany(Verb::Recover).await;
            self.memory.recover(interrupted, contents).await
        })
    }

    fn watch(
        &self,
        listener: Listener,
    ) -> BoxFuture<'_, Result<Option<Arc<dyn Watch>>, SideError>> {
        Box::pin(async move {
            self.watched.lock().unwrap().push(listener);
            match self.unwatchable.lock().unwrap().take() {
                Some(error) => Err(error),
                None => Ok(Some(
                    Arc::new(Watched(Arc::clone(&self.replaced))) as Arc<dyn Watch>
                )),
            }
        })
    }
}

/// A watch of a side in memory.
struct Watched(Arc<AtomicBool>);

impl Watch for Watched {
    fn is_current(&self) -> bool {
        !self.0.swap(false, Ordering::SeqCst)
    }
}

/// A world with a source `up` and a target `here`, both in memory.
pub(crate) struct Memory {
    pub(crate) world: World,
    pub(crate) up: Arc<Accompanied>,
    pub(crate) here: Arc<Accompanied>,
}

impl Memory {
    /// Makes one in which edits stay where they are.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// Makes one whose `a.md` had these texts, one sync after another.
    pub(crate) async fn after(texts: &[&str]) -> Self {
        let mut memory = Self::new();
        for text in texts {
            memory.up.memory.put("a.md", text.as_bytes());
            memory.world.sync_well("up").await;
        }
        memory
    }

    /// Makes one in which edits go back to the origin.
    pub(crate) fn two_way() -> Self {
        Self::with(|spec| spec.push = PushMode::Direct)
    }

    /// Makes one with a source as the test wants it.
    pub(crate) fn with(change: impl FnOnce(&mut SourceSpec)) -> Self {
        Self::between(Capabilities::default(), Capabilities::default(), change)
    }

    /// Makes one whose two sides can store what the test says.
    pub(crate) fn between(
        up: Capabilities,
        here: Capabilities,
        change: impl FnOnce(&mut SourceSpec),
    ) -> Self {
        let (up, here) = (Accompanied::new(up), Accompanied::new(here));
        let mut world = World::empty();
        world.source("up", |spec| {
            spec.origin = Arc::clone(&up) as Arc<dyn Side>;
            change(spec);
        });
        world.target("here", &["up"], |spec| {
            spec.place = Arc::clone(&here) as Arc<dyn Side>;
        });
        Self { world, up, here }
    }

    /// Adds a source in memory that no target takes from.
    pub(crate) fn another(&mut self, name: &str) -> Arc<Accompanied> {
        let side = Accompanied::new(Capabilities::default());
        self.world.source(name, |spec| {
            spec.origin = Arc::clone(&side) as Arc<dyn Side>;
        });
        side
    }

    /// Returns the engine once it has done all that it does at its start.
    pub(crate) async fn ready(&mut self) -> Engine {
        let engine = self.world.engine().await;
        for run in engine.history(None, None, None, 100).await.unwrap() {
            engine.wait(run.id).await.ok();
        }
        engine
    }

    /// Ends the engine as if the machine had lost its power: whatever was not durable may be gone.
    pub(crate) async fn lose_power(&mut self) {
        self.world.restart().await;
        let store = Store::open(StoreOptions {
            data_dir: self.world.path("data"),
        })
        .unwrap();
        store
            .write_blocking(|writer| {
                let all = RunFilter {
                    limit: 1000,
                    ..RunFilter::default()
                };
                for mut run in writer.runs(all)? {
                    "the boot before".clone_into(&mut run.boot_id);
                    writer.finish_run(&run)?;
                }
                Ok(())
            })
            .unwrap();
        store.close_blocking();
        self.up.memory.restart();
        self.here.memory.restart();
    }

    /// Returns a published file as text.
    pub(crate) fn published(&self, path: &str) -> Option<String> {
        self.here
            .memory
            .get(path)
            .map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// Fails when the engine asked a side for what must never be asked.
    pub(crate) fn no_violations(&self) {
        assert_eq!(self.up.memory.violations(), Vec::<String>::new());
        assert_eq!(self.here.memory.violations(), Vec::<String>::new());
    }
}

pub(crate) fn permanent() -> SideError {
    SideError::Permanent {
        message: "it cannot be".to_owned(),
        source: Some("and never will".into()),
    }
}

pub(crate) fn storage() -> SideError {
    SideError::Storage {
        message: "no room".to_owned(),
        source: None,
    }
}

pub(crate) fn not_found() -> SideError {
    SideError::NotFound {
        message: "it is not there".to_owned(),
        source: None,
    }
}
