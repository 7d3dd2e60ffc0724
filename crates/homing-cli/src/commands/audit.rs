//! `homing audit`

mod sarif;

use std::fmt::Write;

use homing_api::{Exit, Finding, ItemsQuery, KnownItem, KnownItems, Level};

use super::list::of_sources;
use crate::arguments::AuditArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::{CYAN, RED, Report, Screen, YELLOW};
use crate::text::{count, escape};

/// Tells what is to be said against items. Blocking findings end it like a run of which some items failed.
pub(super) async fn run(args: &AuditArgs, context: &Context) -> Result<Report, CliError> {
    let query = ItemsQuery {
        kind: None,
        finding: Some(Level::Note.as_str().to_owned()),
    };
    let known = of_sources(&query, &args.names, context).await?;
    let is_blocking = |(_, one): (&KnownItem, &Finding)| one.level == Level::Blocking;
    let exit = if findings(&known).any(is_blocking) {
        Exit::Partial
    } else {
        Exit::Done
    };
    let report = if args.sarif {
        let log = sarif::log(&known);
        let text = format!("{log:#}\n");
        Report::new(&log, text).unfitted()
    } else {
        Report::new(&known, render(&known, context.screen)).unfitted()
    };
    Ok(report.ending(exit))
}

/// Returns every finding with its item.
fn findings(known: &KnownItems) -> impl Iterator<Item = (&KnownItem, &Finding)> {
    let items = known.items.iter();
    items.flat_map(|item| item.findings.iter().map(move |finding| (item, finding)))
}

fn render(known: &KnownItems, screen: Screen) -> String {
    let mut all: Vec<_> = findings(known).collect();
    let place = |(item, one): &(&KnownItem, &Finding)| {
        (item.source.clone(), one.path.clone(), one.line, one.column)
    };
    all.sort_by_key(place);
    let mut text = String::new();
    for (item, one) in &all {
        let level = match one.level {
            Level::Blocking => screen.paint(RED, "blocking"),
            Level::Warning => screen.paint(YELLOW, "warning"),
            _ => screen.paint(CYAN, one.level.as_str()),
        };
        writeln!(
            text,
            "{}: {}:{}:{}: {level}: {}: {}",
            escape(&item.source),
            escape(&one.path),
            one.line,
            one.column,
            escape(&one.rule),
            escape(&one.message)
        )
        .expect("a String takes all");
    }
    let number = |level: Level| all.iter().filter(|(_, one)| one.level == level).count() as u64;
    let (blocking, warnings, notes) = (
        number(Level::Blocking),
        number(Level::Warning),
        number(Level::Note),
    );
    if all.is_empty() {
        text.push_str("nothing is to be said against any item\n");
    } else {
        writeln!(
            text,
            "{blocking} blocking, {}, {}",
            count(warnings, "warning"),
            count(notes, "note")
        )
        .expect("a String takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use homing_api::ItemKind;

    use super::*;

    pub(super) fn known() -> KnownItems {
        let finding = |rule: &str, level, path: &str, line| Finding {
            rule: rule.to_owned(),
            summary: format!("about {rule}"),
            level,
            message: "a \u{202e} message".to_owned(),
            path: path.to_owned(),
            line,
            column: 4,
        };
        KnownItems {
            items: vec![KnownItem {
                source: "team".to_owned(),
                enabled: true,
                kind: ItemKind::Skill,
                name: "s".to_owned(),
                path: "my s/SKILL.md".to_owned(),
                description: None,
                version: None,
                files: 2,
                published: Vec::new(),
                findings: vec![
                    finding("piped-download", Level::Warning, "my s/run#1.sh", 12),
                    finding("unicode-tags", Level::Blocking, "my s/SKILL.md", 2),
                    finding("invalid-name", Level::Note, "my s/SKILL.md", 1),
                    finding("unicode-tags", Level::Blocking, "my s/SKILL.md", 3),
                ],
            }],
        }
    }

    #[test]
    fn findings_are_told_by_file_and_line() {
        insta::assert_snapshot!(render(&known(), Screen::default()), @r"
        team: my s/SKILL.md:1:4: note: invalid-name: a \u{202e} message
        team: my s/SKILL.md:2:4: blocking: unicode-tags: a \u{202e} message
        team: my s/SKILL.md:3:4: blocking: unicode-tags: a \u{202e} message
        team: my s/run#1.sh:12:4: warning: piped-download: a \u{202e} message
        2 blocking, 1 warning, 1 note
        ");
        let nothing = KnownItems { items: Vec::new() };
        assert_eq!(
            render(&nothing, Screen::default()),
            "nothing is to be said against any item\n"
        );
    }
}
