//! One verb, one file.

mod audit;
mod completions;
mod config;
mod conflicts;
mod db;
mod diff;
mod editing;
mod events;
mod files;
mod history;
mod import;
mod list;
mod man;
mod pause;
mod release;
mod reload;
mod resolve;
mod resume;
mod rollback;
mod run;
mod source;
mod status;
mod sync;
mod target;
mod undo;
mod verify;
mod version;
mod why;

use homing_api::RequestVerb;

use crate::arguments::{Command, ConfigCommand, DbCommand, RunCommand};
use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;

/// Carries out what was typed.
pub(crate) async fn run(command: &Command, context: &Context) -> Result<Report, CliError> {
    match command {
        Command::Completions(args) => return completions::run(args, context),
        Command::Man(args) => return man::run(args, context),
        Command::Config(ConfigCommand::Reload) => {}
        Command::Config(command) => return config::run(*command, context),
        Command::Source(command) => return source::run(command, context).await,
        Command::Target(command) => return target::run(command, context).await,
        Command::Db(DbCommand::Restore { file }) => return db::restore(file, context),
        Command::Version => return version::run(context).await,
        _ => {}
    }
    let report = match command {
        Command::Status(args) => status::run(args, context).await,
        Command::Sync(args) => sync::run(RequestVerb::Sync, args, context).await,
        Command::Pull(args) => sync::run(RequestVerb::Pull, args, context).await,
        Command::Push(args) => sync::run(RequestVerb::Push, args, context).await,
        Command::Diff(args) => diff::run(args, context).await,
        Command::Files(args) => files::run(args, context).await,
        Command::List(args) => list::run(args, context).await,
        Command::Audit(args) => audit::run(args, context).await,
        Command::Conflicts(args) => conflicts::run(args, context).await,
        Command::Resolve(args) => resolve::run(args, context).await,
        Command::History(args) => history::run(args, context).await,
        Command::Run(RunCommand::Show(args)) => run::show(args, context).await,
        Command::Run(RunCommand::Cancel(args)) => run::cancel(args, context).await,
        Command::Undo(args) => undo::run(args, context).await,
        Command::Rollback(args) => rollback::run(args, context).await,
        Command::Release(args) => release::run(args, context).await,
        Command::Events(args) => events::run(args, context).await,
        Command::Verify(args) => verify::run(args, context).await,
        Command::Why(args) => why::run(args, context).await,
        Command::Pause(args) => pause::run(args, context).await,
        Command::Resume(args) => resume::run(args, context).await,
        Command::Import(command) => import::run(command, context).await,
        Command::Db(command) => db::run(command, context).await,
        Command::Config(ConfigCommand::Reload) => reload::run(context).await,
        Command::Completions(_)
        | Command::Man(_)
        | Command::Config(_)
        | Command::Source(_)
        | Command::Target(_)
        | Command::Version => {
            unreachable!("they were carried out above")
        }
    }?;
    Ok(report.with_warning(context.client.skew()))
}
