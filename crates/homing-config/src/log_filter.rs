//! What the log lets through, judged before the daemon takes it over.

use crate::values::ValueError;

/// What stands for a level; the numbers are those of the logging library.
const LEVELS: [&str; 12] = [
    "off", "error", "warn", "info", "debug", "trace", "0", "1", "2", "3", "4", "5",
];

/// Makes sure that `text` is a list of levels and of `part=level`.
///
/// The logging library takes any other word for a part of the program, so that a mistyped level would say nothing.
pub(crate) fn judge(text: &str) -> Result<(), ValueError> {
    for directive in directives(text) {
        let (part, level) = match directive.rsplit_once('=') {
            // What stands in brackets is of a span, and so is its `=`.
            Some((part, level)) if !level.contains(['}', ']']) => (Some(part), level),
            _ if directive.ends_with(']') => continue,
            _ => (None, directive),
        };
        if LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) && part != Some("") {
            continue;
        }
        return Err(ValueError::new(
            format!("`{}` is no level of the log", level.escape_debug()),
            "write off, error, warn, info, debug or trace, and `part=level` for one part, as in \
             \"homing_engine=debug,info\"",
        ));
    }
    Ok(())
}

/// Returns what stands between the commas that are not within brackets.
fn directives(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    text.split(move |c| {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|directive| !directive.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_parts_with_levels_are_filters() {
        for text in [
            "",
            "info",
            "WARN",
            "homing_engine=debug,info",
            "off,homing=2",
            "homing[run]=trace,info",
            "homing_engine[run{source=team,verb=pull}]=debug",
            "[run{source=team}]",
        ] {
            assert_eq!(judge(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_none() {
        for (text, word) in [
            ("loud", "loud"),
            ("homing=loud", "loud"),
            ("info,homing_engine=", ""),
            ("homing_engine", "homing_engine"),
            ("homing[run]=loud,info", "loud"),
            ("infos,debug", "infos"),
            ("=info", "info"),
        ] {
            let error = judge(text).unwrap_err();
            assert!(
                error.message.starts_with(&format!("`{word}` is no level")),
                "{text}: {error}"
            );
        }
    }
}
