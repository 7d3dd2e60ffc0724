//! What every side must do, as a suite that each one's tests run.

mod applying;
mod listing;
mod recovering;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use homing_core::{
    Change, ContentHash, Intake, Item, ItemKey, ListRequest, Manifest, Operation, Outcome,
    Progress, RunId, Scope, Side, Version,
};

use crate::MemoryContents;

/// A fresh place for one check, as its user sees it.
pub trait Place: Send + Sync {
    /// Returns the side under test.
    fn side(&self) -> Arc<dyn Side>;

    /// Puts a file, as a user of the place would.
    fn put(&self, path: &str, bytes: &[u8], executable: bool);

    /// Removes a file, as a user of the place would.
    fn remove(&self, path: &str);

    /// Returns every file by its path, temporary ones included, with its executable bit.
    fn files(&self) -> BTreeMap<String, (Vec<u8>, bool)>;

    /// Takes the whole place away.
    fn destroy(&self);
}

/// Runs checks, each in a place of its own.
macro_rules! check {
    ($new_place:expr; $($module:ident :: $name:ident),* $(,)?) => {$(
        let bench = Bench::new($new_place());
        $module::$name(&bench).await.context(concat!(stringify!($module), "::", stringify!($name)))?;
    )*};
}

/// Runs every check of a side that is only read.
///
/// Fails with the name of the first check that does not hold.
pub async fn reading_conformance(new_place: &dyn Fn() -> Box<dyn Place>) -> Result<()> {
    check!(
        new_place;
        listing::an_empty_place_lists_nothing,
        listing::items_have_hash_size_and_mode,
        listing::keys_ask_for_nothing_else,
        listing::a_file_on_the_way_is_listed,
        listing::a_directory_at_a_key_is_unknown_unless_its_items_are_asked_for,
        listing::identities_spare_reading_and_change_with_the_content,
        listing::listing_writes_nothing,
        listing::a_missing_place_is_an_error,
        listing::fetch_keeps_exactly_what_was_listed,
    );
    Ok(())
}

/// Runs every check.
///
/// Fails with the name of the first check that does not hold.
pub async fn conformance(new_place: &dyn Fn() -> Box<dyn Place>) -> Result<()> {
    reading_conformance(new_place).await?;
    check!(
        new_place;
        listing::temporary_files_are_not_items,
        applying::creates_updates_and_deletes,
        applying::what_was_not_expected_is_left_alone,
        applying::a_file_where_a_directory_must_go_is_a_conflict,
        applying::a_directory_where_a_file_must_go_is_a_conflict,
        applying::directories_left_empty_go,
        applying::a_deletion_makes_room_in_the_same_batch,
        applying::only_the_mode_changes,
        applying::only_the_case_changes,
        applying::contents_that_are_missing_or_damaged_are_not_placed,
        applying::an_outcome_is_what_a_listing_shows,
        applying::many_operations_keep_their_order,
        recovering::a_half_written_file_goes,
        recovering::an_old_file_that_was_displaced_goes,
        recovering::an_edit_that_was_displaced_comes_back,
        recovering::two_edits_are_both_kept,
        recovering::a_deletion_is_finished_or_undone,
        recovering::a_rename_is_finished,
        recovering::damage_is_kept_and_told,
        recovering::a_file_that_came_after_the_operation_is_told_from_one_before_it,
        recovering::nothing_to_repair,
    );
    Ok(())
}

/// A place with contents, and shorthands for what the checks do.
struct Bench {
    place: Box<dyn Place>,
    side: Arc<dyn Side>,
    contents: Arc<MemoryContents>,
    /// What arrives with listings.
    listed: Arc<MemoryContents>,
    number: std::sync::atomic::AtomicUsize,
}

