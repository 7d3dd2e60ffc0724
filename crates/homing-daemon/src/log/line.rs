//! One line of the log: what happened, with the fields of the run that it happened in.

use std::error::Error;
use std::fmt::{self, Debug, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::convert;

/// Writes lines. Spans must keep their fields as JSON.
pub(super) struct Lines {
    json: Arc<AtomicBool>,
}

impl Lines {
    /// Writes JSON while `json` says so, else text.
    pub(super) fn new(json: Arc<AtomicBool>) -> Self {
        Self { json }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        let scope = context.event_scope().into_iter();
        for span in scope.flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let known = extensions
                .get::<FormattedFields<N>>()
                .and_then(|known| serde_json::from_str::<Map<String, Value>>(known).ok());
            fields.0.extend(known.unwrap_or_default());
        }
        // What the event says itself has the last word.
        event.record(&mut fields);
        let message = match fields.0.remove("message") {
            Some(Value::String(message)) => message,
            _ => event.metadata().name().to_owned(),
        };
        let line = Line {
            time: convert::time(Timestamp::now()),
            level: *event.metadata().level(),
            module: event.metadata().target(),
            message,
            fields: fields.0,
        };
        if self.json.load(Ordering::Relaxed) {
            line.json(writer)
        } else {
            line.text(writer)
        }
    }
}

struct Line {
    time: String,
    level: Level,
    module: &'static str,
    message: String,
    fields: Map<String, Value>,
}

impl Line {
    fn json(self, mut writer: Writer<'_>) -> fmt::Result {
        let own = [
            ("timestamp", Value::String(self.time)),
            ("level", Value::String(self.level.to_string())),
            ("message", Value::String(self.message)),
            ("module", Value::String(self.module.to_owned())),
        ];
        let mut separator = '{';
        for (key, value) in own.iter().map(|(key, value)| (*key, value)) {
            write!(writer, "{separator}{}:{value}", Value::from(key))?;
            separator = ',';
        }
        let is_ours = |key: &str| own.iter().any(|(ours, _)| *ours == key);
        for (key, value) in self.fields.iter().filter(|(key, _)| !is_ours(key)) {
            write!(writer, ",{}:{value}", Value::from(key.as_str()))?;
        }
        writer.write_str("}\n")
    }

    fn text(self, mut writer: Writer<'_>) -> fmt::Result {
        let (begin, end) = match (writer.has_ansi_escapes(), self.level) {
            (false, _) => ("", ""),
            (true, Level::ERROR) => ("\u{1b}[31m", "\u{1b}[0m"),
            (true, Level::WARN) => ("\u{1b}[33m", "\u{1b}[0m"),
            (true, Level::INFO) => ("\u{1b}[32m", "\u{1b}[0m"),
            (true, _) => ("\u{1b}[2m", "\u{1b}[0m"),
        };
        write!(writer, "{} {begin}{:>5}{end} ", self.time, self.level)?;
        // Names of files are in it, and a terminal must not obey them.
        for character in self.message.chars() {
            if character.is_control() {
                write!(writer, "{}", character.escape_debug())?;
            } else {
                writer.write_char(character)?;
            }
        }
        for (key, value) in &self.fields {
            match value {
                Value::String(text) if is_plain(text) => write!(writer, " {key}={text}")?,
                value => write!(writer, " {key}={value}")?,
            }
        }
        writer.write_char('\n')
    }
}

/// Tells whether a text needs no quotes.
fn is_plain(text: &str) -> bool {
    let is_plain =
        |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\');
    !text.is_empty() && text.chars().all(is_plain)
}

/// The fields of an event.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            write!(text, ": {error}").expect("a String takes all");
            cause = error.source();
        }
        self.add(field, text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use tracing_subscriber::Registry;
    use tracing_subscriber::fmt::format::JsonFields;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the lines without their times.
    fn logged(json: bool, work: impl FnOnce()) -> Vec<String> {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .fmt_fields(JsonFields::new())
            .event_format(Lines::new(Arc::new(AtomicBool::new(json))));
        tracing::subscriber::with_default(Registry::default().with(layer), work);
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn a_run() {
        let run = tracing::error_span!(
            "run",
            source = "team",
            run = 12,
            phase = tracing::field::Empty
        );
        let _entered = run.enter();
        run.record("phase", "survey");
        tracing::info!("looked");
        run.record("phase", "publish");
        tracing::warn!(target = %"agents", files = 3, why = "a \"b\"\n", "moved \u{1b}[2J");
    }

    #[test]
    fn text_has_the_runs_fields_in_every_line_and_nothing_that_a_terminal_obeys() {
        let lines = logged(false, a_run);
        let rest: Vec<&str> = lines.iter().map(|line| &line[25..]).collect();
        assert_eq!(
            rest,
            [
                " INFO looked phase=survey run=12 source=team",
                r#" WARN moved \u{1b}[2J files=3 phase=publish run=12 source=team target=agents why="a \"b\"\n""#,
            ]
        );
    }

    #[test]
    fn json_is_a_document_a_line_with_the_same_fields() {
        let lines = logged(true, a_run);
        let documents: Vec<Value> = lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(documents[0]["phase"], "survey");
        let last = &documents[1];
        assert_eq!(
            (&last["source"], &last["run"]),
            (&"team".into(), &12.into())
        );
        assert_eq!(last["phase"], "publish");
        assert_eq!(last["target"], "agents");
        assert_eq!(last["level"], "WARN");
        assert_eq!(last["message"], "moved \u{1b}[2J");
        assert!(last["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
