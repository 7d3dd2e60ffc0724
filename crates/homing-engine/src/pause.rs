//! Pauses: a person has said that nothing runs by itself for a while. They outlive the daemon.

use std::collections::BTreeMap;
use std::time::Duration;

use homing_core::SourceId;
use homing_store::{Reader, StoreError};
use jiff::Timestamp;

use crate::cadence::later;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::noted::Noted;
use crate::runs;

/// A time in which nothing runs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None`: until somebody resumes.
    pub until: Option<Timestamp>,
}

/// Everything that is paused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PauseReport {
    /// The pause of everything.
    pub all: Option<Pause>,
    /// Sources that have a pause of their own.
    pub sources: BTreeMap<SourceId, Pause>,
}

/// The pauses, with those that are over: what came due in them runs because of their end.
#[derive(Debug, Default)]
pub(crate) struct Pauses(Noted<PauseReport>);

impl Pauses {
    /// Reads what the store has.
    pub(crate) fn read<'s>(
        reader: &Reader<'_>,
        sources: impl Iterator<Item = &'s SourceId>,
    ) -> Result<PauseReport, StoreError> {
        let mut report = PauseReport {
            all: stored(reader, None)?,
            ..PauseReport::default()
        };
        for source in sources {
            let pause = stored(reader, Some(source))?;
            report
                .sources
                .extend(pause.map(|pause| (source.clone(), pause)));
        }
        Ok(report)
    }

    /// Goes on from what the store had.
    pub(crate) fn new(report: PauseReport) -> Self {
        Self(Noted::new(report))
    }

    /// Tells whether a source, or everything, is paused.
    pub(crate) fn holds(&self, source: &SourceId, now: Timestamp) -> bool {
        let known = self.0.read();
        let own = known.sources.get(source);
        own.into_iter()
            .chain(&known.all)
            .any(|pause| pause.holds(now))
    }

    /// Returns when the pause of a source ended that a time lay in, or may have.
    pub(crate) fn ended(&self, source: &SourceId, time: Timestamp) -> Option<Timestamp> {
        let known = self.0.read();
        let own = known.sources.get(source);
        own.into_iter()
            .chain(&known.all)
            .filter_map(|pause| pause.until)
            .filter(|until| *until >= time)
            .max()
    }

    /// Returns the times at which something is paused no more.
    pub(crate) fn ends(&self) -> Vec<Timestamp> {
        let known = self.0.read();
        let all = known.all.iter().chain(known.sources.values());
        all.filter_map(|pause| pause.until).collect()
    }

    /// Returns what is paused now.
    pub(crate) fn report(&self, now: Timestamp) -> PauseReport {
        let mut report = self.0.read().clone();
        report.all = report.all.filter(|pause| pause.holds(now));
        report.sources.retain(|_, pause| pause.holds(now));
        report
    }
}

impl Pause {
    fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

impl Engine {
    /// Pauses a source, or everything, for a while, or until somebody resumes. Runs under way go on, and what a person
    /// asks for is done all the same.
    pub async fn pause(
        &self,
        source: Option<&SourceId>,
        length: Option<Duration>,
    ) -> Result<PauseReport, EngineError> {
        let since = runs::now();
        let until = match length {
            None => None,
            Some(length) => Some(later(since, length).ok_or_else(|| EngineError::Rejected {
                message: "so long a pause has no end".to_owned(),
                hint: "leave the duration away to pause until somebody resumes".to_owned(),
            })?),
        };
        self.set_pauses(source, Pause { since, until }).await
    }

