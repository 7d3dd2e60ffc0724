//! `homing sync`, `homing pull`, `homing push`

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use homing_api::{
    Conflict, ConflictsQuery, Diffs, Exit, Item, ItemAction, ManyRunsRequest, Problem, ProblemKind,
    RequestVerb, Run, RunStatus, RunsQuery, Selection, StartedRuns, format_wait,
};
use tokio::signal::unix::{SignalKind, signal};

use super::diff;
use crate::arguments::SyncArgs;
use crate::bars;
use crate::context::Context;
use crate::error::CliError;
use crate::output::{Report, Screen};
use crate::progress_lines;
use crate::runs::{conflicts, details, exit_of, problems_of, status_style};
use crate::table::{Table, plain};
use crate::text::{count, duration, escape, setting};

/// How long one question waits; longer waits ask again.
const WAIT: Duration = Duration::from_secs(30);

/// A hint names so many runs; of more, the status tells.
const LISTED_RUNS: usize = 5;

/// Starts runs, waits for them and tells how they ended.
pub(super) async fn run(
    verb: RequestVerb,
    args: &SyncArgs,
    context: &Context,
) -> Result<Report, CliError> {
    if args.dry_run {
        return dry_run(verb, args, context).await;
    }
    let began = Instant::now();
    let Some(started) = start_on_screen(verb, args, context).await? else {
        return interrupted(args, context).await;
    };
    let unended: Vec<i64> = started
        .runs
        .iter()
        .filter(|run| !run.status.has_ended())
        .map(|run| run.id)
        .collect();
    if args.no_wait {
        let text = render_started(&started, context.screen) + &render_fresh(&started.fresh);
        let exit = exit_of(&started.runs, &started.problems, false);
        let problems = started.problems.clone();
        return Ok(Report::new(&started, text)
            .ending(exit)
            .with_problems(problems));
    }
    let open: Vec<Conflict> = context
        .client
        .conflicts(&ConflictsQuery::default())
        .await?
        .conflicts;
    let open: Vec<Conflict> = open
        .into_iter()
        .filter(|conflict| {
            started
                .runs
                .iter()
                .any(|run| run.source.as_ref() == Some(&conflict.source))
        })
        .collect();
    let mut exit = exit_of(&started.runs, &started.problems, !open.is_empty());
    let mut problems = started.problems.clone();
    problems.extend(problems_of(&started.runs));
    if !unended.is_empty() {
        problems.push(too_slow(&unended, args.timeout));
        exit = if exit == Exit::Done {
            Exit::Failed
        } else {
            exit
        };
    }
    let nothing =
        started.runs.is_empty() && started.problems.is_empty() && started.fresh.is_empty();
    let warning = nothing.then(|| "nothing to do: no source is configured and enabled; `homing source add` or `homing source enable NAME` comes first".to_owned());
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut text = render(verb, &started.runs, &open, took, context.screen);
    text.push_str(&render_fresh(&started.fresh));
    Ok(Report::new(&started, text)
        .ending(exit)
        .with_problems(problems)
        .with_warning(warning))
}

