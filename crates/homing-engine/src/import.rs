//! Import: what another program knew of a source becomes the head of one that Homing has never synced.

use std::collections::{BTreeMap, BTreeSet};

use homing_core::{ContentHash, Identity, ItemKey, RunId, SourceId, Version};
use homing_store::{
    HeadRow, Reader, RunFilter, RunRow, SourceRow, SourceUpdate, StoreError, Writer,
};
use jiff::Timestamp;

use crate::changes;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::report::{Trigger, Verb};

/// What is to be taken over for one source.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// Its items, whose contents are kept already and pinned.
    pub items: BTreeMap<ItemKey, ImportedItem>,
    /// The commit that was synced last.
    pub revision: Option<String>,
    /// The last attempt.
    pub last_attempt: Option<Timestamp>,
    /// Syncs of its history.
    pub syncs: Vec<ImportedSync>,
}

/// An item that another program had fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedItem {
    /// SHA-256 of its bytes.
    pub hash: ContentHash,
    /// Bytes.
    pub size: u64,
    /// What the origin called this content; `None`: nobody can say, so that it is fetched once more.
    pub identity: Option<Identity>,
}

/// A sync that another program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedSync {
    /// When it began.
    pub started_at: Timestamp,
    /// `success`, `partial` or `error`.
    pub status: String,
    /// Files downloaded.
    pub synced: u64,
    /// Files that were as they should be.
    pub cached: u64,
    /// Files that failed.
    pub failed: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
}

/// What became, or would become, of an [`Import`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// The items that are taken over; for the others the head has a row already.
    pub taken: BTreeSet<ItemKey>,
    /// Syncs that are new in the history.
    pub syncs: u64,
    /// Homing has synced the source itself, so that its head stays as it is.
    pub synced_before: bool,
}

impl Engine {
    /// Tells what [`Engine::import`] would do; `None` stands for a source that is not configured yet.
    pub async fn judge_import(
        &self,
        source: Option<&SourceId>,
        import: Import,
    ) -> Result<Imported, EngineError> {
        let Some(source) = source.cloned() else {
            return Ok(Known::default().judge(&import));
        };
        let judged = self
            .store()
            .read(move |reader| Ok(Known::read(reader, &source)?.judge(&import)));
        Ok(judged.await?)
    }

    /// Takes over what is not there yet, in one transaction, once no run of the source is under way. A head that Homing
    /// itself has synced stays as it is.
    pub async fn import(&self, source: &SourceId, import: Import) -> Result<Imported, EngineError> {
        self.admit()?;
        let (_, actor) = self.shared.source(source)?;
        let _turn = actor.take_turn().await;
        // Numbers are given in memory; one that is not needed in the end is left out.
        let numbers: Vec<RunId> = import
            .syncs
            .iter()
            .map(|_| self.shared.runs.next_number())
            .collect();
        let id = source.clone();
        let written = self.shared.store.write(move |writer| {
            let known = Known::read(writer, &id)?;
            let imported = known.judge(&import);
            write(writer, &id, &known, import, &imported, numbers)?;
            Ok((imported, writer.source(&id)?))
        });
        let (imported, row) = written.await?;
        if let Some(row) = row {
            let mut schedule = actor.knowledge().schedule;
            schedule.last_attempt = schedule.last_attempt.or(row.last_sync_time);
            actor.reschedule(schedule);
        }
        changes::look(&self.shared);
        Ok(imported)
    }
}

/// What the store knows of a source.
#[derive(Default)]
struct Known {
    row: Option<SourceRow>,
    head: BTreeMap<ItemKey, HeadRow>,
    /// Imported syncs, by when they began.
    syncs: BTreeSet<Timestamp>,
}

impl Known {
    fn read(reader: &Reader<'_>, source: &SourceId) -> Result<Self, StoreError> {
        let runs = reader.runs(RunFilter {
            source: Some(source.clone()),
            limit: usize::MAX,
            ..RunFilter::default()
        })?;
        Ok(Self {
            row: reader.source(source)?,
            head: reader.head(source)?,
            syncs: runs
                .into_iter()
                .filter(|run| run.trigger == Trigger::Import.as_str())
                .map(|run| run.started_at)
                .collect(),
        })
    }

