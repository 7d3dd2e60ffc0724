//! `homing run show`, `homing run cancel`

use std::fmt::Write as _;

use homing_api::Run;
use jiff::Timestamp;

use crate::arguments::RunArgs;
use crate::commits;
use crate::context::Context;
use crate::error::CliError;
use crate::output::{Report, Screen};
use crate::runs::{notices, problems_of, status_style};
use crate::table::{Table, plain};
use crate::text::{bytes, duration, escape, relative};

/// Shows a run with its items.
pub(super) async fn show(args: &RunArgs, context: &Context) -> Result<Report, CliError> {
    let run = context.client.run(args.id).await?;
    let text = render(&run, context.now, context.screen);
    Ok(Report::new(&run, text))
}

/// Cancels a run.
pub(super) async fn cancel(args: &RunArgs, context: &Context) -> Result<Report, CliError> {
    let run = context.client.cancel(args.id).await?;
    let text = if run.status.has_ended() {
        format!("run {} is cancelled\n", run.id)
    } else {
        format!("run {} is being cancelled\n", run.id)
    };
    Ok(Report::new(&run, text))
}

fn render(run: &Run, now: Timestamp, screen: Screen) -> String {
    let of = match (&run.source, &run.target) {
        (Some(source), _) => format!(" of source {source}"),
        (None, Some(target)) => format!(" of target {target}"),
        (None, None) => String::new(),
    };
    let status = screen.paint(status_style(&run.status), &escape(run.status.as_str()));
    let undone = run
        .undone
        .map(|undone| format!(" of run {undone}"))
        .unwrap_or_default();
    let mut text = format!(
        "run {}: {}: {status}\n",
        run.id,
        escape(&format!("{}{undone}{of}", run.verb))
    );
    let mut line = |what: &str, value: String| {
        writeln!(text, "  {what:<10} {}", escape(&value)).expect("a String takes all");
    };
    line(
        "started",
        format!(
            "{} ({}), by {}",
            run.started_at,
            relative(&run.started_at, now),
            run.trigger
        ),
    );
    line("took", duration(run.duration_ms));
    line(
        "items",
        format!(
            "{} synced, {} cached, {} removed, {} failed",
            run.synced, run.cached, run.removed, run.failed
        ),
    );
    line("moved", bytes(run.bytes));
    if let Some(revision) = &run.revision {
        line("revision", revision.clone());
    }
    if let Some(progress) = &run.progress {
        line("now", crate::bars::text(progress));
    }
    if !run.phases.is_empty() {
        let phases = run
            .phases
            .iter()
            .map(|phase| format!("{} {}", phase.name, duration(phase.duration_ms)));
        line("phases", phases.collect::<Vec<_>>().join(", "));
    }
    text.extend(
        problems_of(std::slice::from_ref(run))
            .iter()
            .map(|problem| screen.problem(problem)),
    );
    text.push_str(&notices(&run.problems, screen));
    if !run.items.is_empty() {
        let mut table = Table::new(screen, &["ITEM", "WHERE", "PATH", "WHY"]);
        for item in &run.items {
            let place = item.target.as_ref().unwrap_or(&item.source);
            let reason = item.reason.clone().unwrap_or_default();
            table.row([
                plain(item.action.as_str()),
                plain(place),
                plain(&item.path),
                plain(reason),
            ]);
        }
        text.push_str(&table.render());
    }
    if let Some(commits) = &run.commits {
        text.push_str(&commits::render(commits));
    }
    text
}

#[cfg(test)]
mod tests {
    use homing_api::{ItemAction, Phase, ProblemKind, RunStatus};

    use super::*;
    use crate::runs::tests::{failure, item, run};

    #[test]
    fn a_run_is_shown_with_everything() {
        let phase = |name: &str, duration_ms| Phase {
            name: name.to_owned(),
            duration_ms,
        };
        let run = Run {
            error: Some(failure(ProblemKind::NotFound)),
            phases: vec![phase("survey", 200), phase("plan", 3)],
            items: vec![
                item("a.md", ItemAction::Created, None),
                item("b.md", ItemAction::Failed, Some("too large")),
            ],
            ..run(12, "team", RunStatus::Error)
        };
        let now = "2026-01-02T05:04:05.678Z".parse().unwrap();
        insta::assert_snapshot!(render(&run, now, Screen::default()), @r"
        run 12: sync of source team: error
          started    2026-01-02T03:04:05.678Z (2h ago), by manual
          took       1.2s
          items      12 synced, 300 cached, 1 removed, 0 failed
          moved      4.8 KiB
          phases     survey 200ms, plan 3ms
        error: could not sync source `team`
          caused by: the root is missing
          caused by: No such file or directory
          hint: mount it
        ITEM     WHERE   PATH  WHY
        created  claude  a.md
        failed   claude  b.md  too large
        ");
    }
}
