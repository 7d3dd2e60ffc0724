//! `homing release`

use homing_api::{Conflict, ConflictsQuery, ItemAction, ReleaseRequest, Run};

use crate::arguments::ReleaseArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::{Report, Screen};
use crate::paths::with_nearest_item;
use crate::runs::{conflicts, details, exit_of, problems_of};
use crate::text::count;

/// Lets held or deleted items follow upstream again.
pub(super) async fn run(args: &ReleaseArgs, context: &Context) -> Result<Report, CliError> {
    let request = ReleaseRequest {
        paths: args.paths.clone(),
    };
    let run = match context.client.release(&args.name, &request).await {
        Ok(run) => run,
        Err(error) => {
            return Err(with_nearest_item(error, &args.name, &args.paths, context).await);
        }
    };
    let text = render(&run, context.screen) + &kept_back(&run, context).await;
    let runs = [run];
    let report = Report::new(&runs[0], text).ending(exit_of(&runs, &[], false));
    Ok(report.with_problems(problems_of(&runs)))
}

/// Returns why items could not follow upstream, each with the command that decides.
async fn kept_back(run: &Run, context: &Context) -> String {
    let in_conflict = |conflict: &Conflict| {
        run.items.iter().any(|item| {
            item.action == ItemAction::Conflict
                && item.path == conflict.path
                && (item.target == conflict.target || conflict.target.is_none())
        })
    };
    if !run
        .items
        .iter()
        .any(|item| item.action == ItemAction::Conflict)
    {
        return String::new();
    }
    // What the release did is told in any case.
    let Ok(known) = context.client.conflicts(&ConflictsQuery::default()).await else {
        return String::new();
    };
    let mut open = known.conflicts;
    open.retain(in_conflict);
    let could_not = format!(
        "{} could not follow upstream, for what is there is not what Homing put there:\n",
        count(open.len() as u64, "item")
    );
    could_not + &conflicts(&open, context.screen)
}

fn render(run: &Run, screen: Screen) -> String {
    let changed = run.synced + run.removed;
    format!(
        "{}{} brought up to date with upstream\n",
        details(run, screen),
        count(changed, "item")
    )
}

#[cfg(test)]
mod tests {
    use homing_api::RunStatus;

    use super::*;
    use crate::runs::tests::run;

    #[test]
    fn a_release_says_what_it_changed() {
        insta::assert_snapshot!(render(&run(9, "team", RunStatus::Success), Screen::default()), @r"
        13 items brought up to date with upstream
        ");
    }
}
