//! How many columns of a terminal a text takes, and how it is made to take fewer.

use unicode_width::UnicodeWidthStr;

/// Joins the parts of one sign: what is before and after it must stay together.
const JOINER: char = '\u{200d}';

/// Returns the columns that a text takes; styles take none.
pub(crate) fn columns(text: &str) -> usize {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return text.len();
    }
    if !text.contains('\u{1b}') {
        return text.width();
    }
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().width();
    // A style ends with its letter `m`.
    let after = parts.map(|part| part.split_once('m').map_or(part, |(_, text)| text).width());
    first + after.sum::<usize>()
}

/// Returns a text that takes at most `width` columns, with an ellipsis where its end was.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let fits = |end: &usize| text[..*end].width() < width;
    let end = borders(text).take_while(fits).last().unwrap_or(0);
    ellipsis(width, &text[..end], "")
}

/// Returns a text that takes at most `width` columns, with an ellipsis where its beginning was.
pub(crate) fn shorten_front(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let begin = borders(text).find(|begin| text[*begin..].width() < width);
    ellipsis(width, "", &text[begin.unwrap_or(text.len())..])
}

/// Breaks lines that are too long at their spaces; what follows is indented. A longer word stays whole.
pub(crate) fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = line
            .strip_suffix('\n')
            .map_or((line, ""), |line| (line, "\n"));
        if columns(line) <= width {
            wrapped.push_str(line);
        } else {
            wrap_line(line, width, &mut wrapped);
        }
        wrapped.push_str(end);
    }
    wrapped
}

fn wrap_line(line: &str, width: usize, wrapped: &mut String) {
    let text = line.trim_start_matches(' ');
    let indent = line.len() - text.len();
    wrapped.push_str(&line[..indent]);
    let mut taken = indent;
    let mut first = true;
    for word in text.split(' ') {
        let wide = columns(word);
        if first {
            first = false;
        } else if taken + 1 + wide <= width {
            wrapped.push(' ');
            taken += 1;
        } else {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent + 2));
            taken = indent + 2;
        }
        wrapped.push_str(word);
        taken += wide;
    }
}

fn ellipsis(width: usize, before: &str, after: &str) -> String {
    if width == 0 {
        return String::new();
    }
    format!("{before}…{after}")
}

/// Returns where a text may be cut: not before what combines with the sign before it, nor in a joined sign.
fn borders(text: &str) -> impl Iterator<Item = usize> + '_ {
    let before = std::iter::once(None).chain(text.chars().map(Some));
    text.char_indices()
        .zip(before)
        .filter(|((_, c), before)| {
            let combines = !c.is_ascii() && c.encode_utf8(&mut [0; 4]).width() == 0;
            !combines && *before != Some(JOINER)
        })
        .map(|((at, _), _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_take_the_columns_that_terminals_give_them() {
        for (text, taken) in [
            ("", 0),
            ("abc", 3),
            ("ä", 1),
            ("a\u{308}", 1),
            ("日本語", 6),
            ("🏠", 2),
            ("👩\u{200d}💻", 2),
            ("…", 1),
            ("\u{1b}[1m\u{1b}[33mdone\u{1b}[0m!", 5),
        ] {
            assert_eq!(columns(text), taken, "{text:?}");
        }
    }

    #[test]
    fn a_text_is_cut_between_signs() {
        for (text, width, short) in [
            ("team", 4, "team"),
            ("community", 4, "com…"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("ae\u{301}bc", 3, "ae\u{301}…"),
            ("a👩\u{200d}💻b", 3, "a…"),
            ("ab", 1, "…"),
            ("ab", 0, ""),
        ] {
            assert_eq!(shorten(text, width), short, "{text:?} in {width}");
            assert!(columns(short) <= width);
        }
    }

    #[test]
    fn a_path_keeps_its_end() {
        for (text, width, short) in [
            ("a/b.md", 6, "a/b.md"),
            ("agents/review.md", 10, "…review.md"),
            ("日本/語.md", 7, "…/語.md"),
            ("e\u{301}e\u{301}", 1, "…"),
            ("ab", 0, ""),
        ] {
            assert_eq!(shorten_front(text, width), short, "{text:?} in {width}");
            assert!(columns(short) <= width);
        }
    }

    #[test]
    fn prose_breaks_at_its_spaces() {
        assert_eq!(
            wrap("short\n  one two three\nend", 9),
            "short\n  one two\n    three\nend"
        );
        assert_eq!(
            wrap("a /a/very/long/path b", 8),
            "a\n  /a/very/long/path\n  b"
        );
        assert_eq!(
            wrap("\u{1b}[31mone\u{1b}[0m two", 7),
            "\u{1b}[31mone\u{1b}[0m two"
        );
    }
}
