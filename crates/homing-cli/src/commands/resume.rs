//! `homing resume`

use homing_api::Pauses;

use super::pause::render;
use crate::arguments::ResumeArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;

/// Ends the pause of sources, or every pause.
pub(super) async fn run(args: &ResumeArgs, context: &Context) -> Result<Report, CliError> {
    let pauses = if args.names.is_empty() {
        context.client.resume(None).await?
    } else {
        for name in &args.names {
            context.client.source(name).await?;
        }
        let mut pauses = Pauses::default();
        for name in &args.names {
            pauses = context.client.resume(Some(name)).await?;
        }
        pauses
    };
    let text = render(&pauses, context.now);
    Ok(Report::new(&pauses, text))
}
