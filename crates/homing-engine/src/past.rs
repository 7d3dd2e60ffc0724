//! The past of items with blocking findings: what was published of them before, and whether that is sound.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use homing_core::{Contents, ItemKey, SideError, SourceId, Version};
use homing_items::{Level, Skills};
use homing_store::{HeadRow, LedgerRow};

use crate::catalog::SourceHead;
use crate::error::EngineError;
use crate::examine::{Examining, blocking, read_back};
use crate::shared::blocking as in_background;
use crate::spec::{OnFinding, TargetSpec};

/// What a target holds of items that may not be published as they are now.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// What was published of an item's file before, with its size.
    pub(crate) good: BTreeMap<(SourceId, ItemKey), (Version, u64)>,
    /// What was published has a blocking finding too.
    pub(crate) bad: BTreeSet<(SourceId, ItemKey)>,
}

/// Examines what of `heads` nobody has looked at yet, and what `ledger` says was published of items that may not be
/// published now.
pub(crate) async fn look_back(
    mut heads: Vec<SourceHead>,
    ledger: &BTreeMap<ItemKey, LedgerRow>,
    target: &TargetSpec,
    contents: Arc<dyn Contents>,
) -> Result<(Vec<SourceHead>, Past), EngineError> {
    let is_unexamined = |row: &HeadRow| row.head.is_some() && row.facts.is_none();
    if heads
        .iter()
        .any(|head| head.rows.values().any(is_unexamined))
    {
        let contents = Arc::clone(&contents);
        heads = in_background(move || {
            let examining = Examining::over(contents);
            for row in heads.iter_mut().flat_map(|head| head.rows.values_mut()) {
                if let Some(version) = row.head.filter(|_| row.facts.is_none()) {
                    row.facts = examining.facts(&row.key, &version.hash)?;
                }
            }
            Ok::<_, SideError>(heads)
        })
        .await??;
    }
    if target.on_finding != OnFinding::Block {
        return Ok((heads, Past::default()));
    }
    let mut concerned: Vec<LedgerRow> = Vec::new();
    for head in &heads {
        let flagged: Vec<&ItemKey> = head
            .rows
            .values()
            .filter(|row| row.head.is_some() && blocking(row.facts.as_ref()).is_some())
            .map(|row| &row.key)
            .collect();
        if flagged.is_empty() {
            continue;
        }
        let present = head.rows.values().filter(|row| row.head.is_some());
        let skills = Skills::among(present.map(|row| &row.key));
        let directories: BTreeSet<&str> = flagged.iter().filter_map(|key| skills.of(key)).collect();
        let flagged: BTreeSet<&ItemKey> = flagged.into_iter().collect();
        let is_concerned = |row: &&LedgerRow| {
            row.source == head.source
                && row.base.is_some()
                && match skills.of(&row.key) {
                    Some(directory) => directories.contains(directory),
                    None => flagged.contains(&row.key),
                }
        };
        concerned.extend(ledger.values().filter(is_concerned).cloned());
    }
    if concerned.is_empty() {
        return Ok((heads, Past::default()));
    }
    let past = in_background(move || judge(concerned, contents.as_ref())).await??;
    Ok((heads, past))
}

fn judge(rows: Vec<LedgerRow>, contents: &dyn Contents) -> Result<Past, SideError> {
    let mut past = Past::default();
    for row in rows {
        let Some(base) = row.base else { continue };
        // What is kept no more stays where it is; nothing new is made of it.
        let (is_sound, size) = match read_back(contents, &base.hash)? {
            Some((examined, size)) => {
                let findings = examined.facts(&row.key).findings;
                let is_sound = findings.iter().all(|one| one.level() < Level::Blocking);
                (is_sound, size)
            }
            None => (true, row.size),
        };
        if is_sound {
            past.good.insert((row.source, row.key), (base, size));
        } else {
            past.bad.insert((row.source, row.key));
        }
    }
    Ok(past)
}
