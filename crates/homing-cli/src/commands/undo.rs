//! `homing undo`

use std::fmt::Write as _;

use homing_api::{Item, ItemAction, Run};

use crate::arguments::UndoArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::{Report, Screen};
use crate::runs::{LISTED_ITEMS, details, exit_of, place, problems_of};
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
    let taken_back: Vec<(&Item, &str)> = run
        .items
        .iter()
        .filter_map(|item| Some((item, told(&item.action)?)))
        .collect();
    for (item, word) in taken_back.iter().take(LISTED_ITEMS) {
        writeln!(text, "{word}: {}", escape(&place(item))).expect("a String takes all");
    }
    if taken_back.len() > LISTED_ITEMS {
        let more = taken_back.len() - LISTED_ITEMS;
        writeln!(text, "… and {more} more: `homing run show {}`", run.id)
            .expect("a String takes all");
    }
    if let Some(undone) = run.undone {
        write!(text, "run {undone}: ").expect("a String takes all");
    }
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

/// Says what an undo made of an item; `None` when it left it.
fn told(action: &ItemAction) -> Option<&'static str> {
    match action {
        ItemAction::Removed => Some("taken away"),
        ItemAction::Created => Some("brought back"),
        ItemAction::Failed | ItemAction::Conflict => None,
        _ => Some("put back"),
    }
}

#[cfg(test)]
mod tests {
    use homing_api::RunStatus;

    use super::*;
    use crate::runs::tests::{item, run};

    #[test]
    fn an_undo_names_the_run_and_the_files_and_says_how_to_end_the_hold() {
        let mut done = run(9, "team", RunStatus::Partial);
        done.undone = Some(7);
        (done.synced, done.removed, done.failed) = (2, 1, 1);
        done.items = vec![
            item(
                "a.md",
                ItemAction::Failed,
                Some("it was edited after the run"),
            ),
            item("b.md", ItemAction::Updated, None),
            item("gone.md", ItemAction::Created, None),
            item("to\u{1b}c.md", ItemAction::Removed, None),
        ];
        insta::assert_snapshot!(render(&done, Screen::default()), @r"
        failed: claude: a.md: it was edited after the run
        put back: claude: b.md
        brought back: claude: gone.md
        taken away: claude: to\u{1b}c.md
        run 7: 3 items put back and held, 1 item not touched; to follow upstream again: `homing release team`
        ");
    }

    #[test]
    fn a_long_list_of_files_is_cut() {
        let mut done = run(9, "team", RunStatus::Success);
        done.items = (0..25)
            .map(|number| item(&format!("a{number:02}.md"), ItemAction::Updated, None))
            .collect();
        let text = render(&done, Screen::default());
        assert_eq!(text.lines().count(), 22, "{text}");
        assert!(text.contains("… and 5 more: `homing run show 9`"), "{text}");
    }
}
