//! What is wrong with a configuration, and exactly where.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::mask;
use crate::texts::{TextFile, Texts};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was named does not exist.
    #[error("there is no configuration file `{}`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("the configuration file `{}` could not be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others could have written it, or it is no file of a reasonable size.
    #[error("the configuration file `{}` is refused: {reason}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
        /// How to mend it.
        hint: String,
    },
    /// Its contents are not valid.
    #[error("{}", headline(diagnostics))]
    Invalid {
        /// What is wrong, in the order of the files; at least one.
        diagnostics: Vec<Diagnostic>,
    },
    /// There is no home directory, so nobody knows where the file would be.
    #[error("the home directory is not known")]
    NoHome,
}

impl ConfigError {
    /// Returns how to mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => {
                Some("check --config and HOMING_CONFIG, or create the file".to_owned())
            }
            Self::Read { .. } => None,
            Self::Refused { hint, .. } => Some(hint.clone()),
            Self::Invalid { diagnostics, .. } => {
                diagnostics.first().and_then(|first| first.hint.clone())
            }
            Self::NoHome => Some("set HOME, or give --config and --data-dir".to_owned()),
        }
    }

    /// Returns all that is wrong as text of several lines, each place with its line and a caret.
    pub fn report(&self) -> String {
        let Self::Invalid { diagnostics } = self else {
            return self.to_string();
        };
        let rendered: Vec<String> = diagnostics.iter().map(Diagnostic::render).collect();
        rendered.join("\n")
    }
}

fn headline(diagnostics: &[Diagnostic]) -> String {
    let Some(first) = diagnostics.first() else {
        return "the configuration is not valid".to_owned();
    };
    let mut text = first.to_string();
    if diagnostics.len() > 1 {
        write!(text, " (and {} more)", diagnostics.len() - 1).expect("a String takes all");
    }
    text
}

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The line, without what of it may be a secret.
    pub snippet: String,
    /// How many characters of that line stand before the place.
    pub indent: usize,
    /// How many characters of it it is about; at least 1.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Returns it as text of several lines: place and message, the line with a caret below, the hint.
    pub fn render(&self) -> String {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let snippet: String = self
            .snippet
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let mut text = format!("{self}\n");
        let hint = self
            .hint
            .as_deref()
            .map(|hint| format!(" {hint}"))
            .unwrap_or_default();
        let carets = format!("{}{}", " ".repeat(self.indent), "^".repeat(self.length));
        write!(
            text,
            "{margin} |\n{number} | {snippet}\n{margin} | {carets}{hint}"
        )
        .expect("a String takes all");
        text
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, message) = (self.file.display(), &self.message);
        write!(f, "{file}:{}:{}: {message}", self.line, self.column)
    }
}

/// Collects what is wrong while the file is read.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    found: Vec<(Range<usize>, String, Option<String>)>,
    gaps: bool,
}

impl Complaints {
    /// Adds one about the bytes of `span`.
    pub(crate) fn add(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.found.push((span, message.into(), hint));
    }

    /// Forgets those about places that `are_vain`.
    pub(crate) fn forget(&mut self, are_vain: impl Fn(&Range<usize>) -> bool) {
        self.found.retain(|(span, ..)| !are_vain(span));
    }

    /// Says that what one file lacks may stand in a part of another that could not be understood.
    pub(crate) fn expect_gaps(&mut self) {
        self.gaps = true;
    }

    /// Tells whether [`Complaints::expect_gaps`] was said.
    pub(crate) fn are_gaps_expected(&self) -> bool {
        self.gaps
    }

    /// Returns them with files, lines and columns, in the order of the files.
    pub(crate) fn locate(mut self, texts: &Texts) -> Vec<Diagnostic> {
        self.found.sort_by_key(|(span, ..)| span.start);
        let mut hidden: BTreeMap<&Path, Vec<Range<usize>>> = BTreeMap::new();
        self.found
            .into_iter()
            .map(|(span, message, hint)| {
                let (file, span) = texts.find(&span);
                let hidden = hidden
                    .entry(&file.path)
                    .or_insert_with(|| mask::hidden(&file.text));
                locate(file, hidden, span, &message, hint)
            })
            .collect()
    }
}

fn locate(
    file: &TextFile,
    hidden: &[Range<usize>],
    span: Range<usize>,
    message: &str,
    hint: Option<String>,
) -> Diagnostic {
    let text = file.text.as_str();
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let end = text.ceil_char_boundary(span.end.clamp(start, line_end));
    let (snippet, indent, length) = mask::masked(text, line_start..line_end, hidden, &(start..end));
    Diagnostic {
        file: file.path.clone(),
        line: text[..line_start].matches('\n').count() + 1,
        column: text[line_start..start].chars().count() + 1,
        snippet: snippet.trim_end().to_owned(),
        indent,
        length: length.max(1),
        message: mask::mask_message(message),
        hint: hint.map(|hint| mask::mask_message(&hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str, span: Range<usize>) -> Diagnostic {
        let mut complaints = Complaints::default();
        complaints.add(span, "wrong", Some("did you mean `right`?".to_owned()));
        complaints
            .locate(&Texts::only(Path::new("c.toml"), text))
            .remove(0)
    }

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let diagnostic = only("a = 1\nä = \"öö\"\n", 11..17);
        assert_eq!(
            (diagnostic.line, diagnostic.column, diagnostic.length),
            (2, 5, 4)
        );
        assert_eq!(
            diagnostic.render(),
            "c.toml:2:5: wrong\n  |\n2 | ä = \"öö\"\n  |     ^^^^ did you mean `right`?"
        );
    }

    #[test]
    fn a_place_at_the_end_or_over_several_lines_is_cut() {
        assert_eq!(only("a = ", 4..9).column, 5);
        let diagnostic = only("a = [\n1,\n]", 4..10);
        assert_eq!((diagnostic.line, diagnostic.length), (1, 1));
        assert_eq!(only("", 0..0).line, 1);
    }

    #[test]
    fn escapes_in_a_line_do_not_reach_the_terminal() {
        assert!(!only("a = \"\u{1b}[2J\"", 4..5).render().contains('\u{1b}'));
    }
}
