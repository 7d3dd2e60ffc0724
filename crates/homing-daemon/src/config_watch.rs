//! Notices when the configuration changes, so that nobody has to say so.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::future::pending;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{self, Receiver, UnboundedReceiver};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::tasks::Tasks;

/// Writers are left alone until they have been quiet for this long …
const QUIET: Duration = Duration::from_millis(100);
/// … but one that never is does not keep the rest of a change away for longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tells of changes of the configuration's files.
pub(crate) struct ConfigWatch {
    changes: Option<Receiver<()>>,
}

impl ConfigWatch {
    /// Begins to watch. Where the system does not let it, changes are taken over by a reload only.
    pub(crate) fn start(config_file: &Path, drop_ins: &Path, tasks: &Tasks) -> Self {
        let (events, incoming) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event| {
            // Nobody listens any more when the daemon ends.
            events.send(event).unwrap_or_default();
        });
        let watcher = match watcher {
            Ok(watcher) => watcher,
            Err(error) => {
                tracing::warn!(%error, "the configuration cannot be watched; `homing config reload` takes changes over");
                return Self { changes: None };
            }
        };
        let mut watched = Watched {
            config_file: config_file.to_owned(),
            drop_ins: drop_ins.to_owned(),
            watcher,
            directories: BTreeMap::new(),
        };
        watched.follow();
        let (sender, changes) = mpsc::channel(1);
        let stopping = tasks.stopping().clone();
        tasks.spawn(async move { watched.run(incoming, sender, stopping).await });
        Self {
            changes: Some(changes),
        }
    }

    /// Waits for the next change. Nothing is lost when the wait is given up.
    pub(crate) async fn changed(&mut self) {
        if let Some(changes) = &mut self.changes
            && changes.recv().await.is_some()
        {
            return;
        }
        pending::<()>().await;
    }
}

/// What is watched: directories, for a file that is replaced is another file.
struct Watched {
    config_file: PathBuf,
    /// The directory of further files.
    drop_ins: PathBuf,
    watcher: RecommendedWatcher,
    /// Each with what tells it from a later one of the same name.
    directories: BTreeMap<PathBuf, (u64, u64)>,
}

impl Watched {
    async fn run(
        mut self,
        mut events: UnboundedReceiver<notify::Result<Event>>,
        changes: mpsc::Sender<()>,
        stopping: CancellationToken,
    ) {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = stopping.cancelled() => return,
            };
            let Some(event) = event else { return };
            if !self.is_about_us(event) {
                continue;
            }
            let latest = Instant::now() + PATIENCE;
            loop {
                let quiet = (Instant::now() + QUIET).min(latest);
                match timeout_at(quiet, events.recv()).await {
                    Ok(Some(_)) => {}
                    Ok(None) => return,
                    Err(_elapsed) => break,
                }
            }
            // Before the files are read, so that no change falls in between.
            self.follow();
            // One that waits already covers this one too.
            changes.try_send(()).unwrap_or_default();
        }
    }

    fn is_about_us(&self, event: notify::Result<Event>) -> bool {
        let Ok(event) = event else {
            // The queue ran over, or the like: anything may have happened.
            return true;
        };
        let only_looked = matches!(
            event.kind,
            EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)
        );
        let drop_ins = &self.drop_ins;
        let behind_links = [resolved(&self.config_file), resolved(drop_ins)];
        let concerns = |path: &PathBuf| {
            [&self.config_file, drop_ins]
                .into_iter()
                .chain(behind_links.iter().flatten())
                .any(|ours| ours.starts_with(path))
                || path.parent().is_some_and(|parent| {
                    let directory = behind_links[1].as_deref().unwrap_or(drop_ins);
                    (parent == drop_ins || parent == directory)
                        && path.extension() == Some(OsStr::new("toml"))
                })
        };
        !only_looked && (event.need_rescan() || event.paths.iter().any(concerns))
    }

    /// Watches the directories that matter now: those of the files, behind links too, or the nearest that is there.
    fn follow(&mut self) {
        let mut wanted: BTreeMap<PathBuf, (u64, u64)> = BTreeMap::new();
        let files = [Some(self.config_file.clone()), resolved(&self.config_file)];
        let of_files = files
            .iter()
            .flatten()
            .filter_map(|file| file.parent()?.ancestors().find_map(directory));
        let further = [Some(self.drop_ins.clone()), resolved(&self.drop_ins)];
        wanted.extend(of_files);
        wanted.extend(further.iter().flatten().filter_map(|path| directory(path)));
        for (path, identity) in &self.directories {
            if wanted.get(path) != Some(identity) {
                // The watch of a directory that is gone went with it.
                self.watcher.unwatch(path).unwrap_or_default();
            }
        }
        wanted.retain(|path, identity| {
            if self.directories.get(path) == Some(identity) {
                return true;
            }
            let watched = self.watcher.watch(path, RecursiveMode::NonRecursive);
            if let Err(error) = &watched {
                tracing::warn!(%error, "the configuration cannot be watched; `homing config reload` takes changes over");
            }
            watched.is_ok()
        });
        self.directories = wanted;
    }
}

