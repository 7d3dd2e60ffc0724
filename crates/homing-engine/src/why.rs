//! Why: which source put a file where it is, and which lost.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use homing_core::{ItemKey, ItemState, ListRequest, Listing, Scope, TargetId, UnknownReason};
use homing_store::Hop;

use crate::catalog::{Catalog, Entry, Loser};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::past::look_back;
use crate::report::{WhyCandidate, WhyReport};
use crate::spec::TargetSpec;
use crate::target::read_state;

impl Engine {
    /// Tells which sources offer a path, who won and why. `path` is absolute, or relative to a target.
    pub async fn why(&self, path: &Path) -> Result<WhyReport, EngineError> {
        let unknown = || EngineError::UnknownPath(path.display().to_string());
        let mut candidates = Vec::new();
        for (id, spec) in &self.shared.specs.targets {
            let below = if path.is_absolute() {
                below(path, &spec.path)
            } else {
                Some(path.to_owned())
            };
            let key = below
                .as_deref()
                .and_then(Path::to_str)
                .and_then(|path| ItemKey::new(path).ok());
            candidates.extend(key.map(|key| (id.clone(), key)));
        }
        for (id, key) in candidates {
            if let Some(report) = self.why_in(id, key).await? {
                return Ok(report);
            }
        }
        Err(unknown())
    }

    async fn why_in(&self, id: TargetId, path: ItemKey) -> Result<Option<WhyReport>, EngineError> {
        let shared = &self.shared;
        let (spec, _) = shared.target(&id)?;
        let state = read_state(shared, &id).await?;
        let row = state.ledger.get(&path).cloned();
        let conflict = state
            .conflicts
            .iter()
            .any(|conflict| conflict.hop == Hop::Publish && conflict.key == path);
        let (heads, past) = look_back(state.heads, &state.ledger, spec, shared.contents()).await?;
        let catalog = Catalog::merge(&id, heads, spec, &past);
        let winner = catalog.entries.get(&path);
        let here = catalog.losers.get(&path).into_iter().flatten();
        // Those that lost by their name lie elsewhere.
        let elsewhere = catalog.losers.iter().filter(|(at, _)| **at != path);
        let elsewhere = elsewhere.flat_map(|(_, losers)| losers);
        let lost_to_it = |loser: &&Loser| loser.to.as_ref() == Some(&path);
        let losers: Vec<&Loser> = here.chain(elsewhere.filter(lost_to_it)).collect();
        let to = losers.iter().find_map(|loser| loser.to.as_ref());
        let winner_elsewhere = to.and_then(|to| catalog.entries.get(to));
        if row.is_none() && winner.is_none() && losers.is_empty() {
            return Ok(None);
        }
        let mut candidates = Vec::new();
        if let Some(winner) = winner.or(winner_elsewhere) {
            let reason = match losers.len() {
                0 => "it is the only source that offers this path".to_owned(),
                _ => "it comes first by priority, then by the higher version, then by the order of the target's `from`"
                    .to_owned(),
            };
            candidates.push(self.candidate(winner, reason).await?);
        }
        for loser in losers {
            candidates.push(self.candidate(&loser.entry, loser.reason.clone()).await?);
        }
        let near = near(spec, &path).await;
        let state = match (&row, winner) {
            _ if conflict => "conflict",
            (Some(row), _) if row.tombstone || near == ItemState::Absent => "deleted",
            (Some(row), _)
                if near
                    .item()
                    .is_some_and(|item| Some(item.version()) != row.base) =>
            {
                "edited"
            }
            (_, Some(Entry { held: true, .. })) => "held",
            (Some(row), _) if row.adopted => "adopted",
            (Some(_), _) => "published",
            (None, None) if near.item().is_none() => "shadowed",
            (None, _) if near.item().is_some() => "own",
            (None, _) => "waiting",
        };
        Ok(Some(WhyReport {
            target: id,
            path,
            candidates,
            state,
        }))
    }

    async fn candidate(&self, entry: &Entry, reason: String) -> Result<WhyCandidate, EngineError> {
        let (spec, _) = self.shared.source(&entry.source)?;
        let id = entry.source.clone();
        let row = self
            .shared
            .store
            .read(move |reader| reader.source(&id))
            .await?;
        Ok(WhyCandidate {
            source: entry.source.clone(),
            key: entry.key.clone(),
            priority: spec.priority,
            version: entry.version,
            revision: row.and_then(|row| row.revision),
            reason,
        })
    }
}

/// Returns what is under the path at this moment; of a place that cannot be seen nothing is said.
async fn near(spec: &TargetSpec, path: &ItemKey) -> ItemState {
    let request = ListRequest::new(Scope::Keys(BTreeSet::from([path.clone()])));
    match spec.place.list(request).await.and_then(Listing::whole) {
        Ok(listed) => listed.manifest.state(path),
        Err(error) => ItemState::Unknown(UnknownReason::Unreadable(error.to_string())),
    }
}

/// Returns `path` relative to `root`, with the links on both ways to the root resolved.
fn below(path: &Path, root: &Path) -> Option<PathBuf> {
    let tidy: PathBuf = path
        .components()
        .filter(|component| *component != Component::CurDir)
        .collect();
    if let Ok(rest) = tidy.strip_prefix(root) {
        return Some(rest.to_owned());
    }
    // The file itself may be gone: its nearest existing directory tells where it would be.
    let real_root = root.canonicalize().ok()?;
    let existing = tidy
        .ancestors()
        .skip(1)
        .find(|ancestor| ancestor.exists())?;
    let rest = tidy.strip_prefix(existing).ok()?;
    let real = existing.canonicalize().ok()?.join(rest);
    real.strip_prefix(&real_root).map(Path::to_owned).ok()
}
