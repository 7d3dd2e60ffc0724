//! Why: which source put a file where it is, and which lost.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use homing_core::{
    ItemKey, ItemState, ListRequest, Listing, ProblemKind, Scope, TargetId, UnknownReason,
};
use homing_store::Hop;

use crate::catalog::{Entry, Loser, Outcome};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::render;
use crate::report::{WhyCandidate, WhyReport};
use crate::scratch::Scratch;
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
        for (id, key) in &candidates {
            if let Some(report) = self.why_in(id.clone(), key.clone()).await? {
                return Ok(report);
            }
        }
        for (id, key) in candidates {
            if let Some(report) = self.why_elsewhere(&id, &key).await? {
                return Ok(report);
            }
        }
        Err(unknown())
    }

    /// Tells of a path that a tool reads in the directory of another target.
    async fn why_elsewhere(
        &self,
        id: &TargetId,
        path: &ItemKey,
    ) -> Result<Option<WhyReport>, EngineError> {
        let (spec, _) = self.shared.target(id)?;
        for served in spec.tool.iter().flat_map(|tool| &tool.served) {
            let Some(mut report) = self.why_in(served.by.clone(), path.clone()).await? else {
                continue;
            };
            let mut candidates = report.candidates.iter_mut();
            if let Some(winner) = candidates.find(|one| one.source == served.source) {
                let reason = format!(
                    "target `{id}` is served by `{}`, whose directory its tool reads; there {}",
                    served.by, winner.reason
                );
                winner.reason = reason;
                return Ok(Some(report));
            }
        }
        Ok(None)
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
        // Nothing is kept of what is only looked at.
        let contents = Arc::new(Scratch::over(shared.contents()));
        let target = (&id, spec);
        let catalog = render::catalog(shared, target, state.heads, &state.ledger, contents).await?;
        let winner = catalog.entries.get(&path);
        let here = catalog.losers.get(&path).into_iter().flatten();
        // Those that lost by their name lie elsewhere.
        let elsewhere = catalog.losers.iter().filter(|(at, _)| **at != path);
        let elsewhere = elsewhere.flat_map(|(_, losers)| losers);
        let lost_to_it = |loser: &&Loser| loser.to.as_ref() == Some(&path);
        let losers: Vec<&Loser> = here.chain(elsewhere.filter(lost_to_it)).collect();
        let to = losers.iter().find_map(|loser| loser.to.as_ref());
        let winner_elsewhere = to.and_then(|to| catalog.entries.get(to));
        let kept_back: Vec<_> = catalog.kept_back(&path).collect();
        if row.is_none() && winner.is_none() && losers.is_empty() && kept_back.is_empty() {
            return Ok(None);
        }
        let mut candidates = Vec::new();
        if let Some(winner) = winner.or(winner_elsewhere) {
            let mut reason = match losers.len() + kept_back.len() {
                0 => "it is the only source that offers this path".to_owned(),
                _ => "it comes first by priority, then by the higher version, then by the order of the target's `from`"
                    .to_owned(),
            };
            let notes = catalog.problems.iter();
            let notes = notes
                .filter(|note| note.kind == ProblemKind::Rendering && note.path == path.as_str());
            for note in notes {
                reason.push_str("; ");
                reason.push_str(&note.message);
            }
            if let Some(flagged) = catalog.flagged(winner) {
                reason.push_str("; ");
                reason.push_str(&flagged.with_way_out());
            }
            candidates.push(self.candidate(winner, reason).await?);
        }
        for loser in losers {
            candidates.push(self.candidate(&loser.entry, loser.reason.clone()).await?);
        }
        for (entry, flagged) in &kept_back {
            candidates.push(self.candidate(entry, flagged.with_way_out()).await?);
        }
        let is_blocked = match winner {
            Some(winner) => catalog
                .flagged(winner)
                .is_some_and(|flagged| flagged.outcome != Outcome::Published),
            None => !kept_back.is_empty(),
        };
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
            _ if is_blocked && (row.is_some() || near.item().is_none()) => "blocked",
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