impl Bench {
    fn new(place: Box<dyn Place>) -> Self {
        let side = place.side();
        Self {
            place,
            side,
            contents: Arc::default(),
            listed: Arc::default(),
            number: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    async fn list(&self, scope: Scope) -> Result<Manifest> {
        self.list_knowing(scope, Arc::default()).await
    }

    async fn list_knowing(&self, scope: Scope, known: Arc<Known>) -> Result<Manifest> {
        let request = ListRequest {
            known,
            intake: Intake::ungated(self.listed.clone()),
            ..ListRequest::new(scope)
        };
        Ok(self.side.list(request).await?.whole()?.manifest)
    }

    /// Lists until the side vouches for every identity; one that looks at time stamps needs a moment.
    async fn list_vouched(&self) -> Result<Manifest> {
        for _ in 0..100_000 {
            let manifest = self.list(Scope::Whole).await?;
            if manifest.items.values().all(|item| item.identity.is_some()) {
                return Ok(manifest);
            }
        }
        anyhow::bail!("the side never vouches for its items")
    }

    fn operation(
        &self,
        path: &str,
        change: Change,
        expected: Option<Version>,
    ) -> Result<Operation> {
        let number = self
            .number
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Operation {
            key: key(path)?,
            change,
            expected,
            temporary: Operation::temporary_name(RunId(7), number),
        })
    }

    /// Returns an operation that writes `bytes`, which are kept.
    fn write(&self, path: &str, bytes: &[u8], expected: Option<&[u8]>) -> Result<Operation> {
        self.contents.add(bytes);
        let change = Change::Write {
            version: version(bytes),
            size: bytes.len() as u64,
        };
        self.operation(path, change, expected.map(version))
    }

    fn delete(&self, path: &str, expected: &[u8]) -> Result<Operation> {
        self.operation(path, Change::Delete, Some(version(expected)))
    }

    async fn apply(&self, operations: Vec<Operation>) -> Result<Vec<Outcome>> {
        // Whoever plans has listed before; a strict side insists on it.
        self.list(Scope::Whole).await.ok();
        self.apply_unseen(operations).await
    }

    async fn apply_unseen(&self, operations: Vec<Operation>) -> Result<Vec<Outcome>> {
        let count = operations.len();
        let outcomes = self
            .side
            .apply(operations, self.contents.clone(), Progress::default())
            .await;
        ensure!(
            outcomes.len() == count,
            "{} outcomes for {count} operations",
            outcomes.len()
        );
        Ok(outcomes)
    }

    /// Applies one operation.
    async fn apply_one(&self, operation: Operation) -> Result<Outcome> {
        self.apply(vec![operation])
            .await?
            .pop()
            .context("no outcome")
    }

    /// Checks that the place holds exactly these files, and no temporary one.
    fn expect_files(&self, expected: &[(&str, &[u8])]) -> Result<()> {
        let files = self.place.files();
        let found: BTreeMap<&str, &[u8]> = files
            .iter()
            .map(|(path, (bytes, _))| (path.as_str(), bytes.as_slice()))
            .collect();
        let wanted: BTreeMap<&str, &[u8]> = expected.iter().copied().collect();
        ensure!(
            found == wanted,
            "found {}, wanted {}",
            show(&found),
            show(&wanted)
        );
        Ok(())
    }
}

type Known = BTreeMap<ItemKey, Item>;

fn known(manifest: &Manifest) -> Arc<Known> {
    let vouched = manifest
        .items
        .iter()
        .filter(|(_, item)| item.identity.is_some());
    Arc::new(
        vouched
            .map(|(key, item)| (key.clone(), item.clone()))
            .collect(),
    )
}

fn key(path: &str) -> Result<ItemKey> {
    ItemKey::new(path).with_context(|| path.to_owned())
}

fn keys(paths: &[&str]) -> Result<Scope> {
    Ok(Scope::Keys(
        paths
            .iter()
            .map(|path| key(path))
            .collect::<Result<BTreeSet<_>>>()?,
    ))
}

fn version(bytes: &[u8]) -> Version {
    Version {
        hash: ContentHash::of(bytes),
        executable: false,
    }
}

fn show(files: &BTreeMap<&str, &[u8]>) -> String {
    let one = |(path, bytes): (&&str, &&[u8])| {
        format!(
            "{path}={:?}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(40)])
        )
    };
    files.iter().map(one).collect::<Vec<_>>().join(" ")
}
