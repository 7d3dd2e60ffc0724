//! Restoring a backup: examined whole in a directory of its own, then put in place in steps that a crash may part.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use homing_core::{ContentHash, Hasher};
use jiff::Timestamp;
use tar::{Archive, Entry, EntryType};

use crate::StoreError;
use crate::backup::{BackupManifest, CONTENTS, DATABASE, FORMAT, MANIFEST, remove_directory};
use crate::contents::sync_directory;
use crate::open::{self, with_suffix};
use crate::store::{Store, StoreOptions};

/// A backup that was examined and is to replace the state; while it is there, it does.
const READY: &str = "restore.ready";
/// How the name of a database begins that a backup has replaced; the time follows.
pub(crate) const REPLACED: &str = "state.db.replaced-";
const STAGING_PREFIX: &str = ".restore-";
const MANIFEST_MAX_BYTES: u64 = 64 * 1024;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// When the backup was made.
    pub created_at: String,
    /// Contents in it.
    pub contents: u64,
    /// What the state before is called now, when there was one.
    pub replaced: Option<PathBuf>,
}

/// Replaces the state in `data_dir` by the backup that `from` yields. Blocks. No store may be open there.
///
/// [`StoreError::NoBackup`], [`StoreError::NewerSchema`], [`StoreError::Full`]: nothing was changed. The state before is
/// moved aside, not deleted. After it nothing is deleted or pushed until the rebuild is accepted, for the backup does
/// not know what happened since.
pub fn restore(data_dir: &Path, from: impl Read) -> Result<Restored, StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(|error| StoreError::io(data_dir, error))?;
    finish(data_dir)?;
    let staging = data_dir.join(format!(
        "{STAGING_PREFIX}{:x}",
        Timestamp::now().as_nanosecond()
    ));
    let staged = stage(&staging, from).inspect_err(|_| remove_directory(&staging))?;
    let ready = data_dir.join(READY);
    fs::rename(&staging, &ready).map_err(|error| StoreError::io(&ready, error))?;
    sync_directory(data_dir)?;
    let replaced = finish(data_dir)?;
    Ok(Restored { replaced, ..staged })
}

/// Puts a backup in place that was examined, as far as that was not done yet. Returns the name of the state before.
pub(crate) fn finish(data_dir: &Path) -> Result<Option<PathBuf>, StoreError> {
    for entry in read_directory(data_dir)? {
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with(STAGING_PREFIX)
        {
            remove_directory(&entry.path());
        }
    }
    let ready = data_dir.join(READY);
    if !ready.exists() {
        return Ok(None);
    }
    place_contents(&ready.join("contents"), &data_dir.join("contents"))?;
    let mut replaced = None;
    let (staged, database) = (ready.join(DATABASE), open::database_path(data_dir));
    if staged.exists() {
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
        let aside = data_dir.join(format!("{REPLACED}{time}"));
        // Nobody opens what a crash leaves half moved: the next start comes here first.
        for suffix in ["", "-wal", "-shm"] {
            let from = with_suffix(&database, suffix);
            let to = with_suffix(&aside, suffix);
            match fs::rename(&from, &to) {
                Ok(()) if suffix.is_empty() => replaced = Some(to),
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io(from, error));
                }
                _ => {}
            }
        }
        fs::rename(&staged, &database).map_err(|error| StoreError::io(&database, error))?;
        sync_directory(data_dir)?;
    }
    remove_directory(&ready);
    sync_directory(data_dir)?;
    Ok(replaced)
}

/// Writes the backup into `staging`, examines it, and marks it as restored.
fn stage(staging: &Path, from: impl Read) -> Result<Restored, StoreError> {
    let private = |path: &Path| {
        DirBuilder::new()
            .mode(0o700)
            .create(path)
            .map_err(|error| StoreError::io(path, error))
    };
    private(staging)?;
    private(&staging.join("contents"))?;
    let manifest = unpack(staging, from)?;
    let options = StoreOptions {
        data_dir: staging.to_owned(),
    };
    let store = match Store::open(options) {
        Err(StoreError::Corrupt { what }) => return Err(no_backup(what)),
        opened => opened?,
    };
    let moved_aside = read_directory(staging)?
        .iter()
        .any(|entry| entry.file_name().to_string_lossy().contains(".corrupt-"));
    if moved_aside {
        return Err(no_backup("its database is damaged"));
    }
    let lost_before = store.read_blocking(|reader| reader.lost_contents())?;
    let report = store.check_blocking(true)?;
    let new_loss = report
        .damaged_contents
        .iter()
        .find(|hash| !lost_before.contains(hash));
    let problem = report
        .damage
        .first()
        .or(report.broken_references.first())
        .cloned()
        .or_else(|| {
            report
                .missing_files
                .first()
                .map(|hash| format!("content {hash} is missing"))
        })
        .or_else(|| new_loss.map(|hash| format!("content {hash} is damaged")));
    if let Some(problem) = problem {
        return Err(no_backup(problem));
    }
    let created_at = manifest.created_at.clone();
    store.write_blocking(move |writer| writer.begin_rebuild_after_restore(&created_at))?;
    store.close_blocking();
    for name in ["", "contents"] {
        sync_directory(&staging.join(name))?;
    }
    Ok(Restored {
        created_at: manifest.created_at,
        contents: report.contents,
        replaced: None,
    })
}

