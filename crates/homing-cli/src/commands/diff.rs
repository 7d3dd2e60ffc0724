//! `homing diff`

mod patch;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anstyle::Style;
use homing_api::{Diff, Diffs, ItemAction, RequestVerb};

use crate::arguments::DiffArgs;
use crate::commits;
use crate::context::Context;
use crate::error::CliError;
use crate::output::{RED, Report, Screen, YELLOW};
use crate::runs::notices;
use crate::table::{Table, plain};
use crate::text::{count, escape, quote};

/// Shows what a sync would do.
pub(super) async fn run(args: &DiffArgs, context: &Context) -> Result<Report, CliError> {
    let names = match &args.name {
        Some(name) => vec![name.clone()],
        None => context.enabled_sources().await?,
    };
    let mut diffs = Vec::new();
    for name in &names {
        let client = &context.client;
        diffs.push(if args.patch {
            client.diff_with_patches(name, RequestVerb::Sync).await?
        } else {
            client.diff(name, RequestVerb::Sync).await?
        });
    }
    tell_once(&mut diffs);
    let mut text = context.screen.fit(render(&diffs, context.screen));
    if args.patch {
        // As they are: a line that was wrapped would be another one.
        text.push_str(&patch::render(&diffs, context.screen));
    }
    let warning = diffs
        .is_empty()
        .then(|| "nothing to compare: no source is configured and enabled; `homing source add` or `homing source enable NAME` comes first".to_owned());
    Ok(Report::new(&Diffs { diffs }, text)
        .unfitted()
        .with_warning(warning))
}

/// Leaves each change with its own source, or with the first that would make it: they have their targets in common.
pub(super) fn tell_once(diffs: &mut [Diff]) {
    let asked: BTreeSet<String> = diffs.iter().map(|diff| diff.source.clone()).collect();
    let mut told = BTreeSet::new();
    for diff in diffs {
        diff.items.retain(|item| {
            let change = (item.source.clone(), item.target.clone(), item.path.clone());
            item.source == diff.source || (!asked.contains(&item.source) && told.insert(change))
        });
    }
}

/// Returns what syncs would do.
pub(super) fn render(diffs: &[Diff], screen: Screen) -> String {
    let mut text = String::new();
    for diff in diffs {
        if diff.items.is_empty() && diff.modified.is_empty() {
            writeln!(text, "{}: nothing to do", escape(&diff.source)).expect("a String takes all");
        } else {
            text.push_str(&table(diff, screen));
        }
        if let Some(commits) = &diff.commits {
            let said = commits::render(commits);
            write!(text, "{}: {said}", escape(&diff.source)).expect("a String takes all");
        }
        text.push_str(&notices(&diff.problems, screen));
        if let Some(blocked) = &diff.blocked {
            let label = screen.paint(YELLOW, "blocked:");
            let accept = format!("homing sync {} --accept-deletions", diff.source);
            writeln!(text, "{label} {}; to go on: `{accept}`", escape(blocked))
                .expect("a String takes all");
        }
        let waiting = diff
            .items
            .iter()
            .filter(|item| item.action == ItemAction::Conflict)
            .count() as u64;
        let changes = diff.items.len() as u64 - waiting;
        if diff.items.len() + diff.modified.len() > 0 {
            let said = [
                count(changes, "change"),
                count(waiting, "conflict"),
                count(diff.modified.len() as u64, "edit") + " kept",
            ];
            writeln!(text, "{}: {}", escape(&diff.source), said.join(", "))
                .expect("a String takes all");
        }
        if diff.held > 0 {
            let (name, held) = (quote(&diff.source), count(diff.held, "held item"));
            let said = format!(
                "{}: {held} left out (`homing files {name}` names them, `homing release {name}` lets them follow)",
                diff.source
            );
            writeln!(text, "{}", escape(&said)).expect("a String takes all");
        }
    }
    text
}

fn table(diff: &Diff, screen: Screen) -> String {
    let mut table = Table::new(screen, &["CHANGE", "WHERE", "PATH", "WHY"]);
    for item in &diff.items {
        let place = item.target.as_ref().unwrap_or(&item.source);
        let reason = item.reason.clone().unwrap_or_default();
        table.row([
            (word(&item.action).to_owned(), style(&item.action)),
            plain(place),
            plain(&item.path),
            plain(reason),
        ]);
    }
    for edit in &diff.modified {
        let place = edit.target.as_ref().unwrap_or(&edit.source);
        table.row([
            plain("edited"),
            plain(place),
            plain(&edit.path),
            plain("stays as it is"),
        ]);
    }
    table.render()
}

/// Returns what would be done, for it was not done yet.
pub(super) fn word(action: &ItemAction) -> &str {
    match action {
        ItemAction::Created => "create",
        ItemAction::Updated => "update",
        ItemAction::Merged => "merge",
        ItemAction::Removed => "remove",
        ItemAction::Captured => "capture",
        ItemAction::Pushed => "push",
        ItemAction::Adopted => "adopt",
        ItemAction::Failed => "fail",
        ItemAction::Conflict | ItemAction::Other(_) => action.as_str(),
    }
}

fn style(action: &ItemAction) -> Style {
    match action {
        ItemAction::Removed | ItemAction::Failed => RED,
        ItemAction::Conflict => YELLOW,
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use homing_api::{Course, Modified};

    use super::*;
    use crate::runs::tests::item;

    #[test]
    fn changes_edits_and_the_guard_are_shown() {
        let full = Diff {
            source: "team".to_owned(),
            items: vec![
                item("agents/new.md", ItemAction::Created, None),
                item("agents/old.md", ItemAction::Removed, None),
                item("agents/both.md", ItemAction::Conflict, Some("content")),
            ],
            modified: vec![Modified {
                source: "team".to_owned(),
                target: Some("claude".to_owned()),
                path: "agents/mine.md".to_owned(),
            }],
            blocked: Some("it would delete 9 of 10 items".to_owned()),
            held: 2,
            problems: Vec::new(),
            commits: Some(commits::tests::commits(Course::Onward)),
        };
        let nothing = Diff {
            source: "quiet".to_owned(),
            items: Vec::new(),
            modified: Vec::new(),
            blocked: None,
            held: 0,
            problems: Vec::new(),
            commits: None,
        };
        insta::assert_snapshot!(render(&[full, nothing], Screen::default()), @r"
        CHANGE    WHERE   PATH            WHY
        create    claude  agents/new.md
        remove    claude  agents/old.md
        conflict  claude  agents/both.md  content
        edited    claude  agents/mine.md  stays as it is
        team: 3 commits since aaaaaaaaaaaa:
          cccccccccccc  2026-01-02  say more\u{1b}[2J
          bbbbbbbbbbbb  2026-01-02
          and 1 more
        blocked: it would delete 9 of 10 items; to go on: `homing sync team --accept-deletions`
        team: 2 changes, 1 conflict, 1 edit kept
        team: 2 held items left out (`homing files team` names them, `homing release team` lets them follow)
        quiet: nothing to do
        ");
    }
}
