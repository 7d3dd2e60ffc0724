//! Plain, aligned tables.

use anstyle::{AnsiColor, Color, Style};
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement};

use crate::output::Screen;
use crate::text::escape;

/// Columns between two cells.
const GAP: u16 = 2;

/// A column that is narrower tears words apart; then the terminal may wrap the line as a whole.
const READABLE: u16 = 20;

/// A table that is being filled.
pub(crate) struct Table {
    cells: comfy_table::Table,
    width: Option<u16>,
    right: Vec<bool>,
}

impl Table {
    /// Begins a table; a column whose title begins with `>` holds numbers.
    pub(crate) fn new(screen: Screen, titles: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING);
        if screen.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let right: Vec<bool> = titles.iter().map(|title| title.starts_with('>')).collect();
        let header = titles
            .iter()
            .zip(&right)
            .map(|(title, right)| aligned(title.trim_start_matches('>'), *right));
        table.set_header(header.collect::<Vec<_>>());
        for column in table.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        Self {
            cells: table,
            width: screen.width,
            right,
        }
    }

    /// Adds a row. What would move the cursor is escaped.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = (T, Style)>) {
        let row = cells
            .into_iter()
            .zip(&self.right)
            .map(|((text, style), right)| {
                let cell = aligned(&escape(text.as_ref()), *right);
                match style.get_fg_color() {
                    Some(Color::Ansi(AnsiColor::Red)) => cell.fg(comfy_table::Color::DarkRed),
                    Some(Color::Ansi(AnsiColor::Yellow)) => cell.fg(comfy_table::Color::DarkYellow),
                    Some(Color::Ansi(AnsiColor::Green)) => cell.fg(comfy_table::Color::DarkGreen),
                    _ => cell,
                }
            });
        self.cells.add_row(row.collect::<Vec<_>>());
    }

    /// Returns it as lines. Only the last column is wrapped, and only where that leaves it readable.
    pub(crate) fn render(mut self) -> String {
        let widths = self.cells.column_max_content_widths();
        let Some((_, before)) = widths.split_last() else {
            return String::new();
        };
        let taken: u16 = before.iter().map(|width| width + GAP).sum();
        match self.width {
            Some(width) if width >= taken + READABLE => {
                self.cells
                    .set_content_arrangement(ContentArrangement::Dynamic);
                self.cells.set_width(width);
                let fixed = before.len();
                for column in self.cells.column_iter_mut().take(fixed) {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
            }
            _ => {
                self.cells
                    .set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        let mut text = self.cells.trim_fmt();
        text.push('\n');
        text
    }
}

fn aligned(text: &str, right: bool) -> Cell {
    let cell = Cell::new(text);
    if right {
        cell.set_alignment(CellAlignment::Right)
    } else {
        cell
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

    #[test]
    fn columns_are_aligned_and_names_escaped() {
        insta::assert_snapshot!(table(Screen::default()), @r"
        NAME        FILES  STATE
        team           12  synced, and a lot more to say
        a\u{1b}[2J   1200  conflict
        ");
    }

    #[test]
    fn a_narrow_terminal_wraps_the_last_column_only() {
        let text = table(Screen {
            width: Some(45),
            color: false,
        });
        assert!(
            text.lines().all(|line| line.chars().count() <= 45),
            "{text}"
        );
        assert!(text.contains("a\\u{1b}[2J   1200  conflict"), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn a_terminal_that_is_too_narrow_gets_whole_lines() {
        assert_eq!(
            table(Screen {
                width: Some(30),
                color: false
            }),
            table(Screen::default())
        );
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
