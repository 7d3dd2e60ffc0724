//! What the head of a source holds, for a person who looks.

use homing_core::{ItemKey, SourceId};
use homing_store::{FileState, Reader, StoreError};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::filter::Filter;
use crate::report::{FileReport, FilesReport, FilesRequest};

/// Rows that are read together.
const BATCH: usize = 1000;

/// Which items are asked for: a path or directory as it is written, or a pattern.
struct Wanted {
    literal: Option<String>,
    filter: Filter,
}

impl Wanted {
    fn new(path: Option<String>) -> Result<Self, EngineError> {
        let filter = Filter::new(path.as_slice())?;
        let literal = path.map(|path| path.trim_matches('/').to_owned());
        Ok(Self { literal, filter })
    }

    fn covers(&self, key: &ItemKey) -> bool {
        // Names may hold what a pattern takes for something else.
        let is_literal = self.literal.as_ref().is_some_and(|path| {
            key.as_str()
                .strip_prefix(path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        is_literal || self.filter.covers(key)
    }
}

impl Engine {
    /// Returns items of a head, by key or the newest first.
    pub async fn files(
        &self,
        source: &SourceId,
        request: FilesRequest,
    ) -> Result<FilesReport, EngineError> {
        self.shared.source(source)?;
        let wanted = Wanted::new(request.path)?;
        let source = source.clone();
        let report = self
            .shared
            .store
            .read(move |reader| match request.recent {
                Some(limit) => newest(reader, &source, &wanted, limit),
                None => page(reader, &source, &wanted, request.after, request.limit),
            })
            .await?;
        Ok(report)
    }
}

fn newest(
    reader: &Reader<'_>,
    source: &SourceId,
    wanted: &Wanted,
    limit: usize,
) -> Result<FilesReport, StoreError> {
    let most = if wanted.filter.is_all() {
        limit
    } else {
        usize::MAX
    };
    let files = reader
        .files_by_age(source, most)?
        .into_iter()
        .filter(|file| wanted.covers(&file.row.key))
        .filter_map(report)
        .take(limit)
        .collect();
    Ok(FilesReport { files, next: None })
}

fn page(
    reader: &Reader<'_>,
    source: &SourceId,
    wanted: &Wanted,
    mut after: Option<ItemKey>,
    limit: usize,
) -> Result<FilesReport, StoreError> {
    let mut files = Vec::new();
    loop {
        let batch = reader.files_after(source, after.as_ref(), BATCH)?;
        let is_last = batch.len() < BATCH;
        after = batch.last().map(|file| file.row.key.clone());
        let files_of_batch = batch
            .into_iter()
            .filter(|file| wanted.covers(&file.row.key))
            .filter_map(report);
        for file in files_of_batch {
            if files.len() == limit {
                let next = files.last().map(|last: &FileReport| last.key.clone());
                return Ok(FilesReport { files, next });
            }
            files.push(file);
        }
        if is_last {
            return Ok(FilesReport { files, next: None });
        }
    }
}

fn report(file: FileState) -> Option<FileReport> {
    let row = file.row;
    Some(FileReport {
        version: row.head?,
        modified: row.head != row.base,
        key: row.key,
        size: row.size,
        synced_at: file.synced_at,
    })
}
