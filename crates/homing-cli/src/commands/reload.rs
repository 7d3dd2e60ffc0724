//! `homing config reload`

use std::fmt::Write as _;

use homing_api::{Changes, Reloaded};

use crate::context::Context;
use crate::error::CliError;
use crate::output::{Report, Screen};
use crate::text::escape;

/// Has homingd take the configuration over.
pub(super) async fn run(context: &Context) -> Result<Report, CliError> {
    let reloaded = context.client.reload().await?;
    let text = render(&reloaded, context.screen);
    Ok(Report::new(&reloaded, text))
}

fn render(reloaded: &Reloaded, screen: Screen) -> String {
    let mut text = String::new();
    let mut line = |what: &str, names: &[String]| {
        if !names.is_empty() {
            writeln!(text, "{what}: {}", escape(&names.join(", "))).expect("a String takes all");
        }
    };
    for (kind, changes) in [
        ("sources", &reloaded.sources),
        ("targets", &reloaded.targets),
    ] {
        let Changes {
            added,
            removed,
            changed,
        } = changes;
        line(&format!("{kind} added"), added);
        line(&format!("{kind} removed"), removed);
        line(&format!("{kind} changed"), changed);
    }
    line("settings changed", &reloaded.settings);
    if reloaded.is_empty() {
        text.push_str("the configuration is valid, and nothing in it has changed\n");
    }
    if !reloaded.restart_needed.is_empty() {
        let keys = reloaded.restart_needed.join(", ");
        text.push_str(&screen.warning(&format!("takes effect when homingd starts again: {keys}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_change_has_its_line() {
        let reloaded = Reloaded {
            sources: Changes {
                added: names(&["a", "b"]),
                removed: names(&["c"]),
                changed: names(&["d"]),
            },
            targets: Changes {
                changed: names(&["t"]),
                ..Changes::default()
            },
            settings: names(&["log"]),
            restart_needed: names(&["data_dir"]),
            commands_waiting: Vec::new(),
        };
        insta::assert_snapshot!(render(&reloaded, Screen::default()), @r"
        sources added: a, b
        sources removed: c
        sources changed: d
        targets changed: t
        settings changed: log
        warning: takes effect when homingd starts again: data_dir
        ");
    }

    #[test]
    fn nothing_is_told_as_nothing() {
        let text = render(&Reloaded::default(), Screen::default());
        assert_eq!(
            text,
            "the configuration is valid, and nothing in it has changed\n"
        );
    }
}
