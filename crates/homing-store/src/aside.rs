//! Databases that were set aside: one that a backup replaced, and one that was damaged.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::StoreError;
use crate::open::{CORRUPT, with_suffix};
use crate::restore::REPLACED;

/// How the time is written into a name.
const TIME: &str = "%Y%m%dT%H%M%S%.fZ";
/// The database itself and what lies beside it.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// A database that was set aside.
pub(crate) struct Aside {
    path: PathBuf,
    /// When a backup replaced it; `None` for a damaged one.
    replaced_at: Option<Timestamp>,
}

impl Aside {
    /// Returns what it takes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        SUFFIXES
            .iter()
            .filter_map(|suffix| fs::metadata(with_suffix(&self.path, suffix)).ok())
            .map(|metadata| metadata.len())
            .sum()
    }

    fn remove(&self) -> Result<(), StoreError> {
        // The database last: what is left of it by a crash is found again by its name.
        for suffix in SUFFIXES.iter().rev() {
            let path = with_suffix(&self.path, suffix);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io(path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Returns the databases that were set aside in a data directory; none where it cannot be read.
pub(crate) fn databases(data_dir: &Path) -> Vec<Aside> {
    let entries = fs::read_dir(data_dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let name = name.to_str()?;
            let is_beside = name.ends_with("-wal") || name.ends_with("-shm");
            let replaced_at = name.strip_prefix(REPLACED).and_then(time);
            let is_aside = replaced_at.is_some() || name.starts_with(CORRUPT);
            (is_aside && !is_beside).then(|| Aside {
                path: entry.path(),
                replaced_at,
            })
        })
        .collect()
}

/// Removes the databases that backups replaced before `cutoff`; returns how many. Damaged ones stay.
pub(crate) fn remove_replaced(data_dir: &Path, cutoff: Timestamp) -> Result<u64, StoreError> {
    let mut removed = 0;
    for aside in databases(data_dir) {
        if aside.replaced_at.is_some_and(|at| at < cutoff) {
            aside.remove()?;
            tracing::info!(path = %aside.path.display(), "a database that a backup had replaced is kept no longer");
            removed += 1;
        }
    }
    Ok(removed)
}

fn time(text: &str) -> Option<Timestamp> {
    let time = DateTime::strptime(TIME, text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}
