//! Capture: the edits that a user made in targets go into the head of the source that owns the files.

use std::time::Duration;

use homing_core::{Contents, ItemKey, Policy, SideError, SourceId, TargetId, Version};
use homing_store::{HeadRow, Hop, JournalRow, JournalState, LedgerRow};

use crate::edits::{Edit, Edits, Look};
use crate::error::EngineError;
use crate::merging::{Settled, Versions, settle};
use crate::report::ItemReport;
use crate::runs::{self, Run};
use crate::shared::Shared;

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
    let look = Look {
        shared,
        target,
        source,
        run,
        accept_root,
        contents: shared.contents(),
        settled_for: SETTLED,
    };
    let Edits { edits, unsettled } = look.edits().await?;
    shared.flush_contents().await?;
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
    crate::kill_point!("run::captured");
    let items = record(shared, target, source, run, taken).await?;
    drop(turn);
    Ok((items, unsettled))
}

/// What one edit makes of the head and of the ledger.
pub(crate) struct Taken {
    before: Option<Version>,
    pub(crate) head: HeadRow,
    pub(crate) ledger: Option<LedgerRow>,
}

/// Merges an edit into the head; `None` when the head has it already, or cannot take it without a person.
pub(crate) fn take_in(
    edit: &Edit,
    head: Option<&HeadRow>,
    policy: Policy,
    contents: &dyn Contents,
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
        facts: None,
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
