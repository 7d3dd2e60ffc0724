//! `homing rollback`

use homing_api::{Problem, ProblemKind, RequestVerb};
use jiff::tz::TimeZone;

use crate::arguments::{RollbackArgs, SyncArgs};
use crate::commands::source::pin;
use crate::commands::{editing, sync};
use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;
use crate::revisions;
use crate::text::short_commit;

/// Pins a source to a commit that it was at, and syncs it.
pub(super) async fn run(args: &RollbackArgs, context: &Context) -> Result<Report, CliError> {
    let name = args.name.as_str();
    let before = pin::of(&pin::require_commits(name, context)?, name);
    let commit = commit(args, context).await?;
    editing::put_in_force(context, &pin::to(name, &commit)).await?;
    let request = SyncArgs {
        names: vec![name.to_owned()],
        accept_deletions: args.accept_deletions,
        ..SyncArgs::default()
    };
    let pinned = format!(
        "source `{name}` is to be at {}; {}\n",
        short_commit(&commit),
        pin::stays(name)
    );
    let report = sync::run(RequestVerb::Sync, &request, context).await?;
    if !report.tells_of(&ProblemKind::NotFound) {
        return Ok(report.preceded_by(&pinned));
    }
    // A source that is pinned to nothing would not be synced again.
    editing::put_in_force(context, &pin::back_to(name, before.as_deref())).await?;
    Ok(report.preceded_by(&format!(
        "source `{name}` cannot be brought to {}, so its pin was taken back\n",
        short_commit(&commit)
    )))
}

/// Returns the commit that is meant.
async fn commit(args: &RollbackArgs, context: &Context) -> Result<String, CliError> {
    let (name, word) = (args.name.as_str(), args.to.as_str());
    // The sync needs homingd; without it, or the source, nothing is written.
    context.client.source(name).await?;
    if revisions::is_full(word) {
        return Ok(word.to_ascii_lowercase());
    }
    if let Some(commit) = revisions::beginning_with(name, word, context).await? {
        return Ok(commit);
    }
    let Some(time) = revisions::time(word, context.now, &TimeZone::system()) else {
        return Err(pin::unknown(name, word));
    };
    let found = revisions::in_use_at(name, time, context).await?;
    found.ok_or_else(|| {
        let detail = format!("the history of `{name}` does not tell which commit was in use at {time}");
        Problem::new(ProblemKind::UnknownRevision, detail)
            .with_hint("choose a later time, or name a commit; `homing history` lists the runs that are kept")
            .into()
    })
}
