//! Opening the database: newer ones are refused, damaged ones are moved aside.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::connection::open_writer;
use crate::contents::sync_directory;
use crate::schema::{self, SCHEMA_VERSION};
use crate::{Reader, StoreError};

const DATABASE: &str = "state.db";
const SUSPECT: &str = "state.db.suspect";
pub(crate) const CORRUPT: &str = "state.db.corrupt-";
const MAGIC: &[u8] = b"SQLite format 3\0";

/// What is examined at every start. Contents are not: their bytes are compared with their hash when they are read.
const CHECKED_TABLES: [&str; 11] = [
    "schema_metadata",
    "sources",
    "targets",
    "contents",
    "agent_files",
    "target_files",
    "holds",
    "conflicts",
    "sync_history",
    "journal",
    "pending_hooks",
];

pub(crate) fn database_path(data_dir: &Path) -> PathBuf {
    data_dir.join(DATABASE)
}

/// Returns the bytes of the database's log.
pub(crate) fn log_bytes(data_dir: &Path) -> u64 {
    let log = with_suffix(&database_path(data_dir), "-wal");
    fs::metadata(log).map_or(0, |metadata| metadata.len())
}

/// Has the database examined whole at the next start.
pub(crate) fn mark_suspect(data_dir: &Path) {
    if let Err(error) = File::create(data_dir.join(SUSPECT)) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the next start cannot be told that the database looks damaged"
        );
    }
}

/// Opens the database for writing: made, checked, migrated, or replaced by a new one when it is damaged.
pub(crate) fn prepare(data_dir: &Path, busy: Duration) -> Result<Connection, StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(|error| StoreError::io(data_dir, error))?;
    crate::restore::finish(data_dir)?;
    crate::backup::remove_copies(data_dir);
    let database = database_path(data_dir);
    match open_existing(data_dir, &database, busy) {
        Ok(Some(connection)) => Ok(connection),
        Ok(None) => create(data_dir, &database, busy),
        Err(StoreError::Corrupt { what }) => {
            tracing::error!(
                what,
                "the state database is damaged; it is moved aside and rebuilt"
            );
            move_aside(data_dir, &database)?;
            create(data_dir, &database, busy)
        }
        Err(error) => Err(error),
    }
}

/// Returns `None` when there is no database.
fn open_existing(
    data_dir: &Path,
    database: &Path,
    busy: Duration,
) -> Result<Option<Connection>, StoreError> {
    let Some(found) = header_version(database)? else {
        if with_suffix(database, "-wal").exists() {
            return Err(StoreError::corrupt(
                "the database is missing and its log is there",
            ));
        }
        return Ok(None);
    };
    refuse_newer(found)?;
    let mut connection = open_writer(database, busy)?;
    let suspect = data_dir.join(SUSPECT);
    let checked = check(&mut connection, suspect.exists());
    if checked.is_err() {
        // Whatever is wrong, the files stay as they are.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        return checked.map(|()| None);
    }
    match fs::remove_file(&suspect) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io(suspect, error))
        }
        _ => Ok(Some(connection)),
    }
}

fn check(connection: &mut Connection, whole: bool) -> Result<(), StoreError> {
    if connection.is_readonly("main")? {
        return Err(StoreError::ReadOnly {
            path: PathBuf::new(),
        });
    }
    refuse_newer(schema::version(connection)?)?;
    schema::migrate(connection)?;
    schema::compare(connection)?;
    let reader = Reader { connection };
    for table in CHECKED_TABLES {
        let pragma = if whole {
            "integrity_check"
        } else {
            "quick_check"
        };
        if let Some(what) = reader
            .structural_damage(&format!("PRAGMA {pragma}('{table}')"))?
            .into_iter()
            .next()
        {
            return Err(StoreError::corrupt(what));
        }
    }
    if whole {
        reader.read_everything().map_err(|error| match error {
            StoreError::Invalid { .. } => StoreError::corrupt(error.to_string()),
            other => other,
        })?;
    }
    // Another writer and a file that may not be written show up here rather than in the first run.
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
    Ok(())
}

