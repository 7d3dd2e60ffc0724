//! Which commits a source was at, as the history tells.

use std::collections::BTreeSet;
use std::time::Duration;

use homing_api::{Problem, ProblemKind, Run, RunsQuery};
use homing_config::parse_duration;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::context::Context;
use crate::error::CliError;

/// A shorter beginning is no commit's name.
const SHORTEST: usize = 4;
/// How many runs are asked for at once.
const PAGE: u32 = 1000;

/// Tells whether a word is the full id of a commit.
pub(crate) fn is_full(word: &str) -> bool {
    matches!(word.len(), 40 | 64) && is_hexadecimal(word)
}

/// Returns the commit of a source's history that begins with a word. An error when more than one does.
pub(crate) async fn beginning_with(
    source: &str,
    word: &str,
    context: &Context,
) -> Result<Option<String>, CliError> {
    let word = word.to_ascii_lowercase();
    if word.len() < SHORTEST || !is_hexadecimal(&word) {
        return Ok(None);
    }
    let mut found = BTreeSet::new();
    search(source, context, |run| {
        let revision = run.revision.as_deref();
        found.extend(
            revision
                .filter(|revision| revision.starts_with(&word))
                .map(str::to_owned),
        );
        None::<()>
    })
    .await?;
    let now = context.client.source(source).await?.revision;
    found.extend(now.filter(|revision| revision.starts_with(&word)));
    found.retain(|revision| is_full(revision));
    if found.len() > 1 {
        let found: Vec<String> = found.into_iter().collect();
        let detail = format!(
            "{} commits of the history of `{source}` begin with `{word}`",
            found.len()
        );
        return Err(Problem::new(ProblemKind::BadRequest, detail)
            .with_hint(format!("give more of one of them: {}", found.join(", ")))
            .into());
    }
    Ok(found.pop_first())
}

/// Returns the commit that a source was at, at some time.
pub(crate) async fn in_use_at(
    source: &str,
    time: Timestamp,
    context: &Context,
) -> Result<Option<String>, CliError> {
    search(source, context, |run| {
        let began: Timestamp = run.started_at.parse().ok()?;
        let ended = began
            .checked_add(Duration::from_millis(run.duration_ms))
            .ok()?;
        let revision = run.revision.clone().filter(|revision| is_full(revision))?;
        (ended <= time).then_some(revision)
    })
    .await
}

/// Reads a time as it is typed: RFC 3339, a date, or an age.
pub(crate) fn time(word: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(time) = word.parse::<Timestamp>() {
        return Some(time);
    }
    if let Ok(date) = word.parse::<Date>() {
        return Some(date.to_zoned(zone.clone()).ok()?.timestamp());
    }
    now.checked_sub(parse_duration(word).ok()?).ok()
}

/// Asks for the runs of a source, newest first, until one of them is the answer.
async fn search<T>(
    source: &str,
    context: &Context,
    mut answer: impl FnMut(&Run) -> Option<T>,
) -> Result<Option<T>, CliError> {
    let mut before = None;
    loop {
        let query = RunsQuery {
            source: Some(source.to_owned()),
            limit: Some(PAGE),
            before,
            ..RunsQuery::default()
        };
        let runs = context.client.runs(&query).await?.runs;
        if let Some(found) = runs.iter().find_map(&mut answer) {
            return Ok(Some(found));
        }
        let Some(last) = runs.last() else {
            return Ok(None);
        };
        before = Some(last.id);
    }
}

fn is_hexadecimal(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_each_of_its_forms() {
        let now: Timestamp = "2026-03-10T12:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let read = |word: &str| time(word, now, &zone).map(|time| time.to_string());
        for (word, expected) in [
            ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
            ("2026-03-01T10:00:00+02:00", "2026-03-01T08:00:00Z"),
            ("2026-03-01", "2026-02-28T22:00:00Z"),
            ("2d", "2026-03-08T12:00:00Z"),
            ("90m", "2026-03-10T10:30:00Z"),
        ] {
            assert_eq!(read(word).as_deref(), Some(expected), "{word}");
        }
        for word in ["", "yesterday", "c0ffee", "2026-13-01"] {
            assert_eq!(read(word), None, "{word}");
        }
    }
}
