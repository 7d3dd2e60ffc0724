//! Homing's daemon.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    homing_daemon::main(
        std::env::args_os().skip(1),
        &homing_config::Env::from_process(),
    )
}
