//! Progress bars of the runs under way, on standard error.

use std::collections::BTreeMap;

use homing_api::{Event, Run, RunProgress};
use homing_client::EventStream;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::text::{bytes, count, escape};

/// Bars at the same time; runs beyond wait for one to become free.
const MOST: usize = 8;

/// Shows the runs of some sources (of all where none is named) until it is dropped. Never ends by itself: a stream that
/// breaks off only leaves nothing to show.
pub(crate) async fn show(mut events: EventStream, sources: &[String]) -> std::convert::Infallible {
    let mut bars = Bars::on(ProgressDrawTarget::stderr(), sources);
    while let Ok(Some(message)) = events.next().await {
        bars.take(&message.event);
    }
    drop(bars);
    std::future::pending().await
}

struct Bars<'a> {
    all: MultiProgress,
    sources: &'a [String],
    runs: BTreeMap<i64, ProgressBar>,
}

impl<'a> Bars<'a> {
    fn on(target: ProgressDrawTarget, sources: &'a [String]) -> Self {
        Self {
            all: MultiProgress::with_draw_target(target),
            sources,
            runs: BTreeMap::new(),
        }
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Snapshot(status) => {
                for source in &status.sources {
                    if let Some(run) = &source.current_run {
                        self.begin(run);
                    }
                }
            }
            Event::RunStarted(changed) => self.begin(&changed.run),
            Event::RunPhase(moved) | Event::RunProgress(moved) => {
                self.moved(moved.run, moved.source.as_deref(), &moved.progress);
            }
            Event::RunFinished(changed) => {
                if let Some(bar) = self.runs.remove(&changed.run.id) {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, run: &Run) {
        let begins = RunProgress {
            phase: "begins".to_owned(),
            items: 0,
            items_total: None,
            bytes: 0,
            bytes_total: None,
        };
        let progress = run.progress.as_ref().unwrap_or(&begins);
        self.moved(run.id, run.source.as_deref(), progress);
    }

    fn moved(&mut self, run: i64, source: Option<&str>, progress: &RunProgress) {
        let Some(source) = source.filter(|source| self.is_shown(source)) else {
            return;
        };
        if !self.runs.contains_key(&run) && self.runs.len() >= MOST {
            return;
        }
        let bar = self.runs.entry(run).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(0));
            bar.set_prefix(escape(source).into_owned());
            bar
        });
        bar.set_message(text(progress));
        match share(progress) {
            Some((done, total)) => {
                bar.set_style(style("{prefix} [{bar:20}] {wide_msg}"));
                bar.set_length(total);
                bar.set_position(done);
            }
            None => bar.set_style(style("{prefix} {wide_msg}")),
        }
    }

    fn is_shown(&self, source: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|name| name == source)
    }
}

impl Drop for Bars<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no tidying.
        self.all.clear().unwrap_or_default();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("#> ")
}

/// Returns how much of how much is done, where that is known: bytes where there are some, else items.
fn share(progress: &RunProgress) -> Option<(u64, u64)> {
    match (progress.bytes_total, progress.items_total) {
        (Some(total), _) if total > 0 => Some((progress.bytes, total)),
        (_, Some(total)) => Some((progress.items, total)),
        _ => None,
    }
}

/// Returns "publish 12 of 300 items, 1.2 KiB of 3.0 MiB".
pub(crate) fn text(progress: &RunProgress) -> String {
    let items = match progress.items_total {
        Some(total) => format!(" {} of {}", progress.items, count(total, "item")),
        None if progress.items > 0 => format!(" {}", count(progress.items, "item")),
        None => String::new(),
    };
    let bytes = match progress.bytes_total {
        Some(total) if total > 0 => format!(", {} of {}", bytes(progress.bytes), bytes(total)),
        None if progress.bytes > 0 => format!(", {}", bytes(progress.bytes)),
        _ => String::new(),
    };
    format!("{}{items}{bytes}", escape(&progress.phase))
}

#[cfg(test)]
mod tests {
    use homing_api::{RunChanged, RunMoved, RunStatus};

    use super::*;
    use crate::runs::tests::run;

    fn progress(items_total: Option<u64>, bytes_total: Option<u64>) -> RunProgress {
        RunProgress {
            phase: "publish".to_owned(),
            items: 12,
            items_total,
            bytes: 1_200,
            bytes_total,
        }
    }

    fn moved(run: i64, source: &str) -> Event {
        Event::RunPhase(RunMoved {
            at: String::new(),
            run,
            source: Some(source.to_owned()),
            target: None,
            progress: progress(Some(300), Some(3 << 20)),
        })
    }

    fn finished(id: i64, source: &str) -> Event {
        let run = run(id, source, RunStatus::Success);
        Event::RunFinished(Box::new(RunChanged {
            at: String::new(),
            run,
        }))
    }

    #[test]
    fn a_bar_says_what_is_known() {
        for (items, bytes, expected, done) in [
            (
                Some(300),
                Some(3 << 20),
                "publish 12 of 300 items, 1.1 KiB of 3.0 MiB",
                Some((1_200, 3 << 20)),
            ),
            (
                Some(300),
                Some(0),
                "publish 12 of 300 items",
                Some((12, 300)),
            ),
            (None, None, "publish 12 items, 1.1 KiB", None),
        ] {
            let progress = progress(items, bytes);
            assert_eq!(text(&progress), expected);
            assert_eq!(share(&progress), done);
        }
    }

    #[test]
    fn only_runs_of_the_named_sources_are_shown_and_not_too_many() {
        let names = ["team".to_owned()];
        let mut bars = Bars::on(ProgressDrawTarget::hidden(), &names);
        bars.take(&moved(1, "other"));
        assert!(bars.runs.is_empty());
        for run in 1..=12 {
            bars.take(&moved(run, "team"));
        }
        assert_eq!(bars.runs.len(), MOST);
        let bar = &bars.runs[&1];
        assert_eq!((bar.position(), bar.length()), (1_200, Some(3 << 20)));
        bars.take(&finished(1, "team"));
        bars.take(&moved(12, "team"));
        assert_eq!(bars.runs.len(), MOST);
        assert!(bars.runs.contains_key(&12) && !bars.runs.contains_key(&1));
    }
}
