//! The one place that prints.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Effects, Style};
use homing_api::{Exit, Problem, ProblemKind};
use homing_config::Env;
use serde::Serialize;

use crate::arguments::Globals;
use crate::error::CliError;
use crate::live::terminal_size;
use crate::text::escape;
use crate::width::wrap;

/// What a text is for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Screen {
    /// Columns of the terminal; `None` when it is none.
    pub(crate) width: Option<u16>,
    /// Whether colours are shown.
    pub(crate) color: bool,
}

impl Screen {
    /// Returns `text` in a style, if styles are shown.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        if self.color {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    /// Returns a text in which no line is longer than the terminal is wide, if it has a space before.
    pub(crate) fn fit(self, text: String) -> String {
        match self.width {
            Some(width) => wrap(&text, usize::from(width)),
            None => text,
        }
    }

    /// Returns an error as text: what failed, why, how to mend it.
    pub(crate) fn problem(self, problem: &Problem) -> String {
        let mut text = String::new();
        let mut line = |indent: &str, style: Style, word: &str, rest: &str| {
            let label = self.paint(style | Effects::BOLD, &format!("{word}:"));
            writeln!(text, "{indent}{label} {}", escape(rest)).expect("a String takes all");
        };
        line("", RED, "error", &problem.detail);
        for cause in &problem.causes {
            line("  ", Style::new(), "caused by", cause);
        }
        let hint = problem.clone().with_some_hint().hint;
        line("  ", CYAN, "hint", &hint.unwrap_or_default());
        text
    }

    /// Returns a warning as a line of text.
    pub(crate) fn warning(self, warning: &str) -> String {
        format!(
            "{} {}\n",
            self.paint(YELLOW | Effects::BOLD, "warning:"),
            escape(warning)
        )
    }
}

/// Trouble.
pub(crate) const RED: Style = AnsiColor::Red.on_default();
/// What to look at.
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
/// What can be done.
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();

/// What a command has to say.
pub(crate) struct Report {
    json: Vec<u8>,
    human: String,
    is_fitted: bool,
    warnings: Vec<String>,
    problems: Vec<Problem>,
    exit: Exit,
}

impl Report {
    /// Takes the document of `--json` and the text for people.
    pub(crate) fn new(document: &impl Serialize, human: impl Into<String>) -> Self {
        let mut json = serde_json::to_vec_pretty(document).expect("wire types have text keys only");
        json.push(b'\n');
        Self {
            json,
            human: human.into(),
            is_fitted: true,
            warnings: Vec::new(),
            problems: Vec::new(),
            exit: Exit::Done,
        }
    }

    /// Begins the text for people with another.
    pub(crate) fn preceded_by(mut self, text: &str) -> Self {
        self.human.insert_str(0, text);
        self
    }

    /// Tells whether a problem of this kind is in it.
    pub(crate) fn tells_of(&self, kind: &ProblemKind) -> bool {
        self.problems.iter().any(|problem| problem.kind == *kind)
    }

    /// Takes a large document, of which only what is asked for is written: that of `--json`, or the text for people.
    pub(crate) fn either(
        json: bool,
        document: &impl Serialize,
        human: impl FnOnce() -> String,
    ) -> Self {
        if json {
            Self::new(document, "")
        } else {
            Self {
                human: human(),
                ..Self::printed(Exit::Done)
            }
        }
    }

    /// Says that all has been printed already.
    pub(crate) fn printed(exit: Exit) -> Self {
        Self {
            json: Vec::new(),
            human: String::new(),
            is_fitted: true,
            warnings: Vec::new(),
            problems: Vec::new(),
            exit,
        }
    }

    /// Says how the command ends.
    pub(crate) fn ending(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Says that the text is for programs, too: its lines stay as long as they are.
    pub(crate) fn unfitted(mut self) -> Self {
        self.is_fitted = false;
        self
    }

    /// Adds what failed, to be shown like an error.
    pub(crate) fn with_problems(mut self, problems: Vec<Problem>) -> Self {
        self.problems.extend(problems);
        self
    }

    /// Adds a warning.
    pub(crate) fn with_warning(mut self, warning: Option<String>) -> Self {
        self.warnings.extend(warning);
        self
    }
}

/// Standard output and standard error of this process.
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    out: Screen,
    err: Screen,
}

