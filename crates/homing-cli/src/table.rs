//! Plain, aligned tables that fit the terminal.

use anstyle::Style;

use crate::layout::{Column, GAP, Kind, Leaves, fit};
use crate::output::Screen;
use crate::text::escape;
use crate::width::{columns, shorten, shorten_front};

/// Titles of what a row can be about, the likeliest first.
const SUBJECTS: &[&str] = &["SOURCE", "TARGET", "NAME", "OF", "PATH"];
/// Titles of what is missed least in a narrow terminal.
const DETAILS: &[&str] = &["CONTENT", "REVISION", "HOP"];

/// A table that is being filled.
pub(crate) struct Table {
    screen: Screen,
    columns: Vec<Column>,
    titles: Vec<String>,
    rows: Vec<Vec<(String, Style)>>,
}

impl Table {
    /// Begins a table; a column whose title begins with `>` holds numbers.
    pub(crate) fn new(screen: Screen, titles: &[&str]) -> Self {
        let subject = SUBJECTS
            .iter()
            .find(|subject| titles.contains(subject))
            .or(titles.first());
        let column = |title: &&str| {
            let kind = match *title {
                "PATH" | "KEY" => Kind::Path,
                title if title.starts_with('>') => Kind::Number,
                title if subject == Some(&title) => Kind::Name,
                _ => Kind::Text,
            };
            let leaves = match *title {
                title if subject == Some(&title) => Leaves::Never,
                title if DETAILS.contains(&title) => Leaves::First,
                _ => Leaves::InTurn,
            };
            Column::new(kind, leaves, columns(title.trim_start_matches('>')))
        };
        Self {
            screen,
            columns: titles.iter().map(column).collect(),
            titles: titles
                .iter()
                .map(|title| title.trim_start_matches('>').to_owned())
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. What would move the cursor is escaped.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = (T, Style)>) {
        let row: Vec<(String, Style)> = cells
            .into_iter()
            .take(self.columns.len())
            .map(|(text, style)| (escape(text.as_ref()).into_owned(), style))
            .collect();
        for (column, (text, _)) in self.columns.iter_mut().zip(&row) {
            column.widen(columns(text));
        }
        self.rows.push(row);
    }

    /// Returns it as lines, none of which is longer than the terminal is wide.
    pub(crate) fn render(self) -> String {
        if self.columns.is_empty() {
            return String::new();
        }
        let widths = fit(&self.columns, self.screen.width.map(usize::from));
        let titles: Vec<(String, Style)> = self.titles.iter().map(plain).collect();
        std::iter::once(&titles)
            .chain(&self.rows)
            .map(|cells| self.line(cells, &widths))
            .collect()
    }

    fn line(&self, cells: &[(String, Style)], widths: &[Option<usize>]) -> String {
        let mut line = String::new();
        // Spaces are written when something follows them.
        let (mut spaces, mut gap) = (0, 0);
        for (((text, style), column), width) in cells.iter().zip(&self.columns).zip(widths) {
            let Some(width) = *width else { continue };
            let text = match column.kind {
                Kind::Path => shorten_front(text, width),
                Kind::Name | Kind::Number | Kind::Text => shorten(text, width),
            };
            let padding = width - columns(&text);
            let (before, after) = match column.kind {
                Kind::Number => (padding, 0),
                Kind::Name | Kind::Path | Kind::Text => (0, padding),
            };
            spaces += gap + before;
            if !text.is_empty() {
                line.push_str(&" ".repeat(spaces));
                line.push_str(&self.screen.paint(*style, &text));
                spaces = 0;
            }
            spaces += after;
            gap = GAP;
        }
        line.push('\n');
        line
    }
}

/// Returns a cell without a style.
pub(crate) fn plain(text: impl Into<String>) -> (String, Style) {
    (text.into(), Style::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{RED, YELLOW};

    fn screen(width: u16) -> Screen {
        Screen {
            width: Some(width),
            color: false,
        }
    }

    fn table(screen: Screen) -> String {
        let mut table = Table::new(screen, &["NAME", ">FILES", "STATE"]);
        table.row([
            plain("team"),
            plain("12"),
            ("synced, and a lot more to say".to_owned(), YELLOW),
        ]);
        table.row([
            plain("a\u{1b}[2J"),
            plain("1200"),
            ("conflict".to_owned(), RED),
        ]);
        table.render()
    }

    fn history(screen: Screen) -> String {
        let titles = [
            ">RUN", "STARTED", "OF", "VERB", "STATUS", ">SYNCED", ">CACHED", ">REMOVED", ">FAILED",
            ">TIME", "PROBLEM",
        ];
        let mut table = Table::new(screen, &titles);
        let rows = [
            [
                "9", "15m ago", "team", "sync", "success", "12", "300", "1", "0", "1.2s", "",
            ],
            [
                "1234",
                "2h ago",
                "日本語の名前",
                "publish",
                "partial",
                "120000",
                "3",
                "0",
                "10",
                "2m 05s",
                "over max_file_size (10 MiB)",
            ],
        ];
        for row in rows {
            table.row(row.map(plain));
        }
        table.render()
    }

    fn diff(screen: Screen) -> String {
        let mut table = Table::new(screen, &["CHANGE", "WHERE", "PATH", "WHY"]);
        table.row(
            [
                "update",
                "claude",
                "agents/a-directory/review-👩\u{200d}💻-of-everything.md",
                "changed upstream",
            ]
            .map(plain),
        );
        table.row(["create", "codex", "a.md", "new upstream"].map(plain));
        table.render()
    }

    #[test]
    fn columns_are_aligned_and_names_escaped() {
        insta::assert_snapshot!(table(Screen::default()), @r"
        NAME        FILES  STATE
        team           12  synced, and a lot more to say
        a\u{1b}[2J   1200  conflict
        ");
    }

    #[test]
    fn no_line_is_longer_than_the_terminal() {
        let widest = |text: &str| text.lines().map(columns).max().unwrap_or(0);
        for width in 1..=200 {
            let color = width % 2 == 0;
            let screen = Screen {
                width: Some(width),
                color,
            };
            for text in [table(screen), history(screen), diff(screen)] {
                assert!(widest(&text) <= usize::from(width), "{width}:\n{text}");
            }
            assert_eq!(history(screen).lines().count(), 3);
        }
        assert_eq!(history(screen(200)), history(Screen::default()));
    }

    #[test]
    fn texts_are_shortened_before_names_and_never_numbers() {
        insta::assert_snapshot!(table(screen(40)), @r"
        NAME        FILES  STATE
        team           12  synced, and a lot mo…
        a\u{1b}[2J   1200  conflict
        ");
        insta::assert_snapshot!(history(screen(80)), @r"
         RUN  STARTED  OF            VERB     STATUS   SYNCED  CACH…  REM…  FAI…    TIME
           9  15m ago  team          sync     success      12    300     1     0    1.2s
        1234  2h ago   日本語の名前  publish  partial  120000      3     0    10  2m 05s
        ");
        insta::assert_snapshot!(history(screen(40)), @r"
         RUN  STARTED  OF            VERB
           9  15m ago  team          sync
        1234  2h ago   日本語の名前  publish
        ");
        insta::assert_snapshot!(diff(screen(80)), @r"
        CHANGE  WHERE   PATH                                           WHY
        update  claude  agents/a-directory/review-👩‍💻-of-everything.md  changed upstream
        create  codex   a.md                                           new upstream
        ");
        insta::assert_snapshot!(diff(screen(40)), @r"
        CHANGE  WHERE   PATH
        update  claude  …iew-👩‍💻-of-everything.md
        create  codex   a.md
        ");
    }

    #[test]
    fn colours_are_only_there_when_asked_for() {
        assert!(!table(Screen::default()).contains('\u{1b}'));
        assert!(
            table(Screen {
                width: None,
                color: true
            })
            .contains("\u{1b}[")
        );
    }
}
