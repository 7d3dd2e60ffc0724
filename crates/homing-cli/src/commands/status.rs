//! `homing status`

mod detailed;
mod stale;
mod watch;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anstyle::Style;
use homing_api::{Condition, RunStatus, Source, State, Status, Target, names_target};
use jiff::Timestamp;

use crate::arguments::StatusArgs;
use crate::context::{Context, target_names, unknown_name};
use crate::error::CliError;
use crate::output::{RED, Report, Screen, YELLOW};
use crate::revisions::is_full;
use crate::runs::{of_failure, problems_of};
use crate::table::{Table, plain};
use crate::text::{count, escape, relative, short_commit, until};

/// Conditions that belong beside the states; the others repeat a state or are the rule.
const SHOWN: &[&str] = &[
    "Paused",
    "Syncing",
    "Stale",
    "Stalled",
    "Unwatched",
    "Blocked",
];

/// Shows every source and target.
pub(super) async fn run(args: &StatusArgs, context: &Context) -> Result<Report, CliError> {
    if args.watch {
        return watch::run(args, context).await;
    }
    let mut status = ask(args, context).await?;
    let text = show(&mut status, args, context.now, context.screen)?;
    Ok(Report::either(context.json, &status, || text))
}

/// Asks for what is to be shown.
async fn ask(args: &StatusArgs, context: &Context) -> Result<Status, CliError> {
    let mut status = if args.detailed {
        context.client.status_detailed().await?
    } else {
        context.client.status().await?
    };
    if !context.json {
        for target in &mut status.targets {
            target.path = context.written_path(&target.path);
        }
    }
    Ok(status)
}

/// Leaves in the status what was asked for, and returns it as text.
fn show(
    status: &mut Status,
    args: &StatusArgs,
    now: Timestamp,
    screen: Screen,
) -> Result<String, CliError> {
    if let Some(age) = args.stale {
        let of = stale::select(status, &args.names, age, now)?;
        return Ok(stale::render(status, args.detailed, &of, now, screen));
    }
    select(status, &args.names)?;
    Ok(if args.detailed {
        detailed::render(status, now, screen)
    } else {
        render(status, now, screen)
    })
}

fn select(status: &mut Status, names: &[String]) -> Result<(), CliError> {
    if names.is_empty() {
        return Ok(());
    }
    for name in names {
        let ids = status.sources.iter().map(|source| source.id.as_str());
        let ids = ids.chain(target_names(status));
        if !ids.clone().any(|id| id == name) {
            return Err(unknown_name(name, ids));
        }
    }
    status.sources.retain(|source| names.contains(&source.id));
    let is_named = |target: &Target| names.iter().any(|name| names_target(name, &target.id));
    status.targets.retain(is_named);
    Ok(())
}

fn render(status: &Status, now: Timestamp, screen: Screen) -> String {
    let mut text = daemon_trouble(status, now, screen);
    if !status.sources.is_empty() {
        text.push_str(&sources(&status.sources, now, screen));
        text.push('\n');
    }
    if !status.targets.is_empty() {
        text.push_str(&targets(&status.targets, screen));
        text.push('\n');
    }
    text.push_str(&trouble(status, screen));
    text.push_str(&summary(status, now));
    text
}

/// Returns the last line: how many there are, what waits for a person, and since when homingd runs.
fn summary(status: &Status, now: Timestamp) -> String {
    let daemon = &status.daemon;
    let conflicts: u64 = status.sources.iter().map(|source| source.conflicts).sum();
    let see = if conflicts > 0 {
        " (see `homing conflicts`)"
    } else {
        ""
    };
    let enabled = || status.sources.iter().filter(|source| source.enabled);
    let failed = enabled().filter(|source| {
        let run = source.last_run.as_ref();
        run.is_some_and(|run| run.status == RunStatus::Error) && !is_offline(source)
    });
    let unwell: Vec<String> = [
        (failed.count(), "failed"),
        (enabled().filter(|one| is_offline(one)).count(), "offline"),
        (
            enabled().filter(|one| partial(one).is_some()).count(),
            "partial",
        ),
        (
            status
                .sources
                .iter()
                .filter(|one| holds(one, "Blocked"))
                .count(),
            "blocked",
        ),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, word)| format!("{number} {word}"))
    .collect();
    let unwell = if unwell.is_empty() {
        String::new()
    } else {
        format!(" ({})", unwell.join(", "))
    };
    format!(
        "{}{unwell}, {}, {}{see}; homingd {}, started {}\n",
        count(status.sources.len() as u64, "source"),
        count(status.targets.len() as u64, "target"),
        count(conflicts, "conflict"),
        escape(&daemon.version),
        relative(&daemon.started_at, now)
    )
}

