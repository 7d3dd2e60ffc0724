//! Line ends as the user's editor writes them: what an edit does not touch stays byte for byte.

/// Returns a text with `\n` at the end of each line, and no byte order mark.
pub(super) fn plain(text: &str) -> String {
    let mut plain = text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .replace("\r\n", "\n");
    if !plain.is_empty() && !plain.ends_with('\n') {
        plain.push('\n');
    }
    plain
}

/// Returns `edited` with the line ends and the byte order mark of `original`. `plain` is what the edit began with.
pub(super) fn restore(original: &str, plain: &str, edited: &str) -> String {
    if edited == plain {
        return original.to_owned();
    }
    let mark = if original.starts_with('\u{feff}') {
        "\u{feff}"
    } else {
        ""
    };
    let body = &original[mark.len()..];
    let all = body.matches('\n').count();
    let end = if body.matches("\r\n").count() * 2 > all {
        "\r\n"
    } else {
        "\n"
    };

    let before: Vec<&str> = plain.lines().collect();
    let after: Vec<&str> = edited.lines().collect();
    let source: Vec<&str> = body.split_inclusive('\n').collect();
    let head = before
        .iter()
        .zip(&after)
        .take_while(|(one, other)| one == other)
        .count();
    let ends = before[head..].iter().rev().zip(after[head..].iter().rev());
    let tail = ends.take_while(|(one, other)| one == other).count();

    let mut text = mark.to_owned();
    let line = |text: &mut String, line: &str, last: bool| {
        text.push_str(line);
        if !last && !line.ends_with('\n') {
            text.push_str(end);
        }
    };
    for (at, source) in source[..head].iter().enumerate() {
        line(&mut text, source, at + 1 == after.len());
    }
    for changed in &after[head..after.len() - tail] {
        text.push_str(changed);
        text.push_str(end);
    }
    let kept = &source[source.len() - tail..];
    for (at, source) in kept.iter().enumerate() {
        line(&mut text, source, at + 1 == kept.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restored(original: &str, edit: impl Fn(&str) -> String) -> String {
        let plain = plain(original);
        restore(original, &plain, &edit(&plain))
    }

    #[test]
    fn what_is_not_edited_keeps_its_line_ends() {
        let append = |text: &str| format!("{text}x = 1\n");
        assert_eq!(
            restored("a = 1\r\nb = 2\r\n", append),
            "a = 1\r\nb = 2\r\nx = 1\r\n"
        );
        assert_eq!(restored("a = 1\nb = 2\n", append), "a = 1\nb = 2\nx = 1\n");
        assert_eq!(
            restored("a = 1\r\nb = 2\nc = 3\r\n", append),
            "a = 1\r\nb = 2\nc = 3\r\nx = 1\r\n"
        );
        assert_eq!(restored("a = 1", append), "a = 1\nx = 1\n");
        assert_eq!(
            restored("\u{feff}a = 1\r\n", append),
            "\u{feff}a = 1\r\nx = 1\r\n"
        );
        assert_eq!(restored("", append), "x = 1\n");
        let middle = |text: &str| text.replace("b = 2", "b = 3");
        assert_eq!(
            restored("a = 1\r\nb = 2\r\nc = 3", middle),
            "a = 1\r\nb = 3\r\nc = 3"
        );
        assert_eq!(restored("a = 1\r\nb = 2", middle), "a = 1\r\nb = 3\r\n");
        let remove = |text: &str| text.replace("b = 2\n", "");
        assert_eq!(restored("a = 1\r\nb = 2\r\n", remove), "a = 1\r\n");
        assert_eq!(restored("a = 1", str::to_owned), "a = 1");
    }
}
