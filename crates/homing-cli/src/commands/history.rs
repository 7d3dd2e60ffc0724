//! `homing history`

use std::time::Duration;

use homing_api::{Problem, ProblemKind, PruneRequest, Pruned, Run, Runs, RunsQuery};
use jiff::Timestamp;

use crate::arguments::{HistoryArgs, HistoryCommand};
use crate::context::Context;
use crate::error::CliError;
use crate::output::{Report, Screen};
use crate::runs::status_style;
use crate::table::{Table, plain};
use crate::text::{bytes, count, duration, relative};

/// Lists runs, newest first, or forgets old ones.
pub(super) async fn run(args: &HistoryArgs, context: &Context) -> Result<Report, CliError> {
    if let Some(HistoryCommand::Prune { older_than }) = &args.command {
        return prune(*older_than, context).await;
    }
    let query = RunsQuery {
        source: args.name.clone(),
        limit: Some(args.limit),
        ..RunsQuery::default()
    };
    let runs = context.client.runs(&query).await?;
    if let (Some(name), true) = (&args.name, runs.runs.is_empty()) {
        context.client.source(name).await?;
    }
    let text = render(&runs.runs, context.now, context.screen);
    Ok(Report::new(&Runs { runs: runs.runs }, text))
}

async fn prune(older_than: Duration, context: &Context) -> Result<Report, CliError> {
    if older_than.is_zero() {
        let detail =
            "`--older-than 0s` would forget the whole history, and nothing could be undone";
        return Err(Problem::new(ProblemKind::BadRequest, detail)
            .with_hint(
                "say from which age on a run may be forgotten, for example `--older-than 30d`",
            )
            .into());
    }
    let older_than_ms = u64::try_from(older_than.as_millis()).unwrap_or(u64::MAX);
    let pruned = context
        .client
        .prune(&PruneRequest { older_than_ms })
        .await?;
    let text = pruned_text(&pruned);
    Ok(Report::new(&pruned, text))
}

fn pruned_text(pruned: &Pruned) -> String {
    format!(
        "forgot {} and {} ({})\n",
        count(pruned.runs, "run"),
        count(pruned.contents, "content"),
        bytes(pruned.bytes)
    )
}

fn render(runs: &[Run], now: Timestamp, screen: Screen) -> String {
    if runs.is_empty() {
        return "no runs yet\n".to_owned();
    }
    let titles = [
        ">RUN", "STARTED", "OF", "VERB", "STATUS", ">SYNCED", ">CACHED", ">REMOVED", ">FAILED",
        ">TIME", "PROBLEM",
    ];
    let mut table = Table::new(screen, &titles);
    for run in runs {
        let of = run
            .source
            .clone()
            .or_else(|| run.target.clone())
            .unwrap_or_default();
        table.row([
            plain(run.id.to_string()),
            plain(relative(&run.started_at, now)),
            plain(of),
            plain(run.verb.as_str()),
            (run.status.to_string(), status_style(&run.status)),
            plain(run.synced.to_string()),
            plain(run.cached.to_string()),
            plain(run.removed.to_string()),
            plain(run.failed.to_string()),
            plain(duration(run.duration_ms)),
            plain(
                run.error
                    .as_ref()
                    .map(|error| error.message.clone())
                    .unwrap_or_default(),
            ),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use homing_api::{ProblemKind, RunStatus};

    use super::*;
    use crate::runs::tests::{failure, run};

    #[test]
    fn runs_are_listed_with_what_went_wrong() {
        let failed = Run {
            error: Some(failure(ProblemKind::NotFound)),
            ..run(12, "community", RunStatus::Error)
        };
        let mut own = run(10, "", RunStatus::Success);
        own.source = None;
        own.target = Some("claude".to_owned());
        let now = "2026-01-02T05:04:05.678Z".parse().unwrap();
        insta::assert_snapshot!(render(&[failed, run(11, "team", RunStatus::Success), own], now, Screen::default()), @r"
        RUN  STARTED  OF         VERB  STATUS   SYNCED  CACHED  REMOVED  FAILED  TIME  PROBLEM
         12  2h ago   community  sync  error        12     300        1       0  1.2s  the root is missing
         11  2h ago   team       sync  success      12     300        1       0  1.2s
         10  2h ago   claude     sync  success      12     300        1       0  1.2s
        ");
        assert_eq!(render(&[], now, Screen::default()), "no runs yet\n");
    }
}
