//! What was typed wrongly.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};
use homing_api::{Problem, ProblemKind};

use crate::arguments::Arguments;
use crate::error::CliError;
use crate::names::{did_you_mean, nearest};

/// Takes what clap would print of `args`, the program's name first, as an error like any other.
pub(crate) fn error(usage: &clap::Error, args: &[OsString]) -> CliError {
    let text = usage.render().to_string();
    let mut parts = text
        .split("\n\n")
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let detail = match usage.kind() {
        // Its text is the whole help.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing".to_owned(),
        _ => parts.next().unwrap_or_default(),
    };
    let detail = detail.strip_prefix("error: ").unwrap_or(&detail);
    let help = format!("`{} --help`", command(args));
    let tip = match suggested(usage) {
        Some((typed, known)) => {
            let known = known.iter().map(|known| known.trim_start_matches('-'));
            let dashes = if typed.starts_with("--") { "--" } else { "" };
            nearest(typed.trim_start_matches('-'), known)
                .map(|meant| did_you_mean(&format!("{dashes}{meant}")))
        }
        None => parts.find_map(|part| part.strip_prefix("tip: ").map(ToOwned::to_owned)),
    };
    let hint = match tip {
        Some(tip) if tip.ends_with('?') => format!("{tip} See {help}"),
        Some(tip) => format!("{tip}; see {help}"),
        None => format!("see {help}"),
    };
    Problem::new(ProblemKind::BadRequest, detail)
        .with_hint(hint)
        .into()
}

/// Returns what was typed and what clap takes for alike: it finds likeness where a person finds none.
fn suggested(usage: &clap::Error) -> Option<(String, Vec<String>)> {
    [
        (
            ContextKind::InvalidSubcommand,
            ContextKind::SuggestedSubcommand,
        ),
        (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        (ContextKind::InvalidValue, ContextKind::SuggestedValue),
    ]
    .into_iter()
    .find_map(|(typed, alike)| {
        let alike = texts(usage.get(alike)?);
        let typed = texts(usage.get(typed)?).into_iter().next()?;
        Some((typed, alike))
    })
}

fn texts(value: &ContextValue) -> Vec<String> {
    match value {
        ContextValue::String(text) => vec![text.clone()],
        ContextValue::Strings(texts) => texts.clone(),
        _ => Vec::new(),
    }
}

/// Returns the command that was typed, as far as there is one.
fn command(args: &[OsString]) -> String {
    let mut known: Command = Arguments::command();
    let mut typed = known.get_name().to_owned();
    for arg in args.iter().skip(1).take_while(|arg| *arg != "--") {
        if let Some(inner) = known.find_subcommand(arg) {
            typed = format!("{typed} {}", inner.get_name());
            known = inner.clone();
        }
    }
    typed
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use homing_api::Exit;

    use super::*;

    #[test]
    fn what_was_typed_wrongly_is_a_bad_request_with_the_help_that_fits() {
        for (line, detail, hint) in [
            ("homing", "a command is missing", "see `homing --help`"),
            (
                "homing sycn",
                "unrecognized subcommand 'sycn'",
                "did you mean `sync`? See `homing --help`",
            ),
            (
                "homing enumerate",
                "unrecognized subcommand 'enumerate'",
                "see `homing --help`",
            ),
            (
                "homing sync --forse",
                "unexpected argument '--forse' found",
                "did you mean `--force`? See `homing sync --help`",
            ),
            (
                "homing resolve team",
                "the following required arguments were not provided: <--ours|--theirs|--union|--file <F>>",
                "see `homing resolve --help`",
            ),
            (
                "homing --quiet run shwo 1",
                "unrecognized subcommand 'shwo'",
                "did you mean `show`? See `homing run --help`",
            ),
        ] {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let usage = Arguments::try_parse_from(&args).unwrap_err();
            let error = error(&usage, &args);
            assert_eq!(error.exit(), Exit::Usage, "{line}");
            assert_eq!(error.problem().detail, detail);
            assert_eq!(error.problem().hint.as_deref(), Some(hint), "{line}");
        }
    }
}
