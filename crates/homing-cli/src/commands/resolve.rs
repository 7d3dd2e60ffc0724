//! `homing resolve`

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use homing_api::{
    Conflict, ConflictsQuery, Exit, ItemAction, Problem, ProblemKind, ResolveRequest, ResolveWith,
    Run, RunStatus, Runs,
};

use crate::arguments::ResolveArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;
use crate::pick::{is_of, pick};
use crate::runs::{self, conflicts, details, problems_of};
use crate::text::count;

/// What conflicts are decided with.
enum Decision {
    Word(ResolveWith),
    Content(Vec<u8>),
}

/// Decides conflicts, one after the other.
pub(super) async fn run(args: &ResolveArgs, context: &Context) -> Result<Report, CliError> {
    let open = context
        .client
        .conflicts(&ConflictsQuery::default())
        .await?
        .conflicts;
    if !open.iter().any(|conflict| is_of(conflict, &args.name)) {
        context.require_name(&args.name).await?;
    }
    let picked = pick(&open, &args.name, &args.paths)?;
    let decision = decision(args, &picked, context)?;
    let mut runs: Vec<Run> = Vec::new();
    for conflict in &picked {
        let run = match &decision {
            Decision::Word(with) => context.client.resolve(conflict.id, *with).await,
            Decision::Content(bytes) => {
                context
                    .client
                    .resolve_with_content(conflict.id, bytes.clone())
                    .await
            }
        };
        match run {
            Ok(run) => runs.push(run),
            // Two targets may show what is one conflict: the first decision ended it.
            Err(homing_client::ClientError::Problem(problem))
                if problem.kind == ProblemKind::UnknownConflict && !runs.is_empty() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let left = context
        .client
        .conflicts(&ConflictsQuery::default())
        .await?
        .conflicts;
    let still: Vec<Conflict> = left
        .iter()
        .filter(|now| picked.iter().any(|was| is_same(was, now)))
        .cloned()
        .collect();
    let exit = exit_of(&runs, !still.is_empty());
    let mut text: String = runs
        .iter()
        .map(|run| details(run, context.screen))
        .collect();
    text.push_str(&conflicts(&still, context.screen));
    let decided = picked.len() - still.len();
    let rest = left
        .iter()
        .filter(|conflict| is_of(conflict, &args.name))
        .count() as u64;
    writeln!(
        text,
        "{} decided, {rest} left in {}",
        count(decided as u64, "conflict"),
        args.name
    )
    .expect("a String takes all");
    let problems = problems_of(&runs);
    Ok(Report::new(&Runs { runs }, text)
        .ending(exit)
        .with_problems(problems))
}

/// Conflicts that were not asked about do not make a resolution a failure, though the runs see them.
fn exit_of(runs: &[Run], still_open: bool) -> Exit {
    let mut judged = runs.to_vec();
    for run in &mut judged {
        run.items.retain(|item| item.action != ItemAction::Conflict);
    }
    judged.retain(|run| run.status != RunStatus::Partial || !run.items.is_empty());
    match runs::exit_of(&judged, &[], false) {
        Exit::Done if still_open => Exit::Waiting,
        exit => exit,
    }
}

fn is_same(one: &Conflict, other: &Conflict) -> bool {
    (&one.source, &one.target, &one.path) == (&other.source, &other.target, &other.path)
}

fn decision(
    args: &ResolveArgs,
    picked: &[&Conflict],
    context: &Context,
) -> Result<Decision, CliError> {
    let Some(file) = &args.file else {
        return Ok(Decision::Word(match (args.ours, args.theirs) {
            (true, _) => ResolveWith::Ours,
            (false, true) => ResolveWith::Theirs,
            (false, false) => ResolveWith::Union,
        }));
    };
    if picked
        .iter()
        .any(|conflict| conflict.path != picked[0].path)
    {
        let problem = Problem::new(
            ProblemKind::BadRequest,
            "--file decides one path, and these are several",
        )
        .with_causes(
            picked
                .iter()
                .map(|conflict| format!("`{}`", conflict.path))
                .collect(),
        )
        .with_hint(format!(
            "name one: `homing resolve {} PATH --file F`",
            args.name
        ));
        return Err(problem.into());
    }
    Ok(Decision::Content(read(&context.absolute(file))?))
}

fn read(path: &Path) -> Result<Vec<u8>, Box<Problem>> {
    let failed = |error: io::Error| {
        Box::new(
            Problem::new(
                ProblemKind::BadRequest,
                format!("`{}` could not be read", path.display()),
            )
            .with_causes(vec![error.to_string()])
            .with_hint("name the file that holds what the item is to become"),
        )
    };
    let mut content = Vec::new();
    let most = ResolveRequest::MAX_CONTENT_BYTES;
    File::open(path)
        .map_err(failed)?
        .take(most as u64 + 1)
        .read_to_end(&mut content)
        .map_err(failed)?;
    if content.len() > most {
        let limit = format!(
            "`{}` is larger than {} MiB",
            path.display(),
            most / 1024 / 1024
        );
        let hint = "write it into the target yourself, then resolve with --ours";
        return Err(Box::new(
            Problem::new(ProblemKind::TooLarge, limit).with_hint(hint),
        ));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::tests::{item, run};

    #[test]
    fn only_the_conflicts_that_were_named_count() {
        let with = |items| Run {
            items,
            ..run(1, "team", RunStatus::Partial)
        };
        let other = || item("other.md", ItemAction::Conflict, None);
        let failed = || item("a.md", ItemAction::Failed, Some("no space"));
        assert_eq!(
            exit_of(&[run(1, "team", RunStatus::Success)], false),
            Exit::Done
        );
        assert_eq!(exit_of(&[with(vec![other()])], false), Exit::Done);
        assert_eq!(exit_of(&[with(vec![])], false), Exit::Done);
        assert_eq!(exit_of(&[with(vec![other()])], true), Exit::Waiting);
        assert_eq!(
            exit_of(&[with(vec![other(), failed()])], false),
            Exit::Partial
        );
        assert_eq!(
            exit_of(&[run(1, "team", RunStatus::Error)], true),
            Exit::Failed
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_usage() {
        let problem = read(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(problem.kind.exit(), Exit::Usage);
        assert!(problem.detail.contains("/nowhere/at/all") && !problem.causes.is_empty());
    }

    #[test]
    fn a_file_that_never_ends_is_refused() {
        assert_eq!(
            read(Path::new("/dev/zero")).unwrap_err().kind,
            ProblemKind::TooLarge
        );
    }
}
