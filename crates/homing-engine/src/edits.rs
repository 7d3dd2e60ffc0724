//! The edits in a target that their source has not taken in yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use homing_core::{
    Contents, FetchRequest, Item, ItemKey, ListRequest, RootIdentity, Scope, SideError, SourceId,
    TargetId, Version,
};
use homing_store::LedgerRow;

use crate::catalog::SourceHead;
use crate::error::{EngineError, reason};
use crate::pipeline::{check, survey, transfer};
use crate::runs::Run;
use crate::shared::Shared;
use crate::spec::TargetSpec;
use crate::target::{TargetState, read_state};
use crate::watch::watched;

/// One edit, with the row of the file that carries it.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    pub(crate) row: LedgerRow,
    pub(crate) version: Version,
    pub(crate) size: u64,
}

/// What was found in a target.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    pub(crate) edits: Vec<Edit>,
    /// Files that were too young to be sure that they are whole, or that failed: with why.
    pub(crate) unsettled: Vec<(ItemKey, String)>,
}

/// Where and how to look for edits.
pub(crate) struct Look<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) target: &'a TargetId,
    pub(crate) source: &'a SourceId,
    pub(crate) run: &'a Run,
    pub(crate) accept_root: bool,
    /// Where the edited contents go.
    pub(crate) contents: Arc<dyn Contents>,
    /// How long ago a file must have been written.
    pub(crate) settled_for: Duration,
}

type Found = Vec<(LedgerRow, Item, Version)>;

impl Look<'_> {
    /// Reads the edits in the source's published files, and its new files where the target gives them to it.
    pub(crate) async fn edits(&self) -> Result<Edits, EngineError> {
        let (spec, _) = self.shared.target(self.target)?;
        if spec.render.is_some() {
            // What was written in another form does not say what the original would be.
            return Ok(Edits::default());
        }
        let state = read_state(self.shared, self.target).await?;
        let mut found = self.edited(spec, &state).await?;
        if spec.new_files_to.as_ref() == Some(self.source) {
            found.extend(self.new_files(spec, &state).await?);
        }
        let requests: Vec<_> = found
            .iter()
            .map(|(row, item, _)| FetchRequest {
                key: row.path.clone(),
                item: item.clone(),
                settled_for: self.settled_for,
            })
            .collect();
        // Not `fetch_missing`: a content that is known already is read all the same, for it must have settled.
        let settings = &self.shared.specs.settings;
        let contents = Arc::clone(&self.contents);
        let fetched =
            transfer::fetch(self.run, settings, spec.place.as_ref(), requests, contents).await?;
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

    /// Tells whether there is any edit or new file for the source; reads none of them.
    pub(crate) async fn any(&self, spec: &TargetSpec) -> Result<bool, EngineError> {
        if spec.render.is_some() {
            return Ok(false);
        }
        let state = read_state(self.shared, self.target).await?;
        if !self.edited(spec, &state).await?.is_empty() {
            return Ok(true);
        }
        Ok(spec.new_files_to.as_ref() == Some(self.source)
            && !self.new_files(spec, &state).await?.is_empty())
    }

    /// Lists the source's published files that differ from what was taken in of them.
    async fn edited(&self, spec: &TargetSpec, state: &TargetState) -> Result<Found, EngineError> {
        let held: BTreeSet<&ItemKey> = state
            .heads
            .iter()
            .filter(|head| &head.source == self.source)
            .flat_map(|head| head.holds.keys())
            .collect();
        let captured = |row: &LedgerRow| {
            &row.source == self.source && !row.tombstone && !held.contains(&row.key)
        };
        let rows: BTreeMap<ItemKey, LedgerRow> = state
            .ledger
            .iter()
            .filter(|(_, row)| captured(row))
            .map(|(path, row)| (path.clone(), row.clone()))
            .collect();
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let rules = survey::RootRules {
            boot_id: &self.shared.boot_id,
            accept: self.accept_root,
            read_all: false,
        };
        let paths = rows.keys().cloned().collect();
        let settings = &self.shared.specs.settings;
        let near = survey::target(
            self.run,
            settings,
            spec,
            state.root.as_ref(),
            &rows,
            paths,
            rules,
        )
        .await?;
        if self.is_another_root(near.root, state) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for (path, row) in rows {
            let item = near
                .items
                .get(&path)
                .filter(|_| near.unknown_reason(&path).is_none());
            let Some(item) = item else { continue };
            let mut version = item.version();
            if !near.capabilities.executable_bit {
                version.executable = row.base.is_some_and(|base| base.executable);
            }
            if Some(version) != row.base {
                found.push((row, item.clone(), version));
            }
        }
        Ok(found)
    }

    /// Tells whether a root was just accepted: what is in it was not made from what was published in the other one, and
    /// the publish looks at it first.
    fn is_another_root(&self, found: Option<RootIdentity>, state: &TargetState) -> bool {
        survey::is_another_root(found, state.root.as_ref(), &self.shared.boot_id)
    }

    /// Lists the files that a user made in a target whose new files go to the source.
    ///
    /// Left out is what the source would not take back (its selection, its limit), what is offered already, what the
    /// user kept when upstream deleted it, and every name that begins with a dot: those are tools' own files.
    async fn new_files(
        &self,
        spec: &TargetSpec,
        state: &TargetState,
    ) -> Result<Found, EngineError> {
        let request = ListRequest {
            progress: self.run.progress.clone(),
            ..ListRequest::new(Scope::Whole)
        };
        let settings = &self.shared.specs.settings;
        let whole = match watched(self.run, settings, spec.place.list(request)).await? {
            Err(SideError::NotFound { .. }) => return Ok(Vec::new()),
            listed => listed?.whole()?.manifest,
        };
        let rules = survey::RootRules {
            boot_id: &self.shared.boot_id,
            accept: self.accept_root,
            read_all: false,
        };
        let place = format!("`{}`", spec.path.display());
        survey::check_root(whole.root, state.root.as_ref(), rules, &place)?;
        if self.is_another_root(whole.root, state) {
            return Ok(Vec::new());
        }
        let (source, _) = self.shared.source(self.source)?;
        let mut found = Vec::new();
        for (path, item) in whole.items {
            let offered = |head: &SourceHead| head.rows.contains_key(&path);
            let taken = !path.as_str().split('/').any(|name| name.starts_with('.'))
                && check::active_file(&path, &spec.allow_active).is_none()
                && !state.ledger.contains_key(&path)
                && !state.heads.iter().any(offered)
                && source.origin.covers(&path)
                && item.size <= source.max_file_size;
            if !taken {
                continue;
            }
            let row = LedgerRow {
                source: self.source.clone(),
                key: path.clone(),
                path,
                base: None,
                written: None,
                size: item.size,
                identity: None,
                adopted: true,
                tombstone: false,
            };
            let version = item.version();
            found.push((row, item, version));
        }
        Ok(found)
    }
}
