//! How runs end, and how they are told.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use homing_api::{
    Conflict, Exit, Failure, Item, ItemAction, Notice, Problem, ProblemKind, Run, RunStatus,
};

use crate::output::{CYAN, RED, Screen, YELLOW};
use crate::text::{escape, quote};

/// So many items of one run are listed; the rest is for `homing run show`.
pub(crate) const LISTED_ITEMS: usize = 20;

/// All is well.
const GREEN: Style = AnsiColor::Green.on_default();

/// Returns how a command ends whose runs ended like this.
///
/// What did not do its work comes first; where several reasons compete, it is just "failed". Then items that failed,
/// then what waits for the user.
pub(crate) fn exit_of(runs: &[Run], problems: &[Problem], open_conflicts: bool) -> Exit {
    let errors = runs.iter().filter_map(|run| match run.status {
        RunStatus::Error | RunStatus::Cancelled | RunStatus::Interrupted => Some(
            run.error
                .as_ref()
                .map_or(Exit::Failed, |error| error.kind.exit()),
        ),
        _ => None,
    });
    let mut errors: Vec<Exit> = errors
        .chain(problems.iter().map(|problem| problem.kind.exit()))
        .collect();
    errors.dedup();
    match errors[..] {
        [] => {}
        [only] => return only,
        _ => return Exit::Failed,
    }
    let with_status = |wanted: RunStatus| move |run: &&Run| run.status == wanted;
    let waits = |item: &Item| item.action == ItemAction::Conflict;
    if runs
        .iter()
        .filter(with_status(RunStatus::Partial))
        .any(|run| {
            // A partial run that lists no item at all failed in part without being able to tell where.
            run.items
                .iter()
                .any(|item| item.action == ItemAction::Failed)
                || !(run.items.iter().any(waits) || open_conflicts)
        })
    {
        return Exit::Partial;
    }
    // The guard keeps files of another source, which went by hand: the run did its own work, and its target waits.
    let is_withheld = |run: &Run| run.problems.iter().any(|told| told.kind == "withheld");
    let blocked = |run: &Run| run.status == RunStatus::Blocked || is_withheld(run);
    if runs.iter().any(blocked)
        || open_conflicts
        || runs.iter().flat_map(|run| &run.items).any(waits)
    {
        return Exit::Waiting;
    }
    Exit::Done
}

/// Returns why runs did not do their work, each as an error.
pub(crate) fn problems_of(runs: &[Run]) -> Vec<Problem> {
    runs.iter().filter_map(problem_of).collect()
}

fn problem_of(run: &Run) -> Option<Problem> {
    let subject = match (&run.source, &run.target) {
        (Some(source), _) => format!(" source `{source}`"),
        (None, Some(target)) => format!(" target `{target}`"),
        (None, None) => String::new(),
    };
    let verb = &run.verb;
    let (detail, kind) = match run.status {
        RunStatus::Error => (format!("could not {verb}{subject}"), ProblemKind::Permanent),
        RunStatus::Blocked => (
            format!("did not {verb}{subject}: the plan waits for you"),
            ProblemKind::Guard,
        ),
        RunStatus::Cancelled => (
            format!("the {verb} of{subject} was cancelled"),
            ProblemKind::Cancelled,
        ),
        RunStatus::Interrupted => (
            format!("the {verb} of{subject} was interrupted"),
            ProblemKind::Interrupted,
        ),
        _ => return None,
    };
    let mut problem = match &run.error {
        Some(failure) => of_failure(failure, detail),
        None => Problem::new(kind, detail),
    };
    if problem.hint.is_none() && run.status == RunStatus::Blocked {
        let name = run.source.as_deref().unwrap_or("NAME");
        problem.hint = Some(format!(
            "see `homing diff {name}`, then continue with `homing {verb} {name} --accept-deletions`"
        ));
    }
    problem.run = Some(run.id);
    problem.source.clone_from(&run.source);
    Some(problem)
}

