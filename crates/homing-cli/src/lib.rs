//! The homing command line: it asks the daemon and shows the answer. It opens no database and reads no source.

mod arguments;
mod bars;
mod commands;
mod context;
mod error;
mod live;
mod output;
mod pick;
mod runs;
mod table;
mod text;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use homing_config::Env;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::output::Output;

/// Runs the command line `args` (the program's name first) and returns how it ended.
pub fn main(args: impl IntoIterator<Item = OsString>, env: &Env) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(usage) => {
            // Nobody is left to hear that the terminal is gone.
            drop(usage.print());
            return ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2));
        }
    };
    let output = Output::of_process(&arguments.globals, env);
    let result = Context::new(&arguments.globals, env, output.screen()).and_then(|context| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(commands::run(&arguments.command, &context))
    });
    let exit = match result {
        Ok(report) => output.report(&report),
        Err(error) => output.error(&error),
    };
    ExitCode::from(exit.code())
}
