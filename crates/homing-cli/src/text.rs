//! How numbers, times and names are shown.

use std::borrow::Cow;

use jiff::Timestamp;

/// Returns a text in which nothing moves the cursor, starts a line, turns the writing round or hides a text.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
    };
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    text.chars()
        .fold(String::new(), |mut escaped, c| {
            if harmful(c) {
                escaped.extend(c.escape_default());
            } else {
                escaped.push(c);
            }
            escaped
        })
        .into()
}

/// Returns a word for the shell.
pub(crate) fn quote(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "-._/+:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    format!("'{}'", word.replace('\'', r"'\''")).into()
}

/// Returns a commit's id as people write it.
pub(crate) fn short_commit(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Returns "1 file", "2 files".
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Returns "345ms", "1.2s", "2m 05s", "1h 02m".
pub(crate) fn duration(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis}ms"),
        1_000..60_000 => format!("{}.{}s", millis / 1_000, millis % 1_000 / 100),
        60_000..3_600_000 => format!("{}m {:02}s", millis / 60_000, millis / 1_000 % 60),
        _ => format!("{}h {:02}m", millis / 3_600_000, millis / 60_000 % 60),
    }
}

/// Returns "512 B", "1.5 KiB", "3.0 MiB".
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Returns a duration as the configuration writes it: "25s", "2h", "90d".
pub(crate) fn setting(millis: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
    ];
    let exact = UNITS
        .into_iter()
        .find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit));
    exact.map_or_else(
        || format!("{millis}ms"),
        |(unit, word)| format!("{}{word}", millis / unit),
    )
}

/// Returns a size as the configuration writes it: "10MiB", "1GiB".
pub(crate) fn size_setting(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    let exact = UNITS
        .into_iter()
        .find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    exact.map_or_else(
        || bytes.to_string(),
        |(unit, word)| format!("{}{word}", bytes / unit),
    )
}

/// Returns how long ago a time was, or how far ahead it is; what cannot be read as it came.
pub(crate) fn relative(time: &str, now: Timestamp) -> String {
    let Ok(timestamp) = time.parse::<Timestamp>() else {
        return escape(time).into_owned();
    };
    let seconds = now.as_second() - timestamp.as_second();
    if seconds.unsigned_abs() < 5 {
        return "now".to_owned();
    }
    let span = span(seconds.unsigned_abs());
    if seconds > 0 {
        format!("{span} ago")
    } else {
        format!("in {span}")
    }
}

/// Returns "for 2h, until 2026-01-02T05:04:05Z"; what cannot be read as it came.
pub(crate) fn until(time: &str, now: Timestamp) -> String {
    let Ok(timestamp) = time.parse::<Timestamp>() else {
        return format!("until {}", escape(time));
    };
    let seconds = timestamp.as_second().saturating_sub(now.as_second());
    let end = timestamp.strftime("%Y-%m-%dT%H:%M:%SZ");
    format!("for {}, until {end}", span(seconds.unsigned_abs()))
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_write_on_the_terminal() {
        assert_eq!(escape("a/ä b.md"), "a/ä b.md");
        assert_eq!(
            escape("a\nb\u{1b}[31m\u{202e}x\u{9b}"),
            "a\\nb\\u{1b}[31m\\u{202e}x\\u{9b}"
        );
    }

    #[test]
    fn words_for_the_shell_are_quoted_when_they_must_be() {
        assert_eq!(quote("agents/a-b.md"), "agents/a-b.md");
        assert_eq!(quote("a b.md"), "'a b.md'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("$(x)"), "'$(x)'");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            (count(1, "file"), count(0, "file")),
            ("1 file".to_owned(), "0 files".to_owned())
        );
        for (millis, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_260, "1.2s"),
            (59_999, "59.9s"),
            (125_000, "2m 05s"),
            (3_720_000, "1h 02m"),
        ] {
            assert_eq!(duration(millis), text);
        }
        for (number, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (3 << 20, "3.0 MiB"),
            (5 << 40, "5.0 TiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn settings_are_what_the_configuration_takes() {
        for millis in [
            0,
            500,
            25_000,
            61_000,
            900_000,
            7_200_000,
            9_000_000,
            90 * 86_400_000,
        ] {
            let read = homing_config::parse_duration(&setting(millis)).unwrap();
            assert_eq!(read.as_millis(), u128::from(millis));
        }
        assert_eq!(
            (
                setting(90 * 86_400_000).as_str(),
                setting(9_000_000).as_str()
            ),
            ("90d", "150m")
        );
        for bytes in [1, 1024, 1500, 10 << 20, 1 << 30, (1 << 30) + 1, 3 << 40] {
            assert_eq!(homing_config::parse_size(&size_setting(bytes)), Ok(bytes));
        }
    }

    #[test]
    fn times_are_told_from_now() {
        let now = "2026-01-02T12:00:00Z".parse().unwrap();
        for (time, text) in [
            ("2026-01-02T11:59:58.678Z", "now"),
            ("2026-01-02T11:59:00.000Z", "60s ago"),
            ("2026-01-02T11:45:00.000Z", "15m ago"),
            ("2026-01-02T09:00:00.000Z", "3h ago"),
            ("2025-12-20T12:00:00.000Z", "13d ago"),
            ("2026-01-02T12:10:00.000Z", "in 10m"),
            ("yesterday", "yesterday"),
        ] {
            assert_eq!(relative(time, now), text);
        }
    }
}