/// Returns a failure as the cause of what it kept from being done.
pub(crate) fn of_failure(failure: &Failure, detail: String) -> Problem {
    let mut causes = vec![failure.message.clone()];
    causes.extend(failure.causes.iter().cloned());
    let mut problem = Problem::new(failure.kind.clone(), detail).with_causes(causes);
    problem.hint.clone_from(&failure.hint);
    problem
}

/// Returns the items of a run that failed, and what a person should hear about, a line each.
pub(crate) fn details(run: &Run, screen: Screen) -> String {
    let mut text = String::new();
    let failed: Vec<&Item> = run
        .items
        .iter()
        .filter(|item| item.action == ItemAction::Failed)
        .collect();
    let reason = |item: &Item| {
        item.reason
            .clone()
            .unwrap_or_else(|| "it failed".to_owned())
    };
    let mut by_reason: Vec<(String, Vec<&Item>)> = Vec::new();
    for item in failed {
        let reason = reason(item);
        match by_reason.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, items)) => items.push(item),
            None => by_reason.push((reason, vec![item])),
        }
    }
    for (reason, items) in by_reason.iter().take(LISTED_ITEMS) {
        let label = screen.paint(RED, "failed:");
        let first = items.first().map(|item| place(item)).unwrap_or_default();
        let more = match items.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        writeln!(text, "{label} {}{more}: {}", escape(&first), escape(reason))
            .expect("a String takes all");
    }
    if by_reason.len() > LISTED_ITEMS {
        let rest = by_reason.iter().skip(LISTED_ITEMS);
        let more: usize = rest.map(|(_, items)| items.len()).sum();
        writeln!(text, "… and {more} more: `homing run show {}`", run.id)
            .expect("a String takes all");
    }
    text + &notices(&run.problems, screen)
}

/// Returns what a person should hear about, a line each.
pub(crate) fn notices(notices: &[Notice], screen: Screen) -> String {
    let mut text = String::new();
    for notice in notices.iter().take(LISTED_ITEMS) {
        let label = screen.paint(YELLOW, &format!("{}:", escape(&notice.kind)));
        let message = &notice.message;
        // Most sentences begin with the place that they are about.
        let is_named = message
            .strip_prefix('`')
            .and_then(|rest| rest.strip_prefix(notice.path.as_str()))
            .is_some_and(|rest| rest.starts_with(['`', ':']));
        let path = if notice.path.is_empty() || is_named {
            String::new()
        } else {
            format!("{}: ", escape(&notice.path))
        };
        writeln!(text, "{label} {path}{}", escape(message)).expect("a String takes all");
    }
    if notices.len() > LISTED_ITEMS {
        writeln!(
            text,
            "… and at least {} more; `homing run show` lists them",
            notices.len() - LISTED_ITEMS
        )
        .expect("a String takes all");
    }
    text
}

/// Returns open conflicts, each with the command that decides it.
pub(crate) fn conflicts(conflicts: &[Conflict], screen: Screen) -> String {
    let mut text = String::new();
    for conflict in conflicts {
        let place = conflict.target.as_ref().unwrap_or(&conflict.source);
        let label = screen.paint(YELLOW, "conflict:");
        let detail = conflict
            .detail
            .as_ref()
            .map(|detail| format!(", {detail}"))
            .unwrap_or_default();
        let said = format!("{place}: {} ({}{detail})", conflict.path, conflict.kind);
        if conflict.kind.as_str() == "structure" {
            let way_out = "move what stands in the way; the conflict closes with the next sync";
            writeln!(text, "{label} {}\n  {way_out}", escape(&said)).expect("a String takes all");
            continue;
        }
        let command = format!("homing resolve {} {}", quote(place), quote(&conflict.path));
        // The lines of both need both, and of one origin.
        let union = match conflict.kind.as_str() {
            "content" | "added" => "|--union",
            _ => "",
        };
        let choices = screen.paint(
            CYAN,
            &escape(&format!("{command} --ours|--theirs{union}|--file F")),
        );
        writeln!(text, "{label} {}\n  {choices}", escape(&said)).expect("a String takes all");
    }
    text
}

