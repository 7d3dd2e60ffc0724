//! `homing completions`

use std::path::Path;

use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use serde_json::json;

use crate::arguments::{CompletionsArgs, Shell};
use crate::completion::VARIABLE;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;

/// The program's name, for which the shell completes.
const PROGRAM: &str = "homing";

/// Prints the script by which a shell asks this program for what can follow.
pub(super) fn run(args: &CompletionsArgs, context: &Context) -> Result<Report, CliError> {
    let typed = std::env::args_os().next().unwrap_or_default();
    let typed = Path::new(&typed);
    // What was found in $PATH is found there again, after an update too.
    let program = if typed.components().count() > 1 {
        context.absolute(typed).to_string_lossy().into_owned()
    } else {
        PROGRAM.to_owned()
    };
    let (word, shell): (&str, &dyn EnvCompleter) = match args.shell {
        Shell::Bash => ("bash", &Bash),
        Shell::Zsh => ("zsh", &Zsh),
        Shell::Fish => ("fish", &Fish),
    };
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, PROGRAM, PROGRAM, &program, &mut script)?;
    let script = String::from_utf8_lossy(&script);
    let script = format!("{}\n", script.trim());
    Ok(Report::new(&json!({"shell": word, "script": script}), script).unfitted())
}
