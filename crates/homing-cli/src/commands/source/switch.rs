//! `homing source remove`, `homing source enable`, `homing source disable`

use homing_api::{Exit, Problem, ProblemKind, Run, RunStatus, WithdrawQuery};
use homing_client::ClientError;
use homing_config::{Config, Edit, EditError, Section, Setting};

use crate::arguments::{RemoveSourceArgs, SourceNamesArgs};
use crate::commands::editing::{self, Next, Told};
use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;
use crate::text::count;

/// Takes a source out of the configuration, and its files out of the targets.
pub(super) async fn remove(args: &RemoveSourceArgs, context: &Context) -> Result<Report, CliError> {
    let name = args.name.as_str();
    // A configuration that is not valid may become so by the removal; then nobody knows its targets.
    let config = Config::load(&context.locations, &context.env).ok();
    if let Some(config) = &config
        && !config.sources.keys().any(|id| id.as_str() == name)
        && let Some(report) = remove_what_is_left(args, context).await?
    {
        return Ok(report);
    }
    let left_empty = config
        .as_ref()
        .map(|config| only_source_of(config, name))
        .unwrap_or_default();
    let change = |edit: &mut Edit| -> Result<(), EditError> {
        edit.remove(Section::Source, name)?;
        for target in &left_empty {
            edit.remove(Section::Target, target)?;
        }
        for target in edit.names(Section::Target) {
            edit.pull(Section::Target, &target, "from", name);
            if takes_new_files(config.as_ref(), &target, name) {
                edit.unset(Section::Target, &target, "new_files_to");
            }
        }
        Ok(())
    };
    editing::prepare(context, &change)?;
    let mut told = Told {
        headline: format!("removed source `{name}`"),
        ..Told::default()
    };
    if !args.dry_run {
        let query = WithdrawQuery {
            keep: args.keep,
            purge: args.purge,
        };
        let answer = context.client.remove_source(name, &query).await;
        let withdrawn = withdrawn(name, (query, !left_empty.is_empty()), answer, &mut told)?;
        if !withdrawn {
            offline(name, args, &left_empty, &mut told)?;
        }
    }
    for target in &left_empty {
        told.notes.push(format!(
            "target `{target}` had no other source and is removed, too"
        ));
    }
    if !args.purge {
        told.notes
            .push("its history is kept; `--purge` would have forgotten it".to_owned());
    }
    let runs = told.runs.clone();
    editing::finish(context, args.dry_run, &change, told)
        .await
        .map_err(|error| half_done(error, &runs))
}

/// Takes out the files of a source whose section was removed by hand; `None` when homingd knows of none.
async fn remove_what_is_left(
    args: &RemoveSourceArgs,
    context: &Context,
) -> Result<Option<Report>, CliError> {
    if args.dry_run {
        return Ok(None);
    }
    let name = args.name.as_str();
    let query = WithdrawQuery {
        keep: args.keep,
        purge: args.purge,
    };
    let answer = context.client.remove_source(name, &query).await;
    if matches!(&answer, Err(ClientError::Problem(problem)) if problem.kind == ProblemKind::UnknownSource)
    {
        return Ok(None);
    }
    let mut told = Told {
        headline: format!("removed what was left of source `{name}`"),
        ..Told::default()
    };
    if !withdrawn(name, (query, false), answer, &mut told)? {
        return Ok(None);
    }
    let nothing = |_: &mut Edit| Ok(());
    editing::finish(context, false, &nothing, told)
        .await
        .map(Some)
}

/// Switches sources on.
pub(super) async fn enable(args: &SourceNamesArgs, context: &Context) -> Result<Report, CliError> {
    let told = Told {
        headline: format!("enabled {}", listed(&args.names)),
        next: Some(Next::Sync(args.names.clone())),
        ..Told::default()
    };
    editing::finish(context, args.dry_run, &switch(&args.names, true), told).await
}

/// Switches sources off, and takes their files out of the targets.
pub(super) async fn disable(args: &SourceNamesArgs, context: &Context) -> Result<Report, CliError> {
    let change = switch(&args.names, false);
    editing::prepare(context, &change)?;
    let mut told = Told {
        headline: format!("disabled {}", listed(&args.names)),
        ..Told::default()
    };
    // Also where they are off already: whoever switched one off by hand finishes so what the guard keeps.
    if !args.dry_run {
        for name in &args.names {
            let answer = context.client.withdraw(name).await;
            if !withdrawn(name, (WithdrawQuery::default(), false), answer, &mut told)? {
                told.notes.push(LATER.to_owned());
                break;
            }
        }
    }
    let runs = told.runs.clone();
    editing::finish(context, args.dry_run, &change, told)
        .await
        .map_err(|error| half_done(error, &runs))
}

/// Adds what was done before the configuration could not be written.
fn half_done(error: CliError, runs: &[Run]) -> CliError {
    let Some(source) = runs.iter().find_map(|run| run.source.as_ref()) else {
        return error;
    };
    let mut problem = error.problem();
    problem.causes.push(format!(
        "homingd has taken the files of `{source}` out of the targets already; they come back when it loads the configuration as it is (`homing config reload`, or a restart)"
    ));
    problem.into()
}

