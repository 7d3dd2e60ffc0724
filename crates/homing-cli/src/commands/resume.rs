//! `homing resume`

use homing_api::{Pauses, Status};
use jiff::Timestamp;

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
    let text = tell(&before, &pauses, context.now);
    Ok(Report::new(&pauses, text))
}

/// Tells what went on and what is paused still; that nothing is needs saying only when nothing was ended.
fn tell(before: &Status, now: &Pauses, at: Timestamp) -> String {
    let ended = ended(before, now);
    match ended {
        Some(ended) if now.all.is_none() && now.sources.is_empty() => ended,
        Some(ended) => ended + &render(now, at),
        None => "there was no such pause to end\n".to_owned() + &render(now, at),
    }
}

/// Tells which pauses have ended.
fn ended(before: &Status, now: &Pauses) -> Option<String> {
    let mut ended: Vec<String> = before
        .sources
        .iter()
        .filter(|source| source.paused.is_some() && !now.sources.contains_key(&source.id))
        .map(|source| escape(&source.id).into_owned())
        .collect();
    if before.daemon.paused.is_some() && now.all.is_none() {
        ended.insert(0, "everything".to_owned());
    }
    (!ended.is_empty()).then(|| format!("resumed: {}\n", ended.join(", ")))
}
