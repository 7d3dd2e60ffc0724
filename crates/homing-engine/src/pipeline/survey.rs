//! Survey: what each side holds, and whether it is still the place that it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use homing_core::{
    ContentHash, Intake, Item, ItemKey, ListRequest, Listed, Listing, Manifest, Problem,
    RootIdentity, Scope, Side, SideError, UnknownReason, Version,
};
use homing_store::{HeadRow, LedgerRow, SourceRow, Store, StoreError, StoredRoot};

use crate::error::EngineError;
use crate::history;
use crate::missing;
use crate::pipeline::record::{problems_key, stored_revision, unfetched_key};
use crate::runs::Run;
use crate::spec::{Deletions, Settings, SourceSpec, TargetSpec};
use crate::watch::watched;

/// With so few published files, that all are missing is a user's doing rather than a lost file system.
const FEW_FILES: usize = 3;

type Known = BTreeMap<ItemKey, Item>;

/// How a root is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RootRules<'a> {
    /// This boot's id.
    pub(crate) boot_id: &'a str,
    /// The person has said that another root is meant.
    pub(crate) accept: bool,
    /// Every file is read, whatever is known of it.
    pub(crate) read_all: bool,
}

impl RootRules<'_> {
    /// Tells whether every file is to be read. After the machine went down a file's stamps may have survived its bytes.
    fn reads_all(&self, root: Option<&StoredRoot>) -> bool {
        self.read_all || root.is_some_and(|root| root.boot_id != self.boot_id)
    }
}

/// What is known of an origin before it is listed, and where its contents go.
pub(crate) struct Origin<'a> {
    pub(crate) spec: &'a SourceSpec,
    pub(crate) store: &'a Store,
    pub(crate) row: Option<&'a SourceRow>,
    pub(crate) head: &'a BTreeMap<ItemKey, HeadRow>,
    pub(crate) intake: Intake,
}

/// Lists an origin whole. One that says it is what it was is what the head remembers of it.
///
/// An origin that is missing, another directory than before, or empty while Homing holds items of it, is an error: of
/// such a side nothing is known.
pub(crate) async fn origin(
    run: &Run,
    settings: &Settings,
    origin: Origin<'_>,
    rules: RootRules<'_>,
) -> Result<Listed, EngineError> {
    let Origin {
        spec,
        store,
        row,
        head,
        intake,
    } = origin;
    let stored = row.and_then(|row| row.root.as_ref());
    let known = if rules.reads_all(stored) {
        Known::new()
    } else {
        let mut known: Known = head
            .values()
            .filter_map(|row| of_base(row).filter(|(_, item)| item.identity.is_some()))
            .collect();
        if spec.origin.is_remote() {
            forget_lost(store, &mut known).await?;
        }
        known
    };
    let is_whole = !rules.read_all && known.len() == head.len();
    let since = row
        .filter(|row| is_whole && row.selection.as_deref() == Some(spec.selection.as_str()))
        .and_then(stored_revision);
    let request = ListRequest {
        known: Arc::new(known),
        since: since.clone(),
        intake,
        progress: run.progress.clone(),
        ..ListRequest::new(Scope::Whole)
    };
    let listing = watched(run, settings, spec.origin.list(request)).await??;
    let listed = match listing {
        Listing::Unchanged(unchanged) if since.is_some() => Listed {
            manifest: Manifest {
                items: head.values().filter_map(of_base).collect(),
                unknown: known_unknown(store, row).await?,
                problems: both(unchanged.problems, known_problems(store, row).await?),
                ..Manifest::default()
            },
            revision: unchanged.revision.or(since),
            shortfall: None,
        },
        listing => listing.whole()?,
    };
    let place = format!("`{}`", spec.url);
    // A place that the configuration names newly is another directory, and that is meant.
    let moved = is_elsewhere(row, spec);
    let listing = &listed.manifest;
    check_root(listing.root, stored.filter(|_| !moved), rules, &place)?;
    let had_items = head.values().any(|row| row.base.is_some());
    if had_items && listing.items.is_empty() && listing.unknown.is_empty() && !rules.accept {
        return Err(EngineError::RootEmpty(place));
    }
    Ok(listed)
}

/// Returns what was wrong with an origin when it was what its stored revision says.
async fn known_problems(
    store: &Store,
    row: Option<&SourceRow>,
) -> Result<Vec<Problem>, EngineError> {
    let Some(key) = row.map(|row| problems_key(&row.id)) else {
        return Ok(Vec::new());
    };
    let stored = store.read(move |reader| reader.metadata(&key)).await?;
    Ok(history::problems(stored))
}

/// Returns what an origin did not give when it was what its stored revision says.
async fn known_unknown(
    store: &Store,
    row: Option<&SourceRow>,
) -> Result<BTreeMap<String, UnknownReason>, EngineError> {
    let Some(key) = row.map(|row| unfetched_key(&row.id)) else {
        return Ok(BTreeMap::new());
    };
    let stored = store.read(move |reader| reader.metadata(&key)).await?;
    let unfetched = missing::read(stored.as_deref()).into_iter();
    let unknown = unfetched.filter_map(|(key, one)| Some((key.to_string(), one.known()?)));
    Ok(unknown.collect())
}

/// Returns what an origin tells now with what it told before, each once.
fn both(mut told: Vec<Problem>, before: Vec<Problem>) -> Vec<Problem> {
    told.extend(before);
    told.sort();
    told.dedup();
    told
}

/// Returns the item that head and origin last agreed on.
fn of_base(row: &HeadRow) -> Option<(ItemKey, Item)> {
    let Version { hash, executable } = row.base?;
    let item = Item {
        hash,
        size: row.size,
        executable,
        identity: row.identity.clone(),
    };
    Some((row.key.clone(), item))
}

