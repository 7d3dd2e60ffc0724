//! Watching a directory and all below it.
//!
//! A notice says that something changed and never what: whoever hears it lists the directory. So a notice too many
//! costs a listing, and Homing's own temporary files need only be left out because they come with every publish.

mod shared;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use homing_core::{Listener, Notice, RootIdentity, SideError, Watch, shown};
use notify::EventKind;
use notify::event::ModifyKind;
use rustix::io::Errno;

use self::shared::{Told, Watched};
use crate::Inner;
use crate::errors::side_error;
use crate::walk::is_own_temporary;

/// A directory that is watched.
struct DirWatch {
    inner: Arc<Inner>,
    identity: RootIdentity,
    /// Watches until it is dropped.
    watched: Option<Watched<'static>>,
}

impl Watch for DirWatch {
    fn is_current(&self) -> bool {
        self.inner
            .open()
            .is_ok_and(|root| root.identity == self.identity)
    }
}

impl Drop for DirWatch {
    fn drop(&mut self) {
        let watched = self.watched.take();
        // The watcher may be walking through another directory, which no worker waits for.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn_blocking(move || drop(watched)));
        }
    }
}

/// Begins to watch. Blocks for as long as walking through the directories takes.
pub(crate) fn watch(inner: Arc<Inner>, listener: Listener) -> Result<Arc<dyn Watch>, SideError> {
    let identity = inner.open()?.identity;
    let place = inner.place.clone();
    let root = std::fs::canonicalize(&place).map_err(|error| io_error(&error, &place))?;
    let told = Listening {
        inner: Arc::clone(&inner),
        listener,
    };
    let watched = shared::watch(root, identity, Arc::new(move |event| told.hear(event)))
        .map_err(|error| watch_error(error, &place))?;
    let watch = DirWatch {
        inner,
        identity,
        watched: Some(watched),
    };
    // Between the two looks another directory may have come into its place.
    if watch.is_current() {
        Ok(Arc::new(watch))
    } else {
        Err(replaced(&place))
    }
}

/// Who is to hear of what.
struct Listening {
    inner: Arc<Inner>,
    listener: Listener,
}

impl Listening {
    fn hear(&self, told: Told<'_>) {
        match told {
            Told::Failed(error) => {
                let error = watch_error(repeated(error), &self.inner.place);
                (self.listener)(Notice::Lost(error));
            }
            Told::Missed => (self.listener)(Notice::Missed),
            Told::Happened(kind, path) if path.as_os_str().is_empty() && went(kind) => {
                (self.listener)(Notice::Lost(replaced(&self.inner.place)));
            }
            Told::Happened(_, path) => {
                if self.concerns_an_item(path) {
                    (self.listener)(Notice::Changed);
                }
            }
        }
    }

    fn concerns_an_item(&self, path: &Path) -> bool {
        let own = path
            .components()
            .any(|name| is_own_temporary(name.as_os_str().as_bytes()));
        let selection = &self.inner.selection;
        // What is gone may have been a directory; the patterns that name one name it as such only.
        let excluded = path
            .ancestors()
            .filter(|part| !part.as_os_str().is_empty())
            .any(|part| selection.is_excluded(part, part != path));
        !own && !excluded
    }
}

fn went(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
    )
}

/// Returns an error once more, for the next who is to hear of it.
fn repeated(error: &notify::Error) -> notify::Error {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => notify::Error::new(notify::ErrorKind::MaxFilesWatch),
        notify::ErrorKind::PathNotFound => notify::Error::new(notify::ErrorKind::PathNotFound),
        notify::ErrorKind::Io(cause) => {
            let errno = Errno::from_io_error(cause).unwrap_or(Errno::IO);
            notify::Error::io(errno.into())
        }
        _ => notify::Error::generic(&error.to_string()),
    }
}

fn replaced(place: &Path) -> SideError {
    SideError::NotFound {
        message: format!(
            "`{}` was moved or removed",
            shown(place.as_os_str().as_bytes())
        ),
        source: None,
    }
}

fn watch_error(error: notify::Error, place: &Path) -> SideError {
    let used_up = |limit: &str, error: notify::Error| SideError::Permanent {
        message: format!(
            "the system lets this user watch no more directories: raise {limit} with sysctl"
        ),
        source: Some(Box::new(error)),
    };
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => used_up("fs.inotify.max_user_watches", error),
        notify::ErrorKind::Io(cause) if Errno::from_io_error(cause) == Some(Errno::MFILE) => {
            used_up("fs.inotify.max_user_instances", error)
        }
        notify::ErrorKind::Io(cause) => io_error(cause, place),
        notify::ErrorKind::PathNotFound => side_error(Errno::NOENT, &could_not(place)),
        _ => SideError::Permanent {
            message: could_not(place),
            source: Some(Box::new(error)),
        },
    }
}