/// Returns what is wrong with the daemon as a whole.
fn daemon_trouble(status: &Status, now: Timestamp, screen: Screen) -> String {
    let mut text = String::new();
    let conditions = &status.daemon.conditions;
    let named: Vec<&Condition> = conditions
        .iter()
        .filter(|c| c.kind != "Ready" && c.status)
        .collect();
    // "Ready" repeats what the others say, unless there are none.
    let unready = conditions
        .iter()
        .filter(|c| named.is_empty() && c.kind == "Ready" && !c.status);
    for condition in named.iter().copied().chain(unready) {
        let kind = if condition.kind == "Ready" {
            "NotReady"
        } else {
            &condition.kind
        };
        let label = screen.paint(RED, &format!("{}:", escape(kind)));
        let mut indent = format!("{label} ");
        let lines = match condition.kind.as_str() {
            "Offline" => offline(condition, &status.sources, now),
            _ => condition.message.lines().map(str::to_owned).collect(),
        };
        for line in lines {
            writeln!(text, "{indent}{}", escape(&line)).expect("a String takes all");
            "  ".clone_into(&mut indent);
        }
    }
    if let Some(moved) = &status.daemon.quarantined {
        let said = "the database was damaged and moved aside; nothing is deleted or pushed until `homing db accept-rebuild`";
        text.push_str(&screen.warning(&format!("{said}: {moved}")));
    }
    if let Some(pause) = &status.daemon.paused {
        let end = pause
            .until
            .as_ref()
            .map_or_else(|| "until `homing resume`".to_owned(), |end| until(end, now));
        text.push_str(&screen.warning(&format!("everything is paused {end}")));
    }
    if !status.daemon.recovered {
        text.push_str(&screen.warning("repairs after the last stop are under way"));
    }
    text
}

fn sources(sources: &[Source], now: Timestamp, screen: Screen) -> String {
    let mut heads = vec!["SOURCE", "STATE", ">FILES", "LAST SUCCESS", "NEXT"];
    let have_commits = sources.iter().any(|source| commit(source).is_some());
    if have_commits {
        heads.push("COMMIT");
    }
    let mut table = Table::new(screen, &heads);
    for source in sources {
        let time = |time: &Option<String>, none: &str| {
            time.as_ref()
                .map_or_else(|| none.to_owned(), |time| relative(time, now))
        };
        let mut row = vec![
            plain(&source.id),
            state(source),
            plain(source.files.to_string()),
            plain(time(&source.last_success, "never")),
            plain(next(source, now)),
        ];
        if have_commits {
            row.push(plain(commit(source).map_or("-", short_commit)));
        }
        table.row(row);
    }
    table.render()
}

/// Returns the commit that a source is at, where its revisions are commits.
fn commit(source: &Source) -> Option<&str> {
    let revision = source.revision.as_deref()?;
    is_full(revision).then_some(revision)
}

/// Tells whether a condition of a source holds.
fn holds(source: &Source, kind: &str) -> bool {
    let mut conditions = source.conditions.iter();
    conditions.any(|condition| condition.kind == kind && condition.status)
}

/// Returns that the network is away, and since when what is published of each source is stale.
fn offline(condition: &Condition, sources: &[Source], now: Timestamp) -> Vec<String> {
    let first = condition.message.lines().next().unwrap_or_default();
    let waiting = sources.iter().filter(|source| is_offline(source));
    let waiting = waiting.map(|source| {
        let success = source.last_success.as_deref();
        let since = success.map_or_else(
            || "never synced".to_owned(),
            |success| format!("last synced {}", relative(success, now)),
        );
        let error = source.last_run.as_ref().and_then(|run| run.error.as_ref());
        let why = error.map(|error| format!(" ({})", error.message));
        format!("`{}`: {since}{}", source.id, why.unwrap_or_default())
    });
    std::iter::once(first.to_owned()).chain(waiting).collect()
}

/// Tells whether a source waits for the network, as all that are far away do.
fn is_offline(source: &Source) -> bool {
    let mut conditions = source.conditions.iter();
    conditions.any(|one| one.kind == "Ready" && !one.status && one.reason == "Offline")
}

/// Returns why the last run did only a part of its work, if so.
fn partial(source: &Source) -> Option<&Condition> {
    source.conditions.iter().find(|condition| {
        let reason = condition.reason.as_str();
        condition.kind == "Ready"
            && !condition.status
            && matches!(reason, "PartialRun" | "HookFailed")
    })
}

/// Returns when the source runs by itself next.
fn next(source: &Source, now: Timestamp) -> String {
    let paused = holds(source, "Paused");
    match (&source.next_due, &source.paused) {
        _ if !source.enabled => "-".to_owned(),
        // Whatever was planned, it waits for a person.
        _ if holds(source, "Stalled") => "stalled".to_owned(),
        (_, Some(pause)) if pause.until.is_some() => {
            let end = pause.until.as_deref().unwrap_or_default();
            format!("paused, {}", relative(end, now))
        }
        _ if paused => "paused".to_owned(),
        (Some(due), _) => relative(due, now),
        (None, _) => "by hand".to_owned(),
    }
}

