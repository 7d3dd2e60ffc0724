//! Runs as history keeps them, and back.

use std::time::Duration;

use homing_core::{Problem, ProblemKind, Version};
use homing_store::{Hop, JournalRow, JournalState, RunRow};

use crate::error::FAILURE_KINDS;
use crate::report::{Failure, ItemAction, ItemReport, RunReport, RunStatus, Trigger, Verb};

const PROBLEM_WORDS: &[(ProblemKind, &str)] = &[
    (ProblemKind::Link, "link"),
    (ProblemKind::SpecialFile, "special-file"),
    (ProblemKind::Name, "name"),
    (ProblemKind::Collision, "collision"),
    (ProblemKind::Unreadable, "unreadable"),
    (ProblemKind::Changing, "changing"),
    (ProblemKind::Limit, "limit"),
    (ProblemKind::Active, "active"),
    (ProblemKind::Finding, "finding"),
    (ProblemKind::Incomplete, "incomplete"),
    (ProblemKind::Shadowed, "shadowed"),
    (ProblemKind::Rendering, "rendering"),
    (ProblemKind::ReadTwice, "read-twice"),
    (ProblemKind::Renamed, "renamed"),
    (ProblemKind::Empty, "empty"),
    (ProblemKind::Rescued, "rescued"),
    (ProblemKind::Hook, "hook"),
    (ProblemKind::Withheld, "withheld"),
];

/// Returns the word for a kind of problem.
pub fn problem_word(kind: ProblemKind) -> &'static str {
    PROBLEM_WORDS
        .iter()
        .find(|(known, _)| *known == kind)
        .map_or("other", |(_, word)| word)
}

/// Writes a problem into one line: kind, path, message, separated by tabs (no path has a control character).
pub(crate) fn stored_problem(problem: &Problem) -> String {
    format!(
        "{}\t{}\t{}",
        problem_word(problem.kind),
        problem.path,
        problem.message
    )
}

/// Writes problems into one text.
pub(crate) fn stored_problems(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(stored_problem).collect();
    serde_json::Value::from(lines).to_string()
}

/// Reads what [`stored_problems`] wrote; none of what it did not write.
pub(crate) fn problems(stored: Option<String>) -> Vec<Problem> {
    let lines: Vec<String> = stored
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    lines.iter().filter_map(|line| problem_from(line)).collect()
}

fn problem_from(line: &str) -> Option<Problem> {
    let mut parts = line.splitn(3, '\t');
    let word = parts.next()?;
    let kind = PROBLEM_WORDS.iter().find(|(_, known)| *known == word)?.0;
    Some(Problem {
        kind,
        path: parts.next()?.to_owned(),
        message: parts.next()?.to_owned(),
    })
}

/// Makes a report of a history row, without items.
pub(crate) fn report(row: &RunRow) -> RunReport {
    RunReport {
        id: row.id,
        source: row.source.clone(),
        target: row.target.clone(),
        verb: row.verb.parse().unwrap_or(Verb::Sync),
        undone: None,
        trigger: row.trigger.parse().unwrap_or(Trigger::Manual),
        status: row.status.parse().unwrap_or(RunStatus::Error),
        started_at: row.started_at,
        duration: Duration::from_millis(row.duration_ms),
        synced: row.synced,
        cached: row.cached,
        failed: row.failed,
        removed: row.removed,
        bytes: row.bytes,
        requests: row.requests,
        error: failure(row),
        problems: row
            .problems
            .iter()
            .filter_map(|line| problem_from(line))
            .collect(),
        phases: row
            .phases
            .iter()
            .map(|(name, ms)| (name.clone(), Duration::from_millis(*ms)))
            .collect(),
        revision: row.revision.clone(),
        progress: None,
        items: Vec::new(),
    }
}

fn failure(row: &RunRow) -> Option<Failure> {
    let text = row.error_message.as_deref()?;
    let kind = row
        .error_kind
        .as_deref()
        .and_then(|kind| FAILURE_KINDS.iter().find(|known| **known == kind));
    let mut failure = Failure {
        kind: kind.copied().unwrap_or("internal"),
        message: String::new(),
        causes: Vec::new(),
        hint: None,
    };
    for line in text.lines() {
        if let Some(cause) = line.strip_prefix("caused by: ") {
            failure.causes.push(cause.to_owned());
        } else if let Some(hint) = line.strip_prefix("hint: ") {
            failure.hint = Some(hint.to_owned());
        } else {
            line.clone_into(&mut failure.message);
        }
    }
    Some(failure)
}

/// What the reason of an item that is in conflict begins with in the journal, which has no other place to say so.
pub(crate) const CONFLICT: &str = "conflict: ";

/// The reason of a journal row whose item was planned again in the same run.
pub(crate) const PLANNED_AGAIN: &str = "it changed meanwhile, and was planned again";

/// Makes the item reports of journal rows. What became of an item that was planned again is told by another row.
pub(crate) fn items(rows: &[JournalRow]) -> Vec<ItemReport> {
    rows.iter()
        .filter(|row| row.reason.as_deref() != Some(PLANNED_AGAIN))
        .map(item)
        .collect()
}

/// Makes an item report of a journal row.
pub(crate) fn item(row: &JournalRow) -> ItemReport {
    let reason = row
        .reason
        .as_deref()
        .map(|reason| reason.strip_prefix(CONFLICT).unwrap_or(reason).to_owned());
    ItemReport {
        source: row.source.clone(),
        target: row.target.clone(),
        key: row.key.clone(),
        path: row.path.clone(),
        action: action(row),
        before: row.before,
        after: row.after,
        reason,
    }
}

fn action(row: &JournalRow) -> ItemAction {
    if row.state == JournalState::Failed {
        return match row.reason.as_deref() {
            Some(reason) if reason.starts_with(CONFLICT) => ItemAction::Conflict,
            _ => ItemAction::Failed,
        };
    }
    match row.hop {
        Hop::Push => ItemAction::Pushed,
        Hop::Capture => ItemAction::Captured,
        Hop::Pull | Hop::Publish => published(row.before, row.after, row.base_after),
    }
}

/// Says what a publish made of a path: merged bytes are not the ones that the catalog holds.
pub(crate) fn published(
    before: Option<Version>,
    after: Option<Version>,
    base_after: Option<Version>,
) -> ItemAction {
    match (before, after) {
        (_, None) => ItemAction::Removed,
        (None, Some(_)) => ItemAction::Created,
        (Some(before), Some(after)) if before == after => ItemAction::Adopted,
        (Some(_), Some(after)) if base_after.is_some_and(|base| base != after) => {
            ItemAction::Merged
        }
        (Some(_), Some(_)) => ItemAction::Updated,
    }
}
