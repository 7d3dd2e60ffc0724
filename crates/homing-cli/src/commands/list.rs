//! `homing list`

use anstyle::Style;
use homing_api::{ItemKind, ItemsQuery, KnownItem, KnownItems, Level};

use crate::arguments::ListArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::{RED, Report, Screen, YELLOW};
use crate::table::{Table, plain};
use crate::text::count;

/// What is shown of a description where no terminal says how much has room.
const DESCRIPTION_CHARS: usize = 60;

/// Lists agents, skills and commands.
pub(super) async fn run(args: &ListArgs, context: &Context) -> Result<Report, CliError> {
    let query = ItemsQuery {
        kind: args.kind.map(|kind| kind.as_str().to_owned()),
        finding: None,
    };
    let known = of_sources(&query, &args.names, context).await?;
    let text = render(&known, args.kind.map(|kind| kind.as_str()), context.screen);
    Ok(Report::new(&known, text))
}

/// Asks for items, and leaves those of the named sources; [`homing_api::ProblemKind::UnknownSource`] when there is none of
/// a name.
pub(super) async fn of_sources(
    query: &ItemsQuery,
    names: &[String],
    context: &Context,
) -> Result<KnownItems, CliError> {
    for name in names {
        context.client.source(name).await?;
    }
    let mut known = context.client.items(query).await?;
    if !names.is_empty() {
        known.items.retain(|item| names.contains(&item.source));
    }
    Ok(known)
}

fn render(known: &KnownItems, kind: Option<&str>, screen: Screen) -> String {
    if known.items.is_empty() {
        return match kind {
            Some(kind) => format!("no {kind}s\n"),
            None => "no agents, skills or commands\n".to_owned(),
        };
    }
    let titles = [
        "NAME",
        "KIND",
        "VERSION",
        "SOURCE",
        "PUBLISHED IN",
        "FINDINGS",
        "DESCRIPTION",
    ];
    let mut table = Table::new(screen, &titles);
    for item in &known.items {
        let description = item.description.as_deref().unwrap_or("-");
        table.row([
            plain(&item.name),
            plain(item.kind.as_str()),
            plain(item.version.as_deref().unwrap_or("-")),
            plain(&item.source),
            published(item),
            findings(item),
            plain(line(description, screen)),
        ]);
    }
    table.render() + &total(known)
}

fn published(item: &KnownItem) -> (String, Style) {
    if item.published.is_empty() {
        let word = if item.enabled { "-" } else { "- (disabled)" };
        return plain(word);
    }
    let places = item.published.iter().map(|place| {
        if place.current {
            place.target.clone()
        } else {
            format!("{} (older)", place.target)
        }
    });
    let all_current = item.published.iter().all(|place| place.current);
    let style = if all_current { Style::new() } else { YELLOW };
    (places.collect::<Vec<_>>().join(", "), style)
}

fn findings(item: &KnownItem) -> (String, Style) {
    let number = |level: Level| {
        item.findings
            .iter()
            .filter(|one| one.level == level)
            .count() as u64
    };
    let (blocking, warnings, notes) = (
        number(Level::Blocking),
        number(Level::Warning),
        number(Level::Note),
    );
    let parts: Vec<String> = [
        (blocking, format!("{blocking} blocking")),
        (warnings, count(warnings, "warning")),
        (notes, count(notes, "note")),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(_, text)| text)
    .collect();
    match (blocking, warnings) {
        _ if parts.is_empty() => plain("-"),
        (0, 0) => plain(parts.join(", ")),
        (0, _) => (parts.join(", "), YELLOW),
        _ => (parts.join(", "), RED),
    }
}

/// Returns a description as one line.
fn line(description: &str, screen: Screen) -> String {
    let words: Vec<&str> = description.split_whitespace().collect();
    let line = words.join(" ");
    if screen.width.is_some() || line.chars().count() <= DESCRIPTION_CHARS {
        return line;
    }
    let cut: String = line.chars().take(DESCRIPTION_CHARS - 1).collect();
    format!("{}…", cut.trim_end())
}

fn total(known: &KnownItems) -> String {
    let parts = ItemKind::ALL.iter().filter_map(|kind| {
        let number = known.items.iter().filter(|item| item.kind == *kind).count() as u64;
        (number > 0).then(|| count(number, kind.as_str()))
    });
    format!("{}\n", parts.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use homing_api::{Finding, Placement};

    use super::*;

    fn item(kind: ItemKind, name: &str) -> KnownItem {
        KnownItem {
            source: "team".to_owned(),
            enabled: true,
            kind,
            name: name.to_owned(),
            path: format!("{name}.md"),
            description: None,
            version: None,
            files: 1,
            published: Vec::new(),
            findings: Vec::new(),
        }
    }

    fn finding(level: Level) -> Finding {
        Finding {
            rule: "unicode-tags".to_owned(),
            summary: "s".to_owned(),
            level,
            message: "m".to_owned(),
            path: "p".to_owned(),
            line: 1,
            column: 1,
        }
    }

    #[test]
    fn items_are_listed_with_where_they_are_and_what_is_said_against_them() {
        let place = |target: &str, current| Placement {
            target: target.to_owned(),
            path: "p".to_owned(),
            current,
        };
        let known = KnownItems {
            items: vec![
                KnownItem {
                    description: Some(
                        "Reviews code.\n  In long sentences that go on and on, as they do."
                            .to_owned(),
                    ),
                    version: Some("1.2".to_owned()),
                    published: vec![place("claude", true), place("codex", false)],
                    findings: vec![finding(Level::Note), finding(Level::Blocking)],
                    ..item(ItemKind::Agent, "review")
                },
                KnownItem {
                    findings: vec![finding(Level::Warning), finding(Level::Warning)],
                    ..item(ItemKind::Skill, "s")
                },
                KnownItem {
                    enabled: false,
                    ..item(ItemKind::Skill, "t")
                },
            ],
        };
        insta::assert_snapshot!(render(&known, None, Screen::default()), @r"
        NAME    KIND   VERSION  SOURCE  PUBLISHED IN           FINDINGS            DESCRIPTION
        review  agent  1.2      team    claude, codex (older)  1 blocking, 1 note  Reviews code. In long sentences that go on and on, as they…
        s       skill  -        team    -                      2 warnings          -
        t       skill  -        team    - (disabled)           -                   -
        1 agent, 2 skills
        ");
        let narrow = Screen {
            width: Some(60),
            ..Screen::default()
        };
        let text = render(&known, None, narrow);
        assert!(
            text.lines().all(|line| crate::width::columns(line) <= 60),
            "{text}"
        );
        let nothing = KnownItems { items: Vec::new() };
        assert_eq!(
            render(&nothing, None, Screen::default()),
            "no agents, skills or commands\n"
        );
        assert_eq!(
            render(&nothing, Some("skill"), Screen::default()),
            "no skills\n"
        );
    }
}