fn state(source: &Source) -> (String, Style) {
    if !source.enabled && holds(source, "Blocked") {
        return ("disabled, blocked".to_owned(), YELLOW);
    }
    if !source.enabled {
        return plain("disabled");
    }
    let in_part = partial(source);
    let mut words: Vec<String> = source.states.iter().map(ToString::to_string).collect();
    let holding = source
        .conditions
        .iter()
        .filter(|condition| condition.status);
    let shown: Vec<&str> = holding
        .map(|condition| condition.kind.as_str())
        .filter(|kind| SHOWN.contains(kind))
        .collect();
    words.extend(shown.iter().map(|kind| kind.to_lowercase()));
    if words.is_empty() {
        words.push("-".to_owned());
    }
    let failed = !is_offline(source)
        && source
            .last_run
            .as_ref()
            .is_some_and(|run| run.status == RunStatus::Error);
    if failed {
        words.push("failed".to_owned());
    }
    words.extend(is_offline(source).then(|| "offline".to_owned()));
    words.extend(in_part.map(|condition| match condition.reason.as_str() {
        "HookFailed" => "hook failed".to_owned(),
        _ => "partial".to_owned(),
    }));
    let style = if failed || shown.contains(&"Stalled") {
        RED
    } else if source.states.contains(&State::Conflict)
        || in_part.is_some()
        || shown.iter().any(|kind| *kind != "Syncing")
    {
        YELLOW
    } else {
        Style::new()
    };
    (words.join(", "), style)
}

fn targets(targets: &[Target], screen: Screen) -> String {
    let mut table = Table::new(screen, &["TARGET", "STATE", ">FILES", "FROM", "PATH"]);
    for target in targets {
        let mut words: Vec<String> = target.states.iter().map(ToString::to_string).collect();
        if target.error.is_some() {
            words.push("failed".to_owned());
        }
        if words.is_empty() {
            words.push("-".to_owned());
        }
        let blocked = target.conditions.iter().any(|one| one.kind == "Blocked");
        if blocked {
            words.push("blocked".to_owned());
        }
        let waits = blocked || target.states.contains(&State::Conflict);
        let style = match (&target.error, waits) {
            (Some(_), _) => RED,
            (None, true) => YELLOW,
            (None, false) => Style::new(),
        };
        table.row([
            plain(&target.id),
            (words.join(", "), style),
            plain(target.files.to_string()),
            plain(sources_of(target)),
            plain(&target.path),
        ]);
    }
    table.render()
}

/// Returns the sources of a target; those that another target serves with its name.
fn sources_of(target: &Target) -> String {
    let own = target.from.iter().cloned();
    let served = target.served.iter();
    let served = served.map(|served| format!("{} (in {})", served.source, served.by));
    own.chain(served).collect::<Vec<_>>().join(", ")
}

/// Returns why sources and targets did not do their work the last time.
fn trouble(status: &Status, screen: Screen) -> String {
    let runs: Vec<_> = status
        .sources
        .iter()
        // That the network is away is told once, of the daemon.
        .filter(|source| !is_offline(source))
        .filter_map(|source| source.last_run.clone())
        .collect();
    let failed = status.targets.iter().filter_map(|target| {
        let failure = target.error.as_ref()?;
        Some(of_failure(
            failure,
            format!("could not publish into target `{}`", target.id),
        ))
    });
    let mut text: String = problems_of(&runs)
        .into_iter()
        .chain(failed)
        .map(|problem| screen.problem(&problem))
        .collect();
    for source in status.sources.iter().filter(|source| source.enabled) {
        if let Some(Condition { message, .. }) = partial(source) {
            let said = format!("the last run of `{}` was partial: {message}", source.id);
            text.push_str(&screen.warning(&said));
        }
    }
    // A live source says so with its own run.
    let told: BTreeSet<&str> = status
        .targets
        .iter()
        .flat_map(|target| &target.conditions)
        .chain(
            status
                .sources
                .iter()
                .filter(|one| !one.enabled)
                .flat_map(|one| &one.conditions),
        )
        .filter(|condition| condition.kind == "Blocked" && condition.status)
        .filter(|condition| condition.reason != "Guard")
        .map(|condition| condition.message.as_str())
        .collect();
    for message in told {
        let label = screen.paint(YELLOW, "blocked:");
        writeln!(text, "{label} {}", escape(message)).expect("a String takes all");
    }
    text
}

#[cfg(test)]
mod tests;