/// Makes a new database under another name first, so that a database that is there was made whole.
fn create(data_dir: &Path, database: &Path, busy: Duration) -> Result<Connection, StoreError> {
    let unfinished = with_suffix(database, ".new");
    for suffix in ["", "-wal", "-shm"] {
        remove_if_there(&with_suffix(&unfinished, suffix))?;
    }
    // SQLite would let others read it, and takes the mode of the log from it.
    let private = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished);
    private.map_err(|error| StoreError::io(&unfinished, error))?;
    let mut connection = open_writer(&unfinished, busy)?;
    schema::migrate(&mut connection)?;
    // One that was moved aside and never replaced, by a crash or by hand, counts as well: nothing knows the bases.
    if let Some(name) = newest_moved_aside(data_dir)? {
        let sql = "INSERT INTO schema_metadata(key, value) VALUES ('rebuilt_from', ?1), ('rebuild_pending', '1')";
        connection.execute(sql, [name])?;
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)?;
    fs::rename(&unfinished, database).map_err(|error| StoreError::io(database, error))?;
    sync_directory(data_dir)?;
    open_writer(database, busy)
}

/// Renames the database and its log; nothing of it is deleted.
fn move_aside(data_dir: &Path, database: &Path) -> Result<(), StoreError> {
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
    let aside = data_dir.join(format!("{CORRUPT}{time}"));
    for suffix in ["", "-wal", "-shm"] {
        let from = with_suffix(database, suffix);
        match fs::rename(&from, with_suffix(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io(from, error));
            }
            _ => {}
        }
    }
    if !aside.exists() {
        // Only a log was left: the name stands for it.
        File::create(&aside).map_err(|error| StoreError::io(&aside, error))?;
    }
    remove_if_there(&data_dir.join(SUSPECT))?;
    sync_directory(data_dir)
}

fn newest_moved_aside(data_dir: &Path) -> Result<Option<String>, StoreError> {
    let entries = fs::read_dir(data_dir).map_err(|error| StoreError::io(data_dir, error))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names
        .filter(|name| name.starts_with(CORRUPT) && name.ends_with('Z'))
        .max())
}

fn refuse_newer(found: i64) -> Result<(), StoreError> {
    if found > SCHEMA_VERSION {
        Err(StoreError::NewerSchema {
            found,
            known: SCHEMA_VERSION,
        })
    } else {
        Ok(())
    }
}

