//! The one watcher of the system's that all watched directories share.
//!
//! Linux gives a user 128 instances of inotify as a rule, for all programs together, so a hundred watched places must
//! not take one each. What the system tells goes to the places whose directory it lies in.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use homing_core::RootIdentity;
use notify::event::{AccessKind, AccessMode};
use notify::{Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// The limit is the user's, so there is one for the whole process.
static SHARED: LazyLock<Shared> = LazyLock::new(Shared::default);

/// What a place is told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Told<'a> {
    /// Something happened to this path below the root; the empty path is the root itself.
    Happened(EventKind, &'a Path),
    /// More happened than could be told.
    Missed,
    /// Not all of it is watched any more.
    Failed(&'a notify::Error),
}

/// Hears what a place is told, in the watcher's thread; it must not block.
pub(super) type Hear = Arc<dyn Fn(Told<'_>) + Send + Sync>;

/// Watches a directory and all below it until what is returned is dropped. Blocks while it walks through them.
pub(super) fn watch(
    root: PathBuf,
    identity: RootIdentity,
    hear: Hear,
) -> notify::Result<Watched<'static>> {
    SHARED.watch(Route {
        root,
        identity,
        hear,
    })
}

/// A directory that is watched.
pub(super) struct Watched<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.shared.leave(self.number);
    }
}

/// A place, and who hears of it.
#[derive(Clone)]
struct Route {
    root: PathBuf,
    identity: RootIdentity,
    hear: Hear,
}

#[derive(Default)]
struct Shared {
    /// Held while the watcher is told something; never taken in its thread, which answers.
    system: Mutex<Option<RecommendedWatcher>>,
    routes: Arc<Routes>,
}

impl Shared {
    fn watch(&self, route: Route) -> notify::Result<Watched<'_>> {
        let mut system = self.system();
        let root = route.root.clone();
        // Before the system watches, so that nothing is told to nobody.
        let number = self.routes.add(route);
        let watched = begin(&mut system, &self.routes)
            .and_then(|watcher| watcher.watch(&root, RecursiveMode::Recursive));
        drop(system);
        let place = Watched {
            shared: self,
            number,
        };
        // On an error the part that is watched already is given back with it.
        watched.map(|()| place)
    }

    fn leave(&self, number: u64) {
        let mut system = self.system();
        let Some((gone, others)) = self.routes.remove(number) else {
            return;
        };
        let Some(watcher) = system.as_mut() else {
            return;
        };
        if others.is_empty() {
            *system = None;
            return;
        }
        let is_covered = others.iter().any(|other| {
            if other.root == gone.root {
                other.identity == gone.identity
            } else {
                gone.root.starts_with(&other.root)
            }
        });
        if is_covered {
            return;
        }
        // It fails for a directory that is gone, whose watch went with it.
        watcher.unwatch(&gone.root).unwrap_or_default();
        // With it went what others watch below it, and a directory that is mounted at two places.
        for other in others {
            if other.root.starts_with(&gone.root) || other.identity == gone.identity {
                match watcher.watch(&other.root, RecursiveMode::Recursive) {
                    Ok(()) => (other.hear)(Told::Missed),
                    Err(error) => (other.hear)(Told::Failed(&error)),
                }
            }
        }
    }

    fn system(&self) -> MutexGuard<'_, Option<RecommendedWatcher>> {
        self.system.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin<'a>(
    system: &'a mut Option<RecommendedWatcher>,
    routes: &Arc<Routes>,
) -> notify::Result<&'a mut RecommendedWatcher> {
    if system.is_none() {
        let routes = Arc::clone(routes);
        // Through a link one place could take the watch of another one's directory.
        let config = Config::default().with_follow_symlinks(false);
        let watcher = RecommendedWatcher::new(move |event| routes.tell(event), config)?;
        return Ok(system.insert(watcher));
    }
    system
        .as_mut()
        .ok_or_else(|| notify::Error::generic("there is no watcher"))
}

/// Who hears of which directories.
#[derive(Default)]
struct Routes(Mutex<Table>);

#[derive(Default)]
struct Table {
    last: u64,
    routes: BTreeMap<u64, Route>,
    /// Who hears of what happens below a path: those that watch it, and its directory under another name. The system
    /// knows a directory that is mounted at two places by the name that was watched last.
    below: HashMap<PathBuf, Vec<u64>>,
}

impl Routes {
    fn add(&self, route: Route) -> u64 {
        let mut table = self.lock();
        table.last += 1;
        let number = table.last;
        table.routes.insert(number, route);
        table.look_up_again();
        number
    }

    /// Removes a place; returns it and the ones that stay.
    fn remove(&self, number: u64) -> Option<(Route, Vec<Route>)> {
        let mut table = self.lock();
        let gone = table.routes.remove(&number)?;
        table.look_up_again();
        Some((gone, table.routes.values().cloned().collect()))
    }

    fn tell(&self, event: notify::Result<Event>) {
        let table = self.lock();
        match event {
            Err(error) => {
                // At the limit of watches notify gives up every new directory that it has heard of by then.
                let all = error.paths.is_empty() || matches!(error.kind, ErrorKind::MaxFilesWatch);
                let concerned = |route: &&Route| {
                    all || error.paths.iter().any(|path| path.starts_with(&route.root))
                };
                for route in table.routes.values().filter(concerned) {
                    (route.hear)(Told::Failed(&error));
                }
            }
            Ok(event) if event.need_rescan() => {
                for route in table.routes.values() {
                    (route.hear)(Told::Missed);
                }
            }
            Ok(event) if !is_change(event.kind) => {}
            Ok(event) => {
                for path in &event.paths {
                    table.happened(event.kind, path);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn happened(&self, kind: EventKind, path: &Path) {
        for root in path.ancestors() {
            let concerned = self.below.get(root).into_iter().flatten();
            for route in concerned.filter_map(|number| self.routes.get(number)) {
                if let Ok(relative) = path.strip_prefix(root) {
                    (route.hear)(Told::Happened(kind, relative));
                }
            }
        }
    }

    fn look_up_again(&mut self) {
        let mut same: HashMap<(u64, u64), Vec<u64>> = HashMap::new();
        for (number, route) in &self.routes {
            let identity = (route.identity.device, route.identity.inode);
            same.entry(identity).or_default().push(*number);
        }
        self.below.clear();
        for route in self.routes.values() {
            let identity = (route.identity.device, route.identity.inode);
            let numbers = self.below.entry(route.root.clone()).or_default();
            numbers.extend(same.get(&identity).into_iter().flatten());
            numbers.sort_unstable();
            numbers.dedup();
        }
    }
}

/// Tells whether something was written, and not only looked at.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}
