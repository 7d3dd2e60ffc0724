//! How runs are told.

mod ending;

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use homing_api::{Conflict, Item, ItemAction, Notice, Run, RunStatus};

use crate::output::{CYAN, RED, Screen, YELLOW};
use crate::text::{escape, quote};

pub(crate) use ending::{exit_of, of_failure, problems_of};

/// So many items of one run are listed; the rest is for `homing run show`.
pub(crate) const LISTED_ITEMS: usize = 20;

/// All is well.
const GREEN: Style = AnsiColor::Green.on_default();

/// Returns the items of a run that failed, and what a person should hear about, a line each.
pub(crate) fn details(run: &Run, screen: Screen) -> String {
    let mut text = String::new();
    let failed: Vec<&Item> = run
        .items
        .iter()
        .filter(|item| item.action == ItemAction::Failed)
        .collect();
    let reason = |item: &Item| {
        item.reason
            .clone()
            .unwrap_or_else(|| "it failed".to_owned())
    };
    let mut by_reason: Vec<(String, Vec<&Item>)> = Vec::new();
    for item in failed {
        let reason = reason(item);
        match by_reason.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, items)) => items.push(item),
            None => by_reason.push((reason, vec![item])),
        }
    }
    for (reason, items) in by_reason.iter().take(LISTED_ITEMS) {
        let label = screen.paint(RED, "failed:");
        let first = items.first().map(|item| place(item)).unwrap_or_default();
        let more = match items.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        writeln!(text, "{label} {}{more}: {}", escape(&first), escape(reason))
            .expect("a String takes all");
    }
    if by_reason.len() > LISTED_ITEMS {
        let rest = by_reason.iter().skip(LISTED_ITEMS);
        let more: usize = rest.map(|(_, items)| items.len()).sum();
        writeln!(text, "… and {more} more: `homing run show {}`", run.id)
            .expect("a String takes all");
    }
    text + &notices(&run.problems, screen)
}

/// Returns what a person should hear about, a line each.
pub(crate) fn notices(notices: &[Notice], screen: Screen) -> String {
    let mut text = String::new();
    for notice in notices.iter().take(LISTED_ITEMS) {
        let label = screen.paint(YELLOW, &format!("{}:", escape(&notice.kind)));
        let message = &notice.message;
        // Most sentences begin with the place that they are about.
        let is_named = message
            .strip_prefix('`')
            .and_then(|rest| rest.strip_prefix(notice.path.as_str()))
            .is_some_and(|rest| rest.starts_with(['`', ':']));
        let path = if notice.path.is_empty() || is_named {
            String::new()
        } else {
            format!("{}: ", escape(&notice.path))
        };
        writeln!(text, "{label} {path}{}", escape(message)).expect("a String takes all");
    }
    if notices.len() > LISTED_ITEMS {
        writeln!(
            text,
            "… and at least {} more; `homing run show` lists them",
            notices.len() - LISTED_ITEMS
        )
        .expect("a String takes all");
    }
    text
}

/// Returns open conflicts, each with the command that decides it.
pub(crate) fn conflicts(conflicts: &[Conflict], screen: Screen) -> String {
    let mut text = String::new();
    for conflict in conflicts {
        let place = conflict.target.as_ref().unwrap_or(&conflict.source);
        let label = screen.paint(YELLOW, "conflict:");
        let detail = conflict
            .detail
            .as_ref()
            .map(|detail| format!(", {detail}"))
            .unwrap_or_default();
        let said = format!("{place}: {} ({}{detail})", conflict.path, conflict.kind);
        if conflict.kind.as_str() == "structure" {
            let way_out = "move what stands in the way; the conflict closes with the next sync";
            writeln!(text, "{label} {}\n  {way_out}", escape(&said)).expect("a String takes all");
            continue;
        }
        let command = format!("homing resolve {} {}", quote(place), quote(&conflict.path));
        // The lines of both need both, and of one origin.
        let union = match conflict.kind.as_str() {
            "content" | "added" => "|--union",
            _ => "",
        };
        let choices = screen.paint(
            CYAN,
            &escape(&format!("{command} --ours|--theirs{union}|--file F")),
        );
        writeln!(text, "{label} {}\n  {choices}", escape(&said)).expect("a String takes all");
    }
    text
}

