//! What `status` says about the configuration.

use homing_api::{Condition, Problem};
use homing_engine::{Offline, OfflineSource};

use crate::convert;

/// Returns the condition while the file is not valid; what was in force before is in force still.
///
/// Each thing that is wrong has a line of its own.
pub(crate) fn config_invalid(problem: &Problem, since: &str) -> Condition {
    let message = std::iter::once(&problem.detail)
        .chain(&problem.causes)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    condition("ConfigInvalid", "Invalid", message, since)
}

/// Returns the condition while commands wait for an explicit reload.
pub(crate) fn reload_needed(commands: &[String], since: &str) -> Condition {
    let message = format!(
        "new or changed commands take effect by `homing config reload` only: {}",
        commands.join(", ")
    );
    condition("ReloadNeeded", "CommandsWait", message, since)
}

/// Returns the condition while settings wait for another start.
pub(crate) fn restart_needed(keys: &[String], since: &str) -> Condition {
    let message = format!(
        "takes effect when homingd starts again: {}",
        keys.join(", ")
    );
    condition("RestartNeeded", "SettingsWait", message, since)
}

/// Returns the condition while no far side can be reached: a line for each source that waits.
pub(crate) fn offline(offline: &Offline) -> Condition {
    let by_itself = |source: &OfflineSource| source.comes_again;
    let then = if offline.sources.iter().all(by_itself) {
        "syncing goes on by itself"
    } else if offline.sources.iter().any(by_itself) {
        "syncing goes on by itself where a source has a schedule"
    } else {
        "`homing sync` tries it again"
    };
    let first = format!("nothing far away can be reached; what is published stays, and {then}");
    let waiting = offline.sources.iter().map(|source| {
        let since = source.last_success.map_or_else(
            || "never synced".to_owned(),
            |success| format!("stale since {}", convert::time(success)),
        );
        format!("`{}`: {since} ({})", source.id, source.reason)
    });
    let lines: Vec<String> = std::iter::once(first).chain(waiting).collect();
    let message = lines.join("\n");
    Condition {
        since: offline.reached.map(convert::time),
        ..condition("Offline", "Unreachable", message, "")
    }
}

fn condition(kind: &str, reason: &str, message: String, since: &str) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: true,
        reason: reason.to_owned(),
        message,
        since: Some(since.to_owned()),
    }
}
