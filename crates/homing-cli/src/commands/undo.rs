//! `homing undo`

use homing_api::Run;

use crate::arguments::UndoArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::{Report, Screen};
use crate::runs::{details, exit_of, problems_of};
use crate::text::{count, escape};

/// Puts back what a run changed here.
pub(super) async fn run(args: &UndoArgs, context: &Context) -> Result<Report, CliError> {
    let run = context.client.undo(args.run).await?;
    let text = render(&run, context.screen);
    let runs = [run];
    let report = Report::new(&runs[0], text).ending(exit_of(&runs, &[], false));
    Ok(report.with_problems(problems_of(&runs)))
}

fn render(run: &Run, screen: Screen) -> String {
    let mut text = details(run, screen);
    let back = run.synced + run.removed;
    text.push_str(&count(back, "item"));
    text.push_str(" put back and held");
    if run.failed > 0 {
        let left = count(run.failed, "item");
        text.extend([", ", &left, " not touched"]);
    }
    if let (Some(source), 1..) = (&run.source, back) {
        text.extend([
            "; to follow upstream again: `homing release ",
            &escape(source),
            "`",
        ]);
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use homing_api::{ItemAction, RunStatus};

    use super::*;
    use crate::runs::tests::{item, run};

    #[test]
    fn an_undo_says_how_to_end_the_hold() {
        let mut done = run(9, "team", RunStatus::Partial);
        done.failed = 1;
        done.items = vec![item(
            "a.md",
            ItemAction::Failed,
            Some("it was edited after the run"),
        )];
        insta::assert_snapshot!(render(&done, Screen::default()), @r"
        failed: claude: a.md: it was edited after the run
        13 items put back and held, 1 item not touched; to follow upstream again: `homing release team`
        ");
    }
}
