//! Which comments go with a section that is removed.
//!
//! `toml_edit` hangs all that stands between two tables on the second one. A comment right above a header belongs to that
//! section, one right below the last key to the section before; what stands apart, by an empty line, stays.

use toml_edit::{DocumentMut, Item, Table};

/// Mends the comments around a table that was removed from `document`.
pub(super) fn take_away(document: &mut DocumentMut, removed: &Table) {
    let mut spots = Vec::new();
    positions(removed, &mut spots);
    spots.sort_unstable_by_key(|(position, _)| *position);
    let (Some((_, above)), Some((last, _))) = (spots.first(), spots.last()) else {
        return;
    };
    let kept = standing_apart(above).to_owned();
    let is_first = document.as_table().iter().all(|(_, item)| !item.is_value())
        && next_position(document.as_table(), isize::MIN).is_none_or(|first| first > *last);
    let mend = |next: &str| {
        let next = after_first_block(next);
        let text = match kept.as_str() {
            "" => next.to_owned(),
            kept if kept.ends_with('\n') && next.starts_with('\n') => {
                format!("{kept}{}", &next[1..])
            }
            kept => format!("{kept}{next}"),
        };
        if is_first {
            text.trim_start_matches('\n').to_owned()
        } else {
            text
        }
    };
    if let Some(position) = next_position(document.as_table(), *last) {
        for (_, item) in document.as_table_mut().iter_mut() {
            match item {
                Item::Table(table) => set_prefix(table, position, &mend),
                Item::ArrayOfTables(tables) => {
                    tables
                        .iter_mut()
                        .for_each(|table| set_prefix(table, position, &mend));
                }
                Item::None | Item::Value(_) => {}
            }
        }
    } else {
        let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
        let mended = mend(&trailing);
        // An empty line at the end was the one above the section.
        let mended = if mended.trim().is_empty() {
            String::new()
        } else {
            mended
        };
        document.set_trailing(mended);
    }
}

/// Returns the lines above a header up to the last empty one.
fn standing_apart(above: &str) -> &str {
    let mut end = 0;
    let mut at = 0;
    for line in above.split_inclusive('\n') {
        at += line.len();
        if line.trim().is_empty() && line.ends_with('\n') {
            end = at;
        }
    }
    &above[..end]
}

/// Returns the lines from the first empty one on; all of them when there is none.
fn after_first_block(below: &str) -> &str {
    let mut at = 0;
    for line in below.split_inclusive('\n') {
        if line.trim().is_empty() && line.ends_with('\n') {
            return &below[at..];
        }
        at += line.len();
    }
    below
}

fn prefix(table: &Table) -> String {
    table
        .decor()
        .prefix()
        .and_then(|prefix| prefix.as_str())
        .unwrap_or_default()
        .to_owned()
}

/// Collects the places of a table and those below it, each with what stands above its header.
fn positions(table: &Table, spots: &mut Vec<(isize, String)>) {
    if let Some(position) = table
        .position()
        .filter(|_| !table.is_implicit() && !table.is_dotted())
    {
        spots.push((position, prefix(table)));
    }
    for (_, item) in table {
        match item {
            Item::Table(table) => positions(table, spots),
            Item::ArrayOfTables(tables) => tables.iter().for_each(|table| positions(table, spots)),
            Item::None | Item::Value(_) => {}
        }
    }
}

/// Returns the place of the first header below the root after `after`.
fn next_position(root: &Table, after: isize) -> Option<isize> {
    let mut spots = Vec::new();
    for (_, item) in root {
        match item {
            Item::Table(table) => positions(table, &mut spots),
            Item::ArrayOfTables(tables) => {
                tables.iter().for_each(|table| positions(table, &mut spots));
            }
            Item::None | Item::Value(_) => {}
        }
    }
    spots
        .into_iter()
        .map(|(position, _)| position)
        .filter(|position| *position > after)
        .min()
}

/// Changes what stands above the header at a place.
fn set_prefix(table: &mut Table, position: isize, mend: &dyn Fn(&str) -> String) {
    if table.position() == Some(position) && !table.is_implicit() && !table.is_dotted() {
        let mended = mend(&prefix(table));
        table.decor_mut().set_prefix(mended);
        return;
    }
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(table) => set_prefix(table, position, mend),
            Item::ArrayOfTables(tables) => {
                tables
                    .iter_mut()
                    .for_each(|table| set_prefix(table, position, mend));
            }
            Item::None | Item::Value(_) => {}
        }
    }
}