/// Returns what a path leads to, where that is another one.
fn resolved(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().filter(|found| found != path)
}

fn directory(path: &Path) -> Option<(PathBuf, (u64, u64))> {
    let metadata = path.metadata().ok().filter(std::fs::Metadata::is_dir)?;
    Some((path.to_owned(), (metadata.dev(), metadata.ino())))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, text: &str) {
        let mut file = fs::File::create(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    async fn notices(watch: &mut ConfigWatch) {
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, watch.changed())
            .await
            .expect("a change is noticed");
    }

    #[tokio::test]
    async fn a_file_is_noticed_when_it_and_its_directory_come_and_when_it_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("config/homing");
        let file = directory.join("config.toml");
        let tasks = Tasks::default();
        let mut watch = ConfigWatch::start(&file, &directory.join("config.d"), &tasks);
        fs::create_dir_all(&directory).unwrap();
        notices(&mut watch).await;
        write(&file, "a = 1");
        notices(&mut watch).await;
        write(&directory.join("new"), "a = 2");
        fs::rename(directory.join("new"), &file).unwrap();
        notices(&mut watch).await;
        fs::remove_dir_all(&directory).unwrap();
        notices(&mut watch).await;
        fs::create_dir_all(&directory).unwrap();
        notices(&mut watch).await;
        write(&file, "a = 3");
        notices(&mut watch).await;
        tasks.stop();
    }

    #[tokio::test]
    async fn drop_ins_and_files_behind_links_are_noticed() {
        let home = tempfile::tempdir().unwrap();
        let elsewhere = home.path().join("dotfiles");
        let directory = home.path().join("config");
        fs::create_dir(&elsewhere).unwrap();
        fs::create_dir(&directory).unwrap();
        write(&elsewhere.join("homing.toml"), "a = 1");
        let file = directory.join("config.toml");
        symlink(elsewhere.join("homing.toml"), &file).unwrap();
        let tasks = Tasks::default();
        let mut watch = ConfigWatch::start(&file, &directory.join("config.d"), &tasks);
        write(&elsewhere.join("homing.toml"), "a = 2");
        notices(&mut watch).await;
        fs::create_dir(directory.join("config.d")).unwrap();
        notices(&mut watch).await;
        write(&directory.join("config.d/10-more.toml"), "a = 3");
        notices(&mut watch).await;
        tasks.stop();
    }

    #[tokio::test]
    async fn reading_it_and_its_neighbours_are_no_changes() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config.toml");
        write(&file, "a = 1");
        let watched = Watched {
            config_file: file.clone(),
            drop_ins: home.path().join("config.d"),
            watcher: notify::recommended_watcher(|_| {}).unwrap(),
            directories: BTreeMap::new(),
        };
        let event = |kind, path: &str| Ok(Event::new(kind).add_path(home.path().join(path)));
        let read = EventKind::Access(AccessKind::Close(AccessMode::Read));
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        assert!(!watched.is_about_us(event(read, "config.toml")));
        assert!(watched.is_about_us(event(written, "config.toml")));
        assert!(!watched.is_about_us(event(written, "other.toml")));
        assert!(watched.is_about_us(event(written, "config.d/a.toml")));
        assert!(!watched.is_about_us(event(written, "config.d/.a.toml.swp")));
        assert!(watched.is_about_us(event(EventKind::Any, "config.d")));
    }
}