/// As [`start`], with bars where they can be seen, and lines elsewhere; `None` when Ctrl-C ended it.
async fn start_on_screen(
    verb: RequestVerb,
    args: &SyncArgs,
    context: &Context,
) -> Result<Option<StartedRuns>, CliError> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let is_told = !args.no_wait && !context.json && !context.quiet;
    let has_bars = is_told && io::stderr().is_terminal();
    // They begin to listen before the runs are asked for. Without them the sync is done all the same.
    let events = if has_bars {
        context.client.events(true, None).await.ok()
    } else {
        None
    };
    let progress = async {
        match events {
            Some(events) => bars::show(events, &args.names).await,
            None if is_told && !has_bars => {
                progress_lines::show(&context.client, &args.names).await
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        started = start(verb, args, context) => started.map(Some),
        never = progress => match never {},
        _ = interrupt.recv() => Ok(None),
    }
}

/// Tells which runs go on without anybody who waits for them.
async fn interrupted(args: &SyncArgs, context: &Context) -> Result<Report, CliError> {
    let mut runs = Vec::new();
    for status in [RunStatus::Running, RunStatus::Queued] {
        let query = RunsQuery {
            status: Some(status),
            ..RunsQuery::default()
        };
        runs.extend(context.client.runs(&query).await?.runs);
    }
    let is_ours = |source: &String| args.names.is_empty() || args.names.contains(source);
    runs.retain(|run| run.source.as_ref().is_some_and(is_ours));
    runs.sort_by_key(|run| run.id);
    let started = StartedRuns {
        runs,
        fresh: Vec::new(),
        problems: Vec::new(),
    };
    let problem = goes_on(&started.runs);
    Ok(Report::new(&started, String::new())
        .ending(Exit::Interrupted)
        .with_problems(vec![problem]))
}

fn goes_on(runs: &[Run]) -> Problem {
    let ids: Vec<String> = runs.iter().map(|run| run.id.to_string()).collect();
    let detail = match &ids[..] {
        [] => "interrupted; the runs have ended".to_owned(),
        [id] => format!("interrupted; run {id} goes on in homingd"),
        _ => format!("interrupted; runs {} go on in homingd", ids.join(", ")),
    };
    let hint = match ids.first() {
        Some(id) => format!("`homing run cancel {id}` ends it, `homing status` tells how it is"),
        None => "`homing history` tells how they ended".to_owned(),
    };
    Problem::new(ProblemKind::Interrupted, detail).with_hint(hint)
}

/// Starts the runs and waits until all have ended or the time that the user gives them has passed.
async fn start(
    verb: RequestVerb,
    args: &SyncArgs,
    context: &Context,
) -> Result<StartedRuns, CliError> {
    let request = request(verb, args);
    let deadline = if args.no_wait {
        Some(Duration::ZERO)
    } else {
        args.timeout
    };
    let deadline = deadline.map(|limit| Instant::now() + limit);
    let left = || {
        deadline.map_or(WAIT, |deadline| {
            deadline.saturating_duration_since(Instant::now()).min(WAIT)
        })
    };
    let mut started = context.client.start_runs(&request, left()).await?;
    for run in &mut started.runs {
        while !run.status.has_ended() && !left().is_zero() {
            *run = context.client.wait_for_run(run.id, left()).await?;
        }
    }
    Ok(started)
}

fn request(verb: RequestVerb, args: &SyncArgs) -> ManyRunsRequest {
    ManyRunsRequest {
        sources: if args.names.is_empty() {
            Selection::All
        } else {
            Selection::Names(args.names.clone())
        },
        verb,
        if_older_than: args.if_older_than.map(format_wait),
        force: args.force,
        filter: args.filter.clone(),
        accept_deletions: args.accept_deletions,
        accept_root: args.accept_root,
    }
}

async fn dry_run(
    verb: RequestVerb,
    args: &SyncArgs,
    context: &Context,
) -> Result<Report, CliError> {
    let names = if args.names.is_empty() {
        context.enabled_sources().await?
    } else {
        args.names.clone()
    };
    let request = request(verb, args).for_one();
    let mut diffs = Vec::new();
    for name in &names {
        diffs.push(context.client.dry_run(name, &request).await?);
    }
    diff::tell_once(&mut diffs);
    let waits = diffs.iter().any(|diff| {
        let is_conflict = |item: &Item| item.action == ItemAction::Conflict;
        diff.blocked.is_some()
            || diff.items.iter().any(is_conflict)
            || diff.problems.iter().any(|told| told.kind == "withheld")
    });
    let text = diff::render(&diffs, context.screen);
    let exit = if waits { Exit::Waiting } else { Exit::Done };
    Ok(Report::new(&Diffs { diffs }, text).ending(exit))
}

fn too_slow(runs: &[i64], timeout: Option<Duration>) -> Problem {
    let within = timeout
        .map(|timeout| {
            let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            format!(" within {}", setting(millis))
        })
        .unwrap_or_default();
    let detail = format!("{} did not end{within}", count(runs.len() as u64, "run"));
    let see = if runs.len() > LISTED_RUNS {
        "`homing status`".to_owned()
    } else {
        let shown: Vec<String> = runs
            .iter()
            .map(|id| format!("`homing run show {id}`"))
            .collect();
        shown.join(", ")
    };
    let goes_on = if runs.len() == 1 {
        "it goes on"
    } else {
        "they go on"
    };
    Problem::new(ProblemKind::Timeout, detail).with_hint(format!("{goes_on}; see {see}"))
}

fn render_started(started: &StartedRuns, screen: Screen) -> String {
    let mut table = Table::new(screen, &["SOURCE", "RUN", "STATUS"]);
    for run in &started.runs {
        table.row([
            plain(name(run)),
            plain(run.id.to_string()),
            (run.status.to_string(), status_style(&run.status)),
        ]);
    }
    if started.runs.is_empty() {
        String::new()
    } else {
        table.render()
    }
}

fn render(
    verb: RequestVerb,
    runs: &[Run],
    open: &[Conflict],
    took_ms: u64,
    screen: Screen,
) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let (title, moved) = match verb {
        RequestVerb::Push => (">PUSHED", "pushed"),
        RequestVerb::Sync | RequestVerb::Pull => (">DOWNLOADED", "downloaded"),
    };
    let mut table = Table::new(
        screen,
        &[
            "SOURCE", "STATUS", title, ">CACHED", ">REMOVED", ">FAILED", ">TIME",
        ],
    );
    for run in runs {
        table.row([
            plain(name(run)),
            (run.status.to_string(), status_style(&run.status)),
            plain(run.synced.to_string()),
            plain(run.cached.to_string()),
            plain(run.removed.to_string()),
            plain(run.failed.to_string()),
            plain(duration(run.duration_ms)),
        ]);
    }
    let mut text = table.render();
    text.extend(runs.iter().map(|run| details(run, screen)));
    text.push_str(&conflicts(open, screen));
    let sum = |number: fn(&Run) -> u64| runs.iter().map(number).sum::<u64>();
    let total = writeln!(
        text,
        "{}: {} {moved}, {} cached, {} removed, {} failed in {}",
        count(runs.len() as u64, "source"),
        sum(|run| run.synced),
        sum(|run| run.cached),
        sum(|run| run.removed),
        sum(|run| run.failed),
        duration(took_ms)
    );
    total.expect("a String takes all");
    text
}

