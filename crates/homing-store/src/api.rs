//! The state API by the names that the user's design gives it, for programs that keep a state of their own in a store.
//!
//! Thin: each call is one read or one write by the same rows that the engine reads and writes in larger transactions.

use homing_core::{ContentHash, ItemKey, RunId, SourceId, Version};
use jiff::Timestamp;

use crate::rows::{HeadRow, RunFilter, RunRow, SourceRow, SourceUpdate};
use crate::{Store, StoreError, Writer};

/// A file that is tracked by [`Store::track_file`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedFile {
    /// Its path in the source.
    pub key: ItemKey,
    /// Its content, which is kept already.
    pub version: Version,
    /// Bytes.
    pub size: u64,
    /// Where it lies on this machine.
    pub local_path: Option<String>,
}

/// What is known of a tracked file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    /// Its row in the head.
    pub row: HeadRow,
    /// Where it lies on this machine.
    pub local_path: Option<String>,
    /// When the row was last written.
    pub synced_at: Timestamp,
}

/// How a sync ended, for [`Store::record_sync_result`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncResult {
    /// What was done: `pull`, `push` or `sync`.
    pub verb: String,
    /// Why: `manual`, `schedule` and such.
    pub trigger: String,
    /// `success`, `partial` or `error`.
    pub status: String,
    /// Files taken over.
    pub files_synced: u64,
    /// Files that were as they should be.
    pub files_cached: u64,
    /// Files that failed.
    pub files_failed: u64,
    /// Why it failed.
    pub error_message: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
}

impl Store {
    /// Registers a source, or takes over its new kind and url. Never touches `enabled`.
    pub async fn register_source(
        &self,
        id: &SourceId,
        kind: &str,
        url: &str,
    ) -> Result<(), StoreError> {
        let (id, kind, url) = (id.clone(), kind.to_owned(), url.to_owned());
        self.write(move |writer| writer.register_source(&id, &kind, &url))
            .await
    }

    /// Notes a sync: its time, and the revision and the validator where given. What is not given stays.
    pub async fn update_source_sync_metadata(
        &self,
        id: &SourceId,
        last_sha: Option<&str>,
        etag: Option<&str>,
    ) -> Result<(), StoreError> {
        let id = id.clone();
        let update = SourceUpdate {
            revision: last_sha.map(|sha| Some(sha.to_owned())),
            etag: etag.map(|etag| Some(etag.to_owned())),
            last_sync_time: Some(Timestamp::now()),
            ..SourceUpdate::default()
        };
        self.write(move |writer| writer.update_source(&id, update))
            .await
    }

    /// Tracks a file of a registered source. [`StoreError::UnknownSource`] when it is not registered.
    pub async fn track_file(&self, source: &SourceId, file: TrackedFile) -> Result<(), StoreError> {
        self.track_files_batch(source, vec![file]).await
    }

    /// Tracks files of a registered source, all or none.
    pub async fn track_files_batch(
        &self,
        source: &SourceId,
        files: Vec<TrackedFile>,
    ) -> Result<(), StoreError> {
        let source = source.clone();
        self.write(move |writer| track(writer, &source, &files))
            .await
    }

    /// Returns what is known of a tracked file.
    pub async fn get_file_state(
        &self,
        source: &SourceId,
        key: &ItemKey,
    ) -> Result<Option<FileState>, StoreError> {
        let (source, key) = (source.clone(), key.clone());
        self.read(move |reader| reader.file_state(&source, &key))
            .await
    }

    /// Returns the content of a tracked file; `None` when it is not tracked, or deleted here.
    pub async fn get_file_hash(
        &self,
        source: &SourceId,
        key: &ItemKey,
    ) -> Result<Option<ContentHash>, StoreError> {
        let (source, key) = (source.clone(), key.clone());
        let row = self
            .read(move |reader| reader.head_row(&source, &key))
            .await?;
        Ok(row.and_then(|row| row.head).map(|version| version.hash))
    }

    /// Tells whether a file is not tracked with this content.
    pub async fn has_file_changed(
        &self,
        source: &SourceId,
        key: &ItemKey,
        current: &ContentHash,
    ) -> Result<bool, StoreError> {
        Ok(self.get_file_hash(source, key).await?.as_ref() != Some(current))
    }

    /// Adds a finished sync of a registered source to the history.
    pub async fn record_sync_result(
        &self,
        source: &SourceId,
        result: SyncResult,
    ) -> Result<RunId, StoreError> {
        let source = source.clone();
        self.write(move |writer| {
            writer.require_source(&source)?;
            let row = RunRow {
                id: RunId(0),
                source: Some(source),
                target: None,
                verb: result.verb,
                trigger: result.trigger,
                status: result.status,
                started_at: Timestamp::now(),
                synced: result.files_synced,
                cached: result.files_cached,
                failed: result.files_failed,
                removed: 0,
                bytes: 0,
                requests: 0,
                error_kind: None,
                error_message: result.error_message,
                duration_ms: result.duration_ms,
                phases: Vec::new(),
                plan_digest: None,
                problems: Vec::new(),
                revision: None,
                boot_id: String::new(),
            };
            writer.put_run(&row, None)
        })
        .await
    }

    /// Returns the last runs of a source, the newest first.
    pub async fn get_sync_history(
        &self,
        source: &SourceId,
        limit: usize,
    ) -> Result<Vec<RunRow>, StoreError> {
        let filter = RunFilter {
            source: Some(source.clone()),
            limit,
            ..RunFilter::default()
        };
        self.read(move |reader| reader.runs(filter)).await
    }

    /// Returns a source.
    pub async fn get_source_info(
        &self,
        source: &SourceId,
    ) -> Result<Option<SourceRow>, StoreError> {
        let source = source.clone();
        self.read(move |reader| reader.source(&source)).await
    }

    /// Returns the sources by name, all of them or those that are enabled.
    pub async fn get_all_sources(&self, enabled_only: bool) -> Result<Vec<SourceRow>, StoreError> {
        self.read(move |reader| reader.sources(enabled_only)).await
    }

    /// Removes runs that are older than `days` days and returns how many; what is unfinished stays.
    pub async fn cleanup_old_history(&self, days: u32) -> Result<u64, StoreError> {
        let age = jiff::SignedDuration::from_hours(24 * i64::from(days));
        let cutoff = Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN);
        let mut removed = 0;
        loop {
            let (runs, _) = self
                .write(move |writer| writer.delete_old_runs(cutoff))
                .await?;
            removed += runs;
            if runs == 0 {
                return Ok(removed);
            }
        }
    }
}

fn track(writer: &Writer<'_>, source: &SourceId, files: &[TrackedFile]) -> Result<(), StoreError> {
    writer.require_source(source)?;
    let mut rows = Vec::with_capacity(files.len());
    for file in files {
        // What base and identity say of the origin stays true.
        let known = writer.head_row(source, &file.key)?;
        rows.push(HeadRow {
            key: file.key.clone(),
            head: Some(file.version),
            base: known.as_ref().map_or(Some(file.version), |row| row.base),
            size: file.size,
            identity: known.and_then(|row| row.identity),
            facts: None,
        });
    }
    writer.put_head(source, &rows)?;
    for file in files {
        if let Some(path) = &file.local_path {
            writer.set_local_path(source, &file.key, path)?;
        }
    }
    Ok(())
}
