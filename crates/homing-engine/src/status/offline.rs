//! Whether the network is away: told once, and not as an error of every source.

use homing_core::SourceId;
use jiff::Timestamp;

use crate::report::{Offline, OfflineSource};
use crate::source::Knowledge;

/// The kind of failure that a far side has which cannot be reached.
const UNREACHABLE: &str = "unreachable";

/// Returns what is told of sources, each with whether it comes again by itself, while no far side can be reached; `None` while one of them can, or none was tried.
///
/// A machine without a network and the one far side that is down look the same from here, so the reasons are told too.
pub(super) fn find<'a>(
    far_away: impl Iterator<Item = (&'a SourceId, Knowledge, bool)>,
) -> Option<Offline> {
    let mut away = Vec::new();
    for (id, known, comes_again) in far_away {
        let Some(run) = &known.last_run else { continue };
        let failure = run.error.as_ref();
        away.push(OfflineSource {
            id: id.clone(),
            last_success: known.schedule.last_success,
            reason: failure
                .filter(|failure| failure.kind == UNREACHABLE)?
                .message
                .clone(),
            comes_again,
        });
    }
    let reached: Option<Timestamp> = away.iter().filter_map(|source| source.last_success).max();
    (!away.is_empty()).then_some(Offline {
        reached,
        sources: away,
    })
}
