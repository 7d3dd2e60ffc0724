//! The retention sweep: old history, contents that nothing names, files that nobody knows.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use homing_core::ContentHash;
use jiff::Timestamp;

use crate::aside;
use crate::columns::{collect, time_text};
use crate::contents::TEMPORARY_PREFIX;
use crate::store::{Inner, Store};
use crate::tables::UnnamedContent;
use crate::{StoreError, Writer};

/// What goes in one transaction, so that no other write waits long.
const RUNS: i64 = 200;
const CONTENTS: usize = 500;
/// How long a file without a row is left alone: a transfer may be about to give it one.
const ORPHAN_AGE: Duration = Duration::from_hours(1);

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Runs of the history.
    pub runs: u64,
    /// Rows of the journal.
    pub journal_rows: u64,
    /// Contents that nothing named.
    pub contents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files of the content store that had no row.
    pub orphan_files: u64,
    /// Databases that a backup had replaced.
    pub replaced: u64,
}

impl Store {
    /// Removes history older than `retention` before `now`, then contents that nothing names, a batch at a time.
    ///
    /// Leaves runs that are running or whose journal is unfinished, and contents that are pinned. While a rebuild or a
    /// restore waits to be accepted, files without a row stay too, for they may be all that is left of an edit, and so do
    /// databases that a backup has replaced; later these go when they are older than `retention`.
    pub async fn sweep(
        &self,
        retention: Duration,
        now: Timestamp,
    ) -> Result<SweepReport, StoreError> {
        let store = self.clone();
        let sweep = tokio::task::spawn_blocking(move || store.sweep_blocking(retention, now));
        sweep.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Does what [`Store::sweep`] does, for callers outside the async runtime.
    pub fn sweep_blocking(
        &self,
        retention: Duration,
        now: Timestamp,
    ) -> Result<SweepReport, StoreError> {
        let mut report = SweepReport::default();
        let cutoff = now.checked_sub(retention).unwrap_or(Timestamp::MIN);
        loop {
            let (runs, journal_rows) =
                self.write_blocking(move |writer| writer.delete_old_runs(cutoff))?;
            report.runs += runs;
            report.journal_rows += journal_rows;
            if runs < RUNS.cast_unsigned() {
                break;
            }
        }
        self.inner().sweep_contents(&mut report)?;
        let rebuilding = self.read_blocking(|reader| reader.metadata("rebuild_pending"))?;
        if rebuilding.as_deref() != Some("1") {
            self.inner().sweep_orphans(now, &mut report)?;
            report.replaced = aside::remove_replaced(&self.inner().data_dir, cutoff)?;
        }
        Ok(report)
    }
}

impl Inner {
    fn sweep_contents(&self, report: &mut SweepReport) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            // Held until the files are gone: whoever keeps or pins a content meanwhile waits, and then finds it missing.
            let gate = self.contents.pins.close_gate();
            let unnamed = self.read(|reader| reader.unnamed_contents(after, CONTENTS))?;
            let Some(last) = unnamed.last() else {
                return Ok(());
            };
            after = last.id;
            let (doomed, spared): (Vec<UnnamedContent>, Vec<UnnamedContent>) =
                unnamed.into_iter().partition(|content| {
                    !self.contents.pins.is_pinned(&content.hash)
                        && !self.contents.is_pending(&content.hash)
                });
            tracing::debug!(
                contents = doomed.len(),
                pinned = spared.len(),
                "sweeping contents"
            );
            let removed = self.write(move |writer| writer.delete_unnamed(doomed))?;
            for content in &removed {
                report.contents += 1;
                report.bytes += content.size;
                if content.in_file {
                    remove_file(&self.contents.file(&content.hash))?;
                }
            }
            drop(gate);
        }
    }

    fn sweep_orphans(&self, now: Timestamp, report: &mut SweepReport) -> Result<(), StoreError> {
        let root = &self.contents.directory;
        let limit = SystemTime::from(now)
            .checked_sub(ORPHAN_AGE)
            .unwrap_or(SystemTime::UNIX_EPOCH);
        for entry in read_directory(root)? {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(TEMPORARY_PREFIX) {
                // Those of this process are under way, whatever the clock says.
                let own = name
                    .to_string_lossy()
                    .starts_with(&self.contents.temporary_prefix);
                if !own && is_older(&entry.path(), limit) {
                    remove_file(&entry.path())?;
                    report.orphan_files += 1;
                }
                continue;
            }
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            for file in read_directory(&entry.path())? {
                let Some(hash) = file
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse::<ContentHash>().ok())
                else {
                    continue;
                };
                if !is_older(&file.path(), limit) {
                    continue;
                }
                let gate = self.contents.pins.close_gate();
                let known = self.contents.pins.is_pinned(&hash)
                    || self.contents.is_pending(&hash)
                    || self.read(|reader| reader.content_size(&hash))?.is_some();
                if !known {
                    remove_file(&file.path())?;
                    report.orphan_files += 1;
                }
                drop(gate);
            }
        }
        Ok(())
    }
}

impl Writer<'_> {
    /// Removes some runs that began before `cutoff`; returns how many, and how many rows of the journal went with them.
    pub(crate) fn delete_old_runs(&self, cutoff: Timestamp) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT id FROM sync_history h WHERE sync_time < ?1 AND status <> 'running'
            AND NOT EXISTS (SELECT 1 FROM journal j WHERE j.run_id = h.id AND j.state < 3) ORDER BY id LIMIT ?2";
        let old = collect(
            self.connection,
            "sync_history",
            sql,
            (time_text(cutoff), RUNS),
            |row| row.int(0, "id"),
        )?;
        let mut journal_rows = 0;
        for id in &old {
            journal_rows += self
                .connection
                .prepare_cached("DELETE FROM journal WHERE run_id = ?1")?
                .execute([id])?;
            self.connection
                .prepare_cached("DELETE FROM sync_history WHERE id = ?1")?
                .execute([id])?;
        }
        Ok((old.len() as u64, journal_rows as u64))
    }

    /// Removes the rows of those of `contents` that still nothing names, and returns these.
    fn delete_unnamed(
        &self,
        contents: Vec<UnnamedContent>,
    ) -> Result<Vec<UnnamedContent>, StoreError> {
        let mut removed = Vec::with_capacity(contents.len());
        for content in contents {
            match self.delete_content(content.id) {
                Ok(()) => removed.push(content),
                // A row was written since it was looked for: the foreign key speaks.
                Err(StoreError::Sqlite(error)) if is_foreign_key(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if !removed.is_empty() {
            self.forget_healed()?;
        }
        Ok(removed)
    }
}

fn is_foreign_key(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| error.code == rusqlite::ErrorCode::ConstraintViolation)
}

fn read_directory(path: &Path) -> Result<Vec<fs::DirEntry>, StoreError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io(path, error)),
    };
    entries
        .collect::<Result<_, _>>()
        .map_err(|error| StoreError::io(path, error))
}

fn is_older(path: &Path, limit: SystemTime) -> bool {
    fs::symlink_metadata(path)
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|modified| modified < limit)
}

fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io(path, error))
        }
        _ => Ok(()),
    }
}