impl Output {
    /// Looks at the terminal.
    pub(crate) fn of_process(globals: &Globals, env: &Env) -> Self {
        let out = io::stdout().is_terminal();
        let width = terminal_size().map(|(columns, _)| columns);
        let err = Screen {
            width: None,
            color: io::stderr().is_terminal() && !env.no_color,
        };
        Self {
            json: globals.json,
            quiet: globals.quiet,
            out: Screen {
                width,
                color: out && !env.no_color,
            },
            err,
        }
    }

    /// Returns what texts are for.
    pub(crate) fn screen(&self) -> Screen {
        self.out
    }

    /// Prints what a command has to say, and returns how it ends.
    pub(crate) fn report(&self, report: &Report) -> Exit {
        let mut exit = report.exit;
        let mut text = String::new();
        let said = match (self.json, self.quiet) {
            (true, _) => Cow::from(&report.json),
            (false, false) if report.is_fitted => {
                Cow::from(self.out.fit(report.human.clone()).into_bytes())
            }
            (false, false) => Cow::from(report.human.as_bytes()),
            (false, true) => Cow::from(&[]),
        };
        if let Err(error) = write_all(io::stdout(), &said) {
            exit = if exit == Exit::Done {
                Exit::Failed
            } else {
                exit
            };
            text.push_str(&self.err.problem(&lost(&error)));
        }
        if !self.quiet {
            text.extend(
                report
                    .warnings
                    .iter()
                    .map(|warning| self.err.warning(warning)),
            );
        }
        if !self.json {
            text.extend(
                report
                    .problems
                    .iter()
                    .map(|problem| self.err.problem(problem)),
            );
        }
        print(io::stderr(), text.as_bytes(), exit)
    }

    /// Prints why a command did not do its work, and returns how it ends.
    pub(crate) fn error(&self, error: &CliError) -> Exit {
        let problem = error.problem();
        if self.json {
            return self.report(&Report::new(&problem, "").ending(error.exit()));
        }
        let mut text = self.err.problem(&problem);
        if let Some(report) = error.report() {
            // The places with their lines and hints say more than the causes would.
            text.truncate(text.find('\n').map_or(text.len(), |end| end + 1));
            for line in report.lines() {
                writeln!(text, "  {}", escape(line)).expect("a String takes all");
            }
        }
        print(io::stderr(), text.as_bytes(), error.exit())
    }
}

/// Prints, and returns `exit` unless the text is lost.
fn print(stream: impl Write, text: &[u8], exit: Exit) -> Exit {
    match write_all(stream, text) {
        Err(_) if exit == Exit::Done => Exit::Failed,
        Ok(()) | Err(_) => exit,
    }
}

/// Writes all. A reader that went away has seen enough.
fn write_all(mut stream: impl Write, text: &[u8]) -> io::Result<()> {
    match stream.write_all(text).and_then(|()| stream.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Says that the output is not all there.
fn lost(error: &io::Error) -> Problem {
    Problem::new(
        ProblemKind::Permanent,
        "the output could not be written; the command itself was carried out",
    )
    .with_causes(vec![error.to_string()])
    .with_hint("make sure that there is room where the output goes, then type it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
        assert_eq!(
            print(Broken(io::ErrorKind::BrokenPipe), b"x", Exit::Done),
            Exit::Done
        );
        assert_eq!(
            print(Broken(io::ErrorKind::StorageFull), b"x", Exit::Done),
            Exit::Failed
        );
        assert_eq!(
            print(Broken(io::ErrorKind::StorageFull), b"x", Exit::Waiting),
            Exit::Waiting
        );
    }

    #[test]
    fn an_error_says_what_why_and_how_to_mend_it() {
        let problem = Problem::new(ProblemKind::Auth, "could not sync source `te\u{1b}[2Jam`")
            .with_causes(vec!["first\nline".to_owned(), "second".to_owned()])
            .with_hint("do this");
        insta::assert_snapshot!(Screen::default().problem(&problem), @r"
        error: could not sync source `te\u{1b}[2Jam`
          caused by: first\nline
          caused by: second
          hint: do this
        ");
        let painted = Screen {
            width: None,
            color: true,
        }
        .problem(&problem);
        assert!(painted.contains("\u{1b}[1m"), "{painted:?}");
        assert!(!painted.contains("\u{1b}[2J"), "{painted:?}");
    }
}
