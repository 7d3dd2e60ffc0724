//! Homing's command line.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    homing_cli::main(std::env::args_os(), &homing_config::Env::from_process())
}
