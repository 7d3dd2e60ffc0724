//! `--check-store`: examines the database without touching it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use homing_api::StoreCheck;
use homing_store::{Store, StoreError, StoreOptions};

use crate::convert;
use crate::lock::Lock;
use crate::start::StartError;

/// What makes up the database, in the order in which a copy is consistent: nobody writes, for the lock is held.
const DATABASE_FILES: [&str; 2] = ["state.db", "state.db-wal"];
const CONTENTS: &str = "contents";
/// What is said of the mirrors of repositories: only who knows the sources can tell whose they are.
const UNEXAMINED: &str =
    "the database alone is examined while homingd does not run; `homing db check` looks at mirrors";

/// Examines the database in `data_dir`: every row, every checksum, the bytes of every content.
///
/// [`StartError::Held`] while a daemon runs. Opening a damaged database moves it aside, so a copy is opened instead.
pub(crate) fn check(data_dir: &Path) -> Result<StoreCheck, StartError> {
    if !is_there(data_dir) {
        return Ok(StoreCheck {
            sound: true,
            contents: 0,
            damage: Vec::new(),
            lost_contents: Vec::new(),
            mirrors: 0,
            damaged_mirrors: Vec::new(),
            mirrors_unexamined: None,
        });
    }
    let _lock = Lock::acquire(data_dir)?;
    let copy = Copy::make(data_dir)?;
    let failed = |source| StartError::Store {
        data_dir: data_dir.to_owned(),
        source,
    };
    let store = match Store::open(StoreOptions {
        data_dir: copy.0.clone(),
    }) {
        Ok(store) => store,
        Err(StoreError::Corrupt { what }) => return Ok(damaged(&what, data_dir)),
        Err(error) => return Err(failed(error)),
    };
    if was_moved_aside(&copy.0) {
        store.close_blocking();
        return Ok(damaged("it does not pass SQLite's examination", data_dir));
    }
    let report = store.check_blocking(true);
    store.close_blocking();
    Ok(StoreCheck {
        mirrors_unexamined: unexamined(data_dir),
        ..convert::store_check(&report.map_err(failed)?)
    })
}

/// Tells whether the database of a copy, which had none aside, was found damaged when it was opened.
fn was_moved_aside(copy: &Path) -> bool {
    let Ok(entries) = fs::read_dir(copy) else {
        return false;
    };
    entries.filter_map(Result::ok).any(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("state.db.corrupt-")
    })
}

fn damaged(what: &str, data_dir: &Path) -> StoreCheck {
    StoreCheck {
        sound: false,
        contents: 0,
        damage: vec![what.to_owned()],
        lost_contents: Vec::new(),
        mirrors: 0,
        damaged_mirrors: Vec::new(),
        mirrors_unexamined: unexamined(data_dir),
    }
}

/// Returns why nothing is known of mirrors, where there are some.
fn unexamined(data_dir: &Path) -> Option<String> {
    let has_some = data_dir.join("mirrors").is_dir();
    has_some.then(|| UNEXAMINED.to_owned())
}

/// Returns what was found, in words.
pub(crate) fn text(found: &StoreCheck, data_dir: &Path) -> String {
    let why = found.mirrors_unexamined.as_ref();
    let of_mirrors = why.map(|why| format!("mirrors were not examined: {why}\n"));
    of_store(found, data_dir) + &of_mirrors.unwrap_or_default()
}

fn of_store(found: &StoreCheck, data_dir: &Path) -> String {
    if found.sound && !is_there(data_dir) {
        return format!("there is no database in {}\n", data_dir.display());
    }
    if found.sound {
        return format!("sound: the database and {} contents\n", found.contents);
    }
    let damage = found.damage.iter().map(|what| format!("damaged: {what}\n"));
    let lost = found
        .lost_contents
        .iter()
        .map(|hash| format!("missing or damaged: content {hash}\n"));
    damage.chain(lost).collect()
}

fn is_there(data_dir: &Path) -> bool {
    DATABASE_FILES
        .iter()
        .any(|name| data_dir.join(name).exists())
}

/// A copy of the database with the real contents behind a link, removed when it is dropped.
struct Copy(PathBuf);

impl Copy {
    fn make(data_dir: &Path) -> Result<Self, StartError> {
        let directory = data_dir.join(format!(".check-{}", std::process::id()));
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(|error| StartError::path("make the directory", &directory, error))?;
        let copy = Self(directory);
        for name in DATABASE_FILES {
            match fs::copy(data_dir.join(name), copy.0.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StartError::path("copy", &data_dir.join(name), error));
                }
                _ => {}
            }
        }
        let contents = copy.0.join(CONTENTS);
        symlink(data_dir.join(CONTENTS), &contents)
            .map_err(|error| StartError::path("make the link", &contents, error))?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // The link itself is removed, never what it leads to.
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the copy of the database could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(StoreOptions {
            data_dir: home.path().to_owned(),
        })
        .unwrap();
        store.close_blocking();
        home
    }

    #[test]
    fn a_sound_database_is_sound_and_the_copy_goes() {
        let home = made();
        let checked = check(home.path()).unwrap();
        assert!(checked.sound, "{checked:?}");
        let left: Vec<_> = fs::read_dir(home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert!(
            !left
                .iter()
                .any(|name| name.to_string_lossy().starts_with(".check-")),
            "{left:?}"
        );
    }

    #[test]
    fn mirrors_that_are_not_examined_are_told() {
        let home = made();
        assert_eq!(check(home.path()).unwrap().mirrors_unexamined, None);
        fs::create_dir(home.path().join("mirrors")).unwrap();
        let checked = check(home.path()).unwrap();
        let told = text(&checked, home.path());
        assert!(told.contains("mirrors were not examined"), "{told}");
    }

    #[test]
    fn a_truncated_database_is_told_and_stays() {
        let home = made();
        let path = home.path().join("state.db");
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        let before = fs::read(&path).unwrap();
        let checked = check(home.path()).unwrap();
        assert!(!checked.sound, "{checked:?}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_daemon_that_runs_is_not_disturbed() {
        let home = made();
        let _daemon = Lock::take(home.path()).unwrap();
        assert!(matches!(check(home.path()), Err(StartError::Held { .. })));
    }

    #[test]
    fn nothing_to_check_is_no_error_and_makes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let data_dir = home.path().join("none");
        assert!(check(&data_dir).unwrap().sound);
        assert!(!data_dir.exists());
    }
}
