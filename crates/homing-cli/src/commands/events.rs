//! `homing events`

use std::fmt::Write as _;

use homing_api::{
    AnnouncementKind, Condition, Conflict, Event, EventLine, Exit, Problem, ProblemKind, Run,
    Source, Status, Target,
};
use homing_client::{ClientError, EventMessage, EventStream};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::arguments::EventsArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::live::print_line;
use crate::output::Report;
use crate::text::{count, duration, escape};

/// Prints what has happened, and with `--follow` what happens.
pub(super) async fn run(args: &EventsArgs, context: &Context) -> Result<Report, CliError> {
    match print_all(args, context).await {
        // Why it ends is a line like all others.
        Err(error) if context.json => {
            print_line(&serde_json::to_string(&error.problem()).unwrap_or_default())?;
            Ok(Report::printed(error.exit()))
        }
        ended => ended,
    }
}

async fn print_all(args: &EventsArgs, context: &Context) -> Result<Report, CliError> {
    let mut events = context.client.events(args.follow, None).await?;
    let mut last = None;
    loop {
        let mut is_new = false;
        while let Some(message) = next(&mut events, args.follow).await? {
            is_new = true;
            if !print(&message, context)? {
                return Ok(Report::printed(Exit::Done));
            }
            if args.follow && is_the_end(&message.event) {
                return Err(
                    Problem::new(ProblemKind::ShuttingDown, "homingd is shutting down")
                        .with_hint("start it again, then follow again")
                        .into(),
                );
            }
            last = message.id.or(last);
        }
        if !args.follow {
            return Ok(Report::printed(Exit::Done));
        }
        if !is_new {
            return Err(
                Problem::new(ProblemKind::NotReady, "homingd ends every stream of events")
                    .with_hint("see its log")
                    .into(),
            );
        }
        // Cut off, because this program could not keep up: go on where it was, as far as that is possible.
        events = context.client.events(true, last.as_deref()).await?;
    }
}

/// Waits for the next event. A stream that breaks off while it is followed is one that has ended.
async fn next(events: &mut EventStream, follow: bool) -> Result<Option<EventMessage>, CliError> {
    match events.next().await {
        Err(ClientError::CutOff { .. }) if follow => Ok(None),
        next => Ok(next?),
    }
}

fn is_the_end(event: &Event) -> bool {
    matches!(event, Event::Notice(notice) if notice.kind == AnnouncementKind::ShuttingDown)
}

