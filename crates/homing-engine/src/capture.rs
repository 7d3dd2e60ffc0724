//! Capture: the edits that a user made in targets go into the head of the source that owns the files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use homing_core::{
    FetchRequest, Item, ItemKey, ListRequest, Policy, Scope, SideError, SourceId, TargetId, Version,
};
use homing_store::{HeadRow, Hop, JournalRow, JournalState, LedgerRow};

use crate::catalog::SourceHead;
use crate::error::{EngineError, reason};
use crate::merging::{Settled, Versions, settle};
use crate::pipeline::{check, survey, transfer};
use crate::report::ItemReport;
use crate::runs::{self, Run};
use crate::shared::Shared;
use crate::spec::TargetSpec;
use crate::target::read_state;
use crate::watch::watched;

/// A file that was written less long ago may not be whole yet.
pub(crate) const SETTLED: Duration = Duration::from_secs(2);

/// Takes the edits in one target into the head. Returns what it took in, and what has not settled yet.
pub(crate) async fn capture(
    shared: &Shared,
    target: &TargetId,
    source: &SourceId,
    run: &Run,
    accept_root: bool,
) -> Result<(Vec<ItemReport>, Vec<(ItemKey, String)>), EngineError> {
    let (_, actor) = shared.target(target)?;
    let (spec, _) = shared.source(source)?;
    // Held to the end: the ledger's base moves together with the head.
    let turn = actor.take_turn(shared, target).await?;
    let Edits { edits, unsettled } = read_edits(shared, target, source, run, accept_root).await?;
    if edits.is_empty() {
        return Ok((Vec::new(), unsettled));
    }
    let head = {
        let source = source.clone();
        shared
            .store
            .read(move |reader| reader.head(&source))
            .await?
    };
    let contents = shared.contents();
    let policy = spec.on_conflict;
    let taken = tokio::task::block_in_place(|| {
        edits
            .iter()
            .filter_map(|edit| {
                take_in(edit, head.get(&edit.row.key), policy, contents.as_ref()).transpose()
            })
            .collect::<Result<Vec<_>, SideError>>()
    })?;
    shared.flush_contents().await?;
    let items = record(shared, target, source, run, taken).await?;
    drop(turn);
    Ok((items, unsettled))
}

/// What one edit makes of the head and of the ledger.
struct Taken {
    before: Option<Version>,
    head: HeadRow,
    ledger: Option<LedgerRow>,
}

/// Merges an edit into the head; `None` when the head has it already, or cannot take it without a person.
fn take_in(
    edit: &Edit,
    head: Option<&HeadRow>,
    policy: Policy,
    contents: &dyn homing_core::Contents,
) -> Result<Option<Taken>, SideError> {
    let before = head.and_then(|row| row.head);
    let (version, size) = if before == edit.row.base {
        (edit.version, edit.size)
    } else {
        let versions = Versions {
            base: edit.row.base,
            near: Some(edit.version),
            far: before,
        };
        match settle(contents, versions, policy)? {
            // The publish finds the same disagreement and says so.
            Settled::Conflict | Settled::As(None) => return Ok(None),
            Settled::As(Some(merged)) => merged,
        }
    };
    if before == Some(version) {
        return Ok(None);
    }
    let head = HeadRow {
        key: edit.row.key.clone(),
        head: Some(version),
        base: head.and_then(|row| row.base),
        size,
        identity: head.and_then(|row| row.identity.clone()),
    };
    // Target and head now agree on the edit, unless it was merged with more.
    let ledger = (version == edit.version).then(|| LedgerRow {
        base: Some(version),
        written: Some(version),
        size,
        identity: None,
        ..edit.row.clone()
    });
    Ok(Some(Taken {
        before,
        head,
        ledger,
    }))
}

async fn record(
    shared: &Shared,
    target: &TargetId,
    source: &SourceId,
    run: &Run,
    taken: Vec<Taken>,
) -> Result<Vec<ItemReport>, EngineError> {
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let journal: Vec<JournalRow> = taken
        .iter()
        .map(|taken| JournalRow {
            id: 0,
            run: run.id,
            hop: Hop::Capture,
            source: source.clone(),
            target: Some(target.clone()),
            key: taken.head.key.clone(),
            path: taken
                .ledger
                .as_ref()
                .map_or_else(|| taken.head.key.clone(), |row| row.path.clone()),
            before: taken.before,
            after: taken.head.head,
            base_before: None,
            base_after: None,
            temporary: None,
            state: JournalState::Durable,
            reason: None,
        })
        .collect();
    let items = journal.iter().map(crate::history::item).collect();
    let begun = runs::row(&run.report(), None, &shared.boot_id);
    let (heads, ledger): (Vec<_>, Vec<_>) = taken
        .into_iter()
        .map(|taken| (taken.head, taken.ledger))
        .unzip();
    let ledger: Vec<LedgerRow> = ledger.into_iter().flatten().collect();
    let (target, source) = (target.clone(), source.clone());
    shared
        .store
        .write(move |writer| {
            writer.begin_run(&begun)?;
            writer.put_head(&source, &heads)?;
            writer.put_ledger(&target, &ledger)?;
            writer.put_journal(&journal).map(drop)
        })
        .await?;
    Ok(items)
}

