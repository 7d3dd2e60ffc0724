//! What holds of a source beyond its states, each with a reason.

use homing_core::{Problem, ProblemKind};
use jiff::Timestamp;

use super::DISABLED;
use crate::pause::Pause;
use crate::report::{Condition, RunStatus};
use crate::runs;
use crate::source;
use crate::spec::SourceSpec;
use crate::watching::Trouble;

/// What conditions tell that the source's own knowledge does not.
pub(super) struct Told {
    pub(super) in_part: Option<(&'static str, String)>,
    pub(super) pause: Option<Pause>,
    pub(super) unwatched: Option<Trouble>,
    pub(super) left_behind: Option<String>,
    /// No far side can be reached, which is told of them all at once.
    pub(super) offline: bool,
}

/// Returns why the last run did only a part of its work, if so: a word and a sentence.
///
/// Conflicts alone are not counted: all else was taken over, and they have a condition of their own.
pub(super) fn partial(known: &source::Knowledge, conflicts: u64) -> Option<(&'static str, String)> {
    let run = known.last_run.as_ref()?;
    let schedule = &known.schedule;
    if run.status != RunStatus::Partial || schedule.last_success == schedule.last_attempt {
        return None;
    }
    let see = format!("see `homing run show {}`", run.id);
    if let Some(shortfall) = &known.shortfall {
        let again = schedule
            .backoff_until
            .filter(|_| schedule.next_due.is_some());
        let again = again.map(|until| format!("; the rest is fetched after {until}"));
        let message = format!("{shortfall}{}; {see}", again.unwrap_or_default());
        return Some(("PartialRun", message));
    }
    let problem = |is_hook: bool| {
        let mut problems = run.problems.iter().filter(|one| runs::matters(one));
        problems.find(|one| (one.kind == ProblemKind::Hook) == is_hook)
    };
    let failed = run.failed.saturating_sub(conflicts);
    Some(match (failed, problem(false), problem(true)) {
        (0, None, Some(hook)) => ("HookFailed", format!("{}; {see}", hook.message)),
        (0, Some(problem), _) if problem.path.is_empty() => {
            ("PartialRun", format!("{}; {see}", problem.message))
        }
        (0, Some(problem), _) => {
            let Problem { path, message, .. } = problem;
            ("PartialRun", format!("`{path}`: {message}; {see}"))
        }
        (0, None, None) => ("PartialRun", format!("not all was done; {see}")),
        (1, ..) => ("PartialRun", format!("one item failed; {see}")),
        (failed, ..) => ("PartialRun", format!("{failed} items failed; {see}")),
    })
}

pub(super) fn conditions(
    spec: &SourceSpec,
    known: &source::Knowledge,
    conflicts: u64,
    others: Told,
    now: Timestamp,
) -> Vec<Condition> {
    let Told {
        in_part,
        pause,
        unwatched,
        left_behind,
        offline,
    } = others;
    let schedule = &known.schedule;
    let error = known.last_run.as_ref().and_then(|run| run.error.as_ref());
    let blocked = known
        .last_run
        .as_ref()
        .is_some_and(|run| run.status == RunStatus::Blocked);
    let condition = |kind, holds: bool, reason: &str, message: String, since| Condition {
        kind,
        holds,
        reason: reason.to_owned(),
        message,
        since,
    };
    let told = |error: Option<&crate::report::Failure>| {
        error.map(|error| error.message.clone()).unwrap_or_default()
    };
    let stale = schedule.is_stale(spec, now);
    let ready =
        spec.enabled && error.is_none() && in_part.is_none() && schedule.last_success.is_some();
    let (reason, message) = match (spec.enabled, error, in_part) {
        (false, ..) => ("Disabled", String::new()),
        (true, Some(_), _) if offline => ("Offline", told(error)),
        (true, Some(_), _) => ("LastRunFailed", told(error)),
        (true, None, Some(in_part)) => in_part,
        (true, None, None) if schedule.last_success.is_none() => ("NeverSynced", String::new()),
        (true, None, None) => ("Synced", String::new()),
    };
    let mut conditions = vec![condition(
        "Ready",
        ready,
        reason,
        message,
        schedule.last_success,
    )];
    if let Some(pause) = pause {
        let message = match pause.until {
            Some(until) => format!("nothing runs by itself until {until}"),
            None => "nothing runs by itself until `homing resume`".to_owned(),
        };
        conditions.push(condition(
            "Paused",
            true,
            "ByHand",
            message,
            Some(pause.since),
        ));
    }
    if let Some(run) = &known.current {
        let since = Some(run.report().started_at);
        conditions.push(condition(
            "Syncing",
            true,
            "RunUnderWay",
            format!("run {}", run.id),
            since,
        ));
    }
    if stale {
        let message = match schedule.last_success {
            Some(success) => format!("the last success was at {success}"),
            None => "it was never synced".to_owned(),
        };
        conditions.push(condition(
            "Stale",
            true,
            "TooOld",
            message,
            schedule.last_success,
        ));
    }
    if let Some(stalled) = &schedule.stalled {
        conditions.push(condition(
            "Stalled",
            true,
            "NeedsAPerson",
            stalled.clone(),
            schedule.last_attempt,
        ));
    }
    if let Some(trouble) = unwatched {
        let since = Some(trouble.since);
        conditions.push(condition(
            "Unwatched",
            true,
            "CannotWatch",
            trouble.message,
            since,
        ));
    }
    if conflicts > 0 {
        conditions.push(condition(
            "Conflicted",
            true,
            "ConflictsOpen",
            format!("{conflicts} open"),
            None,
        ));
    }
    if blocked {
        conditions.push(condition(
            "Blocked",
            true,
            "Guard",
            told(error),
            schedule.last_attempt,
        ));
    } else if let Some(message) = left_behind {
        conditions.push(condition("Blocked", true, DISABLED, message, None));
    }
    conditions
}
