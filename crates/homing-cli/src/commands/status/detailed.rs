//! `homing status --detailed`

use std::fmt::Write as _;

use homing_api::{Condition, Run, Source, State, Status, Target};
use jiff::Timestamp;

use super::{daemon_trouble, next, summary, trouble};
use crate::output::{CYAN, Screen};
use crate::text::{bytes, count, escape, relative};

/// Returns everything that is known, a block for each source and target.
pub(super) fn render(status: &Status, now: Timestamp, screen: Screen) -> String {
    let mut text = daemon_trouble(status, now, screen);
    for one in &status.sources {
        text.push_str(&source(one, now, screen));
    }
    for one in &status.targets {
        text.push_str(&target(one, now, screen));
    }
    text.push_str(&daemon(status, screen));
    text.push_str(&trouble(status, screen));
    text + &summary(status, now)
}

/// A heading with lines of words and what they stand for.
struct Block {
    text: String,
}

impl Block {
    fn begin(screen: Screen, what: &str, name: &str) -> Self {
        let text = format!("{what} {}\n", screen.paint(CYAN, &escape(name)));
        Self { text }
    }

    fn line(&mut self, word: &str, said: &str) {
        writeln!(self.text, "  {word:<13} {}", escape(said)).expect("a String takes all");
    }

    fn conditions(&mut self, conditions: &[Condition], now: Timestamp) {
        for (nth, condition) in conditions.iter().enumerate() {
            let word = if nth == 0 { "conditions" } else { "" };
            self.line(word, &told(condition, now));
        }
    }

    fn end(mut self) -> String {
        self.text.push('\n');
        self.text
    }
}

/// Returns the lines of one source.
pub(super) fn source(source: &Source, now: Timestamp, screen: Screen) -> String {
    let mut block = Block::begin(screen, "source", &source.id);
    block.line("kind", &source.kind);
    let place = if source.kind == "dir" { "root" } else { "url" };
    block.line(place, &source.url);
    if !source.enabled {
        block.line("enabled", "no");
    }
    block.line("states", &states(&source.states));
    block.conditions(&source.conditions, now);
    block.line("revision", source.revision.as_deref().unwrap_or("-"));
    if let Some(time) = &source.revision_time {
        block.line("committed", &at(Some(time), now));
    }
    if let Some(subject) = &source.revision_subject {
        block.line("subject", subject);
    }
    let size = source
        .content_bytes
        .map(|size| format!(", {}", bytes(size)))
        .unwrap_or_default();
    block.line("contents", &(count(source.files, "file") + &size));
    if let Some(mirror) = source.mirror_bytes {
        block.line("mirror", &bytes(mirror));
    }
    block.line("conflicts", &source.conflicts.to_string());
    block.line("priority", &source.priority.to_string());
    let ended = source.last_run.as_ref().map(run).unwrap_or_default();
    block.line(
        "last attempt",
        &(at(source.last_attempt.as_deref(), now) + &ended),
    );
    block.line("last success", &at(source.last_success.as_deref(), now));
    if let Some(stale_at) = &source.stale_at {
        let word = if is_past(stale_at, now) {
            "stale since"
        } else {
            "stale at"
        };
        block.line(word, &at(Some(stale_at), now));
    }
    let due = match source.next_due.as_deref() {
        Some(due) if next(source, now) == relative(due, now) => at(Some(due), now),
        _ => next(source, now),
    };
    block.line("next due", &due);
    if let Some(run) = &source.current_run {
        block.line(
            "under way",
            &format!("run {}, {}, {}", run.id, run.verb, run.status),
        );
    }
    block.end()
}

fn target(target: &Target, now: Timestamp, screen: Screen) -> String {
    let mut block = Block::begin(screen, "target", &target.id);
    block.line("path", &target.path);
    block.line("from", &target.from.join(", "));
    let failed = if target.error.is_some() {
        ", failed"
    } else {
        ""
    };
    block.line("states", &(states(&target.states) + failed));
    block.conditions(&target.conditions, now);
    block.line("files", &target.files.to_string());
    block.line("conflicts", &target.conflicts.to_string());
    if let Some(waiting) = target.hooks_waiting {
        let said = match waiting {
            0 => "none waits".to_owned(),
            runs => format!("{} to be told of", count(runs, "run")),
        };
        block.line("hook", &said);
    }
    block.end()
}

fn daemon(status: &Status, screen: Screen) -> String {
    let daemon = &status.daemon;
    let mut block = Block::begin(screen, "homingd", &daemon.version);
    block.line("process", &daemon.pid.to_string());
    block.line("configuration", &daemon.config_path);
    block.line("data", &daemon.data_dir);
    if let Some(store) = &daemon.store {
        let kept = store.contents + store.content_files;
        let contents = store.content_bytes + store.content_file_bytes;
        block.line(
            "contents",
            &format!("{}, {}", count(kept, "content"), bytes(contents)),
        );
        let free = bytes(store.free);
        block.line("on disk", &format!("{}, {free} free", bytes(store.total)));
        block.line("history", &count(store.runs, "run"));
    }
    block.end()
}

fn states(states: &[State]) -> String {
    if states.is_empty() {
        return "-".to_owned();
    }
    let words: Vec<String> = states.iter().map(ToString::to_string).collect();
    words.join(", ")
}

/// Returns a condition: what holds or does not, why, since when.
fn told(condition: &Condition, now: Timestamp) -> String {
    let not = if condition.status { "" } else { "not " };
    let mut said = format!("{not}{} ({})", condition.kind, condition.reason);
    if !condition.message.is_empty() {
        said = format!("{said}: {}", condition.message);
    }
    match &condition.since {
        Some(since) => format!("{said}; since {}", relative(since, now)),
        None => said,
    }
}

/// Returns how a run ended, to go behind its time.
fn run(run: &Run) -> String {
    format!("; run {}, {}, {}", run.id, run.verb, run.status)
}

/// Returns a time and how long ago or ahead it is.
fn at(time: Option<&str>, now: Timestamp) -> String {
    match time {
        Some(time) => format!("{time} ({})", relative(time, now)),
        None => "never".to_owned(),
    }
}

fn is_past(time: &str, now: Timestamp) -> bool {
    time.parse::<Timestamp>().is_ok_and(|time| time < now)
}
