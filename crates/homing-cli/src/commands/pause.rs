//! `homing pause`

use std::fmt::Write as _;

use homing_api::{Pause, Pauses};
use jiff::Timestamp;

use crate::arguments::PauseArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;
use crate::text::{escape, until};

/// Pauses sources, or everything.
pub(super) async fn run(args: &PauseArgs, context: &Context) -> Result<Report, CliError> {
    let pauses = if args.names.is_empty() {
        context.client.pause(None, args.length).await?
    } else {
        // All or none: a name that is wrong is told before anything is paused.
        for name in &args.names {
            context.client.source(name).await?;
        }
        let mut pauses = Pauses::default();
        for name in &args.names {
            pauses = context.client.pause(Some(name), args.length).await?;
        }
        pauses
    };
    let text = render(&pauses, context.now);
    Ok(Report::new(&pauses, text))
}

/// Tells what is paused.
pub(super) fn render(pauses: &Pauses, now: Timestamp) -> String {
    let all = pauses.all.iter().map(|pause| ("everything", pause));
    let own = pauses.sources.iter();
    let mut text = String::new();
    for (name, pause) in all.chain(own.map(|(name, pause)| (name.as_str(), pause))) {
        writeln!(text, "{} {}", escape(name), describe(pause, now)).expect("a String takes all");
    }
    if text.is_empty() {
        text.push_str("nothing is paused\n");
    }
    text
}

/// Returns "is paused until …", or how to end it.
fn describe(pause: &Pause, now: Timestamp) -> String {
    match &pause.until {
        Some(end) => format!("is paused {}", until(end, now)),
        None => "is paused until `homing resume`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_paused_is_told_with_its_end() {
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let pause = |until: Option<&str>| Pause {
            since: "2026-01-02T03:00:00.000Z".to_owned(),
            until: until.map(str::to_owned),
        };
        assert_eq!(render(&Pauses::default(), now), "nothing is paused\n");
        let pauses = Pauses {
            all: Some(pause(Some("2026-01-02T05:04:05.000Z"))),
            sources: [("team".to_owned(), pause(None))].into(),
        };
        insta::assert_snapshot!(render(&pauses, now), @r"
        everything is paused for 2h, until 2026-01-02T05:04:05Z
        team is paused until `homing resume`
        ");
    }
}
