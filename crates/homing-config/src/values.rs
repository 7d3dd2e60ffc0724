//! Durations, sizes and paths as people write them.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Why a value is none, and how to write one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ValueError {
    /// What is wrong.
    pub message: String,
    /// How to write it.
    pub hint: Option<String>,
}

impl ValueError {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }
}

/// Reads a duration: `500ms`, `60s`, `15m`, `6h`, `90d`, `2h 30m`. A day has 24 hours.
pub fn parse_duration(text: &str) -> Result<Duration, ValueError> {
    let wrong = || {
        ValueError::new(
            format!("`{}` is not a duration", text.escape_debug()),
            "write for example \"500ms\", \"60s\", \"15m\", \"6h\", \"90d\" or \"2h 30m\"",
        )
    };
    let span: Span = text.parse().ok().ok_or_else(wrong)?;
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .ok()
        .ok_or_else(wrong)?;
    Duration::try_from(duration).ok().ok_or_else(wrong)
}

/// Makes sure that a source or target may have this name.
pub fn parse_name(text: &str) -> Result<String, ValueError> {
    if text.starts_with('-') {
        return Err(ValueError::new(
            format!("`{}` begins with `-`, as options do", text.escape_debug()),
            "begin a name with a letter or a digit",
        ));
    }
    match text.parse::<homing_core::SourceId>() {
        Ok(id) => Ok(id.to_string()),
        Err(error) => Err(ValueError {
            message: error.to_string().escape_debug().to_string(),
            hint: None,
        }),
    }
}

/// Reads a size in bytes: `4096`, `512KiB`, `10MiB`, `1GiB`, `1TiB`, and `kB`, `MB`, `GB`, `TB` for powers of ten.
pub fn parse_size(text: &str) -> Result<u64, ValueError> {
    let wrong = || {
        ValueError::new(
            format!("`{}` is not a size", text.escape_debug()),
            "write for example \"512KiB\", \"10MiB\" or \"1GiB\"",
        )
    };
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(wrong)
}

/// Makes a path absolute: `~/` is the home directory, and others begin at the directory of the configuration file.
pub(crate) fn expand_path(
    text: &str,
    base: &Path,
    home: Option<&Path>,
) -> Result<PathBuf, ValueError> {
    if text.is_empty() {
        return Err(ValueError::new(
            "the path is empty",
            "write an absolute path, or one that begins with `~/`",
        ));
    }
    if text.contains('\0') {
        return Err(ValueError::new(
            "the path has a NUL character",
            "write a path without it",
        ));
    }
    if text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    }) {
        return Err(ValueError::new(
            "this is an address, and a path belongs here",
            "write an absolute path, or one that begins with `~/`",
        ));
    }
    let path = if text == "~" || text.starts_with("~/") {
        let Some(home) = home else {
            return Err(ValueError::new(
                "the home directory is not known",
                "set HOME, or write an absolute path",
            ));
        };
        home.join(text[1..].trim_start_matches('/'))
    } else if text.starts_with('~') {
        return Err(ValueError::new(
            format!(
                "`{}` names another user's home directory",
                text.escape_debug()
            ),
            "write an absolute path, or one that begins with `~/`",
        ));
    } else {
        base.join(text)
    };
    if !path.is_absolute() {
        return Err(ValueError::new(
            format!("`{}` is not absolute", path.display()),
            "write an absolute path",
        ));
    }
    Ok(path
        .components()
        .filter(|component| *component != Component::CurDir)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("500ms", 500),
            ("60s", 60_000),
            ("15m", 900_000),
            ("6h", 21_600_000),
            ("90d", 7_776_000_000),
            ("2h 30m", 9_000_000),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for text in [
            "",
            "15",
            "m",
            "-5m",
            "5m ago",
            "1y",
            "soon",
            "99999999999999999999h",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_that_look_like_options_are_refused() {
        assert_eq!(parse_name("team-2"), Ok("team-2".to_owned()));
        for (text, told) in [
            ("-x", "as options do"),
            ("--", "as options do"),
            ("A", "valid name"),
            ("", "valid name"),
        ] {
            assert!(
                parse_name(text).unwrap_err().message.contains(told),
                "{text}"
            );
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("4096", 4096),
            ("10MiB", 10 << 20),
            ("1 GiB", 1 << 30),
            ("5kB", 5000),
            ("2TB", 2_000_000_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "MiB",
            "10Mib",
            "-1",
            "1.5MiB",
            "99999999999TiB",
            "10 MiB x",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_made_absolute() {
        let expand = |text| expand_path(text, Path::new("/etc/homing"), Some(Path::new("/home/u")));
        for (text, path) in [
            ("/a/b", "/a/b"),
            ("/a/./b/", "/a/b"),
            ("~/x", "/home/u/x"),
            ("~", "/home/u"),
            ("~//x", "/home/u/x"),
            ("./x", "/etc/homing/x"),
            ("x/y", "/etc/homing/x/y"),
        ] {
            assert_eq!(expand(text), Ok(PathBuf::from(path)), "{text}");
        }
        for text in ["", "~other/x", "a\0b"] {
            assert!(expand(text).is_err(), "{text:?}");
        }
        assert!(
            expand_path("~/x", Path::new("/c"), None)
                .unwrap_err()
                .hint
                .unwrap()
                .contains("HOME")
        );
    }
}
