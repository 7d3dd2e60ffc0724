//! The past of items that may not be published as they are: what was published of them before, and whether that is sound.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use homing_core::{Contents, ItemKey, SideError, SourceId, Version};
use homing_items::Level;
use homing_store::{HeadRow, LedgerRow};

use crate::catalog::SourceHead;
use crate::error::EngineError;
use crate::examine::{Examining, blocking, read_back};
use crate::pipeline::check;
use crate::shared::blocking as in_background;
use crate::spec::{OnFinding, TargetSpec};

/// What a target holds of items that may not be published as they are now.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// What was published of an item's file before, with its size.
    pub(crate) good: BTreeMap<(SourceId, ItemKey), (Version, u64)>,
    /// The same, where it has a blocking finding too.
    pub(crate) bad: BTreeMap<(SourceId, ItemKey), (Version, u64)>,
}

impl Past {
    /// Tells whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.good.is_empty() && self.bad.is_empty()
    }
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
    let blocks = target.on_finding == OnFinding::Block;
    let mut concerned: Vec<LedgerRow> = Vec::new();
    for head in &heads {
        let is_stopped = |row: &&HeadRow| {
            row.head.is_some()
                && ((blocks && blocking(row.facts.as_ref()).is_some())
                    || check::active_file(&row.key, &target.allow_active).is_some())
        };
        let stopped = head.rows.values().filter(is_stopped).map(|row| &row.key);
        let stopped: BTreeSet<&ItemKey> = stopped.chain(head.unfetched.keys()).collect();
        if stopped.is_empty() {
            continue;
        }
        let skills = head.skills();
        let directories: BTreeSet<&str> = stopped.iter().filter_map(|key| skills.of(key)).collect();
        let is_concerned = |row: &&LedgerRow| {
            row.source == head.source
                && row.base.is_some()
                && match skills.of(&row.key) {
                    Some(directory) => directories.contains(directory),
                    None => stopped.contains(&row.key),
                }
        };
        concerned.extend(ledger.values().filter(is_concerned).cloned());
    }
    if concerned.is_empty() {
        return Ok((heads, Past::default()));
    }
    let past = in_background(move || judge(concerned, contents.as_ref(), blocks)).await??;
    Ok((heads, past))
}

fn judge(rows: Vec<LedgerRow>, contents: &dyn Contents, blocks: bool) -> Result<Past, SideError> {
    let mut past = Past::default();
    for row in rows {
        let Some(base) = row.base else { continue };
        // What is kept no more stays where it is; nothing new is made of it.
        let (is_sound, size) = match read_back(contents, &base.hash)? {
            Some((examined, size)) => {
                let findings = examined.facts(&row.key).findings;
                let is_sound = findings.iter().all(|one| one.level() < Level::Blocking);
                (is_sound || !blocks, size)
            }
            None => (true, row.size),
        };
        let kept = if is_sound {
            &mut past.good
        } else {
            &mut past.bad
        };
        kept.insert((row.source, row.key), (base, size));
    }
    Ok(past)
}