    /// Ends the pause of a source, or every pause. What came due meanwhile runs once, soon.
    pub async fn resume(&self, source: Option<&SourceId>) -> Result<PauseReport, EngineError> {
        let now = runs::now();
        let over = |pause: &Pause| Pause {
            until: Some(pause.until.map_or(now, |until| until.min(now))),
            ..*pause
        };
        let known = self.shared.pauses.0.read().clone();
        let mut ended: Vec<(Option<SourceId>, Pause)> = Vec::new();
        if let Some(source) = source {
            self.shared.source(source)?;
            let own = known.sources.get(source);
            ended.extend(own.map(|pause| (Some(source.clone()), over(pause))));
        } else {
            ended.extend(known.all.map(|pause| (None, over(&pause))));
            let own = known.sources.iter();
            ended.extend(own.map(|(id, pause)| (Some(id.clone()), over(pause))));
        }
        let report = self.store_pauses(ended).await?;
        self.shared.turns.notify_one();
        Ok(report)
    }

    /// Returns what is paused now.
    pub fn pauses(&self) -> PauseReport {
        self.shared.pauses.report(runs::now())
    }

    async fn set_pauses(
        &self,
        source: Option<&SourceId>,
        pause: Pause,
    ) -> Result<PauseReport, EngineError> {
        if let Some(source) = source {
            self.shared.source(source)?;
        }
        self.store_pauses(vec![(source.cloned(), pause)]).await
    }

    async fn store_pauses(
        &self,
        pauses: Vec<(Option<SourceId>, Pause)>,
    ) -> Result<PauseReport, EngineError> {
        let rows: Vec<(String, String)> = pauses
            .iter()
            .map(|(source, pause)| (key(source.as_ref()), text(pause)))
            .collect();
        self.shared
            .store
            .write(move |writer| {
                rows.iter()
                    .try_for_each(|(key, value)| writer.set_metadata(key, value))
            })
            .await?;
        let mut known = self.shared.pauses.0.write();
        for (source, pause) in pauses {
            match source {
                Some(source) => drop(known.sources.insert(source, pause)),
                None => known.all = Some(pause),
            }
        }
        drop(known);
        Ok(self.pauses())
    }
}

/// Returns the metadata key of a pause.
fn key(source: Option<&SourceId>) -> String {
    source.map_or_else(|| "paused".to_owned(), |source| format!("paused:{source}"))
}

fn text(pause: &Pause) -> String {
    let until = pause.until.map(|until| until.to_string());
    format!("{} {}", pause.since, until.unwrap_or_default())
}

fn stored(reader: &Reader<'_>, source: Option<&SourceId>) -> Result<Option<Pause>, StoreError> {
    let value = reader.metadata(&key(source))?;
    Ok(value.as_deref().and_then(parse))
}

fn parse(text: &str) -> Option<Pause> {
    let (since, until) = text.split_once(' ')?;
    let until = match until {
        "" => None,
        until => Some(until.parse().ok()?),
    };
    Some(Pause {
        since: since.parse().ok()?,
        until,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_as_it_was_written() {
        let since = "2026-01-02T03:04:05.678Z".parse().unwrap();
        for until in [None, Some("2026-01-02T05:04:05.678Z".parse().unwrap())] {
            let pause = Pause { since, until };
            assert_eq!(parse(&text(&pause)), Some(pause));
        }
        assert_eq!(parse("sometime"), None);
    }

    #[test]
    fn a_pause_that_is_over_holds_nothing_and_is_not_forgotten() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let source: SourceId = "up".parse().unwrap();
        let (since, until) = (time("2026-01-02T03:00:00Z"), time("2026-01-02T05:00:00Z"));
        let pauses = Pauses::new(PauseReport {
            all: Some(Pause {
                since,
                until: Some(until),
            }),
            sources: BTreeMap::new(),
        });
        assert!(pauses.holds(&source, time("2026-01-02T04:59:59Z")));
        assert!(!pauses.holds(&source, until));
        assert_eq!(pauses.report(until), PauseReport::default());
        assert_eq!(
            pauses.ended(&source, time("2026-01-02T04:00:00Z")),
            Some(until)
        );
        assert_eq!(pauses.ended(&source, time("2026-01-02T05:00:01Z")), None);
    }
}