const LATER: &str = "files leave the targets when homingd starts; where they are many, `homing status` then names the command that lets them";

fn switch(names: &[String], on: bool) -> impl Fn(&mut Edit) -> Result<(), EditError> {
    move |edit| {
        for name in names {
            if on && !edit.has_key(Section::Source, name, "enabled") {
                // On is the default; but the name must be one.
                edit.require(Section::Source, name)?;
                continue;
            }
            edit.set(Section::Source, name, "enabled", &Setting::Flag(on))?;
        }
        Ok(())
    }
}

/// Tells what homingd did with a source's files; `false` when it does not run, or could do nothing.
fn withdrawn(
    name: &str,
    (query, goes_with_its_target): (WithdrawQuery, bool),
    answer: Result<Run, ClientError>,
    told: &mut Told,
) -> Result<bool, CliError> {
    use ProblemKind::{ConfigInvalid, UnknownRoute, UnknownSource};

    let run = match answer {
        Ok(run) => run,
        Err(ClientError::NotRunning { .. }) => return Ok(false),
        Err(ClientError::Problem(problem)) if problem.kind == UnknownSource => {
            let forgotten = if query.purge {
                ", and nothing of it was forgotten"
            } else {
                ""
            };
            told.notes.push(format!(
                "homingd does not know `{name}`, so there was nothing to take out of the targets{forgotten}"
            ));
            return Ok(true);
        }
        // It runs without a configuration, or is an older one.
        Err(ClientError::Problem(problem))
            if matches!(problem.kind, UnknownRoute | ConfigInvalid) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    };
    told.notes
        .push(outcome(name, &run, query, goes_with_its_target));
    for notice in &run.problems {
        let place = match notice.path.as_str() {
            "" => notice.kind.clone(),
            path => path.to_owned(),
        };
        told.notes.push(format!("  {place}: {}", notice.message));
    }
    // A hook that failed left no file behind: it is told, and no more.
    let left_files = run.error.is_some() || run.failed > 0;
    if run.status != RunStatus::Success && !left_files {
        told.exit = Some(Exit::Partial);
    }
    if left_files {
        let error = run.error.as_ref();
        let detail = format!("not every file of `{name}` could be taken out of the targets");
        let mut problem = Problem::new(
            error.map_or(ProblemKind::Permanent, |error| error.kind.clone()),
            detail,
        )
        .with_causes(
            error
                .map(|error| error.message.clone())
                .into_iter()
                .collect(),
        );
        problem.hint = error.and_then(|error| error.hint.clone());
        problem.run = Some(run.id);
        told.exit = Some(Exit::Partial);
        told.problems.push(problem);
    }
    told.runs.push(run);
    Ok(true)
}

fn outcome(name: &str, run: &Run, query: WithdrawQuery, goes_with_its_target: bool) -> String {
    if query.keep {
        return format!("the files of `{name}` stay in the targets and are yours");
    }
    match run.removed {
        0 => format!("`{name}` had no files in the targets that were only its own"),
        // Without its history, or without its target, nothing could be put back.
        removed if query.purge || goes_with_its_target => {
            format!("{} of `{name}` left the targets", count(removed, "item"))
        }
        removed => format!(
            "{} of `{name}` left the targets (run {}; `homing undo {}` puts them back as yours)",
            count(removed, "item"),
            run.id,
            run.id
        ),
    }
}

/// Tells what becomes of the files when homingd does not run; some wishes need it.
fn offline(
    name: &str,
    args: &RemoveSourceArgs,
    left_empty: &[String],
    told: &mut Told,
) -> Result<(), CliError> {
    let needs = match (args.keep, args.purge, left_empty.first()) {
        (true, ..) => Some("to leave the files in the targets as yours".to_owned()),
        (_, true, _) => Some("to forget its history".to_owned()),
        (.., Some(target)) => Some(format!(
            "to take its files out of target `{target}`, which has no other source"
        )),
        _ => None,
    };
    if let Some(needs) = needs {
        let detail = format!("source `{name}` was not removed: homingd is needed {needs}");
        return Err(Problem::new(ProblemKind::NotRunning, detail)
            .with_hint("start homingd with a valid configuration, then try again")
            .into());
    }
    told.notes.push(LATER.to_owned());
    Ok(())
}

/// Returns the targets that would have no source left.
fn only_source_of(config: &Config, name: &str) -> Vec<String> {
    let sections = config.target_sections().into_iter();
    let left_empty = sections.filter(|(_, from)| from.iter().all(|id| id.as_str() == name));
    left_empty.map(|(section, _)| section.to_owned()).collect()
}

fn takes_new_files(config: Option<&Config>, target: &str, source: &str) -> bool {
    let targets = config.into_iter().flat_map(|config| &config.targets);
    targets
        .filter(|(id, _)| id.as_str() == target)
        .any(|(_, target)| {
            target
                .new_files_to
                .as_ref()
                .is_some_and(|id| id.as_str() == source)
        })
}

fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("source{plural} {}", names.join(", "))
}