/// An edit in a target that its source has not taken in yet.
#[derive(Debug, Clone)]
struct Edit {
    row: LedgerRow,
    version: Version,
    size: u64,
}

/// What a capture found in a target.
#[derive(Debug, Default)]
struct Edits {
    edits: Vec<Edit>,
    /// Files that were too young to be sure that they are whole, or that failed: with why.
    unsettled: Vec<(ItemKey, String)>,
}

/// Reads the edits in a source's published files into the content store. The caller has the target's turn.
async fn read_edits(
    shared: &Shared,
    id: &TargetId,
    source: &SourceId,
    run: &Run,
    accept_root: bool,
) -> Result<Edits, EngineError> {
    let (spec, _) = shared.target(id)?;
    let settings = &shared.specs.settings;
    let state = read_state(shared, id).await?;
    let held: BTreeSet<&ItemKey> = state
        .heads
        .iter()
        .filter(|head| &head.source == source)
        .flat_map(|head| head.holds.keys())
        .collect();
    let rows: BTreeMap<ItemKey, LedgerRow> = state
        .ledger
        .into_iter()
        .filter(|(_, row)| &row.source == source && !row.tombstone && !held.contains(&row.key))
        .collect();
    let takes_new_files = spec.new_files_to.as_ref() == Some(source);
    if rows.is_empty() && !takes_new_files {
        return Ok(Edits::default());
    }
    let rules = survey::RootRules {
        boot_id: &shared.boot_id,
        accept: accept_root,
        read_all: false,
    };
    let paths = rows.keys().cloned().collect();
    let near = survey::target(
        run,
        settings,
        spec,
        state.root.as_ref(),
        &rows,
        paths,
        rules,
    )
    .await?;
    let mut found = Vec::new();
    for (path, row) in &rows {
        if let Some(item) = near.items.get(path)
            && near.unknown_reason(path).is_none()
        {
            let mut version = item.version();
            if !near.capabilities.executable_bit {
                version.executable = row.base.is_some_and(|base| base.executable);
            }
            if Some(version) != row.base {
                found.push((row.clone(), item.clone(), version));
            }
        }
    }
    if takes_new_files {
        found.extend(new_files(shared, spec, source, run, &state.heads, id).await?);
    }
    let requests: Vec<_> = found
        .iter()
        .map(|(row, item, _)| FetchRequest {
            key: row.path.clone(),
            item: item.clone(),
            settled_for: SETTLED,
        })
        .collect();
    // Not `fetch_missing`: a content that is known already is read all the same, for it must have settled.
    let fetched = transfer::fetch(
        run,
        settings,
        spec.place.as_ref(),
        requests,
        shared.contents(),
    )
    .await?;
    shared.flush_contents().await?;
    let mut edits = Edits::default();
    for (row, item, version) in found {
        match fetched.failed.get(&row.path) {
            Some(error) => edits.unsettled.push((row.path, reason(error))),
            None => edits.edits.push(Edit {
                row,
                version,
                size: item.size,
            }),
        }
    }
    Ok(edits)
}

/// Lists the files that a user made in a target whose new files go to `source`.
async fn new_files(
    shared: &Shared,
    spec: &TargetSpec,
    source: &SourceId,
    run: &Run,
    heads: &[SourceHead],
    id: &TargetId,
) -> Result<Vec<(LedgerRow, Item, Version)>, EngineError> {
    let request = ListRequest {
        scope: Scope::Whole,
        known: Arc::default(),
        progress: run.progress.clone(),
    };
    let settings = &shared.specs.settings;
    let whole = match watched(run, settings, spec.place.list(request)).await? {
        Err(SideError::NotFound { .. }) => return Ok(Vec::new()),
        listed => listed?,
    };
    let target = id.clone();
    let ledger = shared
        .store
        .read(move |reader| reader.ledger(&target))
        .await?;
    let (origin, _) = shared.source(source)?;
    let mut new = Vec::new();
    for (path, item) in whole.items {
        let offered = heads.iter().any(|head| head.rows.contains_key(&path));
        let active = check::active_file(&path, &spec.allow_active).is_some();
        if offered || active || ledger.contains_key(&path) || !origin.origin.covers(&path) {
            continue;
        }
        let row = LedgerRow {
            source: source.clone(),
            key: path.clone(),
            path: path.clone(),
            base: None,
            written: None,
            size: item.size,
            identity: None,
            adopted: true,
            tombstone: false,
        };
        let version = item.version();
        new.push((row, item, version));
    }
    Ok(new)
}