/// Leaves out what is not kept, or damaged: an origin that says "unchanged" of it must send it again.
async fn forget_lost(store: &Store, known: &mut Known) -> Result<(), EngineError> {
    let contents = store.contents();
    let items = std::mem::take(known);
    *known = crate::shared::blocking(move || {
        let hashes: Vec<ContentHash> = items.values().map(|item| item.hash).collect();
        let sound = contents.verify_contents(&hashes)?;
        let sound_items = items
            .into_iter()
            .zip(sound)
            .filter(|(_, is_sound)| *is_sound);
        Ok::<Known, StoreError>(sound_items.map(|(item, _)| item).collect())
    })
    .await??;
    Ok(())
}

/// Tells whether the configuration names another place than at the last run, and not only other filters.
fn is_elsewhere(row: Option<&SourceRow>, spec: &SourceSpec) -> bool {
    let place = |selection: &str| selection.split('/').next().map(str::to_owned);
    let old = row.and_then(|row| row.selection.as_deref());
    old.is_some_and(|old| place(old) != place(&spec.selection))
}

/// Lists the paths of a target that Homing answers for or would like to.
///
/// A target that is not there yet is empty. One that was there and is gone, or is another directory, is an error.
pub(crate) async fn target(
    run: &Run,
    settings: &Settings,
    spec: &TargetSpec,
    root: Option<&StoredRoot>,
    ledger: &BTreeMap<ItemKey, LedgerRow>,
    paths: BTreeSet<ItemKey>,
    rules: RootRules<'_>,
) -> Result<Manifest, EngineError> {
    let place = format!("`{}`", spec.path.display());
    let known = |row: &LedgerRow| {
        let Version { hash, executable } = row.written?;
        let item = Item {
            hash,
            size: row.size,
            executable,
            identity: Some(row.identity.clone()?),
        };
        Some((row.path.clone(), item))
    };
    let known = if rules.reads_all(root) {
        Known::new()
    } else {
        ledger.values().filter_map(known).collect()
    };
    // Where deletions are kept, an emptied target would turn every file into one that the user does not want. An undo asks
    // for few paths; what it does not ask for is not missing.
    let would_tell =
        spec.deletions == Deletions::Keep && ledger.keys().all(|path| paths.contains(path));
    let mut near = match list(
        run,
        settings,
        spec.place.as_ref(),
        Scope::Keys(paths),
        known,
    )
    .await
    {
        // Where a root was known before, nothing is made in its place, even if nothing of Homing's was left in it.
        Err(EngineError::Side(SideError::NotFound { .. }))
            if (ledger.is_empty() && root.is_none()) || rules.accept =>
        {
            Manifest::default()
        }
        Err(EngineError::Side(SideError::NotFound { .. })) => {
            return Err(EngineError::RootGone(place));
        }
        listed => listed?,
    };
    one_name_each(&mut near, ledger);
    check_root(near.root, root, rules, &place)?;
    if would_tell && !rules.accept {
        let expected = ledger.values().filter(|row| !row.tombstone).count();
        let none_left =
            near.unknown.is_empty() && !ledger.keys().any(|path| near.items.contains_key(path));
        if expected > FEW_FILES && none_left {
            return Err(EngineError::RootEmpty(place));
        }
    }
    Ok(near)
}

async fn list(
    run: &Run,
    settings: &Settings,
    side: &dyn Side,
    scope: Scope,
    known: Known,
) -> Result<Manifest, EngineError> {
    let request = ListRequest {
        known: Arc::new(known),
        progress: run.progress.clone(),
        ..ListRequest::new(scope)
    };
    let listing = watched(run, settings, side.list(request)).await??;
    Ok(listing.whole()?.manifest)
}

/// Where two names are one file, the file is under the name that the ledger has.
fn one_name_each(near: &mut Manifest, ledger: &BTreeMap<ItemKey, LedgerRow>) {
    let capabilities = near.capabilities;
    if capabilities.case_sensitive && !capabilities.normalises_unicode {
        return;
    }
    let place = |key: &ItemKey| capabilities.fold(key.as_str()).into_owned();
    let known: BTreeMap<String, &ItemKey> = ledger
        .keys()
        .filter(|path| near.items.contains_key(*path))
        .map(|path| (place(path), path))
        .collect();
    near.items
        .retain(|key, _| known.get(&place(key)).is_none_or(|known| *known == key));
}

/// Fails when a side's root is not there, or is another one than at the last run.
pub(crate) async fn same_root(
    side: &dyn Side,
    stored: Option<&StoredRoot>,
    boot_id: &str,
    place: &str,
) -> Result<(), EngineError> {
    let request = ListRequest::new(Scope::Keys(BTreeSet::new()));
    let found = side.list(request).await?.whole()?.manifest;
    let rules = RootRules {
        boot_id,
        accept: false,
        read_all: false,
    };
    check_root(found.root, stored, rules, place)
}

/// Refuses a root that is another one than at the last run.
pub(crate) fn check_root(
    found: Option<RootIdentity>,
    stored: Option<&StoredRoot>,
    rules: RootRules<'_>,
    place: &str,
) -> Result<(), EngineError> {
    if rules.accept || !is_another_root(found, stored, rules.boot_id) {
        Ok(())
    } else {
        Err(EngineError::RootChanged(place.to_owned()))
    }
}

/// Tells whether a root is known to be another one than at the last run.
pub(crate) fn is_another_root(
    found: Option<RootIdentity>,
    stored: Option<&StoredRoot>,
    boot_id: &str,
) -> bool {
    let (Some(found), Some(stored)) = (found, stored) else {
        return false;
    };
    // The number of a device may change with a restart of the machine.
    found.inode != stored.identity.inode
        || (stored.boot_id == boot_id && found.device != stored.identity.device)
}
