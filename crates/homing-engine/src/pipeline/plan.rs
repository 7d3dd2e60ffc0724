//! Plan: what each hop must do, from what the survey found. Nothing here writes a side or the store's rows.

pub(crate) mod publish;
pub(crate) mod pull;
pub(crate) mod push;

use std::collections::BTreeSet;

use homing_core::{GUARD, GuardVerdict, Hasher, ItemKey, Step};

use crate::error::EngineError;

/// A fingerprint of what a plan deletes, so that a person's consent goes for exactly this plan.
pub(crate) fn deletions_digest(side: &str, steps: &[Step]) -> String {
    let deletions: BTreeSet<_> = steps
        .iter()
        .filter(|step| step.after.is_none())
        .map(|step| (step.key.as_str(), step.before.map(|before| before.hash)))
        .collect();
    let mut hasher = Hasher::default();
    for (key, hash) in deletions {
        hasher.update(key.as_bytes());
        hasher.update(&[0]);
        if let Some(hash) = hash {
            hasher.update(hash.as_bytes());
        }
    }
    format!("{side}:{}", &hasher.finish().to_string()[..16])
}

/// What a person has agreed to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Consent {
    /// Fingerprints of plans that the guard blocked in the last run.
    pub(crate) digests: BTreeSet<String>,
    /// Keys whose deletion from the head was let through by the guard in this run.
    pub(crate) keys: BTreeSet<ItemKey>,
}

/// Asks the guard; a plan that the person has agreed to passes. Returns the fingerprint with the refusal.
pub(crate) fn guard(
    side: &str,
    steps: &[Step],
    side_items: usize,
    consent: &Consent,
) -> Result<(), (EngineError, String)> {
    let GuardVerdict::Blocked { deletions, of } = GUARD.check(steps, side_items) else {
        return Ok(());
    };
    let digest = deletions_digest(side, steps);
    if consent.digests.contains(&digest) {
        return Ok(());
    }
    Err((
        EngineError::Guard {
            deletions,
            of,
            side: side.to_owned(),
        },
        digest,
    ))
}