/// Prints an event; `false` when nobody reads any more.
fn print(message: &EventMessage, context: &Context) -> Result<bool, CliError> {
    if context.json {
        let line = EventLine {
            id: message.id.as_deref(),
            event: message.event.name(),
            data: &message.event,
        };
        return print_line(&serde_json::to_string(&line).unwrap_or_default());
    }
    if context.quiet {
        return Ok(true);
    }
    // Not the time at which the command began: a snapshot may come hours later.
    for line in lines(&message.event, Timestamp::now(), &TimeZone::system()) {
        if !print_line(&context.screen.fit(line))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns an event as lines; how far a run is within a phase is left to bars and programs.
fn lines(event: &Event, now: Timestamp, zone: &TimeZone) -> Vec<String> {
    let now = now.to_string();
    let (at, said) = match event {
        Event::Snapshot(status) => (&now, vec![snapshot(status)]),
        Event::Resync(resync) => (
            &now,
            vec![format!("events were missed ({})", resync.reason)],
        ),
        Event::RunQueued(changed) => (&changed.at, vec![of_run(&changed.run, "waits")]),
        Event::RunStarted(changed) => (&changed.at, vec![of_run(&changed.run, "began")]),
        Event::RunFinished(changed) => {
            (&changed.at, vec![of_run(&changed.run, &end(&changed.run))])
        }
        Event::RunPhase(moved) => {
            let said = format!("run {}: {}", moved.run, crate::bars::text(&moved.progress));
            (&moved.at, vec![said])
        }
        Event::RunProgress(_) => return Vec::new(),
        Event::Source(changed) => (&changed.at, vec![source(&changed.source)]),
        Event::Target(changed) => (&changed.at, vec![target(&changed.target)]),
        Event::Conflicts(changed) => {
            let opened = changed.opened.iter().map(|one| conflict("opened", one));
            let closed = changed.closed.iter().map(|one| conflict("closed", one));
            let more =
                (changed.more > 0).then(|| format!("{} more", count(changed.more, "conflict")));
            (&changed.at, opened.chain(closed).chain(more).collect())
        }
        Event::Daemon(changed) => {
            let words = holding(&changed.daemon.conditions);
            let words = if words.is_empty() {
                "ready".to_owned()
            } else {
                words.join(", ")
            };
            (&changed.at, vec![format!("homingd: {words}")])
        }
        Event::Notice(notice) => {
            let of = notice
                .source
                .as_ref()
                .map(|source| format!(" (source {source})"));
            let said = format!(
                "{}: {}{}",
                notice.kind,
                notice.message,
                of.unwrap_or_default()
            );
            (&notice.at, vec![said])
        }
    };
    let time = at.parse::<Timestamp>().map_or_else(
        |_| at.clone(),
        |at| at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string(),
    );
    said.iter()
        .map(|said| format!("{}  {}", escape(&time), escape(said)))
        .collect()
}

fn snapshot(status: &Status) -> String {
    let conflicts = status.sources.iter().map(|source| source.conflicts).sum();
    format!(
        "homingd {}: {}, {}, {}",
        status.daemon.version,
        count(status.sources.len() as u64, "source"),
        count(status.targets.len() as u64, "target"),
        count(conflicts, "conflict")
    )
}

fn of_run(run: &Run, said: &str) -> String {
    let of = match (&run.source, &run.target) {
        (Some(source), _) => format!(" of source {source}"),
        (None, Some(target)) => format!(" of target {target}"),
        (None, None) => String::new(),
    };
    format!("run {}: {}{of}: {said}", run.id, run.verb)
}

fn end(run: &Run) -> String {
    let mut text = format!(
        "{}, {} synced, {} removed, {} failed in {}",
        run.status,
        run.synced,
        run.removed,
        run.failed,
        duration(run.duration_ms)
    );
    if let Some(error) = &run.error {
        write!(text, ": {}", error.message).expect("a String takes all");
    }
    text
}

fn source(source: &Source) -> String {
    let mut words: Vec<String> = source.states.iter().map(ToString::to_string).collect();
    words.extend(holding(&source.conditions));
    format!(
        "source {}: {}, {}",
        source.id,
        words.join(", "),
        count(source.files, "file")
    )
}

fn target(target: &Target) -> String {
    let mut words: Vec<String> = target.states.iter().map(ToString::to_string).collect();
    words.extend(target.error.iter().map(|error| error.message.clone()));
    format!(
        "target {}: {}, {}",
        target.id,
        words.join(", "),
        count(target.files, "file")
    )
}

fn conflict(what: &str, conflict: &Conflict) -> String {
    let place = conflict.target.as_ref().unwrap_or(&conflict.source);
    format!(
        "conflict {what}: {place}: {} ({})",
        conflict.path, conflict.kind
    )
}

/// Returns the conditions that hold and are not the rule.
fn holding(conditions: &[Condition]) -> Vec<String> {
    conditions
        .iter()
        .filter(|condition| condition.status && condition.kind != "Ready")
        .map(|condition| condition.kind.to_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use homing_api::{
        Announcement, ConflictsChanged, ProblemKind, Resync, ResyncReason, RunChanged, RunMoved,
        RunProgress, RunStatus,
    };

    use super::*;
    use crate::pick::tests::conflict;
    use crate::runs::tests::{failure, run};

    const AT: &str = "2026-01-02T03:04:05.678Z";

    fn shown(events: &[Event]) -> String {
        let now = "2026-01-02T03:04:00Z".parse().unwrap();
        events
            .iter()
            .flat_map(|event| lines(event, now, &TimeZone::UTC))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn every_event_is_a_line_or_a_few() {
        let at = AT.to_owned();
        let changed = |run: Run| {
            Box::new(RunChanged {
                at: at.clone(),
                run,
            })
        };
        let failed = Run {
            error: Some(failure(ProblemKind::NotFound)),
            ..run(13, "te\u{1b}am", RunStatus::Error)
        };
        let progress = RunProgress {
            phase: "transfer".to_owned(),
            items: 0,
            items_total: Some(7),
            bytes: 0,
            bytes_total: Some(70),
        };
        let moved = RunMoved {
            at: at.clone(),
            run: 12,
            source: Some("team".to_owned()),
            target: None,
            progress,
        };
        let events = [
            Event::Resync(Resync {
                reason: ResyncReason::Gap,
            }),
            Event::RunQueued(changed(run(12, "team", RunStatus::Queued))),
            Event::RunStarted(changed(run(12, "team", RunStatus::Running))),
            Event::RunPhase(moved.clone()),
            Event::RunProgress(moved),
            Event::RunFinished(changed(run(12, "team", RunStatus::Success))),
            Event::RunFinished(changed(failed)),
            Event::Conflicts(ConflictsChanged {
                at: at.clone(),
                opened: vec![conflict(5, "team", Some("claude"), "a.md")],
                closed: vec![conflict(4, "team", None, "b.md")],
                more: 3,
            }),
            Event::Notice(Announcement {
                at: at.clone(),
                kind: AnnouncementKind::Paused,
                source: Some("team".to_owned()),
                message: "until noon".to_owned(),
            }),
        ];
        insta::assert_snapshot!(shown(&events), @r"
        03:04:00  events were missed (gap)
        03:04:05  run 12: sync of source team: waits
        03:04:05  run 12: sync of source team: began
        03:04:05  run 12: transfer 0 of 7 items, 0 B of 70 B
        03:04:05  run 12: sync of source team: success, 12 synced, 1 removed, 0 failed in 1.2s
        03:04:05  run 13: sync of source te\u{1b}am: error, 12 synced, 1 removed, 0 failed in 1.2s: the root is missing
        03:04:05  conflict opened: claude: a.md (content)
        03:04:05  conflict closed: team: b.md (content)
        03:04:05  3 conflicts more
        03:04:05  paused: until noon (source team)
        ");
    }
}