/// Returns where an item is: the target or source, and the path there.
pub(crate) fn place(item: &Item) -> String {
    format!(
        "{}: {}",
        item.target.as_ref().unwrap_or(&item.source),
        item.path
    )
}

/// Returns the style in which a status is shown.
pub(crate) fn status_style(status: &RunStatus) -> Style {
    match status {
        RunStatus::Success => GREEN,
        RunStatus::Queued | RunStatus::Running | RunStatus::Other(_) => Style::new(),
        RunStatus::Partial | RunStatus::Blocked | RunStatus::Cancelled => YELLOW,
        RunStatus::Error | RunStatus::Interrupted => RED,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use homing_api::{Notice, Trigger, Verb};

    use super::*;

    /// Returns a run that did something.
    pub(crate) fn run(id: i64, source: &str, status: RunStatus) -> Run {
        Run {
            id,
            source: Some(source.to_owned()),
            target: None,
            verb: Verb::Sync,
            undone: None,
            trigger: Trigger::Manual,
            status,
            started_at: "2026-01-02T03:04:05.678Z".to_owned(),
            duration_ms: 1_234,
            synced: 12,
            cached: 300,
            failed: 0,
            removed: 1,
            bytes: 5_000,
            requests: 0,
            error: None,
            problems: Vec::new(),
            phases: Vec::new(),
            revision: None,
            commits: None,
            progress: None,
            items: Vec::new(),
            next: None,
        }
    }

    /// Returns an item of `team` in `claude`.
    pub(crate) fn item(path: &str, action: ItemAction, reason: Option<&str>) -> Item {
        Item {
            source: "team".to_owned(),
            target: Some("claude".to_owned()),
            path: path.to_owned(),
            action,
            before: None,
            after: None,
            reason: reason.map(ToOwned::to_owned),
            patch: None,
        }
    }

    /// Returns why something failed.
    pub(crate) fn failure(kind: ProblemKind) -> Failure {
        Failure {
            kind,
            message: "the root is missing".to_owned(),
            causes: vec!["No such file or directory".to_owned()],
            hint: Some("mount it".to_owned()),
        }
    }

    #[test]
    fn runs_decide_the_exit_code() {
        let ok = || run(1, "a", RunStatus::Success);
        let error = |kind| Run {
            error: Some(failure(kind)),
            ..run(2, "b", RunStatus::Error)
        };
        let partial = |items| Run {
            items,
            ..run(3, "c", RunStatus::Partial)
        };
        let failed = || item("x", ItemAction::Failed, Some("no"));
        let conflict = || item("y", ItemAction::Conflict, Some("content"));
        let busy = || vec![Problem::new(ProblemKind::Busy, "the queue is full")];
        let withheld = || Notice {
            kind: "withheld".to_owned(),
            path: String::new(),
            message: "source `gone` is not configured any more".to_owned(),
        };
        let none = Vec::new;
        for (name, runs, problems, open, code) in [
            ("all done", vec![ok(), ok()], none(), false, 0),
            ("nothing", vec![], none(), false, 0),
            (
                "waiting",
                vec![run(1, "a", RunStatus::Queued)],
                none(),
                false,
                0,
            ),
            (
                "one error",
                vec![ok(), error(ProblemKind::Auth)],
                none(),
                false,
                6,
            ),
            (
                "the same error twice",
                vec![error(ProblemKind::Auth), error(ProblemKind::Auth)],
                none(),
                false,
                6,
            ),
            (
                "two kinds",
                vec![error(ProblemKind::Auth), error(ProblemKind::Config)],
                none(),
                false,
                1,
            ),
            (
                "an error beats the rest",
                vec![partial(vec![failed()]), error(ProblemKind::Storage)],
                none(),
                true,
                1,
            ),
            ("not started", vec![ok()], busy(), false, 1),
            (
                "cancelled",
                vec![run(1, "a", RunStatus::Cancelled)],
                none(),
                false,
                1,
            ),
            (
                "failed items",
                vec![partial(vec![failed(), conflict()])],
                none(),
                true,
                3,
            ),
            (
                "partial without items",
                vec![partial(vec![])],
                none(),
                false,
                3,
            ),
            (
                "conflicts only",
                vec![partial(vec![conflict()])],
                none(),
                false,
                7,
            ),
            (
                "partial for open conflicts",
                vec![partial(vec![])],
                none(),
                true,
                7,
            ),
            (
                "blocked",
                vec![ok(), run(2, "b", RunStatus::Blocked)],
                none(),
                false,
                7,
            ),
            (
                "files of another source withheld",
                vec![Run {
                    problems: vec![withheld()],
                    ..ok()
                }],
                none(),
                false,
                7,
            ),
            (
                "conflicts that were open before",
                vec![ok()],
                none(),
                true,
                7,
            ),
        ] {
            assert_eq!(exit_of(&runs, &problems, open).code(), code, "{name}");
        }
    }

    #[test]
    fn a_failed_run_is_an_error_with_its_causes() {
        let failed = Run {
            error: Some(failure(ProblemKind::NotFound)),
            ..run(2, "team", RunStatus::Error)
        };
        let blocked = Run {
            error: Some(Failure {
                kind: ProblemKind::Guard,
                message: "it would delete 9 of 10 items".to_owned(),
                causes: Vec::new(),
                hint: None,
            }),
            ..run(3, "team", RunStatus::Blocked)
        };
        let problems = problems_of(&[run(1, "a", RunStatus::Success), failed, blocked]);
        let text: String = problems
            .iter()
            .map(|problem| Screen::default().problem(problem))
            .collect();
        insta::assert_snapshot!(text, @r"
        error: could not sync source `team`
          caused by: the root is missing
          caused by: No such file or directory
          hint: mount it
        error: did not sync source `team`: the plan waits for you
          caused by: it would delete 9 of 10 items
          hint: see `homing diff team`, then continue with `homing sync team --accept-deletions`
        ");
    }

    #[test]
    fn failed_items_and_notices_are_listed_and_long_lists_cut() {
        let mut run = run(7, "team", RunStatus::Partial);
        run.items = (0..22)
            .map(|n| {
                item(
                    &format!("a{n:02}.md"),
                    ItemAction::Failed,
                    Some(&format!("larger than {n} bytes")),
                )
            })
            .collect();
        run.items.push(item("done.md", ItemAction::Created, None));
        run.problems = vec![
            Notice {
                kind: "link".to_owned(),
                path: "to\u{1b}c".to_owned(),
                message: "not followed".to_owned(),
            },
            Notice {
                kind: "empty".to_owned(),
                path: String::new(),
                message: "nothing matched".to_owned(),
            },
        ];
        let text = details(&run, Screen::default());
        assert_eq!(text.lines().count(), 23);
        assert!(!text.contains("done.md") && !text.contains('\u{1b}'));
        insta::assert_snapshot!(text.lines().skip(19).collect::<Vec<_>>().join("\n"), @r"
        failed: claude: a19.md: larger than 19 bytes
        … and 2 more: `homing run show 7`
        link: to\u{1b}c: not followed
        empty: nothing matched
        ");
    }

    #[test]
    fn what_failed_for_one_reason_is_one_line() {
        let mut run = run(7, "team", RunStatus::Partial);
        let full = "no space left on device";
        run.items = (0..30)
            .map(|n| item(&format!("a{n:02}.md"), ItemAction::Failed, Some(full)))
            .collect();
        run.items
            .push(item("b.md", ItemAction::Failed, Some("too large")));
        insta::assert_snapshot!(details(&run, Screen::default()), @r"
        failed: claude: a00.md and 29 more: no space left on device
        failed: claude: b.md: too large
        ");
    }
}
