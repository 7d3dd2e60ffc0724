//! `homing conflicts`

use homing_api::{Conflict, Conflicts, ConflictsQuery};
use jiff::Timestamp;

use crate::arguments::ConflictsArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::{CYAN, Report, Screen};
use crate::pick::is_of;
use crate::table::{Table, plain};
use crate::text::{escape, quote, relative};

/// Lists open conflicts.
pub(super) async fn run(args: &ConflictsArgs, context: &Context) -> Result<Report, CliError> {
    let mut conflicts = context
        .client
        .conflicts(&ConflictsQuery::default())
        .await?
        .conflicts;
    if let Some(name) = &args.name {
        conflicts.retain(|conflict| is_of(conflict, name));
        if conflicts.is_empty() {
            context.require_name(name).await?;
        }
    }
    let text = render(&conflicts, context.now, context.screen);
    Ok(Report::new(&Conflicts { conflicts }, text))
}

fn render(conflicts: &[Conflict], now: Timestamp, screen: Screen) -> String {
    if conflicts.is_empty() {
        return "no open conflicts\n".to_owned();
    }
    let mut table = Table::new(screen, &["WHERE", "PATH", "KIND", "HOP", "SINCE", "MORE"]);
    for conflict in conflicts {
        table.row([
            plain(place(conflict)),
            plain(&conflict.path),
            plain(conflict.kind.as_str()),
            plain(conflict.hop.as_str()),
            plain(relative(&conflict.since, now)),
            plain(conflict.detail.clone().unwrap_or_default()),
        ]);
    }
    let mut text = table.render();
    let is_structure = |conflict: &&Conflict| conflict.kind.as_str() == "structure";
    if let Some(first) = conflicts.iter().find(|conflict| !is_structure(conflict)) {
        let command = format!(
            "homing resolve {} {}",
            quote(place(first)),
            quote(&first.path)
        );
        let command = screen.paint(
            CYAN,
            &escape(&format!("{command} --ours|--theirs|--union|--file F")),
        );
        text.extend(["decide with: ", &command, "\n"]);
    }
    if conflicts.iter().any(|conflict| is_structure(&conflict)) {
        text.push_str("structure: move what stands in the way; it closes with the next sync\n");
    }
    text
}

fn place(conflict: &Conflict) -> &str {
    conflict.target.as_ref().unwrap_or(&conflict.source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pick::tests::conflict;

    #[test]
    fn conflicts_come_with_the_command_that_decides_them() {
        let now = "2026-01-02T03:14:05.678Z".parse().unwrap();
        let conflicts = [
            conflict(1, "team", Some("claude"), "agents/review.md"),
            conflict(3, "team", None, "agents/reviewer.md"),
        ];
        insta::assert_snapshot!(render(&conflicts, now, Screen::default()), @r"
        WHERE   PATH                KIND     HOP      SINCE    MORE
        claude  agents/review.md    content  publish  10m ago
        team    agents/reviewer.md  content  pull     10m ago
        decide with: homing resolve claude agents/review.md --ours|--theirs|--union|--file F
        ");
        assert_eq!(render(&[], now, Screen::default()), "no open conflicts\n");
    }
}