/// Returns where an item is: the target or source, and the path there.
pub(crate) fn place(item: &Item) -> String {
    format!(
        "{}: {}",
        item.target.as_ref().unwrap_or(&item.source),
        item.path
    )
}

/// Returns the style in which a status is shown.
pub(crate) fn status_style(status: &RunStatus) -> Style {
    match status {
        RunStatus::Success => GREEN,
        RunStatus::Queued | RunStatus::Running | RunStatus::Other(_) => Style::new(),
        RunStatus::Partial | RunStatus::Blocked | RunStatus::Cancelled => YELLOW,
        RunStatus::Error | RunStatus::Interrupted => RED,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use homing_api::{Failure, Notice, ProblemKind, Trigger, Verb};

    use super::*;

    /// Returns a run that did something.
    pub(crate) fn run(id: i64, source: &str, status: RunStatus) -> Run {
        Run {
            id,
            source: Some(source.to_owned()),
            target: None,
            verb: Verb::Sync,
            undone: None,
            trigger: Trigger::Manual,
            status,
            started_at: "2026-01-02T03:04:05.678Z".to_owned(),
            duration_ms: 1_234,
            synced: 12,
            cached: 300,
            failed: 0,
            removed: 1,
            bytes: 5_000,
            requests: 0,
            error: None,
            problems: Vec::new(),
            phases: Vec::new(),
            revision: None,
            commits: None,
            progress: None,
            items: Vec::new(),
            next: None,
        }
    }

    /// Returns an item of `team` in `claude`.
    pub(crate) fn item(path: &str, action: ItemAction, reason: Option<&str>) -> Item {
        Item {
            source: "team".to_owned(),
            target: Some("claude".to_owned()),
            path: path.to_owned(),
            action,
            before: None,
            after: None,
            reason: reason.map(ToOwned::to_owned),
            patch: None,
        }
    }

    /// Returns why something failed.
    pub(crate) fn failure(kind: ProblemKind) -> Failure {
        Failure {
            kind,
            message: "the root is missing".to_owned(),
            causes: vec!["No such file or directory".to_owned()],
            hint: Some("mount it".to_owned()),
        }
    }

    #[test]
    fn failed_items_and_notices_are_listed_and_long_lists_cut() {
        let mut run = run(7, "team", RunStatus::Partial);
        run.items = (0..22)
            .map(|n| {
                item(
                    &format!("a{n:02}.md"),
                    ItemAction::Failed,
                    Some(&format!("larger than {n} bytes")),
                )
            })
            .collect();
        run.items.push(item("done.md", ItemAction::Created, None));
        run.problems = vec![
            Notice {
                kind: "link".to_owned(),
                path: "to\u{1b}c".to_owned(),
                message: "not followed".to_owned(),
            },
            Notice {
                kind: "empty".to_owned(),
                path: String::new(),
                message: "nothing matched".to_owned(),
            },
        ];
        let text = details(&run, Screen::default());
        assert_eq!(text.lines().count(), 23);
        assert!(!text.contains("done.md") && !text.contains('\u{1b}'));
        insta::assert_snapshot!(text.lines().skip(19).collect::<Vec<_>>().join("\n"), @r"
        failed: claude: a19.md: larger than 19 bytes
        … and 2 more: `homing run show 7`
        link: to\u{1b}c: not followed
        empty: nothing matched
        ");
    }

    #[test]
    fn what_failed_for_one_reason_is_one_line() {
        let mut run = run(7, "team", RunStatus::Partial);
        let full = "no space left on device";
        run.items = (0..30)
            .map(|n| item(&format!("a{n:02}.md"), ItemAction::Failed, Some(full)))
            .collect();
        run.items
            .push(item("b.md", ItemAction::Failed, Some("too large")));
        insta::assert_snapshot!(details(&run, Screen::default()), @r"
        failed: claude: a00.md and 29 more: no space left on device
        failed: claude: b.md: too large
        ");
    }
}
