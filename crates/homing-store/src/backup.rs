//! A backup: one tar stream of a consistent copy of the database and of the contents that have files.
//!
//! ```text
//! homing-backup.json      format, time, how many files of contents follow
//! state.db
//! contents/HASH           one for each
//! ```

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use homing_core::ContentHash;
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use tar::{Builder, EntryType, Header};

use crate::columns::time_text;
use crate::rows::ContentRow;
use crate::store::Store;
use crate::{Reader, StoreError};

/// The name of the first entry.
pub(crate) const MANIFEST: &str = "homing-backup.json";
/// The name of the database's entry.
pub(crate) const DATABASE: &str = "state.db";
/// What the names of contents begin with.
pub(crate) const CONTENTS: &str = "contents/";
/// The format that this build writes and reads.
pub(crate) const FORMAT: u32 = 1;

/// What the names of directories begin with that hold copies under way.
const COPY_PREFIX: &str = ".backup-";
/// A sweep may remove a content between the copy and its pin; then the copy is made again.
const ATTEMPTS: usize = 5;

/// What the first entry says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BackupManifest {
    /// Of the backup.
    pub(crate) format: u32,
    /// When the database was copied.
    pub(crate) created_at: String,
    /// How many contents follow as files.
    pub(crate) content_files: usize,
}

impl Store {
    /// Writes a backup to `out`: all that is committed when it begins. Blocks, for as long as `out` takes.
    ///
    /// Runs go on meanwhile. It needs room for a copy of the database in the data directory.
    pub fn backup_blocking(&self, out: impl Write) -> Result<(), StoreError> {
        // One copy of the database at a time, however many clients ask for one.
        let _turn = self
            .inner()
            .backups
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let _pins = self.contents().pin_scope();
        for _ in 0..ATTEMPTS {
            let copy = self.copy_database()?;
            let contents = copy.contents_in_files()?;
            self.contents()
                .pin(contents.iter().map(|content| &content.hash));
            let is_there =
                |content: &ContentRow| self.inner().contents.file(&content.hash).exists();
            if contents.iter().all(is_there) {
                return self.write_backup(&copy, &contents, out);
            }
            // A content that is gone for good is marked as lost by this, and the next copy knows.
            for content in contents.iter().filter(|content| !is_there(content)) {
                self.contents().verify_content(&content.hash).ok();
            }
        }
        Err(StoreError::corrupt(
            "files of contents went away again and again",
        ))
    }

    fn copy_database(&self) -> Result<Copy, StoreError> {
        let inner = self.inner();
        let directory = inner.data_dir.join(format!(
            "{COPY_PREFIX}{:x}",
            Timestamp::now().as_nanosecond()
        ));
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(|error| StoreError::io(&directory, error))?;
        let copy = Copy { directory };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let source =
            Connection::open_with_flags(crate::open::database_path(&inner.data_dir), flags)?;
        let path = copy.database();
        let name = path
            .to_str()
            .ok_or_else(|| StoreError::io(&path, io::ErrorKind::InvalidFilename.into()))?;
        source
            .execute("VACUUM INTO ?1", [name])
            .map_err(|error| StoreError::from(error).located(&path, std::time::Duration::ZERO))?;
        Ok(copy)
    }

    fn write_backup(
        &self,
        copy: &Copy,
        contents: &[ContentRow],
        out: impl Write,
    ) -> Result<(), StoreError> {
        let manifest = BackupManifest {
            format: FORMAT,
            created_at: time_text(Timestamp::now()),
            content_files: contents.len(),
        };
        let manifest = serde_json::to_vec_pretty(&manifest).expect("it has text keys only");
        let mut archive = Builder::new(out);
        let failed = |error| StoreError::io("the backup", error);
        append(
            &mut archive,
            MANIFEST,
            manifest.len() as u64,
            manifest.as_slice(),
        )
        .map_err(failed)?;
        let database = File::open(copy.database()).map_err(failed)?;
        let length = database.metadata().map_err(failed)?.len();
        append(&mut archive, DATABASE, length, database).map_err(failed)?;
        for content in contents {
            let path = self.inner().contents.file(&content.hash);
            let file = File::open(&path).map_err(|error| StoreError::io(&path, error))?;
            append(&mut archive, &entry_name(&content.hash), content.size, file).map_err(failed)?;
        }
        archive
            .into_inner()
            .and_then(|mut out| out.flush())
            .map_err(failed)
    }
}

/// Removes what processes left behind that were killed while they made a backup.
pub(crate) fn remove_copies(data_dir: &Path) {
    let Ok(entries) = fs::read_dir(data_dir) else {
        return;
    };
    let left = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(COPY_PREFIX));
    for entry in left {
        remove_directory(&entry.path());
    }
}

pub(crate) fn remove_directory(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %error, "a directory that is no longer needed could not be removed");
    }
}

/// Returns the name of a content's entry.
fn entry_name(hash: &ContentHash) -> String {
    format!("{CONTENTS}{hash}")
}

fn append<W: Write>(
    archive: &mut Builder<W>,
    name: &str,
    size: u64,
    bytes: impl Read,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(Timestamp::now().as_second().unsigned_abs());
    let mut bytes = Exactly { bytes, left: size };
    archive.append_data(&mut header, name, &mut bytes)
}

/// Yields as many bytes as the entry says, or fails: a short entry would make nonsense of all that follow.
struct Exactly<R> {
    bytes: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = self.bytes.read(&mut buffer[..room])?;
        if count == 0 && room > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a file became shorter while it was read",
            ));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// A copy of the database, removed when it is dropped.
struct Copy {
    directory: PathBuf,
}

impl Copy {
    fn database(&self) -> PathBuf {
        self.directory.join(DATABASE)
    }

    fn contents_in_files(&self) -> Result<Vec<ContentRow>, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(self.database(), flags)?;
        Reader {
            connection: &connection,
        }
        .contents_in_files()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        remove_directory(&self.directory);
    }
}
