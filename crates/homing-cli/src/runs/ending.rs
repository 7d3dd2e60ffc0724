//! How runs end: the exit code of a command, and why they did not do their work.

use homing_api::{Exit, Failure, Item, ItemAction, Problem, ProblemKind, Run, RunStatus};

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

#[cfg(test)]
mod tests {
    use homing_api::Notice;

    use super::*;
    use crate::output::Screen;
    use crate::runs::tests::{failure, item, run};

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
}