fn io_error(error: &std::io::Error, place: &Path) -> SideError {
    side_error(
        Errno::from_io_error(error).unwrap_or(Errno::IO),
        &could_not(place),
    )
}

fn could_not(place: &Path) -> String {
    format!("could not watch `{}`", shown(place.as_os_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;
    use crate::{DirOptions, DirSide};

    /// Far longer than a notice takes.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn begin(root: &Path, exclude: &[&str]) -> (Arc<dyn Watch>, Receiver<Notice>) {
        let side = DirSide::new(DirOptions {
            root: root.to_owned(),
            exclude: exclude.iter().map(|&pattern| pattern.to_owned()).collect(),
            ..DirOptions::default()
        })
        .unwrap();
        let (sender, notices) = channel();
        let listener: Listener = Arc::new(move |notice| sender.send(notice).unwrap_or_default());
        (watch(side.inner, listener).unwrap(), notices)
    }

    fn write(path: &Path) {
        drop(fs::File::create(path).unwrap());
    }

    fn next(notices: &Receiver<Notice>) -> Notice {
        notices.recv_timeout(PATIENCE).unwrap()
    }

    #[test]
    fn changes_are_told_in_new_directories_too() {
        let root = tempfile::tempdir().unwrap();
        let (_watch, notices) = begin(root.path(), &[]);
        write(&root.path().join("a.md"));
        assert!(matches!(next(&notices), Notice::Changed));
        fs::create_dir(root.path().join("new")).unwrap();
        assert!(matches!(next(&notices), Notice::Changed));
        fs::remove_file(root.path().join("a.md")).unwrap();
        assert!(matches!(next(&notices), Notice::Changed));
    }

    #[test]
    fn own_temporary_files_reading_and_what_is_excluded_are_no_changes() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("left-out")).unwrap();
        write(&root.path().join("a.md"));
        let (_watch, notices) = begin(root.path(), &["left-out/", "*.log"]);
        write(&root.path().join(".homing-12-3"));
        write(&root.path().join("x.log"));
        write(&root.path().join("left-out/b.md"));
        drop(fs::read(root.path().join("a.md")).unwrap());
        fs::remove_file(root.path().join(".homing-12-3")).unwrap();
        // The system tells in order: if one of those had been told, it would be here before this.
        fs::remove_dir_all(root.path()).unwrap();
        let told: Vec<Notice> = std::iter::from_fn(|| Some(next(&notices)))
            .take_while(|notice| matches!(notice, Notice::Changed))
            .collect();
        // `a.md` and the directory itself.
        assert_eq!(told.len(), 2, "{told:?}");
    }

    #[test]
    fn a_root_that_is_replaced_is_lost() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir(&root).unwrap();
        let (watch, notices) = begin(&root, &[]);
        assert!(watch.is_current());
        fs::rename(&root, place.path().join("elsewhere")).unwrap();
        fs::create_dir(&root).unwrap();
        let lost = std::iter::from_fn(|| Some(next(&notices)))
            .find(|notice| matches!(notice, Notice::Lost(_)));
        assert!(matches!(
            lost,
            Some(Notice::Lost(SideError::NotFound { .. }))
        ));
        assert!(!watch.is_current());
    }

    #[test]
    fn a_root_that_is_missing_cannot_be_watched() {
        let side = DirSide::new(DirOptions {
            root: "/nowhere/at/all".into(),
            ..DirOptions::default()
        })
        .unwrap();
        let refused = watch(side.inner, Arc::new(|_| {}));
        assert!(matches!(refused, Err(SideError::NotFound { .. })));
    }

    #[test]
    fn limits_of_the_system_are_named() {
        let place = Path::new("/x");
        let watches = notify::Error::new(notify::ErrorKind::MaxFilesWatch);
        let told = watch_error(watches, place).to_string();
        assert!(told.contains("fs.inotify.max_user_watches"), "{told}");
        let instances = notify::Error::io(Errno::MFILE.into());
        let told = watch_error(instances, place).to_string();
        assert!(told.contains("fs.inotify.max_user_instances"), "{told}");
    }
}
