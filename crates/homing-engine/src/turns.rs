//! Whose turn has come, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use homing_core::SourceId;
use homing_store::{SourceUpdate, Store};
use jiff::Timestamp;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::reload::KnownSource;
use crate::report::{Trigger, Turn};
use crate::schedule::Due;
use crate::shared::locked;
use crate::source::SourceActor;
use crate::spec::{AtStart, Specs};

impl Engine {
    /// Returns the sources whose turn has come and that have nothing queued, the most overdue first.
    pub fn due(&self, now: Timestamp) -> Vec<Turn> {
        let shared = &self.shared;
        let (waited_until, waited_for) = *locked(&shared.waited);
        let mut turns: Vec<Turn> = shared
            .sources
            .iter()
            .filter_map(|(id, actor)| {
                let spec = shared
                    .specs
                    .sources
                    .get(id)
                    .filter(|_| shared.is_live(id))?;
                let due = actor.due(spec, now)?;
                if shared.pauses.holds(id, now) {
                    return None;
                }
                let (since, trigger) = match due {
                    Due::Since(since) if shared.pauses.ended(id, since) > Some(waited_until) => {
                        (since, Trigger::Resume)
                    }
                    Due::Since(since) if since <= waited_until => (since, waited_for),
                    Due::Since(since) => (since, Trigger::Schedule),
                    Due::Changed => (now, Trigger::Watch),
                };
                Some(Turn {
                    source: id.clone(),
                    since,
                    trigger,
                })
            })
            .collect();
        turns.sort_by_key(|turn| turn.since);
        turns
    }

    /// Waits until something other than the time may have given a source its turn: a change, or the end of a pause.
    pub async fn turns_changed(&self) {
        self.shared.turns.notified().await;
    }

    /// Says that nobody asked for turns for a while until `now`: the machine slept.
    pub fn woke(&self, now: Timestamp) {
        *locked(&self.shared.waited) = (now, Trigger::Resume);
    }
}

/// Keeps the first turns of sources that do not run at a start: else one that is started often would never have one.
pub(crate) async fn keep_first(
    store: &Store,
    specs: &Specs,
    actors: &BTreeMap<SourceId, Arc<SourceActor>>,
    known: &BTreeMap<SourceId, KnownSource>,
) -> Result<(), EngineError> {
    let news: Vec<(SourceId, Option<Timestamp>)> = actors
        .iter()
        .filter(|(id, _)| specs.sources[*id].at_start == AtStart::Never)
        .map(|(id, actor)| (id.clone(), actor.knowledge().schedule.next_due))
        .filter(|(id, due)| {
            let known = known.get(id);
            known.is_some_and(|known| known.next_due() != *due)
        })
        .collect();
    if news.is_empty() {
        return Ok(());
    }
    store
        .write(move |writer| {
            news.into_iter().try_for_each(|(id, next_due)| {
                let update = SourceUpdate {
                    next_due: Some(next_due),
                    ..SourceUpdate::default()
                };
                writer.update_source(&id, update)
            })
        })
        .await?;
    Ok(())
}
