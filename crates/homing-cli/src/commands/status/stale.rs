//! `homing status --stale`

use std::fmt::Write as _;
use std::time::Duration;

use homing_api::{Source, Status, names_target};
use jiff::Timestamp;

use super::{daemon_trouble, detailed, sources, trouble};
use crate::context::{target_names, unknown_name};
use crate::error::CliError;
use crate::output::Screen;
use crate::text::{count, setting};

/// What the stale sources were picked from.
pub(super) struct PickedFrom {
    sources: usize,
    age: Option<Duration>,
}

/// Leaves in the status only sources whose last success is too long ago; the name of a target stands for its sources.
pub(super) fn select(
    status: &mut Status,
    names: &[String],
    age: Option<Duration>,
    now: Timestamp,
) -> Result<PickedFrom, CliError> {
    for name in names {
        let ids = status.sources.iter().map(|source| source.id.as_str());
        let ids = ids.chain(target_names(status));
        if !ids.clone().any(|id| id == name) {
            return Err(unknown_name(name, ids));
        }
    }
    let targets = std::mem::take(&mut status.targets);
    let is_named = |source: &Source| {
        let mut named = targets.iter().filter(|target| {
            let is_named = |name: &String| names_target(name, &target.id);
            names.iter().any(is_named)
        });
        names.is_empty()
            || names.contains(&source.id)
            || named.any(|target| target.from.contains(&source.id))
    };
    // Whoever is switched off is not late.
    status
        .sources
        .retain(|source| source.enabled && is_named(source));
    let from = PickedFrom {
        sources: status.sources.len(),
        age,
    };
    status.sources.retain(|source| is_stale(source, age, now));
    Ok(from)
}

fn is_stale(source: &Source, age: Option<Duration>, now: Timestamp) -> bool {
    let Some(age) = age else {
        return source
            .conditions
            .iter()
            .any(|condition| condition.kind == "Stale" && condition.status);
    };
    let success = source
        .last_success
        .as_deref()
        .and_then(|time| time.parse::<Timestamp>().ok());
    // What never succeeded is older than any age.
    success.is_none_or(|success| {
        let ago = now.duration_since(success);
        Duration::try_from(ago).is_ok_and(|ago| ago > age)
    })
}

/// Returns the stale sources, or that there are none.
pub(super) fn render(
    status: &Status,
    in_detail: bool,
    from: &PickedFrom,
    now: Timestamp,
    screen: Screen,
) -> String {
    let mut text = daemon_trouble(status, now, screen);
    let late = match from.age {
        Some(age) => format!("no success for {}", in_words(age)),
        None => "stale".to_owned(),
    };
    let of = count(from.sources as u64, "enabled source");
    match (&status.sources[..], from.sources) {
        ([], 0) => text.push_str("no enabled source is configured that could be stale\n"),
        ([], _) => {
            let said = match from.age {
                Some(age) => format!(
                    "nothing is stale: {of}, all synced within {}\n",
                    in_words(age)
                ),
                None => format!("nothing is stale: {of}\n"),
            };
            text.push_str(&said);
        }
        (stale, _) => {
            if in_detail {
                for source in stale {
                    text.push_str(&detailed::source(source, now, screen));
                }
            } else {
                text.push_str(&sources(stale, now, screen));
                text.push('\n');
            }
            text.push_str(&trouble(status, screen));
            writeln!(text, "{late}: {} of {of}", stale.len()).expect("a String takes all");
        }
    }
    text
}

fn in_words(age: Duration) -> String {
    setting(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}
