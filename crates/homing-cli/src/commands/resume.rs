//! `homing resume`

use homing_api::{Pauses, Status};

use super::pause::render;
use crate::arguments::ResumeArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;
use crate::text::escape;

/// Ends the pause of sources, or every pause.
pub(super) async fn run(args: &ResumeArgs, context: &Context) -> Result<Report, CliError> {
    let before = context.client.status().await?;
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
    let text = ended(&before, &pauses) + &render(&pauses, context.now);
    Ok(Report::new(&pauses, text))
}

/// Tells which pauses have ended, or that there was none.
fn ended(before: &Status, now: &Pauses) -> String {
    let mut ended: Vec<String> = before
        .sources
        .iter()
        .filter(|source| source.paused.is_some() && !now.sources.contains_key(&source.id))
        .map(|source| escape(&source.id).into_owned())
        .collect();
    if before.daemon.paused.is_some() && now.all.is_none() {
        ended.insert(0, "everything".to_owned());
    }
    if ended.is_empty() {
        "there was no such pause to end\n".to_owned()
    } else {
        format!("resumed: {}\n", ended.join(", "))
    }
}
