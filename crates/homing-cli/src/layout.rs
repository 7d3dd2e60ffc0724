//! Which columns of a table are shown, and how wide.

use std::cmp::Reverse;

/// Columns of the terminal between two of a table.
pub(crate) const GAP: usize = 2;

/// What a text keeps at least while another column can give way.
const LEAST_TEXT: usize = 8;
/// What a path keeps: its end tells it from others.
const LEAST_PATH: usize = 20;
/// What the title over numbers keeps.
const LEAST_TITLE: usize = 4;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The name of what the row is about: the last to be shortened.
    Name,
    /// Numbers: never shortened.
    Number,
    /// Paths: shortened at their beginning.
    Path,
    /// Anything else.
    Text,
}

/// When a column is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Leaves {
    /// Before the others.
    First,
    /// From the right.
    InTurn,
    /// Never: without it nobody knows what the row is about.
    Never,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// What it holds.
    pub(crate) kind: Kind,
    leaves: Leaves,
    title: usize,
    widest: usize,
}

impl Column {
    /// Begins a column under a title of that width.
    pub(crate) fn new(kind: Kind, leaves: Leaves, title: usize) -> Self {
        Self {
            kind,
            leaves,
            title,
            widest: 0,
        }
    }

    /// Takes in a cell of that width.
    pub(crate) fn widen(&mut self, cell: usize) {
        self.widest = self.widest.max(cell);
    }

    fn natural(&self) -> usize {
        self.widest.max(self.title)
    }

    fn least(&self) -> usize {
        match self.kind {
            Kind::Name => self.natural(),
            Kind::Number => self.widest.max(self.title.min(LEAST_TITLE)),
            Kind::Path => self.natural().min(LEAST_PATH),
            Kind::Text => self.natural().min(LEAST_TEXT),
        }
    }
}

/// Returns how wide each column is to be in a terminal of `width` columns; `None` leaves it out.
///
/// As long as it is too much: columns that say nothing are left out, texts are shortened from the right, columns are
/// left out from the right, and what the row is about is shortened.
pub(crate) fn fit(columns: &[Column], width: Option<usize>) -> Vec<Option<usize>> {
    let naturally: Vec<Option<usize>> = columns
        .iter()
        .map(|column| Some(column.natural()))
        .collect();
    let Some(width) = width.filter(|width| total(&naturally) > *width) else {
        return naturally;
    };
    let says_something = |column: &Column| column.widest > 0 || column.leaves == Leaves::Never;
    let mut widths: Vec<Option<usize>> = columns
        .iter()
        .map(|column| says_something(column).then(|| column.least()))
        .collect();
    while total(&widths) > width {
        let Some(next) = next_to_leave(columns, &widths) else {
            break;
        };
        widths[next] = None;
    }
    let too_much = total(&widths).saturating_sub(width);
    // When this is not 0, only what never leaves is left.
    for width in widths.iter_mut().flatten() {
        *width = width.saturating_sub(too_much);
    }
    let mut room = width.saturating_sub(total(&widths));
    // The titles over numbers first: they need little.
    let numbers_first = (0..columns.len())
        .filter(|at| columns[*at].kind == Kind::Number)
        .chain(0..columns.len());
    for at in numbers_first {
        if let Some(taken) = &mut widths[at] {
            let more = columns[at].natural().saturating_sub(*taken).min(room);
            *taken += more;
            room -= more;
        }
    }
    widths
}

fn next_to_leave(columns: &[Column], widths: &[Option<usize>]) -> Option<usize> {
    (0..columns.len())
        .filter(|at| widths[*at].is_some() && columns[*at].leaves != Leaves::Never)
        .min_by_key(|at| (columns[*at].leaves, Reverse(*at)))
}

fn total(widths: &[Option<usize>]) -> usize {
    let shown = widths.iter().flatten();
    shown.clone().sum::<usize>() + GAP * shown.count().saturating_sub(1)
}
