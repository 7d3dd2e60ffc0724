//! homingd: configuration, lock, socket, interface, schedule.
//!
//! The only crate that knows axum. It decides nothing about items: that is the engine's.

mod api;
mod arguments;
mod assemble;
mod check;
mod check_sources;
mod condition;
mod config_watch;
mod configuration;
mod connections;
mod convert;
mod daemon;
mod figures;
mod import;
mod lock;
mod log;
mod problem;
mod restore;
mod schedule;
mod secrets;
mod server;
mod service;
mod shown;
mod signal;
mod socket;
mod start;
mod tasks;
mod upkeep;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use homing_config::{Env, Locations};

use crate::arguments::{Action, Arguments};
use crate::assemble::Kept;
use crate::configuration::Place;
use crate::start::StartError;

/// How long blocking work may take to notice that the daemon has ended.
const LAST_GRACE: Duration = Duration::from_millis(200);

/// Runs homingd to its end and returns the exit code of the process.
///
/// `arguments` are those after the program's name.
pub fn main(arguments: impl IntoIterator<Item = OsString>, env: &Env) -> ExitCode {
    run(arguments, env).unwrap_or_else(|error| {
        error.print();
        ExitCode::from(error.exit_code())
    })
}

fn run(arguments: impl IntoIterator<Item = OsString>, env: &Env) -> Result<ExitCode, StartError> {
    let arguments = Arguments::parse(arguments)?;
    match arguments.action {
        Action::Help => return print(arguments::HELP),
        Action::Version => return print(concat!("homingd ", env!("CARGO_PKG_VERSION"), "\n")),
        Action::Serve | Action::CheckStore | Action::RestoreStore | Action::CheckSources => {}
    }
    let locations = Locations::find(
        arguments.config.as_deref(),
        arguments.data_dir.as_deref(),
        env,
    )
    .map_err(|error| StartError::Usage {
        message: error.to_string(),
    })?;
    let data_dir = &locations.data_dir;
    match arguments.action {
        Action::CheckStore => {
            let found = check::check(data_dir)?;
            print(&if arguments.json {
                json(&found)
            } else {
                check::text(&found, data_dir)
            })?;
            if found.sound {
                Ok(ExitCode::SUCCESS)
            } else {
                Err(StartError::Damaged {
                    data_dir: data_dir.clone(),
                })
            }
        }
        Action::RestoreStore => {
            let restored = restore::restore(data_dir, &arguments.backup)?;
            print(&if arguments.json {
                json(&restored)
            } else {
                restore::text(&restored)
            })
        }
        Action::CheckSources => print(&check_sources::run(&locations, env)?),
        Action::Serve | Action::Help | Action::Version => {
            let from_env = env.log_format.as_deref();
            let from_env = from_env.map(|word| arguments::log_format("HOMING_LOG_FORMAT", word));
            let log_format = match arguments.log_format {
                Some(format) => Some(format),
                None => from_env.transpose()?,
            };
            serve(Place {
                log_format,
                config: arguments.config,
                data_dir: arguments.data_dir,
                env: env.clone(),
                kept: Kept::new(&locations.data_dir, env),
                locations,
            })
        }
    }
}

fn json(document: &impl serde::Serialize) -> String {
    // What is printed has text keys only, so it can always be written.
    serde_json::to_string_pretty(document).unwrap_or_default() + "\n"
}

fn serve(place: Place) -> Result<ExitCode, StartError> {
    let judged = place.load(None);
    let filter = match &judged {
        Ok(judged) => Ok(judged.filter.clone()),
        Err(_) => log::filter("info"),
    };
    let filter = filter.map_err(|error| StartError::system("could not begin to log", error))?;
    let format = place.log_format(judged.as_ref().ok().map(|judged| &judged.config));
    let log = log::start(filter, format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()
        .map_err(|error| StartError::system("could not start", error))?;
    let ended = runtime.block_on(daemon::run(place, judged, log));
    runtime.shutdown_timeout(LAST_GRACE);
    ended
}

/// Returns how many threads run tasks: what takes long does not run on them, so that a few are enough for any machine.
fn workers() -> usize {
    const MOST: usize = 4;
    std::thread::available_parallelism().map_or(1, |processors| processors.get().min(MOST))
}

fn print(text: &str) -> Result<ExitCode, StartError> {
    match io::stdout()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush())
    {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // Whoever reads has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(StartError::system(
            "could not write to standard output",
            error,
        )),
    }
}
