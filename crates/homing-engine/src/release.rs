//! Release: items that an undo holds, or that the user deleted, follow upstream again.

use std::collections::BTreeSet;

use homing_core::{ItemKey, SourceId};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::report::{RunReport, RunRequest, Trigger, Verb};

impl Engine {
    /// Ends the holds and tombstones of a source (of the keys or paths given, or all) and publishes it.
    pub async fn release(
        &self,
        source: &SourceId,
        paths: Vec<ItemKey>,
    ) -> Result<RunReport, EngineError> {
        self.admit()?;
        let (spec, actor) = self.shared.source(source)?;
        if !spec.enabled {
            return Err(EngineError::Disabled(source.clone()));
        }
        let wanted: BTreeSet<ItemKey> = paths.into_iter().collect();
        let targets = self.shared.targets_of(source);
        let id = source.clone();
        let run = {
            let _turn = actor.take_turn().await;
            let mut turns = Vec::new();
            for target in &targets {
                let (_, actor) = self.shared.target(target)?;
                turns.push(actor.take_turn(&self.shared, target).await?);
            }
            let refused = self
                .shared
                .store
                .write(move |writer| {
                    let mut missing = wanted.clone();
                    let concerns = |key: &ItemKey, path: &ItemKey| {
                        wanted.is_empty() || wanted.contains(key) || wanted.contains(path)
                    };
                    let held: Vec<ItemKey> = writer
                        .holds(&id)?
                        .into_keys()
                        .filter(|key| concerns(key, key))
                        .collect();
                    missing.retain(|key| !held.contains(key));
                    let mut known: BTreeSet<ItemKey> = writer.head(&id)?.into_keys().collect();
                    let mut paths_of = Vec::new();
                    for target in &targets {
                        let ledger = writer.ledger(target)?;
                        known.extend(ledger.keys().cloned());
                        let tombstones: Vec<_> = ledger
                            .into_values()
                            .filter(|row| {
                                row.source == id && row.tombstone && concerns(&row.key, &row.path)
                            })
                            .collect();
                        for row in &tombstones {
                            missing.remove(&row.key);
                            missing.remove(&row.path);
                        }
                        let paths: Vec<ItemKey> =
                            tombstones.into_iter().map(|row| row.path).collect();
                        paths_of.push((target, paths));
                    }
                    if missing.is_empty() {
                        writer.delete_holds(&id, &held)?;
                        // Without a row the path is new to the target and is published like any other.
                        for (target, paths) in paths_of {
                            writer.delete_ledger(target, &paths)?;
                        }
                    }
                    let refused = missing.into_iter().next();
                    Ok(refused.map(|path| (known.contains(&path), path)))
                })
                .await?;
            if let Some((is_known, path)) = refused {
                if !is_known {
                    return Err(EngineError::UnknownPath(path.to_string()));
                }
                return Err(EngineError::Rejected {
                    message: format!("`{path}` of source `{source}` is neither held nor deleted"),
                    hint: format!("`homing status {source}` and `homing why PATH` tell what is"),
                });
            }
            self.submit(source, RunRequest::new(Verb::Release, Trigger::Manual))?
        };
        self.wait(run).await
    }
}
