//! `homing source`

mod add;
mod ask;
mod check;
mod list;
pub(super) mod pin;
mod switch;

use crate::arguments::SourceCommand;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;

/// Carries out what was typed about sources.
pub(super) async fn run(command: &SourceCommand, context: &Context) -> Result<Report, CliError> {
    match command {
        SourceCommand::List => list::list(context),
        SourceCommand::Show(args) => list::show(&args.name, context).await,
        SourceCommand::Add(args) => add::run(args, context).await,
        SourceCommand::Remove(args) => switch::remove(args, context).await,
        SourceCommand::Enable(args) => switch::enable(args, context).await,
        SourceCommand::Disable(args) => switch::disable(args, context).await,
        SourceCommand::Pin(args) => pin::pin(args, context).await,
        SourceCommand::Unpin(args) => pin::unpin(args, context).await,
        SourceCommand::Check(args) => check::run(args, context).await,
    }
}