fn render_fresh(fresh: &[String]) -> String {
    if fresh.is_empty() {
        return String::new();
    }
    format!(
        "{} fresh enough: {}\n",
        count(fresh.len() as u64, "source"),
        escape(&fresh.join(", "))
    )
}

fn name(run: &Run) -> String {
    run.source
        .clone()
        .or_else(|| run.target.clone())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pick::tests::conflict;
    use crate::runs::tests::{item, run};

    #[test]
    fn a_sync_ends_with_one_total() {
        let runs = [
            run(1, "team", RunStatus::Success),
            run(2, "community", RunStatus::Success),
        ];
        insta::assert_snapshot!(render(RequestVerb::Sync, &runs, &[], 2_345, Screen::default()), @r"
        SOURCE     STATUS   DOWNLOADED  CACHED  REMOVED  FAILED  TIME
        team       success          12     300        1       0  1.2s
        community  success          12     300        1       0  1.2s
        2 sources: 24 downloaded, 600 cached, 2 removed, 0 failed in 2.3s
        ");
    }

    #[test]
    fn what_needs_a_person_is_between_table_and_total() {
        let mut partial = run(3, "team", RunStatus::Partial);
        partial.failed = 2;
        partial.items = vec![
            item(
                "big.md",
                ItemAction::Failed,
                Some("over max_file_size (10 MiB)"),
            ),
            item("both.md", ItemAction::Conflict, Some("content")),
        ];
        let open = [conflict(5, "team", Some("claude"), "both parts.md")];
        insta::assert_snapshot!(render(RequestVerb::Push, &[partial], &open, 500, Screen::default()), @r"
        SOURCE  STATUS   PUSHED  CACHED  REMOVED  FAILED  TIME
        team    partial      12     300        1       2  1.2s
        failed: claude: big.md: over max_file_size (10 MiB)
        conflict: claude: both parts.md (content)
          homing resolve claude 'both parts.md' --ours|--theirs|--union|--file F
        1 source: 12 pushed, 300 cached, 1 removed, 2 failed in 500ms
        ");
    }

    #[test]
    fn runs_that_were_only_started_are_listed() {
        let started = StartedRuns {
            runs: vec![run(4, "team", RunStatus::Queued)],
            fresh: Vec::new(),
            problems: Vec::new(),
        };
        insta::assert_snapshot!(render_started(&started, Screen::default()), @r"
        SOURCE  RUN  STATUS
        team    4    queued
        ");
    }

    #[test]
    fn who_does_not_wait_hears_which_runs_go_on() {
        let runs = [
            run(4, "team", RunStatus::Running),
            run(5, "community", RunStatus::Queued),
        ];
        for (runs, detail) in [
            (&runs[..0], "interrupted; the runs have ended"),
            (&runs[..1], "interrupted; run 4 goes on in homingd"),
            (&runs[..], "interrupted; runs 4, 5 go on in homingd"),
        ] {
            assert_eq!(goes_on(runs).detail, detail);
        }
    }

    #[test]
    fn runs_that_are_too_slow_go_on() {
        let problem = too_slow(&[4, 5], Some(Duration::from_mins(1)));
        assert_eq!(problem.detail, "2 runs did not end within 1m");
        assert_eq!(
            problem.hint.as_deref(),
            Some("they go on; see `homing run show 4`, `homing run show 5`")
        );
        let problem = too_slow(&[1, 2, 3, 4, 5, 6], Some(Duration::ZERO));
        assert_eq!(problem.detail, "6 runs did not end within 0ms");
        assert_eq!(
            problem.hint.as_deref(),
            Some("they go on; see `homing status`")
        );
    }
}