/// Reads the schema number from the file itself: `SQLite` would make files beside it. `None` when there is no file.
fn header_version(database: &Path) -> Result<Option<i64>, StoreError> {
    let mut file = match File::open(database) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io(database, error)),
    };
    let mut header = [0; 100];
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(StoreError::corrupt(
                "the file is shorter than a database's header",
            ));
        }
        Err(error) => return Err(StoreError::io(database, error)),
    }
    if !header.starts_with(MAGIC) {
        return Err(StoreError::corrupt("the file is no SQLite database"));
    }
    let version = i64::from(i32::from_be_bytes([
        header[60], header[61], header[62], header[63],
    ]));
    // A power cut may leave half a page at the end only while the log still has the whole one.
    let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        bytes => u64::from(bytes),
    };
    let length = file
        .metadata()
        .map_err(|error| StoreError::io(database, error))?
        .len();
    let log_bytes = fs::metadata(with_suffix(database, "-wal")).map_or(0, |log| log.len());
    if log_bytes == 0 && (page_bytes == 0 || length % page_bytes != 0) {
        return Err(StoreError::corrupt("the file ends within a page"));
    }
    // A database gets its name when its schema is there: a number below the first is damage.
    if version < 1 {
        Err(StoreError::corrupt("the schema number is damaged"))
    } else {
        Ok(Some(version))
    }
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path, error)),
        _ => Ok(()),
    }
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusqlite::Connection;

    use crate::schema::SCHEMA_VERSION;
    use crate::store::StoreOptions;
    use crate::{Store, StoreError};

    const SHORT: Duration = Duration::from_millis(20);

    fn options(home: &tempfile::TempDir) -> StoreOptions {
        StoreOptions {
            data_dir: home.path().to_owned(),
        }
    }

    #[test]
    fn a_database_that_another_process_writes_is_locked() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open_waiting(&options(&home), SHORT).unwrap();
        let other = Connection::open(home.path().join("state.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let locked = store.write_blocking(|writer| writer.set_metadata("a", "b"));
        assert!(
            matches!(locked, Err(StoreError::Locked { waited_ms: 20 })),
            "{locked:?}"
        );
        let second = Store::open_waiting(&options(&home), SHORT).map(|_| ());
        assert!(
            matches!(second, Err(StoreError::Locked { .. })),
            "{second:?}"
        );
        other.execute_batch("ROLLBACK").unwrap();
        store
            .write_blocking(|writer| writer.set_metadata("a", "b"))
            .unwrap();
        assert!(!home.path().join("state.db.suspect").exists());
    }

    #[test]
    fn a_database_that_another_process_has_for_itself_is_locked() {
        let home = tempfile::tempdir().unwrap();
        drop(Store::open_waiting(&options(&home), SHORT).unwrap());
        let other = Connection::open(home.path().join("state.db")).unwrap();
        other
            .execute_batch(&format!(
                "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT",
            ))
            .unwrap();
        let locked = Store::open_waiting(&options(&home), SHORT).map(|_| ());
        assert!(
            matches!(locked, Err(StoreError::Locked { .. })),
            "{locked:?}"
        );
        drop(other);
        let store = Store::open_waiting(&options(&home), SHORT).unwrap();
        assert_eq!(store.quarantined(), None, "a lock is no damage");
    }

    #[test]
    fn a_full_disk_fails_the_write_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open_waiting(&options(&home), SHORT).unwrap();
        store
            .write_blocking(|writer| writer.set_metadata("before", "1"))
            .unwrap();
        let limit = |pages: &'static str| {
            store
                .write_blocking(move |writer| {
                    Ok(writer.connection.query_row(
                        &format!("PRAGMA max_page_count = {pages}"),
                        [],
                        |_| Ok(()),
                    )?)
                })
                .unwrap();
        };
        limit("1");
        let full = store.write_blocking(|writer| {
            writer.set_metadata("half", "1")?;
            writer.set_metadata("large", &"x".repeat(100_000))
        });
        match full {
            Err(StoreError::Full { path }) => assert_eq!(path, home.path().join("state.db")),
            other => panic!("{other:?}"),
        }
        limit("1000000");
        store
            .write_blocking(|writer| writer.set_metadata("after", "1"))
            .unwrap();
        let half = store
            .read_blocking(|reader| reader.metadata("half"))
            .unwrap();
        assert_eq!(half, None);
        assert_eq!(
            store
                .read_blocking(|reader| reader.metadata("before"))
                .unwrap()
                .as_deref(),
            Some("1")
        );
    }

    #[test]
    fn a_database_that_may_not_be_written_is_named() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open_waiting(&options(&home), SHORT).unwrap();
        store
            .write_blocking(|writer| {
                Ok(writer.connection.pragma_update(None, "query_only", true)?)
            })
            .unwrap();
        match store.write_blocking(|writer| writer.set_metadata("a", "b")) {
            Err(StoreError::ReadOnly { path }) => assert_eq!(path, home.path().join("state.db")),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_transaction_that_is_lost_fails_all_that_shared_it() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open_waiting(&options(&home), SHORT).unwrap();
        let (started, has_started) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let busy = store.clone();
        let occupied = std::thread::spawn(move || {
            busy.write_blocking(move |_| {
                started.send(()).unwrap();
                released.recv().unwrap();
                Ok(())
            })
        });
        has_started.recv().unwrap();
        let (first, ended, last, ()) = tokio::join!(
            store.write(|writer| writer.set_metadata("first", "1")),
            store.write(|writer| Ok(writer.connection.execute_batch("ROLLBACK")?)),
            store.write(|writer| writer.set_metadata("last", "1")),
            async { release.send(()).unwrap() },
        );
        occupied.join().unwrap().unwrap();
        assert!(first.is_err(), "its commit never came");
        assert!(ended.is_err());
        last.unwrap();
        let read = |key: &'static str| {
            store
                .read_blocking(move |reader| reader.metadata(key))
                .unwrap()
        };
        assert_eq!((read("first"), read("last").as_deref()), (None, Some("1")));
    }
}