/// Reads entry by entry, and takes only what a backup may hold.
fn unpack(staging: &Path, from: impl Read) -> Result<BackupManifest, StoreError> {
    let mut archive = Archive::new(from);
    let mut entries = archive.entries().map_err(unreadable)?;
    let manifest = read_manifest(entries.next())?;
    let mut files = 0;
    let mut has_database = false;
    for entry in entries {
        let mut entry = entry.map_err(unreadable)?;
        let name = name_of(&entry)?;
        if name == DATABASE && !has_database {
            copy(&mut entry, &staging.join(DATABASE))?;
            has_database = true;
        } else if let Some(hash) = name.strip_prefix(CONTENTS) {
            let hash = ContentHash::from_str(hash)
                .map_err(|error| no_backup(format!("`{name}`: {error}")))?;
            let directory = staging.join(CONTENTS).join(&hash.to_string()[..2]);
            match DirBuilder::new().mode(0o700).create(&directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(StoreError::io(directory, error));
                }
                _ => {}
            }
            if copy(&mut entry, &directory.join(hash.to_string()))? != hash {
                return Err(no_backup(format!("content {hash} is damaged")));
            }
            sync_directory(&directory)?;
            files += 1;
        } else {
            return Err(no_backup(format!("it holds `{}`", name.escape_debug())));
        }
    }
    if !has_database || files != manifest.content_files {
        return Err(no_backup("it ends too early"));
    }
    Ok(manifest)
}

fn read_manifest<R: Read>(
    entry: Option<io::Result<Entry<'_, R>>>,
) -> Result<BackupManifest, StoreError> {
    let entry = entry
        .ok_or_else(|| no_backup("it is empty"))?
        .map_err(unreadable)?;
    if name_of(&entry)? != MANIFEST {
        return Err(no_backup(format!("it does not begin with {MANIFEST}")));
    }
    let mut text = Vec::new();
    entry
        .take(MANIFEST_MAX_BYTES)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    let manifest: BackupManifest =
        serde_json::from_slice(&text).map_err(|error| no_backup(format!("{MANIFEST}: {error}")))?;
    if manifest.format > FORMAT {
        return Err(no_backup(format!(
            "it has format {} and this homingd knows format {FORMAT} at most",
            manifest.format
        )));
    }
    Ok(manifest)
}

fn name_of<R: Read>(entry: &Entry<'_, R>) -> Result<String, StoreError> {
    if entry.header().entry_type() != EntryType::Regular {
        return Err(no_backup("it holds something other than files"));
    }
    Ok(String::from_utf8_lossy(&entry.path_bytes()).into_owned())
}

fn copy(from: &mut impl Read, to: &Path) -> Result<ContentHash, StoreError> {
    let failed = |error| StoreError::io(to, error);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(failed)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer).map_err(unreadable)? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                file.write_all(&buffer[..count]).map_err(failed)?;
            }
        }
    }
    file.sync_all().map_err(failed)?;
    Ok(hasher.finish())
}

/// Moves contents to where they belong. One that is there already has the same bytes, or is found damaged when read.
fn place_contents(from: &Path, to: &Path) -> Result<(), StoreError> {
    for shelf in read_directory(from)? {
        let beside = to.join(shelf.file_name());
        fs::create_dir_all(&beside).map_err(|error| StoreError::io(&beside, error))?;
        for file in read_directory(&shelf.path())? {
            let place = beside.join(file.file_name());
            fs::rename(file.path(), &place).map_err(|error| StoreError::io(&place, error))?;
        }
        sync_directory(&beside)?;
    }
    if to.exists() {
        sync_directory(to)?;
    }
    Ok(())
}

fn read_directory(path: &Path) -> Result<Vec<fs::DirEntry>, StoreError> {
    match fs::read_dir(path) {
        Ok(entries) => entries
            .collect::<Result<_, _>>()
            .map_err(|error| StoreError::io(path, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StoreError::io(path, error)),
    }
}

fn no_backup(what: impl Into<String>) -> StoreError {
    StoreError::NoBackup { what: what.into() }
}

fn unreadable(error: io::Error) -> StoreError {
    no_backup(error.to_string())
}
