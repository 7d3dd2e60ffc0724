//! Progress of what takes long, as lines on standard error, where there is no terminal for bars.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use homing_api::{Event, RunProgress};
use homing_client::Client;

use crate::bars::text;
use crate::text::escape;

/// Nothing is said of a run that ends sooner, and of others no more often.
const INTERVAL: Duration = Duration::from_secs(10);

/// Tells how runs of some sources (of all where none is named) get on, until it is dropped. Never ends by itself.
pub(crate) async fn show(client: &Client, sources: &[String]) -> Infallible {
    // What is quick costs no second connection.
    tokio::time::sleep(INTERVAL).await;
    if let Ok(mut events) = client.events(true, None).await {
        let mut lines = Lines::default();
        while let Ok(Some(message)) = events.next().await {
            for line in lines.take(&message.event, sources, Instant::now()) {
                // Who does not read it does not need it.
                writeln!(io::stderr(), "{line}").unwrap_or_default();
            }
        }
    }
    std::future::pending().await
}

/// When something was said of each run last.
#[derive(Default)]
struct Lines(BTreeMap<i64, Instant>);

impl Lines {
    /// Returns what is to be said of an event.
    fn take(&mut self, event: &Event, sources: &[String], now: Instant) -> Vec<String> {
        match event {
            Event::Snapshot(status) => {
                let runs = status.sources.iter();
                let runs = runs.filter_map(|source| source.current_run.as_ref());
                runs.filter_map(|run| {
                    let progress = run.progress.as_ref()?;
                    self.line(run.id, run.source.as_deref()?, progress, sources, now)
                })
                .collect()
            }
            Event::RunPhase(moved) | Event::RunProgress(moved) => moved
                .source
                .as_deref()
                .and_then(|source| self.line(moved.run, source, &moved.progress, sources, now))
                .into_iter()
                .collect(),
            Event::RunFinished(changed) => {
                self.0.remove(&changed.run.id);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn line(
        &mut self,
        run: i64,
        source: &str,
        progress: &RunProgress,
        sources: &[String],
        now: Instant,
    ) -> Option<String> {
        let is_shown = sources.is_empty() || sources.iter().any(|name| name == source);
        let is_soon = |last: &Instant| now.duration_since(*last) < INTERVAL;
        if !is_shown || self.0.get(&run).is_some_and(is_soon) {
            return None;
        }
        self.0.insert(run, now);
        Some(format!("{}: {}", escape(source), text(progress)))
    }
}

#[cfg(test)]
mod tests {
    use homing_api::RunMoved;

    use super::*;

    fn moved(run: i64, source: &str, items: u64) -> Event {
        Event::RunProgress(RunMoved {
            at: String::new(),
            run,
            source: Some(source.to_owned()),
            target: None,
            progress: RunProgress {
                phase: "publish".to_owned(),
                items,
                items_total: Some(300),
                bytes: 0,
                bytes_total: None,
            },
        })
    }

    #[test]
    fn a_run_is_told_at_once_and_then_now_and_again() {
        let (mut lines, begun) = (Lines::default(), Instant::now());
        let names = ["team".to_owned()];
        let mut at = |seconds, event: &Event| {
            lines.take(event, &names, begun + Duration::from_secs(seconds))
        };
        assert_eq!(
            at(0, &moved(1, "team", 12)),
            ["team: publish 12 of 300 items"]
        );
        assert!(at(3, &moved(1, "team", 40)).is_empty());
        assert_eq!(
            at(11, &moved(1, "team", 90)),
            ["team: publish 90 of 300 items"]
        );
        assert!(at(30, &moved(2, "other", 1)).is_empty());
    }
}
