//! What the head of a source holds, for a person who looks.

use std::collections::BTreeMap;

use homing_core::{ItemKey, SourceId};
use homing_store::{FileState, HoldRow, Reader, StoreError};

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
            .read(move |reader| {
                let files = Files {
                    reader,
                    source: &source,
                    wanted: &wanted,
                    holds: reader.holds(&source)?,
                };
                match request.recent {
                    Some(limit) => files.newest(limit),
                    None => files.page(request.after, request.limit),
                }
            })
            .await?;
        Ok(report)
    }
}

/// The items of a head, and those that an undo holds although upstream has them no more.
struct Files<'a> {
    reader: &'a Reader<'a>,
    source: &'a SourceId,
    wanted: &'a Wanted,
    holds: BTreeMap<ItemKey, HoldRow>,
}

impl Files<'_> {
    fn newest(&self, limit: usize) -> Result<FilesReport, StoreError> {
        let most = if self.wanted.filter.is_all() {
            limit
        } else {
            usize::MAX
        };
        let rows = self.reader.files_by_age(self.source, most)?;
        let mut files: Vec<FileReport> = rows
            .into_iter()
            .filter(|file| self.wanted.covers(&file.row.key))
            .filter_map(|file| self.report(file))
            .chain(self.held_alone()?)
            .collect();
        // A stable sort: the rest is in its order already.
        files.sort_by_key(|file| std::cmp::Reverse(file.synced_at));
        files.truncate(limit);
        Ok(FilesReport { files, next: None })
    }

    fn page(&self, mut after: Option<ItemKey>, limit: usize) -> Result<FilesReport, StoreError> {
        let mut files = Vec::new();
        let mut alone = self.held_alone()?;
        alone.retain(|file| after.as_ref().is_none_or(|after| file.key > *after));
        let mut alone = alone.into_iter().peekable();
        loop {
            let batch = self
                .reader
                .files_after(self.source, after.as_ref(), BATCH)?;
            let is_last = batch.len() < BATCH;
            after = batch.last().map(|file| file.row.key.clone());
            let mut of_batch: Vec<FileReport> = batch
                .into_iter()
                .filter(|file| self.wanted.covers(&file.row.key))
                .filter_map(|file| self.report(file))
                .collect();
            while let Some(file) =
                alone.next_if(|file| is_last || after.as_ref().is_some_and(|last| file.key < *last))
            {
                of_batch.push(file);
            }
            of_batch.sort_by(|a, b| a.key.cmp(&b.key));
            for file in of_batch {
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

    fn report(&self, file: FileState) -> Option<FileReport> {
        let row = file.row;
        let hold = self.holds.get(&row.key);
        Some(FileReport {
            version: row.head?,
            modified: row.head != row.base,
            held: hold.is_some_and(|hold| hold.refused == row.head),
            key: row.key,
            size: row.size,
            synced_at: file.synced_at,
        })
    }

    /// Returns what is held although upstream deleted it: the deletion was undone.
    fn held_alone(&self) -> Result<Vec<FileReport>, StoreError> {
        let mut files = Vec::new();
        let deleted = self.holds.values().filter(|hold| hold.refused.is_none());
        for hold in deleted.filter(|hold| self.wanted.covers(&hold.key)) {
            let row = self.reader.file_state(self.source, &hold.key)?;
            let is_back = row.is_some_and(|file| file.row.head.is_some());
            if let Some(version) = hold.held.filter(|_| !is_back) {
                files.push(FileReport {
                    key: hold.key.clone(),
                    version,
                    size: hold.size,
                    modified: false,
                    held: true,
                    synced_at: hold.since,
                });
            }
        }
        Ok(files)
    }
}
