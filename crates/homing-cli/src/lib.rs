//! The homing command line: it asks the daemon and shows the answer. It opens no database and reads no source.

mod arguments;
mod bars;
mod commands;
mod commits;
mod completion;
mod context;
mod error;
mod layout;
mod live;
mod names;
mod output;
mod paths;
mod pick;
mod progress_lines;
mod revisions;
mod runs;
mod table;
mod text;
mod usage;
mod width;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use homing_config::Env;

use crate::arguments::{Arguments, Globals};
use crate::context::Context;
use crate::output::Output;

/// Runs the command line `args` (the program's name first) and returns how it ended.
pub fn main(args: impl IntoIterator<Item = OsString>, env: &Env) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if completion::answer(&args, env) {
        return ExitCode::SUCCESS;
    }
    let arguments = match Arguments::try_parse_from(&args) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && (asks_for_json(&args) || !is_help(&error)) => {
            let globals = Globals {
                json: asks_for_json(&args),
                ..Globals::default()
            };
            let exit = Output::of_process(&globals, env).error(&usage::error(&error, &args));
            return ExitCode::from(exit.code());
        }
        Err(help) => {
            // Nobody is left to hear that the terminal is gone.
            drop(help.print());
            return ExitCode::from(u8::try_from(help.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::of_process(&arguments.globals, env);
    let result = Context::new(&arguments.globals, env, output.screen()).and_then(|context| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(names::with_nearest(
            commands::run(&arguments.command, &context),
            &context,
        ))
    });
    let exit = match result {
        Ok(report) => output.report(&report),
        Err(error) => output.error(&error),
    };
    ExitCode::from(exit.code())
}

/// Tells whether the text is the help, which who typed no command gets.
fn is_help(error: &clap::Error) -> bool {
    error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// Tells whether `--json` was typed, where the rest could not be understood.
fn asks_for_json(args: &[OsString]) -> bool {
    args.iter()
        .skip(1)
        .take_while(|arg| *arg != "--")
        .any(|arg| arg == "--json")
}