    fn judge(&self, import: &Import) -> Imported {
        // The selection is noted by the first run that takes a whole listing over.
        let synced_before = self
            .row
            .as_ref()
            .is_some_and(|row| row.selection.is_some() || row.last_success_time.is_some());
        let is_taken = |(key, item): &(&ItemKey, &ImportedItem)| match self.head.get(*key) {
            None => true,
            // An earlier import had the same bytes and could not say what the origin calls them.
            Some(row) => {
                let is_same = row.base.is_some_and(|base| base.hash == item.hash);
                is_same && row.head == row.base && row.identity.is_none() && item.identity.is_some()
            }
        };
        let items = import.items.iter().filter(|_| !synced_before);
        Imported {
            taken: items.filter(is_taken).map(|(key, _)| key.clone()).collect(),
            syncs: self.new_syncs(import).count() as u64,
            synced_before,
        }
    }

    fn new_syncs<'i>(&self, import: &'i Import) -> impl Iterator<Item = &'i ImportedSync> {
        let mut seen = self.syncs.clone();
        // The store keeps milliseconds.
        let kept = |time: Timestamp| {
            let millis = time.as_millisecond();
            Timestamp::from_millisecond(millis).unwrap_or(time)
        };
        let syncs = import.syncs.iter();
        syncs.filter(move |sync| seen.insert(kept(sync.started_at)))
    }
}

fn write(
    writer: &Writer<'_>,
    source: &SourceId,
    known: &Known,
    import: Import,
    imported: &Imported,
    numbers: Vec<RunId>,
) -> Result<(), StoreError> {
    let rows: Vec<HeadRow> = import
        .items
        .iter()
        .filter(|(key, _)| imported.taken.contains(*key))
        .map(|(key, item)| {
            // Whether it may be executed nobody noted; the next listing knows, and its bytes stay.
            let known = known.head.get(key).and_then(|row| row.base);
            let version = known.unwrap_or(Version {
                hash: item.hash,
                executable: false,
            });
            HeadRow {
                key: key.clone(),
                head: Some(version),
                base: Some(version),
                size: item.size,
                identity: item.identity.clone(),
                facts: None,
            }
        })
        .collect();
    writer.put_head(source, &rows)?;
    let mut syncs: Vec<&ImportedSync> = known.new_syncs(&import).collect();
    syncs.sort_by_key(|sync| sync.started_at);
    for (id, sync) in numbers.into_iter().zip(syncs) {
        writer.finish_run(&run(id, source, sync))?;
    }
    if imported.synced_before {
        return Ok(());
    }
    let row = known.row.as_ref();
    let has = |given: fn(&SourceRow) -> bool| row.is_some_and(given);
    writer.update_source(
        source,
        SourceUpdate {
            revision: (import.revision.is_some() && !has(|row| row.revision.is_some()))
                .then_some(import.revision),
            last_sync_time: import
                .last_attempt
                .filter(|_| !has(|row| row.last_sync_time.is_some())),
            ..SourceUpdate::default()
        },
    )
}

fn run(id: RunId, source: &SourceId, sync: &ImportedSync) -> RunRow {
    RunRow {
        id,
        source: Some(source.clone()),
        target: None,
        verb: Verb::Pull.as_str().to_owned(),
        trigger: Trigger::Import.as_str().to_owned(),
        status: sync.status.clone(),
        started_at: sync.started_at,
        synced: sync.synced,
        cached: sync.cached,
        failed: sync.failed,
        removed: 0,
        bytes: 0,
        requests: 0,
        error_kind: sync.error.as_ref().map(|_| "permanent".to_owned()),
        error_message: sync.error.as_ref().map(|error| error.replace('\n', " ")),
        duration_ms: sync.duration_ms,
        phases: Vec::new(),
        plan_digest: None,
        problems: Vec::new(),
        revision: None,
        boot_id: String::new(),
    }
}
