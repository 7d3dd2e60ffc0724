//! Details: what a status tells only when it is asked for, because it is counted anew each time.

use std::collections::BTreeMap;

use homing_core::{SourceId, TargetId};
use homing_store::StoreSize;
use jiff::Timestamp;

use crate::engine::Engine;
use crate::error::EngineError;

/// What [`Engine::details`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusDetails {
    /// What the state takes on disk.
    pub store: StoreSize,
    /// Every configured source, by name.
    pub sources: BTreeMap<SourceId, SourceDetails>,
    /// Runs that a target's hook was not told of yet, by target.
    pub hooks_waiting: BTreeMap<TargetId, u64>,
}

/// What is told of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceDetails {
    /// Bytes of the items in its head.
    pub content_bytes: u64,
    /// When its last success is too long ago, or has been since.
    pub stale_at: Option<Timestamp>,
}

impl Engine {
    /// Returns what a status leaves out. Counts, and writes nothing.
    pub async fn details(&self) -> Result<StatusDetails, EngineError> {
        let specs = &self.shared.specs;
        let sources: Vec<SourceId> = specs.sources.keys().cloned().collect();
        let targets: Vec<TargetId> = specs.targets.keys().cloned().collect();
        let (bytes, hooks_waiting) = self
            .shared
            .store
            .read(move |reader| {
                let mut bytes = Vec::new();
                for source in sources {
                    let total = reader.head_bytes(&source)?;
                    bytes.push((source, total));
                }
                let mut waiting = BTreeMap::new();
                for target in targets {
                    let hooks = reader.pending_hooks(Some(&target))?.len();
                    waiting.insert(target, hooks as u64);
                }
                Ok((bytes, waiting))
            })
            .await?;
        let of_source = |(id, content_bytes): (SourceId, u64)| {
            let actor = self.shared.source(&id).ok().map(|(_, actor)| actor);
            let stale_at = actor.and_then(|actor| actor.knowledge().schedule.stale_at());
            let details = SourceDetails {
                content_bytes,
                stale_at,
            };
            (id, details)
        };
        Ok(StatusDetails {
            store: self.shared.store.size().await?,
            sources: bytes.into_iter().map(of_source).collect(),
            hooks_waiting,
        })
    }
}
